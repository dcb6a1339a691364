"""Rows that are not written in the script of the language that was asked for."""

from __future__ import annotations

from dataclasses import dataclass, field

from alpaca_core import FilterSpec, hookimpl
from alpaca_language.languages import scripts_of


@dataclass(frozen=True)
class LanguageOptions:
    """Which language, and how much of a text has to be in its script."""

    language: str = field(
        default="English",
        metadata={
            "help": "Language of the data, by default the prompt's: a name (Arabic), a code (ar, sr-Latn) or a script "
            "(Cyrillic)."
        },
    )
    least: float = field(default=0.5, metadata={"help": "Least share of a text's words in that script, from 0 to 1."})

    def __post_init__(self) -> None:
        scripts_of(self.language)
        if not 0 <= self.least <= 1:
            raise ValueError(f"least is {self.least}; expected a number from 0 to 1")


@hookimpl
def alpaca_filters() -> list[FilterSpec]:
    return [
        FilterSpec(
            name="language",
            target="alpaca_language.filter:Language",
            summary="Rejects instructions and outputs that are not in the script of the wanted language.",
            options=LanguageOptions,
        )
    ]
