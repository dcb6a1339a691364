"""What a plugin's classes promise. Protocols, not base classes: a plugin inherits nothing.

A component is built as ``Class(options)`` with the validated instance of its spec's options dataclass, or ``Class()``
where the spec has none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Protocol, runtime_checkable

from alpaca_core.records import (
    Candidate,
    Completion,
    Example,
    Plan,
    Request,
    Seed,
    TrainEvent,
    TrainJob,
    TrainResult,
    Unparsed,
    Verdict,
)


@runtime_checkable
class Prompt(Protocol):
    """Writes the question to the teacher and reads its answer."""

    uses_kept: bool  # True: requests look at kept rows, and wait for the block before last to be judged

    def request(self, k: int, rng: Random, seeds: Sequence[Seed], kept: Sequence[Example]) -> Request:
        """Request number ``k`` (from 0): a pure function of the arguments. All randomness comes from ``rng``."""
        ...

    def parse(self, request: Request, reply: Completion) -> Iterable[Candidate | Unparsed]:
        """The tasks in ``reply``, in their order, and the pieces that are none. Never raises on a teacher's text."""
        ...


@runtime_checkable
class Teacher(Protocol):
    """Answers requests. Optional besides: ``price() -> Price | None``, the provider's price for the chosen model, and
    ``check()``, which raises what is missing before the first request."""

    async def complete(self, request: Request) -> Completion:
        """One provider call, without retries. Raises TeacherError. May be cancelled at any moment."""
        ...

    async def aclose(self) -> None:
        """Give back connections. Called once, also after errors."""
        ...


@runtime_checkable
class LocalTeacher(Protocol):
    """A model in this process, which answers many requests at once."""

    batch_size: int

    def complete_many(self, requests: Sequence[Request]) -> list[Completion]:
        """One completion for each request, in their order."""
        ...


@runtime_checkable
class Filter(Protocol):
    """Judges candidates one by one, in a fixed order. Its state may depend only on what ``kept`` told it."""

    def judge(self, candidate: Candidate) -> Verdict:
        """The verdict on ``candidate``. Changes nothing: asking twice gives the same answer."""
        ...

    def kept(self, example: Example) -> None:
        """Told of every seed task first, then of each row that the whole chain kept."""
        ...


@runtime_checkable
class ChatTemplate(Protocol):
    """How the student sees an example."""

    jinja: str  # the same as a tokenizer chat template; the user message may carry an "input" key

    def prompt(self, example: Example) -> str:
        """What the student reads, up to where its answer starts."""
        ...

    def response(self, example: Example) -> str:
        """What the student learns to write, without the end-of-text token."""
        ...


@runtime_checkable
class Trainer(Protocol):
    """Fine-tunes a student. Optional besides: ``check(job)``, which raises what would stop the job later, before the
    teacher is paid."""

    def plan(self, job: TrainJob) -> Plan:
        """How ``train`` would run the job. Starts, imports and writes nothing heavy."""
        ...

    def train(self, job: TrainJob, on_event: Callable[[TrainEvent], None]) -> TrainResult:
        """Run the job to the end, or go on with it from its newest checkpoint. Raises AlpacaError."""
        ...
