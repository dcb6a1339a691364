"""Fixed texts, and the question which of them a new text shares words in a row with, or is much like."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from math import ceil, floor
from typing import NamedTuple

from rapidfuzz.distance import LCSseq

_ROUNDING = 1e-9  # bounds are rational numbers in floats


class Shared(NamedTuple):
    """Words in a row that a new text shares with the text of this number."""

    text: int
    words: tuple[str, ...]


class Alike(NamedTuple):
    """The text of this number has this ROUGE-L F with a new one."""

    text: int
    score: float


class Runs:
    """Finds ``n`` words in a row, not counting rows of numbers or letters; of a text with fewer words, all of them."""

    def __init__(self, texts: Sequence[Sequence[str]], n: int) -> None:
        self._known: dict[int, dict[tuple[str, ...], int]] = defaultdict(dict)
        for number, words in enumerate(texts):
            for run in _runs(words, min(n, len(words))):
                if len(words) < n or not _count_or_alphabet(run):
                    self._known[len(run)].setdefault(run, number)
        self._n = n

    def find(self, words: Sequence[str]) -> Shared | None:
        """The first text that shares ``n`` words in a row with ``words``."""
        known = self._known.get(self._n, {})
        return next((Shared(known[run], run) for run in _runs(words, self._n) if run in known), None)

    def same(self, words: Sequence[str]) -> Shared | None:
        """The text with fewer than ``n`` words that is ``words``."""
        run = tuple(words)
        found = self._known.get(len(run), {}).get(run) if 0 < len(run) < self._n else None
        return None if found is None else Shared(found, run)


def _runs(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)] if n else []


def _count_or_alphabet(run: tuple[str, ...]) -> bool:
    """Whether a run is of numbers and single Latin letters only: 1 2 3 … stands in texts that share nothing else."""
    return all(word.isdigit() or (len(word) == 1 and word.isascii()) for word in run)


class RougeL:
    """Finds texts whose ROUGE-L F with a new one is above a threshold, exactly.

    F above ``t`` needs a longest common subsequence of more than ``t (m + n) / 2`` tokens. It has ``n`` at most, so it
    has more than ``j m`` with ``j = t / (2 - t)``, and more than ``j n``. All other tokens may be missing from it: two
    such texts share one of the ``m - j m + 1`` rarest tokens of one and of the ``n - j n + 1`` rarest of the other, and
    a text is looked for under these alone (prefix filtering, as in set-similarity joins).
    """

    def __init__(self, texts: Sequence[Sequence[str]], threshold: float) -> None:
        self.threshold = threshold
        self.comparisons = 0  # a measure of the work: the longest common subsequences computed so far
        self._texts = texts
        self._frequency = Counter(token for text in texts for token in text)
        self._filed: dict[str, list[int]] = defaultdict(list)
        for number, text in enumerate(texts):
            for token in self._rarest(text):
                self._filed[token].append(number)

    def find(self, tokens: Sequence[str]) -> Alike | None:
        """The text most alike to ``tokens`` above the threshold, the first of equals; None if there is none."""
        best: Alike | None = None
        for number in sorted({number for token in self._rarest(tokens) for number in self._filed.get(token, ())}):
            text = self._texts[number]
            need = max(1, floor(self.threshold * (len(tokens) + len(text)) / 2 - _ROUNDING))
            if need > min(len(tokens), len(text)):
                continue
            self.comparisons += 1
            common = LCSseq.similarity(tokens, text, score_cutoff=need)
            score = _fmeasure(common, len(tokens), len(text))
            if score > self.threshold and (best is None or score > best.score):
                best = Alike(number, score)
        return best

    def _rarest(self, tokens: Sequence[str]) -> set[str]:
        """The tokens of which two texts above the threshold share one."""
        least = max(1, ceil(self.threshold / (2 - self.threshold) * len(tokens) - _ROUNDING))
        rarest = sorted(tokens, key=lambda token: (self._frequency[token], token))
        return set(rarest[: len(tokens) - least + 1])


def _fmeasure(common: int, m: int, n: int) -> float:
    """ROUGE-L F in the float operations of the rouge_score package, as the near-duplicate filter has it."""
    if not common:
        return 0.0
    precision, recall = common / n, common / m
    return 2 * precision * recall / (precision + recall)
