"""Tokens as numbers: the higher, the later seen, which is taken for the rarer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Read(NamedTuple):
    """A text in numbers."""

    tokens: Sequence[str]
    length: int
    text: Sequence  # in order of the text, as rapidfuzz likes it best: one code point for a token (or else, its number)
    elements: list[int]  # rarest first; each only once, for a token's second place in a text has a number of its own
    fresh: dict[str | tuple[int, int], int]  # the numbers not given yet, which are the highest


class Vocabulary:
    """Numbers of the tokens in kept texts, and of a token's second, third ... place in one text."""

    def __init__(self) -> None:
        self._numbers: dict[str | tuple[int, int], int] = {}

    def read(self, tokens: Sequence[str]) -> Read:
        """``tokens`` in numbers; what was never learnt gets those that ``learn`` would give it."""
        fresh: dict[str | tuple[int, int], int] = {}
        numbers: list = [*map(self._numbers.get, tokens)]
        if None in numbers:
            numbers = [self._number(token, fresh) for token in tokens]
        elements = sorted(numbers, reverse=True)
        text = "".join(map(chr, numbers)) if not numbers or elements[0] < 0x110000 else numbers
        if len(set(numbers)) < len(numbers):
            elements, times = [], {}
            for number in numbers:
                times[number] = time = times.get(number, 0) + 1
                elements.append(number if time == 1 else self._number((number, time), fresh))
            elements.sort(reverse=True)
        return Read(tokens, len(numbers), text, elements, fresh)

    def learn(self, read: Read) -> None:
        """Give its fresh numbers for good. Nothing else may have been learnt since it was read."""
        self._numbers.update(read.fresh)

    def _number(self, element: str | tuple[int, int], fresh: dict[str | tuple[int, int], int]) -> int:
        number = self._numbers.get(element)
        if number is None:
            number = fresh.setdefault(element, len(self._numbers) + len(fresh))
        return number
