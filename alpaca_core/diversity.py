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

from alpaca_core.imperatives import LONGEST, read


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
        script = script_of(text[:LONGEST])
        reading = read(text) if script == "Latin" else None
        if reading is None or reading.kind == "other":
            scripts[script] += 1
            beginnings[script, beginning(text[:LONGEST])] += 1
        elif reading.kind == "question":
            asked[reading.verb] += 1
        elif reading.kind == "unparsed":
            unparsed += 1
        else:
            verbs[reading.verb] += 1
            if reading.object:
                pairs[reading.verb, reading.object] += 1
    return Diversity(
        rows=rows,
        verbs=_falling(verbs),
        pairs=_falling(pairs),
        questions=asked.total(),
        unparsed=unparsed,
        other=scripts.total(),
        asked=_falling(asked),
        scripts=_falling(scripts),
        beginnings=_falling(beginnings),
    )


def _falling(counts: Counter[Any]) -> dict[Any, int]:
    """From the most frequent down, equals in the order of the alphabet: the same whatever the order of the rows."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


# Said to be polite, before what is wanted.
_POLITE = (
    "请",
    "請",
    "من فضلك",
    "رجاءً",
    "رجاء",
    "لو سمحت",
    "por favor",
    "s'il vous plaît",
    "bitte",
    "пожалуйста",
    "कृपया",
)
UNSPACED = frozenset(("Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar", "Tibetan"))


def script_of(text: str) -> str:
    """The script of most letters of ``text``, as Unicode names it; ``Latin`` where there are none."""
    if text.isascii():
        return "Latin"
    counts = Counter(_script(letter) for letter in text if letter.isalpha())
    return counts.most_common(1)[0][0] if counts else "Latin"


@lru_cache(maxsize=4096)
def _script(letter: str) -> str:
    name = unicodedata.name(letter, "unknown").partition(" ")[0].partition("-")[0].title()
    return {"Cjk": "Han", "Ideographic": "Han", "Fullwidth": "Latin"}.get(name, name)


def beginning(text: str) -> str:
    """How ``text`` begins, politeness left out: its first word, or its first two letters in a script without spaces."""
    text = unicodedata.normalize("NFC", text).casefold()
    text = text[next((place for place, char in enumerate(text) if char.isalpha()), len(text)) :]
    for word in _POLITE:
        if text.startswith(word):
            text = text[len(word) :].lstrip(" ,،，、:：!")
    if text and _script(text[0]) in UNSPACED:
        return "".join(_clusters(text)[:2])
    word, *_ = text.split() or [""]
    return "".join(_clusters(word))


def _clusters(text: str) -> list[str]:
    """The letters of ``text`` up to the first sign that is none, each with its marks."""
    clusters: list[str] = []
    for char in text:
        category = unicodedata.category(char)
        if category[0] == "M" and clusters:
            clusters[-1] += char
        elif category[0] in "LN" or char in "'’-":
            clusters.append(char)
        elif category != "Cf":
            break
    return clusters
