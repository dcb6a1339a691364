"""Where the asking stands: what is shown to people while it runs."""

from __future__ import annotations

from dataclasses import dataclass

from alpaca_core.records import BatchStatus


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a generation stands. ``seconds`` and ``arrived`` count from this start on; the rest, the whole run.
    ``target`` is None where every row that the replies hold is kept, and nothing is asked. Money is in dollars, None
    where it is not known (``cost``) or not limited (``budget``)."""

    target: int | None
    kept: int
    candidates: int
    rejected: dict[str, int]
    replies: int
    failed: int
    in_flight: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None
    seconds: float
    arrived: int
    waiting: float  # seconds of a common pause that are left
    trouble: str = ""  # the newest error since the last good reply
    closing: bool = False  # nothing more is asked; what is in flight comes home
    batch: BatchStatus | None = None  # the provider's batch that is waited for
    reasoning_tokens: int = 0
    own: int = 0  # replies that this run has asked for itself, and judged
    total_cost: float | None = None  # dollars at the target, at what these have cost and yielded
    budget: float | None = None
    reach: int | None = None  # rows that the budget suffices for
    doing: str = ""  # what a local model is at

    @property
    def eta(self) -> float | None:
        """Seconds still to go at the pace since this start."""
        if self.target is None or not self.arrived or not self.seconds or not self.replies:
            return None
        per_reply = max(self.kept, 1) / self.replies
        return (self.target - self.kept) / per_reply * self.seconds / self.arrived


@dataclass(frozen=True, slots=True)
class Inquiry:
    """Where the questions of a dataset filter stand. ``seconds`` and ``arrived`` count from this start on, ``answered``
    and ``cost`` (dollars; None: not known) the earlier ones too. ``target`` is how many there are."""

    target: int
    answered: int
    arrived: int
    in_flight: int
    cost: float | None
    seconds: float
    waiting: float  # seconds of a common pause that are left
    trouble: str = ""  # the newest error since the last good reply
    closing: bool = False  # nothing more is asked; what is in flight comes home
    doing: str = ""  # what a local model is at

    @property
    def eta(self) -> float | None:
        """Seconds still to go at the pace since this start."""
        return (self.target - self.answered) * self.seconds / self.arrived if self.arrived else None
