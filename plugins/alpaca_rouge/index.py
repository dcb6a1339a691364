"""An exact online index for ROUGE-L: which kept text is more alike to a new one than a threshold?

Comparing every new text with every kept one takes hours at 50,000 texts. The index finds the few pairs worth comparing
and misses none. F above the threshold needs a longest common subsequence (LCS) of at least ``need(m, n)`` tokens.
Sort each text's tokens, rarest first: of the tokens outside the LCS there are at most ``m - need`` on one side and
``n - need`` on the other, so the two rarest tokens of the LCS are among the first ``m - need + 2`` of one text and the
first ``n - need + 2`` of the other, in the same order within both texts. So every kept text is filed under the ordered
pairs of its rarest tokens, and a new text looks under its own pairs. (Prefix filtering, as in exact set-similarity
joins, here with pairs and their order.) Any fixed order of the tokens is exact; rare first makes it fast.

Two cases go by single tokens, of the first ``m - need + 1``: partners that need only one common token, and long texts,
whose pairs would be too many.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import floor
from typing import NamedTuple

from rapidfuzz.distance import LCSseq

# A posting packs (record, length, place): lengths and places up to LONG take six bits each.
LONG = 63
_BITS = 6
_FORM = (1 << 2 * _BITS) - 1  # the bits of length and place
_UNRESTRICTED = bytes([255]) * (1 << 2 * _BITS)


def fmeasure(common: int, m: int, n: int) -> float:
    """ROUGE-L F of texts with ``m`` and ``n`` tokens whose LCS has ``common``: rouge_score's own float operations."""
    if not common:
        return 0.0
    precision = common / n
    recall = common / m
    return 2 * precision * recall / (precision + recall)


class Need:
    """``need(m, n)``: the least LCS length with ``fmeasure > threshold``, or more than ``min(m, n)`` if none has.

    The float expression itself decides, because it does not round evenly: at 0.7, seven common tokens of 10 and 10
    give exactly 0.7 and are kept, while seven of 9 and 11 give 0.7000000000000001 and are rejected.
    """

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self._known: dict[tuple[int, int], int] = {}
        self._least: dict[int, int] = {}

    def __call__(self, m: int, n: int) -> int:
        known = self._known.get((m, n))
        if known is None:
            # The exact rational bound, less a margin for rounding.
            known = max(1, floor(self.threshold * (m + n) / 2) - 1)
            while known <= min(m, n) and not fmeasure(known, m, n) > self.threshold:
                known += 1
            self._known[m, n] = known
        return known

    def least(self, m: int) -> int:
        """The least ``need(m, n)`` over all ``n``, or more than ``m`` if no partner is close enough."""
        known = self._least.get(m)
        if known is None:
            # need grows with n, so the shortest partner that can be close enough gives the least.
            known = next((self(m, n) for n in range(1, m + 1) if self(m, n) <= n), m + 1)
            self._least[m] = known
        return known


class Match(NamedTuple):
    """A kept text above the threshold: its number in order of ``add``, and its F."""

    record: int
    score: float


class _Query(NamedTuple):
    ids: list[int]  # token numbers, in order of the text
    text: Sequence  # the same as rapidfuzz likes it best
    keys: dict[int, int]  # what to look under: the place of the key's later token in the rare-first order


