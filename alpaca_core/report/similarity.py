"""How like its nearest neighbour an instruction is: a sample of the rows, each against all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from alpaca_core.tokens import unicode_tokens

SAMPLE = 1_000
_PAIRS = 60_000_000  # compared at most, which takes seconds: of more than 60,000 rows fewer are drawn
_FEWEST = 50
_LONGEST = 200  # tokens of an instruction that are compared


@dataclass(frozen=True)
class Similarity:
    """ROUGE-L F of each of the rows drawn with the nearest other of all ``rows``, from 0 to 1."""

    rows: int
    nearest: tuple[float, ...]

    def share_above(self, threshold: float) -> float:
        return sum(score > threshold for score in self.nearest) / len(self.nearest) if self.nearest else 0.0


def similarity(instructions: Sequence[str], sample: int = SAMPLE) -> Similarity:
    """Compare ``sample`` of ``instructions``, the same ones each time, with all the others.

    ROUGE-L F of two texts of m and n tokens is 2 LCS / (m + n). Tokens are ``unicode_tokens``; what lies behind the
    first 200 of an instruction is left out, and an instruction without any is like no other.
    """
    from rapidfuzz import process
    from rapidfuzz.distance import Indel

    codes: dict[str, str] = {}  # one character for a word, as rapidfuzz compares fastest; any but half a surrogate pair

    def encode(text: str) -> str:
        return "".join(
            codes.setdefault(word, chr(len(codes) + (0x800 if len(codes) >= 0xD800 else 0)))
            for word in unicode_tokens(text[: 40 * _LONGEST])[:_LONGEST]
        )

    texts: list[str | None] = [encode(text) or None for text in instructions]
    size = min(len(texts), sample, max(_FEWEST, _PAIRS // max(1, len(texts))))
    drawn = Random("similarity").sample(range(len(texts)), size)
    nearest = []
    for place in sorted(drawn):
        text, texts[place] = texts[place], None  # None is passed over
        found = process.extractOne(text, texts, scorer=Indel.normalized_similarity) if text else None
        nearest.append(float(found[1]) if found else 0.0)
        texts[place] = text
    return Similarity(len(texts), tuple(nearest))
