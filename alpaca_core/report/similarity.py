"""How like its nearest neighbour an instruction is: a sample of the rows, each against all others."""

from __future__ import annotations

from collections import Counter, defaultdict
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

    texts = [encode(text) for text in instructions]
    times = Counter(texts)
    holding: dict[str, list[str]] = defaultdict(list)  # the texts that hold a word
    for text in times:
        for word in set(text):
            holding[word].append(text)

    def nearest(text: str) -> float:
        if times[text] > 1:
            return float(bool(text))
        best, left, seen = 0.0, len(text), {text}
        for word in sorted(set(text), key=lambda word: (len(holding[word]), word)):
            # Whoever holds none of the words before this one has at most ``left`` of them in common.
            if best >= 2 * left / (len(text) + left):
                break
            others = [other for other in holding[word] if other not in seen]
            found = process.extractOne(text, others, scorer=Indel.normalized_similarity, score_cutoff=best)
            best = max(best, found[1] if found else 0.0)
            seen.update(others)
            left -= text.count(word)
        return best

    size = min(len(texts), sample, max(_FEWEST, _PAIRS // max(1, len(texts))))
    drawn = sorted(Random("similarity").sample(range(len(texts)), size))
    return Similarity(len(texts), tuple(nearest(texts[place]) for place in drawn))
