"""Near-duplicates by ROUGE-L: every new instruction against every kept one, exactly and fast."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from alpaca_core import FilterSpec, hookimpl


@dataclass(frozen=True)
class RougeOptions:
    """The published rule is a threshold of 0.7 with tokenizer ``rouge``."""

    threshold: float = field(
        default=0.7, metadata={"help": "Reject above this ROUGE-L F (exactly this much is kept), from 0 to 1."}
    )
    tokenizer: Literal["unicode", "rouge"] = field(
        default="unicode",
        metadata={
            "help": "unicode: words of every script. rouge: as the rouge_score package, only a-z and 0-9 "
            "(same on ASCII text), to reproduce published results."
        },
    )

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold is {self.threshold}; expected a number from 0 to 1")


@hookimpl
def alpaca_filters() -> list[FilterSpec]:
    return [
        FilterSpec(
            name="rouge",
            target="alpaca_rouge.filter:Rouge",
            summary="Rejects near-duplicates: instructions with a ROUGE-L F above 0.7 to any kept one.",
            options=RougeOptions,
        )
    ]
