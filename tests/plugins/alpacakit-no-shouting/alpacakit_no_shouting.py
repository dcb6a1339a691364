"""A filter that rejects instructions in capitals. Short words (NASA, SQL) may be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from alpaca_core import Candidate, Example, FilterSpec, Keep, Reject, Verdict, hookimpl


@dataclass(frozen=True)
class NoShoutingOptions:
    longest: int = field(default=8, metadata={"help": "Letters that may be capitals throughout."})

    def __post_init__(self) -> None:
        if self.longest < 0:
            raise ValueError(f"longest must be at least 0, not {self.longest}")


class NoShouting:
    def __init__(self, options: NoShoutingOptions) -> None:
        self.longest = options.longest

    def judge(self, candidate: Candidate) -> Verdict:
        letters = [char for char in candidate.instruction if char.isalpha()]
        if len(letters) > self.longest and candidate.instruction.isupper():
            return Reject(f"{len(letters)} letters, all capitals")
        return Keep()

    def kept(self, example: Example) -> None:
        pass


@hookimpl
def alpaca_filters() -> Iterable[FilterSpec]:
    return [
        FilterSpec(
            name="no-shouting",
            target="alpacakit_no_shouting:NoShouting",
            summary="Rejects instructions in capitals.",
            options=NoShoutingOptions,
        )
    ]
