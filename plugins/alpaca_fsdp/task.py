"""What the worker is asked to do, and the same as one word of a command line."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from alpaca_core import ConfigError, TrainJob
from alpaca_fsdp.options import FsdpOptions


@dataclass(frozen=True)
class Task:
    """A training without a launcher. ``notes`` are told once; every ``logging_steps`` steps one is printed;
    ``environment`` is set before anything is imported; ``deepspeed`` is the file of a DeepSpeed configuration."""

    job: TrainJob
    sharded: bool
    in_place: bool = False
    logging_steps: int = 1
    notes: tuple[str, ...] = ()
    tf32: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    deepspeed: str = ""


def as_word(job: TrainJob) -> str:
    """``job`` as JSON, with those options that are not at their default, and without the ids, which may be too many."""
    options = {f.name: getattr(job.options, f.name) for f in fields(job.options)}
    changed = {f.name: options[f.name] for f in fields(job.options) if options[f.name] != f.default}
    content = {f.name: getattr(job, f.name) for f in fields(TrainJob) if f.name != "ids"} | {"options": changed}
    return json.dumps({name: value for name, value in content.items() if value or name == "seed"}, default=str)


def from_word(word: str, environment: Mapping[str, str] = os.environ) -> Task:
    """The task of a job that ``as_word`` wrote: sharded where torchrun started this process. Raises ConfigError."""
    sharded = "RANK" in environment
    try:
        content: dict[str, Any] = json.loads(word)
        options = content.pop("options", {})
        options = FsdpOptions(**options)
        job = TrainJob(**{**content, "data": Path(content["data"]), "out": Path(content["out"]), "options": options})
    except (ValueError, TypeError, KeyError) as exc:
        raise ConfigError(f"--job takes a file, or the JSON that `alpacakit train … --dry-run` prints: {exc}.") from exc
    return Task(job, sharded)
