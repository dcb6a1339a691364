"""An exact online index for ROUGE-L: which kept text is more alike to a new one than a threshold?

Comparing every new text with every kept one takes hours at 50,000 texts. The index finds the few pairs worth comparing
and misses none. F above the threshold needs a longest common subsequence (LCS) of at least ``need(m, n)`` tokens.
Sort each text's tokens, rarest first: of the tokens outside the LCS there are at most ``m - need`` in one text and
``n - need`` in the other, so the rarest token of the LCS is among the first ``m - need + 1`` of one and the first
``n - need + 1`` of the other, the two rarest among the first ``m - need + 2`` and ``n - need + 2``, and so on. So kept
texts are filed under the pairs of their rarest tokens, and a new text looks under its own pairs; what is filed under a
pair that many share is parted by the third. (Prefix filtering, as in exact set-similarity joins, as deep as it pays.)
Any fixed order of the tokens is exact; rare first makes it fast.

Tokens that a text repeats count as different ones: the second "the" of a text is an element of its own, shared by the
texts that have two. Two cases go by single tokens: partners that need only one common token, and long texts, whose
pairs would be too many.

``pairs`` does this in Python objects, ``compiled`` on arrays where numba is installed and the texts are many.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

from alpaca_rouge.pairs import Pairs
from alpaca_rouge.rule import Need, fmeasure
from alpaca_rouge.vocabulary import Read, Vocabulary

if TYPE_CHECKING:
    from alpaca_rouge.compiled import CompiledPairs

COMPILE_FROM = 20_000  # kept texts; up to there Python is done before the compiled code is ready


class Match(NamedTuple):
    """A kept text above the threshold: its number in order of ``add``, and its F."""

    record: int
    score: float


class RougeIndex:
    """Kept texts, as token sequences, and the question whether a new one is too much like any of them.

    ``find`` changes no answer. ``comparisons`` counts the LCS computed so far, the measure of its work. With so many
    texts as ``compile_from``, compiled code does the work if numba is installed; it makes the same comparisons and
    gives the same answers. None: never.
    """

    def __init__(self, threshold: float, compile_from: int | None = COMPILE_FROM) -> None:
        self._vocabulary = Vocabulary()
        self._kept: Pairs | CompiledPairs = Pairs(Need(threshold))
        self._compile_from = compile_from if find_spec("numba") else None
        self._last: Read | None = None

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def comparisons(self) -> int:
        return self._kept.comparisons

    @property
    def compiled(self) -> bool:
        """Does compiled code do the work by now?"""
        return not isinstance(self._kept, Pairs)

    def find(self, tokens: Sequence[str]) -> Match | None:
        """A kept text whose F with ``tokens`` is above the threshold; None if there is none.

        Of several it is always the same one, but not always the most alike: the search ends with the first it meets.
        """
        found = self._kept.find(self._read(tokens))
        if found is None:
            return None
        record, common, length = found
        return Match(record, fmeasure(common, len(tokens), length))

    def add(self, tokens: Sequence[str]) -> int:
        """Keep ``tokens``, whatever they are like. Returns their number, from 0."""
        read = self._read(tokens)
        self._last = None
        self._vocabulary.learn(read)
        self._kept.add(read)
        if len(self) == self._compile_from:
            self._compile()
        return len(self) - 1

    def _compile(self) -> None:
        try:
            from alpaca_rouge.compiled import CompiledPairs
        except ImportError:  # a numba that does not fit the numpy here, say: go on in Python
            return
        self._kept = CompiledPairs.of(self._kept)

    def _read(self, tokens: Sequence[str]) -> Read:
        """The last ones read are remembered, since ``add`` mostly follows ``find``."""
        last = self._last
        if last is None or last.tokens is not tokens:
            last = self._last = self._vocabulary.read(tokens)
        return last
