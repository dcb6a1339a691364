"""The practice run: a teacher that is a program, the quota that keeps its families even, and the recipe that fits them.

No language model is involved. It exists so that the whole pipeline runs for real without a key, a GPU or a network.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from alpaca_core import FilterSpec, TeacherSpec, hookimpl

PER_LABEL = 400
FAMILY_COUNT = 20
ROWS = 7900  # a little less than all quotas together: waiting for the slowest family costs twice the requests


@dataclass(frozen=True)
class QuotaOptions:
    """Options of the filter ``quota``."""

    per_label: int = field(default=PER_LABEL, metadata={"help": "Rows to keep of each kind of task, at most."})

    def __post_init__(self) -> None:
        if self.per_label < 1:
            raise ValueError(f"per_label is {self.per_label}, but must be at least 1")


@hookimpl
def alpaca_teachers() -> Iterable[TeacherSpec]:
    """The practice teacher with its recipe."""
    return [
        TeacherSpec(
            name="procedural",
            target="alpaca_procedural.teacher:ProceduralTeacher",
            summary="A program that writes practice tasks with computed answers: no key, no cost, no language model.",
            notice="Practice data: written by a program, not by a language model.",
            terms=(
                "A program of alpacakit wrote the tasks and computed the answers from its own lists of words. No"
                " language model and no provider took part, so no provider's terms hold. Nothing was copied from the"
                " web or from persons. The program's licence is Apache-2.0."
            ),
            defaults={
                "generation.seed_tasks": str(Path(__file__).with_name("seed_tasks.jsonl")),
                "generation.num_examples": ROWS,
                "prompt.examples": 10,
                "generation.filters": ("practice",),
                "evaluation.heldout": 20 * FAMILY_COUNT,
                "trainer.name": "local",
                "trainer.student": "new:tiny",
                "trainer.batch_size": 32,
                "trainer.max_steps": 2000,
                "trainer.learning_rate": 2e-3,
                "trainer.max_seconds": 300.0,  # three times what two cores take: for machines much slower
            },
        )
    ]


@hookimpl
def alpaca_filters() -> Iterable[FilterSpec]:
    """The quota, and the chain of the practice run."""
    return [
        FilterSpec(
            name="quota",
            target="alpaca_procedural.quota:Quota",
            summary="Rejects a task when enough of its kind are kept.",
            options=QuotaOptions,
        ),
        FilterSpec(
            name="practice",
            summary="The default chain, then the same number of tasks of every practice family.",
            chain=(("alpaca", {}), ("quota", {"per_label": PER_LABEL})),
        ),
    ]
