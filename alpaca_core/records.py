"""The nouns of the data flow: small frozen records that every stage reads and writes.

    Seed ─► Request ─► Completion ─► Candidate ─► Keep | Repair | Flag | Reject ─► Example ─► TrainJob ─► TrainResult

Records gain fields with defaults and lose none, so a plugin written against an older alpacakit goes on working.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from alpaca_core.errors import AlpacaError, TeacherError


@dataclass(frozen=True, slots=True)
class Seed:
    """A task written by a person, which shows the teacher what is wanted. ``input`` may be empty."""

    id: str
    instruction: str
    input: str
    output: str


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a teacher.

    ``prompt`` is what the teacher reads, after ``system``. ``prefix`` is the start of the answer: a completion
    teacher sends it at the end of the prompt and continues it, a chat teacher leaves it out. ``input`` is the Alpaca
    input field for students whose chat template knows one; other teachers put it after the prompt. The answer is
    expected to hold ``items`` new tasks numbered from ``first``. ``schema`` is a JSON Schema for the whole answer: a
    teacher that can be held to one sends it, others rely on the words of the prompt.
    """

    k: int
    prompt: str
    system: str = ""
    input: str = ""
    prefix: str = ""
    items: int = 1
    first: int = 1
    stop: tuple[str, ...] = ()
    max_tokens: int = 3072
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the provider counts them. Those read from and written to a cache are part of the prompt, reasoning
    ones of the completion."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """What a provider's headers say about the minute at hand. None where a header was absent.

    ``tokens`` counts prompt and answer together; some providers limit the two apart, as ``input_tokens`` and
    ``output_tokens``.
    """

    requests: int | None = None
    requests_left: int | None = None
    tokens: int | None = None
    tokens_left: int | None = None
    input_tokens: int | None = None
    input_tokens_left: int | None = None
    output_tokens: int | None = None
    output_tokens_left: int | None = None


Finish = Literal["stop", "length", "refusal", "content_filter"]


@dataclass(frozen=True, slots=True)
class Completion:
    """A teacher's answer. ``labels`` names the kind of task by item number, where the teacher knows it."""

    text: str
    finish: Finish = "stop"
    usage: Usage = field(default_factory=Usage)
    model: str = ""
    id: str = ""
    limits: Limits | None = None
    labels: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Question:
    """What a person or a client asks a local model in a conversation: ``messages``, or ``text`` to go on from where it
    is not None.

    A message has ``role`` (``system``, ``user``, ``assistant``), ``content`` and, a user's, maybe ``input``, the Alpaca
    input field. ``max_tokens``, ``temperature`` and ``top_p`` are the model's own where they are None. The same
    question with the same ``seed`` gets the same answer; with none, another one each time.
    """

    messages: tuple[Mapping[str, str], ...] = ()
    text: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: str = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some more text of an answer, in whole characters. The last piece has ``finish`` and ``usage``, or ``error``,
    which is why there is no more."""

    text: str = ""
    finish: Finish | None = None
    usage: Usage | None = None
    error: AlpacaError | None = None


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars per million tokens, with the day and the place that they were read. ``batch`` is the share of it that the
    provider's batch API takes: half, at OpenAI and at Anthropic."""

    input: float
    output: float
    cached: float | None = None  # None: prompt tokens read from a cache cost the same as the others
    date: str = ""
    source: str = ""
    cache_write: float | None = None  # None: prompt tokens written to a cache cost the same as the others
    batch: float = 0.5

    def cost(self, usage: Usage) -> float:
        """Dollars for ``usage``, asked one by one."""
        cached = self.input if self.cached is None else self.cached
        written = self.input if self.cache_write is None else self.cache_write
        fresh = usage.prompt_tokens - usage.cached_tokens - usage.cache_write_tokens
        prompt = fresh * self.input + usage.cached_tokens * cached + usage.cache_write_tokens * written
        return (prompt + usage.completion_tokens * self.output) / 1e6


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """Where a batch stands at its provider: ``done`` of ``total`` requests have a result.

    Once it has ``ended`` (completed, expired or cancelled) its results can be read, and nothing more will come.
    ``note`` is the provider's word for it. ``refused`` tells why the provider took nothing of it, as of one that fails
    its validation.
    """

    ended: bool
    done: int
    total: int
    note: str = ""
    refused: TeacherError | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A task found in a completion, not judged yet. A prompt's parser gives ``number``; the core adds ``id``, the
    place it came from (``000012.03``: third item of request 12), and ``label``, the kind of task if known."""

    instruction: str
    input: str
    output: str
    number: int = 0
    id: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Unparsed:
    """A piece of a completion that is no whole task: counted as a candidate rejected by ``parse``."""

    text: str
    reason: str
    number: int = 0


@dataclass(frozen=True, slots=True)
class Example:
    """One row of training data, with the id that leads back to its origin."""

    instruction: str
    input: str
    output: str
    id: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Keep:
    """Nothing against this candidate."""


@dataclass(frozen=True, slots=True)
class Repair:
    """Keep the candidate in this better form."""

    candidate: Candidate
    reason: str


@dataclass(frozen=True, slots=True)
class Flag:
    """Keep the candidate and remember this remark about it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Reject:
    """Drop the candidate. ``reason`` is for people, and says what was measured: ``0.82 like seed_12``."""

    reason: str


