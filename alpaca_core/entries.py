"""What a run's journal, and the losses of its rows, give back."""

from __future__ import annotations

from dataclasses import dataclass

from alpaca_core.records import Candidate


@dataclass(frozen=True, slots=True)
class Judged:
    """A candidate with its verdict, as stored: ``kept`` is None for what came after the last row needed."""

    candidate: Candidate
    k: int
    place: int
    kept: bool | None
    filter: str = ""
    reason: str = ""
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Totals:
    """What the journal adds up to. ``cost`` is None where the price was unknown; lost replies count in full."""

    requests: int
    replies: int
    failed: int
    attempts: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    cost: float | None


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """A batch whose results are not all here. ``name`` is the provider's for it, None where it is not known to have
    arrived. ``waiting`` are the requests without a result: (attempt, dollars reserved) by k."""

    key: str
    submitted: float  # seconds since the epoch
    total: int
    name: str | None
    waiting: dict[int, tuple[int, float | None]]


@dataclass(frozen=True, slots=True)
class Loss:
    """How well a row was predicted in one epoch (from 1): the mean loss of its ``tokens`` supervised tokens, as it was
    just before the step that learnt from it. ``row`` is its place in the data, from 0."""

    row: int
    id: str
    epoch: int
    loss: float
    tokens: int
