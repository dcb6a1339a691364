"""What a plugin's classes promise. Protocols, not base classes: a plugin inherits nothing.

A component is built as ``Class(options)`` with the validated instance of its spec's options dataclass, or ``Class()``
where the spec has none.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from random import Random
from typing import Protocol, runtime_checkable

from alpaca_core.errors import TeacherError
from alpaca_core.records import (
    BatchStatus,
    Candidate,
    Completion,
    Example,
    Pair,
    Piece,
    Plan,
    Preference,
    Question,
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
    """Answers requests. Optional besides:

    * ``price() -> Price | None``: the provider's price for the chosen model.
    * ``check()`` raises what is missing, such as a key, before anything is sent; in a new folder, before anything is
      written. May be called more than once.
    * ``async prepare() -> list[str]``, called once before the first request: what people should know, such as the day
      on which the model is shut down. Raises TeacherError where a request would fail the same way.
    * ``learnt: dict[str, Any]``: the parameters that the model turned out not to take, by name, with the value that is
      sent in its place or None where it is left out. The core keeps it in the run and puts it back in at a later start,
      so that nothing is learnt twice.
    """

    async def complete(self, request: Request) -> Completion:
        """One provider call, without retries. Raises TeacherError. May be cancelled at any moment."""
        ...

    async def aclose(self) -> None:
        """Give back connections. Called once, also after errors."""
        ...


@runtime_checkable
class LocalTeacher(Protocol):
    """A model in this process, which answers many requests at once. The core makes a ``Teacher`` of it; what is
    optional there is optional here too. Besides:

    * ``doing: str``: what the model is at, for the progress line of a batch that takes minutes.
    * ``notes: list[str]``: remarks for people that came up since ``prepare``. The core takes them out as it tells them.
    * ``losses(examples, jinja="") -> list[RowLoss]``: the loss on each example's output, as a training counts it: the
      prompt is read, the output and the end of text are scored. With ``jinja`` the model reads that chat template.

    What a model can be accepted with (``alpacakit accept``), all of it or nothing:

    * ``jinja: str``: the chat template that it reads; empty where it has none.
    * ``template_lines() -> list[str]``: the fixed lines that this template writes, and the tokenizer's control tokens:
      what an answer must not hold.
    * ``examine(examples, template, exported) -> list[Check]``: whether the files load, the chat template does what the
      training did (``template``, a ChatTemplate or None), and the model stays itself when it is saved and loaded, and
      in the folders ``exported``. A check that fails is a Check, not an error. ``examples`` are what it is tried with.
    """

    batch_size: int

    def complete_many(self, requests: Sequence[Request]) -> list[Completion]:
        """One completion for each request, in their order."""
        ...


@runtime_checkable
class Talker(Protocol):
    """A local model that people talk to: what a ``LocalTeacher`` offers besides, so that ``chat`` and ``serve`` can use
    it. Optional."""

    remembers: bool  # whether the model reads what was said before

    def talk(self, question: Question, heard: Callable[[Piece], None]) -> Callable[[], None]:
        """Begin to answer ``question``, side by side with others that are being answered, and return at once.

        ``heard`` is told each piece as it is written, in a thread of the model's: it must return at once, and not
        raise. What is returned gives the answer up when called, from any thread; a piece or two may still come.
        """
        ...


@runtime_checkable
class BatchTeacher(Protocol):
    """A teacher whose provider also takes many requests as one batch, answered within a day for a lower price.

    ``batch_requests`` and ``batch_bytes`` are the most that one batch may hold.
    """

    batch_requests: int
    batch_bytes: int

    async def submit(self, key: str, requests: Sequence[Request]) -> str:
        """Hand in ``requests`` as one batch that carries ``key``; gives the provider's name for it.

        Raises TeacherError.
        """
        ...

    async def find(self, key: str, since: float, total: int) -> str | None:
        """The batch of ``total`` requests that carries ``key``, submitted after ``since`` (seconds since the epoch);
        None if the provider holds no such batch. Raises TeacherError, ``not_found`` where it cannot tell."""
        ...

    async def status(self, batch: str) -> BatchStatus:
        """Where ``batch`` stands. Raises TeacherError, ``not_found`` where the provider does not know it any more."""
        ...

    def results(self, batch: str) -> AsyncIterator[tuple[int, Completion | TeacherError]]:
        """What an ended batch brought, as (``Request.k``, answer or error), in any order. Requests that it did not get
        to may be left out. Raises TeacherError."""
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


#: Asks the teacher many requests, whose numbers do not matter: one answer for each, in their order, or the error for
#: which it was given up. What was answered before is not asked again.
Ask = Callable[[Sequence[Request]], Awaitable[list[Completion | TeacherError]]]


@runtime_checkable
class DatasetFilter(Protocol):
    """Judges all rows together, once the other filters are through with them: one that needs the whole dataset, or a
    teacher (``FilterSpec.asks``). A filter that has ``select`` is one; its ``judge``, if any, is never called."""

    async def select(self, examples: Sequence[Example], ask: Ask) -> list[Verdict]:
        """One verdict on each of ``examples``, in their order. Errors that ``ask`` raises concern the whole run, and go
        on to the caller."""
        ...


@runtime_checkable
class ChatTemplate(Protocol):
    """How the student sees an example. Optional besides: ``ollama``, the lines of an Ollama Modelfile that render the
    same prompt, with EOS_TOKEN where the model's end-of-text token goes; an exported model gets them."""

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
    teacher is paid; ``estimate(job, gpus, rows, price) -> TrainEstimate``, for the command of that name: on devices
    that need not be there (``4xA100-80GB``; empty: this machine's), with the rows of the data, their number or None, at
    a price in dollars per device and hour or None; ``slurm(job) -> str``, the script that ``sbatch`` takes to run the
    job."""

    def plan(self, job: TrainJob) -> Plan:
        """How ``train`` would run the job. Starts, imports and writes nothing heavy."""
        ...

    def train(self, job: TrainJob, on_event: Callable[[TrainEvent], None]) -> TrainResult:
        """Run the job to the end, or go on with it from its newest checkpoint. Raises AlpacaError."""
        ...


@runtime_checkable
class Judge(Protocol):
    """Says which of two answers is better. One that asks a teacher (``JudgeSpec.asks``) is given the way to it."""

    async def compare(self, pairs: Sequence[Pair], ask: Ask) -> list[Preference]:
        """One preference for each of ``pairs``, in their order. Never raises on a teacher's text: what is no verdict
        beyond doubt has none. Errors that ``ask`` raises concern the whole comparison, and go on to the caller."""
        ...