Verdict = Keep | Repair | Flag | Reject


@dataclass(frozen=True, slots=True)
class RowLoss:
    """What a model makes of a right answer: ``nats``, the negative log likelihoods of its ``tokens`` added up, the end
    of text among them. ``cut``: the row is longer than the model can read, and what is beyond counts for nothing."""

    nats: float
    tokens: int
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at in a finished model. ``passed`` is None where it could not be looked at, or is told
    for information. ``value`` is what was measured and ``limit`` what it must come to, where these are numbers;
    ``said`` tells of both in a sentence, ``advice`` what to do about a failure. ``broken``: a failure means that the
    files are not usable as they are, whatever the model has learnt."""

    name: str
    passed: bool | None
    said: str
    value: float | None = None
    limit: float | None = None
    advice: str = ""
    broken: bool = False


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to one task, as a judge sees them: ``a`` is shown before ``b``. ``input`` may be empty."""

    instruction: str
    input: str
    a: str
    b: str


@dataclass(frozen=True, slots=True)
class Preference:
    """What a judge made of a pair: ``b`` from 0 (``a`` is better) over 0.5 (a tie) to 1 (``b`` is better); None where
    it gave no verdict, and then ``reason`` says why. ``raw`` is what it wrote."""

    b: float | None
    reason: str = ""
    raw: str = ""


@dataclass(frozen=True, slots=True)
class TrainJob:
    """What a trainer is asked to do.

    ``data`` is a JSON list of rows (instruction, input, output). The trainer writes ``out/model`` and may keep its own
    things beside it. ``student`` is a folder, a hub id, ``new:tiny`` or ``new:small``. ``template`` is the string
    target of the chat template class (``module:Class``), built as ``Class()``, or where there are ``template_options``
    as ``Class(options)`` of an object with these attributes: ``types.SimpleNamespace(**template_options)``.
    ``options`` are those of the trainer's own dataclass. ``notice`` is stamped on the model. ``fresh`` starts over
    where checkpoints are.
    ``ids`` are those of the rows, in their order, where they are known; ``heldout`` holds rows that are not trained on.
    """

    data: Path
    out: Path
    student: str
    template: str
    seed: int
    options: Any
    template_options: Mapping[str, Any] = field(default_factory=dict)
    notice: str = ""
    fresh: bool = False
    ids: Sequence[str] = ()
    heldout: Path | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """How a trainer will run: the command line, its environment beyond this one, and remarks for people."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrainEstimate:
    """What a training will take. ``memory`` are bytes on each device by part, of ``room``; ``host`` and ``disk`` bytes
    in all. ``plan`` says in words what ``settings`` hold. ``tokens`` and ``steps`` are those of the whole training;
    ``seconds`` and ``dollars`` (None: nothing is rented) are at best, usually and at worst. ``basis`` says what the
    figures rest on, ``notes`` what to know besides."""

    machine: str
    parameters: int
    rows: int
    tokens: int
    steps: int
    plan: str
    settings: Mapping[str, Any]
    memory: Mapping[str, float]
    room: float
    host: Mapping[str, float]
    disk: Mapping[str, float]
    seconds: tuple[float, float, float]
    dollars: tuple[float, float, float] | None
    basis: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrainEvent:
    """Something happened in training. ``step`` events carry the loss and what it took, ``sample`` events an answer of
    the student (``prompt``, ``answer``, ``reference``, ``stopped``, ``row``, ``id``), others a message."""

    kind: Literal["ready", "step", "sample", "checkpoint", "saved", "note"]
    step: int = 0
    steps: int = 0
    loss: float | None = None
    learning_rate: float | None = None
    tokens: int = 0  # real tokens so far
    seconds: float = 0.0  # since the first step
    message: str = ""
    epoch: float = 0.0  # passes over the data so far
    grad_norm: float | None = None  # before clipping
    tokens_per_second: float | None = None  # over the last steps, all devices
    memory: int | None = None  # bytes, the peak of the device that used most
    mfu: float | None = None  # model FLOP/s over the devices' dense bfloat16 peak; None: not known
    sample: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class TrainResult:
    """A finished training. ``base`` is the student before it; ``strategy`` how it ran (``single``, ``fsdp2``);
    ``parameters`` the model's, ``lora`` what is told of its adapter, if it has one: ``rank, alpha, targets, trainable``
    (parameters that learnt) and ``adapter``, the folder."""

    model: Path
    base: str
    strategy: str
    world_size: int
    steps: int
    tokens: int
    final_loss: float
    seconds: float
    parameters: int = 0
    lora: Mapping[str, Any] | None = None
