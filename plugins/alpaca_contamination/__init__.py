"""Rows that hold questions of an evaluation set."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from alpaca_core import FilterSpec, hookimpl


@dataclass(frozen=True)
class ContaminationOptions:
    """What must not be in the data, and what counts as being in it.

    13 words in a row are the measure of Brown et al. 2020 ("Language Models are Few-Shot Learners", appendix C); a
    ROUGE-L F of 0.7 is that of the near-duplicate filter.
    """

    files: tuple[Path, ...] = field(
        default=(),
        metadata={
            "help": "Evaluation files, JSON lists or JSON Lines, whose rows hold an instruction, prompt or question. "
            "Required."
        },
    )
    words: int = field(
        default=13,
        metadata={"help": "Reject with this many words in a row shared; shorter questions by all of theirs."},
    )
    threshold: float = field(
        default=0.7, metadata={"help": "Reject above this ROUGE-L F to a question, from 0 to 1 (1: only by words)."}
    )

    def __post_init__(self) -> None:
        if self.words < 1:
            raise ValueError(f"words is {self.words}; expected 1 at least")
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold is {self.threshold}; expected a number from 0 to 1")
        for path in self.files:
            if not path.is_file():
                raise ValueError(f"files names a file that is not there: {path}")


@hookimpl
def alpaca_filters() -> list[FilterSpec]:
    return [
        FilterSpec(
            name="contamination",
            target="alpaca_contamination.filter:Contamination",
            summary="Rejects rows that hold a question of the evaluation files named.",
            options=ContaminationOptions,
        )
    ]
