"""What is seen of a training while it runs: speed, losses of rows, sample answers, trackers."""

# ruff: noqa: TID253 - loaded by the worker only

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from alpaca_core import ChatTemplate, Example
from alpaca_fsdp import rowlosses, samples
from alpaca_fsdp.examples import Tokens
from alpaca_fsdp.job import Job
from alpaca_fsdp.meter import Meter, Work
from alpaca_fsdp.reports import Reports
from alpaca_fsdp.stepfile import StepFile
from alpaca_fsdp.world import World

if TYPE_CHECKING:
    from alpaca_fsdp.loop import Training

_UNABLE = (NotImplementedError, TypeError, ValueError, AttributeError)
_CLIPPED = 200  # characters of a sample's text in an event; samples.jsonl has all


class Following:
    """Follows a training, and changes nothing of what is learnt. The loop calls it in this order: ``begin`` once, then
    ``given``, ``took`` and ``after`` in each step, and ``close``. Without a job it only measures."""

    def __init__(self, world: World, job: Job | None = None, work: Work | None = None) -> None:
        self.world, self.job = world, job
        self.meter = Meter(world, work)
        self.facts: dict[str, Any] = {}  # of the last step, for its event
        self.samples: samples.Samples | None = None
        self.rows: StepFile | None = None
        self.answers: StepFile | None = None
        self.reports: Reports | None = None
        if job is not None and world.first:  # files and trackers are the first process's alone
            self.rows, self.answers = StepFile(job.out / rowlosses.NAME), StepFile(job.out / samples.NAME)
            self.reports = Reports(job.options.report_to, job.out, self._note)

    @classmethod
    def of(
        cls,
        job: Job,
        model: Any,
        words: Any,
        tokens: Sequence[Tokens],
        examples: Sequence[Example],
        template: ChatTemplate,
        world: World,
    ) -> Following:
        """All of it, as the options of ``job`` say."""
        self = cls(world, job, Work.of(model))
        if count := job.options.samples:
            ids = job.ids or ("",) * len(examples)
            named = [Example(e.instruction, e.input, e.output, id) for e, id in zip(examples, ids, strict=True)]
            self.samples = samples.Samples.of(
                count, job.heldout, tokens, named, template, words, job.options.max_length
            )
        return self

    def begin(self, step: int, seconds: float) -> None:
        """The training is about to go on after ``step``."""
        self.meter.begin(seconds)
        for part in (self.rows, self.answers, self.reports):
            if part:
                part.begin(step)

    def given(self, found: rowlosses.Found, batch: Sequence[Tokens]) -> torch.Tensor:
        """What this process adds to the exchange of the step: the summed loss of each row, and its memory in a place
        of its own."""
        memory = [0.0] * self.world.size
        memory[self.world.rank] = float(self.meter.memory())
        summed = rowlosses.sums(found, batch, self.world.device)
        return torch.cat([summed, summed.new_tensor(memory)])

    def took(self, training: Training, batch: Sequence[Tokens], told: Sequence[float], norm: float) -> None:
        """The step is done; ``told`` is what all processes gave."""
        step, per_epoch = training.step, training.order.steps_per_epoch
        summed, memory = told[: len(batch)], told[len(batch) :]
        self.facts = {
            "epoch": round(step / per_epoch, 4),
            "grad_norm": round(norm, 6),
            "memory": int(max(memory)),
            **self.meter.step([len(example.ids) for example in batch], training.progress.seconds),
        }
        if self.rows and self.job:
            self.rows.write(rowlosses.lines(step, (step - 1) // per_epoch + 1, batch, summed, self.job.ids))

    def after(self, training: Training, values: dict[str, Any], stop: bool = False) -> float:
        """Tell the trackers, and let the student answer where that is due, and nobody waits for the training to
        ``stop``. The seconds that answering took."""
        if self.reports:
            self.reports.step(training.step, values)
        due = samples.due(training.step, training.steps, training.order.steps_per_epoch) and not stop
        if self.samples is None or not (due or training.over):
            return 0.0
        started = time.monotonic()
        trained_before = self.job is not None and not self.job.student.startswith("new:")
        check = training.over and trained_before and len(self.samples.asked) >= samples.AT_THE_END
        unable = (*_UNABLE, torch.OutOfMemoryError) if self.world.size == 1 else _UNABLE
        try:
            taken = self.samples.take(training.model, self.world, training.casting, all=check)
        except unable as exc:
            # The same on every process: a model that cannot generate. What strikes one of them alone must end all.
            self.samples = None
            said = (str(exc).strip().splitlines() or [""])[0]
            self._note(f"no more sample answers: {type(exc).__name__}: {said}"[:500])
        else:
            self._show(training, self.samples, taken)
            if check:
                self._tell_of_stops(taken)
        return time.monotonic() - started

    def _show(self, training: Training, asked: samples.Samples, taken: Sequence[samples.Sample]) -> None:
        shown = [sample.as_dict(asked.heldout) for sample in taken]
        if self.answers:
            self.answers.write({"step": training.step, **sample} for sample in shown)
        shown = shown[: asked.count]
        for sample in shown:
            short = {name: text[:_CLIPPED] if isinstance(text, str) else text for name, text in sample.items()}
            self.world.emit("sample", step=training.step, steps=training.steps, sample=short)
        texts = [f"{sample['prompt']}\n\n**{sample['answer']}**\n\n{sample['reference']}" for sample in shown]
        if self.reports:
            self.reports.samples(training.step, texts)

    def _tell_of_stops(self, taken: Sequence[samples.Sample]) -> None:
        rate = samples.stop_rate(taken)
        text = f"{rate:.0%} of {len(taken)} sampled answers ended by themselves"
        if rate < samples.EXPECTED:
            text = (
                f"warning: only {text}: the student may not have learnt where to stop. See {samples.NAME}; more epochs"
                " or a larger trainer.max_length help where outputs were cut."
            )
        self._note(text)

    def _note(self, text: str) -> None:
        self.world.emit("note", message=text)

    def close(self) -> None:
        for part in (self.rows, self.answers, self.reports):
            if part:
                part.close()
