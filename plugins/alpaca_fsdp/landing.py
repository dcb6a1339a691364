"""Where the finished model lands: a folder of its own, or, as published, the output folder itself."""

from __future__ import annotations

import os
import re
from pathlib import Path

from alpaca_core import ConfigError
from alpaca_fsdp import durable

DRAFT = "model.tmp"  # in the output folder: the model until it is whole
_OURS = ("checkpoints", "student", DRAFT)
# What a model's folder may hold, so that nothing is overwritten. Logs and scripts beside it do no harm.
_MODEL = re.compile(r"README\.md|(vocab|merges)\.txt|.+\.(json|jsonl|safetensors|bin|pt|model|jinja|py)")


def refuse_others(folder: Path) -> None:
    """Raise ConfigError if ``folder``, where nothing of ours is, holds what a model or a training would overwrite."""
    there = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    found = [name for name in there if name in _OURS or _MODEL.fullmatch(name)]
    if found:
        raise ConfigError(
            f"{folder} holds files that are not of this training: {', '.join(found[:5])}{', …' * (len(found) > 5)}.",
            hint="Choose another --output_dir.",
        )


def draft(out: Path, model: Path) -> Path:
    """Where what will be ``model`` is written: beside it, or inside it where it is the output folder itself."""
    return out / DRAFT if model == out else model.with_name(model.name + ".tmp")


def land(draft: Path, model: Path) -> None:
    """Put the folder ``draft`` in the place of ``model``, as ``durable.publish`` does.

    Where the draft is inside ``model``, its files move there one by one, config.json last: without it nothing takes the
    folder for a model.
    """
    if draft.parent != model:
        durable.publish(draft, model)
        return
    (model / "config.json").unlink(missing_ok=True)
    for path in sorted(draft.iterdir(), key=lambda path: (path.name == "config.json", path.name)):
        os.replace(path, model / path.name)
    draft.rmdir()
