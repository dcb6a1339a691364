"""The index of ``alpaca_rouge.pairs`` on NumPy arrays, searched by compiled code. Needs numba.

The first use compiles the code, which takes some seconds; numba keeps it on disk for later ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np  # noqa: TID253 (loaded only where numba is to work)

from alpaca_rouge import kernels
from alpaca_rouge.pairs import LONG, Pairs
from alpaca_rouge.rule import Need
from alpaca_rouge.vocabulary import Read


class CompiledPairs:
    """As ``Pairs``. Where several kept texts are too much alike, it may be another one that is met first."""

    def __init__(self, need: Need) -> None:
        self.need = need
        self._meta = np.zeros(8, np.int64)
        self._meta[kernels.TOP] = 1  # 0 is no block
        self._slots = np.zeros(1 << 16, np.int64)
        self._pool = np.zeros(1 << 17, np.int64)
        self._free = np.zeros(60, np.int64)  # by size class: blocks given back
        self._flat = np.zeros(1 << 16, np.int32)
        # By record: where its text starts in `flat`, its length, the last search that met it, a bit for each token.
        self._start, self._length = np.zeros(1 << 12, np.int64), np.zeros(1 << 12, np.int32)
        self._stamp, self._signs = np.zeros(1 << 12, np.uint32), np.zeros(1 << 12, np.uint64)
        # The query's bit masks: by token, its row in `rows`; and work space.
        self._row_of = np.zeros(1 << 12, np.int32)
        self._rows, self._work = np.zeros(LONG + 1, np.uint64), np.zeros(1, np.uint64)
        self._values, self._places = np.zeros(LONG**3, np.int64), np.zeros(LONG**2, np.int64)
        self._longest = 64
        self._leasts = np.array([need.least(m) for m in range(LONG)], np.int32)
        self._needs: dict[int, np.ndarray] = {}

    @classmethod
    def of(cls, pairs: Pairs) -> CompiledPairs:
        """With all that ``pairs`` keeps."""
        index = cls(pairs.need)
        for text, prefix in zip(pairs.texts, pairs.prefixes, strict=True):
            index._add(_array(text), np.array(prefix, np.int32))
        index._meta[kernels.COMPARISONS] = pairs.comparisons
        return index

    def __len__(self) -> int:
        return int(self._meta[kernels.RECORDS])

    @property
    def comparisons(self) -> int:
        return int(self._meta[kernels.COMPARISONS])

    def find(self, read: Read) -> tuple[int, int, int] | None:
        _, m, text, elements, fresh = read
        limit = m - self.need.least(m) + 1
        unknown = len(fresh)
        if limit <= unknown:
            return None
        self._know(elements[0])
        words = (m + 63) // 64
        if (m + 1) * words > self._rows.size:
            self._rows, self._work = np.zeros((m + 1) * words, np.uint64), np.zeros(words, np.uint64)
        found = kernels.find(
            self._meta,
            self._slots,
            self._pool,
            (self._flat, self._start, self._length, self._stamp, self._signs),
            (self._row_of, self._rows, self._work, self._values, self._places),
            self._needs[m] if m in self._needs else self._needs_of(m),
            _array(text),
            np.array(elements[: limit + 2], np.int32),
            unknown,
            limit,
            m - self.need(m, m) + 2,
            m >= LONG,
        )
        if found < 0:
            return None
        record = found >> 32
        return record, found & 0xFFFFFFFF, int(self._length[record])

    def add(self, read: Read) -> None:
        _, m, text, elements, _ = read
        self._add(_array(text), np.array(elements[: m - self.need.least(m) + 3], np.int32))

    def _add(self, text: np.ndarray, prefix: np.ndarray) -> None:
        record, m = len(self), text.size
        least = self.need.least(m)
        start = self._start[record]
        end = start + m + prefix.size
        if end > self._flat.size:
            self._flat = _wider(self._flat, end)
        if record + 2 > self._start.size:
            arrays = self._start, self._length, self._stamp, self._signs
            self._start, self._length, self._stamp, self._signs = (_wider(array, record + 2) for array in arrays)
        self._flat[start : start + m] = text
        self._flat[start + m : end] = prefix
        self._start[record + 1] = end
        self._length[record] = m
        self._signs[record] = kernels.sign_of(text)
        self._meta[kernels.RECORDS] += 1
        if m:
            self._know(int(prefix[0]))
        if m > self._longest:
            self._longest = 2 * m
            self._needs.clear()
        if least > m:
            return
        tag = kernels.ALONE
        if 1 < least and m < LONG:
            self._file_pairs(record, min(m, m - least + 2))
            if self.need(m, LONG) > m:
                return
            tag = kernels.BOTH
        for element in prefix[: m - least + 1].tolist():
            self._make_room()
            kernels.file_single(self._meta, self._slots, self._pool, self._free, tag | element, record)

    def _file_pairs(self, record: int, elements: int) -> None:
        m = int(self._length[record])
        early = m - self.need(m, m) + 2
        done, pairs = 0, elements * (elements - 1) // 2
        while done < pairs:
            texts = (self._flat, self._start, self._length, self._stamp, self._signs)
            at = (self._leasts, record, elements, early, done)
            done = kernels.file_pairs(self._meta, self._slots, self._pool, self._free, texts, *at)
            if done < pairs:
                self._make_room()

    def _know(self, highest: int) -> None:
        """Room for the bit masks of tokens up to this number."""
        if highest >= self._row_of.size:
            self._row_of = _wider(self._row_of, highest + 1)

    def _make_room(self) -> None:
        while kernels.tight(self._meta, self._slots, self._pool):
            if 2 * (self._meta[kernels.USED] + kernels.MARGIN) > self._slots.size // 2:
                wider = np.zeros(2 * self._slots.size, np.int64)
                kernels.rehash(self._slots, wider)
                self._slots = wider
            else:
                self._pool = _wider(self._pool, 0)

    def _needs_of(self, m: int) -> np.ndarray:
        """By the other text's length, the LCS that rejects a pair with a text of ``m`` tokens; m + 1 if none does."""
        needs = [m + 1] + [self.need(m, n) for n in range(1, self._longest + 1)]
        needs = [need if need <= min(m, n) else m + 1 for n, need in enumerate(needs)]
        array = self._needs[m] = np.array(needs, np.int32)
        return array


def _array(text: Sequence) -> np.ndarray:
    if isinstance(text, str):
        return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.int32)
    return np.array(text, np.int32)


def _wider(array: np.ndarray, least: int) -> np.ndarray:
    wider = np.zeros(max(least, array.size + array.size // 2), array.dtype)
    wider[: array.size] = array
    return wider
