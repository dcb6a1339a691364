"""What the published Alpaca procedure rejects before it looks for near-duplicates.

Source of the rules and their order: ``generate_instruction.py`` of tatsu-lab/stanford_alpaca. Each looks at the
instruction without outer white space; an empty one is left to ``length``.
"""

from __future__ import annotations

import re
import string

from alpaca_core import Candidate, Example, Keep, Reject, unicode_tokens
from alpaca_rules import AsciiStartOptions, KeywordOptions, LengthOptions


class _Rule:
    """A filter without memory."""

    def kept(self, example: Example) -> None:
        pass


class Length(_Rule):
    """Rejects too short and too long instructions."""

    def __init__(self, options: LengthOptions) -> None:
        self.options = options

    def judge(self, candidate: Candidate) -> Keep | Reject:
        unit = self.options.unit
        text = candidate.instruction
        n = len(text.split() if unit == "words" else unicode_tokens(text))
        if n < self.options.shortest:
            return Reject(f"{n} {unit}, fewer than {self.options.shortest}")
        if n > self.options.longest:
            return Reject(f"{n} {unit}, more than {self.options.longest}")
        return Keep()


class Keywords(_Rule):
    """Rejects instructions with a word of the list."""

    def __init__(self, options: KeywordOptions) -> None:
        words = "|".join(re.escape(word.strip()) for word in options.words)
        self._found = re.compile(rf"(?<!\w)(?:{words})(?!\w)" if words else r"(?!)", re.IGNORECASE)

    def judge(self, candidate: Candidate) -> Keep | Reject:
        found = self._found.search(candidate.instruction)
        return Reject(f"has the word '{found[0].lower()}'") if found else Keep()


class WriteAProgram(_Rule):
    """Rejects "Write a program …": such tasks leave open whether the program or its result is wanted."""

    def judge(self, candidate: Candidate) -> Keep | Reject:
        starts = candidate.instruction.lstrip().startswith("Write a program")
        return Reject("starts with 'Write a program'") if starts else Keep()


class Punctuation(_Rule):
    """Rejects instructions whose first character is ASCII punctuation."""

    def judge(self, candidate: Candidate) -> Keep | Reject:
        first = candidate.instruction.lstrip()[:1]
        return Reject(f"starts with {first!r}") if first and first in string.punctuation else Keep()


class AsciiStart(_Rule):
    """Rejects instructions whose first character is not ASCII, in English data."""

    def __init__(self, options: AsciiStartOptions) -> None:
        self._judges = re.fullmatch(r"english|en([-_].*)?", options.language.casefold()) is not None

    def judge(self, candidate: Candidate) -> Keep | Reject:
        first = candidate.instruction.lstrip()[:1]
        return Reject(f"starts with {first!r}, not ASCII") if self._judges and not first.isascii() else Keep()
