"""Rows to a model, and a model to scores: what the pipeline and the commands that train or evaluate share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

from alpaca_core.config import Config
from alpaca_core.errors import ConfigError
from alpaca_core.evaluate import Measured, Scores, evaluate, measure
from alpaca_core.plugins import PluginHost
from alpaca_core.protocols import LocalTeacher
from alpaca_core.records import Example, TrainEstimate, TrainEvent, TrainJob, TrainResult
from alpaca_core.steplog import StepLog


def train_job(config: Config, data: Path, out: Path, *, fresh: bool = False) -> TrainJob:
    """The job that the chosen trainer is given."""
    assert config.trainer is not None
    template = config.chat_template
    assert template is not None
    return TrainJob(
        data=data,
        out=out,
        student=str(Path(config.student).expanduser()) if config.student.startswith("~") else config.student,
        template=template.spec.target,
        template_options=asdict(template.options) if template.options is not None else {},
        seed=config.seed,
        options=config.trainer.options,
        notice=getattr(config.teacher.spec, "notice", "") if config.teacher else "",
        fresh=fresh,
    )


def training_summary(result: TrainResult) -> dict[str, Any]:
    """summary.json's ``training``."""
    return {
        "strategy": result.strategy,
        "world_size": result.world_size,
        "steps": result.steps,
        "tokens": result.tokens,
        "final_loss": result.final_loss,
        "seconds": round(result.seconds, 2),
        "parameters": result.parameters,
        "model": str(result.model),
        **({"lora": dict(result.lora)} if result.lora else {}),
    }


def check_trainer(config: Config, job: TrainJob) -> None:
    """Find out now what would stop ``job`` later: its plan, and the trainer's own ``check`` where it has one."""
    assert config.trainer is not None
    trainer = config.trainer.build()
    trainer.plan(job)
    if hasattr(trainer, "check"):
        trainer.check(job)


def estimate_training(
    config: Config, gpus: str, rows: Sequence[Example] | int | None, price: float | None
) -> TrainEstimate:
    """What a training on ``rows`` will take on ``gpus``. Raises ConfigError when the trainer cannot tell, or when it
    does not fit."""
    assert config.trainer is not None
    trainer = config.trainer.build()
    if not hasattr(trainer, "estimate"):
        raise ConfigError(f"The trainer '{config.trainer.name}' gives no estimate.")
    found: TrainEstimate = trainer.estimate(train_job(config, Path(), Path()), gpus, rows, price)
    return found


def run_training(config: Config, job: TrainJob, on_event: Callable[[TrainEvent], None]) -> TrainResult:
    """Run ``job`` with the chosen trainer, writing its steps into ``metrics.jsonl``."""
    assert config.trainer is not None
    with StepLog(job.out) as log:

        def both(event: TrainEvent) -> None:
            log.event(event)
            on_event(event)

        result: TrainResult = config.trainer.build().train(job, both)
    return result


def model_path(model: str) -> str:
    """``model``, or the model in it where it is a run folder."""
    inside = Path(model) / "model"
    return str(inside) if (inside / "config.json").is_file() else model


def open_model(host: PluginHost, model: str, *, batch_size: int = 64) -> LocalTeacher:
    """A model folder or hub id, ready to answer requests greedily."""
    spec = host.find("teacher", "transformers")
    options = spec.options(model=model, batch_size=batch_size, temperature=0.0)  # type: ignore[misc]
    teacher: LocalTeacher = spec.load()(options)
    return teacher


def score(config: Config, host: PluginHost, model: str, examples: Sequence[Example]) -> Scores:
    """How ``model`` does on ``examples``."""
    settings = config.evaluation
    opened = open_model(host, model, batch_size=settings.batch_size)
    return evaluate(opened, examples, max_new_tokens=settings.max_new_tokens)


class Models:
    """The student before and after training, and what the latter says to the ``held_out`` rows, which it is asked once.

    Every ``before`` is a model opened anew, so that two are not in memory at a time."""

    def __init__(self, config: Config, host: PluginHost, result: TrainResult, held_out: Sequence[Example]) -> None:
        self.result, self.settings, self.held_out, self._host = result, config.evaluation, held_out, host

    @property
    def before(self) -> LocalTeacher:
        return open_model(self._host, self.result.base, batch_size=self.settings.batch_size)

    @cached_property
    def after(self) -> LocalTeacher:
        return open_model(self._host, str(self.result.model), batch_size=self.settings.batch_size)

    @cached_property
    def measured(self) -> Measured:
        return measure(self.after, self.held_out, self.settings.max_new_tokens)
