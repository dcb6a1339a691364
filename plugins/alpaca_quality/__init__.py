"""Quality, judged by a teacher: rows below a quantile of the scores are rejected."""

from __future__ import annotations

from dataclasses import dataclass, field

from alpaca_core import FilterSpec, hookimpl


@dataclass(frozen=True)
class QualityOptions:
    """A judge's own strictness decides how many rows pass a constant score, so the default is a share of the rows."""

    keep: float = field(
        default=0.5,
        metadata={"help": "Share of the scored rows to keep; those that tie with the last one are kept too."},
    )
    threshold: float | None = field(
        default=None, metadata={"help": "Keep what scores at least this, 0 to 5, instead of a share."}
    )
    max_tokens: int = field(
        default=256, metadata={"help": "Longest answer of the judge. One that thinks first needs more."}
    )

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1, not {self.max_tokens}")
        if not 0 < self.keep <= 1:
            raise ValueError(f"keep must be above 0 and at most 1, not {self.keep}")
        if self.threshold is not None and not 0 <= self.threshold <= 5:
            raise ValueError(f"threshold must be 0 to 5, not {self.threshold}")


@hookimpl
def alpaca_filters() -> list[FilterSpec]:
    return [
        FilterSpec(
            name="quality",
            target="alpaca_quality.filter:Quality",
            summary="Rejects the rows that a teacher, asked as a judge, scores lowest.",
            options=QualityOptions,
            asks=True,
        )
    ]
