"""How varied the instructions of a dataset are: their root verbs and direct objects, counted.

Only English is read so. Instructions in other languages are counted by how they begin, which says less and claims less.
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from alpaca_core.diversity.imperatives import LONGEST, Reading, read
from alpaca_core.tokens import unicode_tokens


@dataclass(frozen=True)
class Diversity:
    """Counts over the instructions of a dataset, each mapping from the most frequent down.

    ``rows`` = Σ ``verbs`` + ``questions`` + ``unparsed`` + ``other``. ``verbs`` counts root verbs, with or without an
    object; ``pairs`` counts (verb, object). ``questions`` hold no imperative; ``asked`` counts them by question word or
    as "yes/no". ``unparsed`` is read as English with neither verb nor question. ``other`` is not English, by its script
    or its words; ``scripts`` counts it by script, and ``beginnings`` by (script, beginning): the first word, or the
    first two letters where the script has no spaces.
    """

    rows: int
    verbs: Mapping[str, int]
    pairs: Mapping[tuple[str, str], int]
    questions: int
    unparsed: int
    other: int
    asked: Mapping[str, int] = field(default_factory=dict)
    scripts: Mapping[str, int] = field(default_factory=dict)
    beginnings: Mapping[tuple[str, str], int] = field(default_factory=dict)

    @property
    def parsed(self) -> int:
        """Rows with a root verb, with or without an object."""
        return sum(self.verbs.values())

    @property
    def paired(self) -> int:
        """Rows with a root verb and a direct object."""
        return sum(self.pairs.values())

    @property
    def distinct(self) -> int:
        """How many different (verb, object) pairs there are."""
        return len(self.pairs)

    @property
    def entropy(self) -> float:
        """Shannon's entropy of the pairs, in bits: of 2^entropy equally frequent pairs it would be the same."""
        total = self.paired
        return -sum(count / total * math.log2(count / total) for count in self.pairs.values()) if total else 0.0

    def top_share(self, n: int = 20) -> float:
        """The share that the ``n`` most frequent pairs have of all rows with a pair, from 0 to 1."""
        return sum(sorted(self.pairs.values(), reverse=True)[:n]) / (self.paired or 1)

    @property
    def english(self) -> bool:
        """Whether at least half of the rows were read as English, so that verbs and objects speak for the dataset."""
        return 2 * self.other <= self.rows

    def as_dict(self) -> dict[str, Any]:
        """Counts and figures, ready for JSON: pairs as [verb, object, count], beginnings as [script, text, count]."""
        return {
            "rows": self.rows,
            "parsed": self.parsed,
            "paired": self.paired,
            "questions": self.questions,
            "unparsed": self.unparsed,
            "other": self.other,
            "distinct": self.distinct,
            "entropy": round(self.entropy, 3),
            "top_20_share": round(self.top_share(20), 4),
            "verbs": dict(self.verbs),
            "pairs": [[*pair, count] for pair, count in self.pairs.items()],
            "asked": dict(self.asked),
            "scripts": dict(self.scripts),
            "beginnings": [[*beginning, count] for beginning, count in self.beginnings.items()],
        }


def analyse(instructions: Iterable[str]) -> Diversity:
    """The counts over ``instructions``. Any text is taken; of each, the first 1,000 letters are looked at."""
    rows = unparsed = 0
    verbs: Counter[str] = Counter()
    pairs: Counter[tuple[str, str]] = Counter()
    asked: Counter[str] = Counter()
    scripts: Counter[str] = Counter()
    beginnings: Counter[tuple[str, str]] = Counter()
    for text in instructions:
        rows += 1
        text = text[:LONGEST]
        script = script_of(text)
        reading = read(text) if script == "Latin" else Reading("other")
        match reading.kind:
            case "verb":
                verbs[reading.verb] += 1
                if reading.object:
                    pairs[reading.verb, reading.object] += 1
            case "question":
                asked[reading.verb] += 1
            case "unparsed":
                unparsed += 1
            case "other":
                scripts[script] += 1
                beginnings[script, beginning(text)] += 1
    return Diversity(
        rows=rows,
        verbs=_falling(verbs),
        pairs=_falling(pairs),
        questions=asked.total(),
        unparsed=unparsed,
        other=scripts.total(),
        asked=_falling(asked),
        scripts=_falling(scripts),
        beginnings=_falling(_merged(beginnings)),
    )


def _falling(counts: Counter[Any]) -> dict[Any, int]:
    """From the most frequent down, equals in the order of the alphabet: the same whatever the order of the rows."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _merged(counts: Counter[tuple[str, str]]) -> Counter[tuple[str, str]]:
    """Spellings of one word (with and without accents, harakat or hamza) counted under the most frequent of them."""
    label: dict[tuple[str, str], tuple[str, str]] = {}
    merged: Counter[tuple[str, str]] = Counter()
    for (script, text), count in _falling(counts).items():
        key = script, "".join(unicode_tokens(text))
        merged[label.setdefault(key, (script, text))] += count
    return merged


# Said to be polite, before what is wanted.
_POLITE = (
    *("请", "請", "من فضلك", "لو سمحت", "الرجاء", "رجاءً", "رجاء", "por favor", "s'il vous plaît", "bitte"),
    *("per favore", "пожалуйста", "कृपया", "lütfen", "proszę"),
)
# Scripts whose words no spaces part.
UNSPACED = frozenset(("Han", "Japanese", "Thai", "Lao", "Khmer", "Myanmar", "Tibetan"))
_NAMES = {"Cjk": "Han", "Ideographic": "Han", "Hiragana": "Japanese", "Katakana": "Japanese", "Fullwidth": "Latin"}


def script_of(text: str) -> str:
    """The script of most letters of ``text``, as Unicode names it, and ``Japanese`` for Han letters with kana among
    them; ``Latin`` where there are no letters."""
    if text.isascii():
        return "Latin"
    counts = Counter(_script(letter) for letter in text if letter.isalpha())
    (script, _), *_ = counts.most_common(1) or [("Latin", 0)]
    return "Japanese" if script == "Han" and counts["Japanese"] else script


@lru_cache(maxsize=4096)
def _script(letter: str) -> str:
    name = unicodedata.name(letter, "unknown").partition(" ")[0].partition("-")[0].title()
    return _NAMES.get(name, name)


def beginning(text: str) -> str:
    """How ``text`` begins, politeness left out: its first word, or its first two letters in a script without spaces."""
    text = _from_letter(unicodedata.normalize("NFC", text).casefold())
    for words in _POLITE:
        if text.startswith(words):
            text = _from_letter(text[len(words) :]) or text
    if text and _script(text[0]) in UNSPACED:
        return "".join(_letters(text)[:2])
    word, *_ = text.split() or [""]
    return "".join(_letters(word))


def _from_letter(text: str) -> str:
    return text[next((place for place, char in enumerate(text) if char.isalpha()), len(text)) :]


def _letters(text: str) -> list[str]:
    """The letters of ``text`` up to the first sign that is none, each with its marks."""
    letters: list[str] = []
    for char in text:
        category = unicodedata.category(char)
        if category[0] == "M" and letters:
            letters[-1] += char
        elif category[0] in "LN" or char in "'’-":
            letters.append(char)
        elif category != "Cf":  # joiners and direction marks are invisible
            break
    return letters
