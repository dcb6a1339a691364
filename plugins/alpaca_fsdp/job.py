"""What the launcher tells the worker, and how it is known again: a JSON file in the checkpoints folder."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from alpaca_core import ConfigError, TrainJob, TrainResult
from alpaca_fsdp import data, durable, landing
from alpaca_fsdp.options import LocalOptions
from alpaca_fsdp.recipes import resolved

# Options that change what is learnt. The others (processes, device, packing, ...) may differ when a job goes on.
LEARNT = (
    "epochs",
    "max_steps",
    "max_seconds",
    "batch_size",
    "max_length",
    "learning_rate",
    "schedule",
    "warmup",
    "weight_decay",
    "beta2",
    "max_grad_norm",
    "dtype",
    "lora_rank",
    "lora_alpha",
    "lora_dropout",
    "lora_targets",
    "encoding",
    "stepping",
    "loss",
    "micro_batch",
    "pad_row",
    "optimizer_bits",
)
STAMP = "alpacakit.json"  # in a finished model or student: what it is


@dataclass(frozen=True)
class Job:
    """A TrainJob with everything decided. ``sharded`` says which trainer, ``identity`` what the result depends on.
    ``in_place``: the model lands in ``out`` itself, not in ``out/model``."""

    data: Path
    out: Path
    student: str
    template: str
    template_options: Mapping[str, Any]
    seed: int
    options: LocalOptions
    notice: str
    sharded: bool
    identity: Mapping[str, Any]
    ids: tuple[str, ...] = ()  # of the rows of ``data``; empty: not known
    heldout: Path | None = None
    in_place: bool = False

    @property
    def model(self) -> Path:
        """The folder with the result: where the published code has it, ``out`` itself."""
        if self.in_place:
            return self.out
        return self.adapter if self.options.lora_rank and not self.options.lora_merge else self.out / "model"

    @property
    def adapter(self) -> Path:
        return self.out / "adapter"

    @property
    def checkpoints(self) -> Path:
        return self.out / "checkpoints"

    @property
    def base(self) -> Path | str:
        """The student before training: a folder of ours if it is new."""
        return self.out / "student" if self.student.startswith("new:") else self.student

    @property
    def log(self) -> Path:
        return self.checkpoints / "worker.log"


def decide(job: TrainJob, sharded: bool, in_place: bool = False) -> Job:
    """Fill in what depends on the student, and read the data once. Raises ConfigError if a row is malformed."""
    data.read(job.data)
    options = resolved(job.options, job.student)
    student = str(Path(job.student).resolve()) if Path(job.student).is_dir() else job.student
    identity = {
        "data": data.digest(job.data),
        "student": student,
        "template": job.template,
        "template_options": dict(job.template_options),
        "seed": job.seed,
        **{name: _learnt(options, name) for name in LEARNT},
    }
    out = job.out.resolve()
    return Job(
        data=job.data.resolve(),
        out=out,
        student=student,
        template=job.template,
        template_options=dict(job.template_options),
        seed=job.seed,
        options=options,
        notice=job.notice,
        sharded=sharded,
        identity=identity,
        ids=tuple(job.ids),
        heldout=job.heldout.resolve() if job.heldout else None,
        in_place=in_place,
    )


def _learnt(options: LocalOptions, name: str) -> Any:
    if name.startswith("lora_") and options.lora_rank is None:
        return None  # it has no say
    return getattr(options, name)


def begin(job: Job, fresh: bool) -> TrainResult | None:
    """Make ``job.out`` ready: the stored result if the work is done, else None.

    Checkpoints of the same job are gone on with. Anything of another job raises ConfigError saying what differs, unless
    ``fresh``, which removes its checkpoints; its model stays until the new one is complete.
    """
    durable.recover(job.model)
    if fresh:
        shutil.rmtree(job.checkpoints, ignore_errors=True)
        (job.adapter / STAMP).unlink(missing_ok=True)  # no longer the finished half of a training, see lora.finished
    elif (done := finished(job)) is not None:
        return done
    job.checkpoints.mkdir(parents=True, exist_ok=True)
    write_json(job.checkpoints / "identity.json", dict(job.identity))
    return None


def finished(job: Job) -> TrainResult | None:
    """The stored result if the work is done, None if it may begin or go on. Writes nothing. Raises as ``begin``."""
    started = read_json(job.checkpoints / "identity.json")
    stamp = read_json(job.model / STAMP)
    if job.options.lora_rank and started is None:
        _check_adapter(job)
    if job.in_place and not (job.model / "config.json").exists():
        stamp = None  # it was cut off while it landed
    if stamp is not None and stamp.get("identity") == job.identity:
        return TrainResult(**dict(stamp["result"], model=job.model, base=str(job.base)))
    if started is not None:
        _same(job, started, "The checkpoints in")
    elif stamp is not None:
        _same(job, stamp.get("identity", {}), "The model in")
    elif job.in_place:
        landing.refuse_others(job.out)
    elif job.model.exists():
        raise ConfigError(
            f"{job.model} is there already and was not made by this trainer.",
            hint="Choose another --out, or replace it with --fresh.",
        )
    return None


def _check_adapter(job: Job) -> None:
    """Refuse to train where the adapter of something else is."""
    stamp = read_json(job.adapter / STAMP)
    if stamp is not None:
        _same(job, stamp["identity"], "The adapter in")
    elif job.adapter.exists():
        raise ConfigError(
            f"{job.adapter} is there already and was not made by this trainer.",
            hint="Choose another --out, or replace it with --fresh.",
        )


def clear(job: Job) -> None:
    """Remove the checkpoints of a job that is done."""
    for checkpoint in job.checkpoints.glob("step-*"):
        shutil.rmtree(checkpoint)
    for name in ("tokens.safetensors", "identity.json", "fit.json"):
        (job.checkpoints / name).unlink(missing_ok=True)


def _same(job: Job, there: Mapping[str, Any], what: str) -> None:
    problems = [
        f"{name}: {there.get(name)!r} there, {value!r} here"
        for name, value in job.identity.items()
        if there.get(name) != value
    ]
    if problems:
        place = "--output_dir" if job.in_place else "--out"
        again = "remove this one" if job.in_place else "start over with --fresh"
        raise ConfigError(
            f"{what} {job.out} belong to another training:",
            problems=problems,
            hint=f"Choose another {place}, or {again}.",
        )


def write(job: Job, path: Path) -> None:
    """The job as a file for the worker."""
    content = {field.name: getattr(job, field.name) for field in fields(Job) if field.name != "options"}
    write_json(path, content | {"options": asdict(job.options)})


def load(path: Path) -> Job:
    """The job that ``write`` wrote."""
    from alpaca_fsdp.options import FsdpOptions

    content = json.loads(path.read_text(encoding="utf-8"))
    options = (FsdpOptions if content["sharded"] else LocalOptions)(**content.pop("options"))
    content["data"], content["out"] = Path(content["data"]), Path(content["out"])
    content["ids"] = tuple(content.get("ids", ()))
    content["heldout"] = Path(content["heldout"]) if content.get("heldout") else None
    return Job(options=options, **content)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Written whole or not at all."""
    draft = path.with_name(path.name + ".tmp")
    draft.write_text(json.dumps(content, indent=1, default=str) + "\n", encoding="utf-8")
    os.replace(draft, path)


def read_json(path: Path) -> Any:
    """The content, or None where there is no such file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
