"""The published Alpaca rules, one small filter each, and the two chains built of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from alpaca_core import FilterSpec, hookimpl


@dataclass(frozen=True)
class LengthOptions:
    """The published rule keeps 4 to 150 words by white space."""

    shortest: int = field(default=4, metadata={"help": "Fewest units an instruction may have."})
    longest: int = field(default=150, metadata={"help": "Most units an instruction may have."})
    unit: Literal["tokens", "words"] = field(
        default="tokens",
        metadata={"help": "tokens: words of every script. words: what white space parts, as published."},
    )

    def __post_init__(self) -> None:
        if not 0 <= self.shortest <= self.longest:
            raise ValueError(
                f"shortest is {self.shortest} and longest {self.longest}; expected 0 <= shortest <= longest"
            )


@dataclass(frozen=True)
class KeywordOptions:
    """The list is the published one: what a text model cannot read, draw or play."""

    words: tuple[str, ...] = field(
        default=(
            *("image", "images", "graph", "graphs", "picture", "pictures", "file", "files", "map", "maps"),
            *("draw", "plot", "go to", "video", "audio", "music", "flowchart", "diagram"),
        ),
        metadata={"help": "Reject an instruction with one of these as a whole word, in any case."},
    )

    def __post_init__(self) -> None:
        if not all(word.strip() for word in self.words):
            raise ValueError("words holds an empty word; expected at least one letter in each")


@dataclass(frozen=True)
class AsciiStartOptions:
    """The published rule stands for "is English"."""

    language: str = field(
        default="English",
        metadata={"help": "Language of the data, by default the prompt's. The rule judges English data only."},
    )


_PUBLISHED_ORDER = ("keywords", "write-a-program", "punctuation", "ascii-start")


def _chain(unit: str, tokenizer: str) -> tuple[tuple[str, dict[str, str]], ...]:
    rules = ((name, {}) for name in _PUBLISHED_ORDER)
    return (("length", {"unit": unit}), *rules, ("rouge", {"tokenizer": tokenizer}))


@hookimpl
def alpaca_filters() -> list[FilterSpec]:
    return [
        FilterSpec(
            name="length",
            target="alpaca_rules.rules:Length",
            summary="Rejects instructions with fewer than 4 or more than 150 words.",
            options=LengthOptions,
        ),
        FilterSpec(
            name="keywords",
            target="alpaca_rules.rules:Keywords",
            summary="Rejects instructions about images, files, music and the like.",
            options=KeywordOptions,
        ),
        FilterSpec(
            name="write-a-program",
            target="alpaca_rules.rules:WriteAProgram",
            summary='Rejects instructions that start with "Write a program".',
        ),
        FilterSpec(
            name="punctuation",
            target="alpaca_rules.rules:Punctuation",
            summary="Rejects instructions that start with a punctuation character.",
        ),
        FilterSpec(
            name="ascii-start",
            target="alpaca_rules.rules:AsciiStart",
            summary="Rejects instructions that start with a non-ASCII character, where the language is English.",
            options=AsciiStartOptions,
        ),
        FilterSpec(
            name="alpaca",
            chain=_chain(unit="tokens", tokenizer="unicode"),
            summary="The published rules and near-duplicate filter, for every script.",
        ),
        FilterSpec(
            name="alpaca-2023",
            chain=_chain(unit="words", tokenizer="rouge"),
            summary="The published rules and near-duplicate filter to the letter, for reproduction.",
        ),
    ]