class RougeIndex:
    """Kept texts, as token sequences, and the question whether a new one is too much like any of them.

    ``find`` changes no answer. ``comparisons`` counts the LCS computed so far, the measure of its work.
    """

    def __init__(self, threshold: float) -> None:
        self.need = Need(threshold)
        self.comparisons = 0
        self._ids: dict[str, int] = {}
        self._texts: list[Sequence] = []
        self._postings: dict[int, int | list[int]] = {}
        self._allowed: dict[int, bytes] = {}
        self._last: tuple[Sequence[str], _Query] | None = None

    def __len__(self) -> int:
        return len(self._texts)

    def find(self, tokens: Sequence[str]) -> Match | None:
        """A kept text whose F with ``tokens`` is above the threshold, the first met; None if there is none."""
        ids, text, keys = self._read(tokens)
        m = len(ids)
        allowed = self._allowed_places(m)
        seen = set()
        for key, place in keys.items():
            postings = self._postings.get(key)
            if postings is None:
                continue
            for posting in (postings,) if isinstance(postings, int) else postings:
                if allowed[posting & _FORM] <= place:
                    continue
                record = posting >> 2 * _BITS
                if record in seen:
                    continue
                seen.add(record)
                other = self._texts[record]
                n = len(other)
                need = self.need(m, n)
                if need > m or need > n:
                    continue
                self.comparisons += 1
                common = LCSseq.similarity(text, other, score_cutoff=need)
                if common >= need:
                    return Match(record, fmeasure(common, m, n))
        return None

    def add(self, tokens: Sequence[str]) -> int:
        """Keep ``tokens``, whatever they are like. Returns their number, from 0."""
        ids, text, keys = self._read(tokens)
        for token, number in zip(tokens, ids, strict=True):
            self._ids[token] = number
        record = len(self._texts)
        self._texts.append(text)
        form = record << 2 * _BITS | min(len(ids), LONG) << _BITS
        for key, place in keys.items():
            posting = form | place
            there = self._postings.setdefault(key, posting)
            if there is not posting:  # most keys have one posting: a bare number saves the list
                if isinstance(there, int):
                    self._postings[key] = [there, posting]
                else:
                    there.append(posting)
        return record

    def _read(self, tokens: Sequence[str]) -> _Query:
        """Numbers, text and keys of ``tokens``; the last ones are remembered, since ``add`` mostly follows ``find``."""
        if self._last and self._last[0] is tokens:
            return self._last[1]
        fresh: dict[str, int] = {}  # tokens never kept get the numbers that `add` would give them
        ids = []
        for token in tokens:
            number = self._ids.get(token)
            if number is None:
                number = fresh.setdefault(token, len(self._ids) + len(fresh))
            ids.append(number)
        # One code point per token is the fastest input; a vocabulary beyond them still works, as numbers.
        text = "".join(map(chr, ids)) if max(ids, default=0) < 0x110000 else ids
        query = _Query(ids, text, self._keys(ids))
        self._last = (tokens, query)
        return query

    def _keys(self, ids: list[int]) -> dict[int, int]:
        m = len(ids)
        least = self.need.least(m)
        keys: dict[int, int] = {}
        if least > m:
            return keys
        # Rarest first: what was seen later is rarer. (The other way round is as exact, and a hundred times the work.)
        order = sorted(range(m), key=ids.__getitem__, reverse=True)
        if m < LONG:
            rarer: list[tuple[int, int]] = []
            for place, position in enumerate(order[: m - least + 2]):
                token = ids[position]
                for other_position, other in rarer:
                    key = other << 30 | token if other_position < position else token << 30 | other
                    if key not in keys:
                        keys[key] = place
                rarer.append((position, token))
        if least == 1 or m >= LONG or self.need(m, LONG) <= m:
            for place, position in enumerate(order[: m - least + 1]):
                keys.setdefault(~ids[position], min(place, LONG))
        return keys

    def _allowed_places(self, m: int) -> bytes:
        """For a query of ``m`` tokens, by a posting's length and place: the query's places for a shared key lie below
        this if the pair can be above the threshold; 0 if it cannot. Long texts are not restricted."""
        if m >= LONG:
            return _UNRESTRICTED
        table = self._allowed.get(m)
        if table is None:
            rows = []
            for n in range(LONG):
                row = bytes(1 << _BITS)
                if (need := self.need(m, n)) <= min(m, n):
                    places = n - need + 2
                    row = bytes([m - need + 2]) * places + row[places:]
                rows.append(row)
            rows.append(_UNRESTRICTED[: 1 << _BITS])
            table = self._allowed[m] = b"".join(rows)
        return table
