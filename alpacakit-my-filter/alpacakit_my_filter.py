"""A filter that rejects answers with phrases of a list."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from alpaca_core import Candidate, Example, FilterSpec, Keep, Reject, Verdict, hookimpl


@dataclass(frozen=True)
class MyFilterOptions:
    phrases: tuple[str, ...] = field(
        default=("as an ai", "language model"), metadata={"help": "Phrases that no answer may hold, in any case."}
    )


class MyFilter:
    def __init__(self, options: MyFilterOptions) -> None:
        self.phrases = [phrase.casefold() for phrase in options.phrases]

    def judge(self, candidate: Candidate) -> Verdict:
        """Change nothing here, and give a reason that says what was found."""
        text = candidate.output.casefold()
        for phrase in self.phrases:
            if phrase in text:
                return Reject(f"the output holds {phrase!r}")
        return Keep()

    def kept(self, example: Example) -> None:
        """Called for each seed task and each row that the whole chain kept: remember here what judge compares with."""


@hookimpl
def alpaca_filters() -> Iterable[FilterSpec]:
    return [
        FilterSpec(
            name="my-filter",
            target="alpacakit_my_filter:MyFilter",
            summary="Rejects answers with phrases of a list.",
            options=MyFilterOptions,
        )
    ]
