"""Duplicates of instruction and input: exact ones, and those that MinHash finds alike."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from alpaca_core import FilterSpec, hookimpl

Fields = Literal["instruction+input", "instruction"]
FIELDS = "What is compared: the whole question, or its instruction alone whatever the input."


@dataclass(frozen=True)
class ExactOptions:
    """What ``exact`` compares."""

    fields: Fields = field(default="instruction+input", metadata={"help": FIELDS})


@dataclass(frozen=True)
class MinHashOptions:
    """What ``minhash`` compares, and how closely."""

    fields: Fields = field(default="instruction+input", metadata={"help": FIELDS})
    threshold: float = field(
        default=0.7, metadata={"help": "Reject from this estimated Jaccard similarity on, above 0 and up to 1."}
    )
    num_perm: int = field(
        default=128,
        metadata={"help": "Hashes per text, from 16 to 1024: more of them estimate better and take longer."},
    )

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise ValueError(f"threshold is {self.threshold}; expected a number above 0 and up to 1")
        if not 16 <= self.num_perm <= 1024:
            raise ValueError(f"num_perm is {self.num_perm}; expected a number from 16 to 1024")


@hookimpl
def alpaca_filters() -> list[FilterSpec]:
    return [
        FilterSpec(
            name="exact",
            target="alpaca_duplicates.exact:Exact",
            summary="Rejects the same instruction and input again, whatever their case, spacing and punctuation.",
            options=ExactOptions,
        ),
        FilterSpec(
            name="minhash",
            target="alpaca_duplicates.minhash:MinHashDuplicates",
            summary="Rejects instructions and inputs with a MinHash similarity of 0.7 or more to any kept ones.",
            extra="alpacakit[minhash]",
            requires=("datasketch",),
            options=MinHashOptions,
        ),
    ]
