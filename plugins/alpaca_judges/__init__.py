"""Judges of two answers: a teacher, a judge of AlpacaEval's, and the length, which no judge should be."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from alpaca_core import JudgeSpec, hookimpl, read_annotators

_LONGEST = {"help": "Longest answer of the judge. One that thinks first needs more."}


@dataclass(frozen=True)
class PairwiseOptions:
    """How the judge may answer."""

    max_tokens: int = field(default=256, metadata=_LONGEST)

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1, not {self.max_tokens}")


@dataclass(frozen=True)
class AlpacaEvalOptions:
    """Which annotator of AlpacaEval's is followed. Who answers is the teacher."""

    config: Path | None = field(
        default=None,
        metadata={"help": "The annotator's configs.yaml, in a folder as AlpacaEval has them.", "identity": False},
    )
    max_tokens: int | None = field(
        default=None, metadata={"help": "Longest answer of the judge (default: the annotator's own, or 256)."}
    )
    annotator_hash: str = field(
        default="", init=False, metadata={"help": "A judge is its prompt and parser, wherever the files lie."}
    )

    def __post_init__(self) -> None:
        if self.max_tokens is not None and self.max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1, not {self.max_tokens}")
        if self.config is not None:
            text = repr(read_annotators(self.config))
            object.__setattr__(self, "annotator_hash", hashlib.sha256(text.encode()).hexdigest()[:16])


@hookimpl
def alpaca_judges() -> list[JudgeSpec]:
    return [
        JudgeSpec(
            name="pairwise",
            target="alpaca_judges.pairwise:Pairwise",
            summary="Asks a teacher which of two answers is better: the one, the other, or a tie.",
            options=PairwiseOptions,
            asks=True,
        ),
        JudgeSpec(
            name="alpaca-eval",
            target="alpaca_judges.alpaca_eval:AlpacaEval",
            summary="Asks a teacher as an annotator of AlpacaEval does, by its configs.yaml.",
            options=AlpacaEvalOptions,
            asks=True,
        ),
        JudgeSpec(
            name="length",
            target="alpaca_judges.length:Length",
            summary="Prefers the longer answer: a control, which every other judge should differ from.",
        ),
    ]
