"""Checkpoints: sharded files of torch.distributed.checkpoint, readable by any number of processes.

A folder ``step-000500`` holds weights and optimizer after step 500. It appears whole, by renaming, when all of it is
on the disk. ``facts.json`` in it has the SHA-256 of every other file: one that is cut short or altered is not used.
Everything else that training depends on is a function of the step: order, learning rate, and dropout, which depends on
the process too and so cannot be repeated by another number of them.
"""

# ruff: noqa: TID253 - loaded by the worker only

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict, set_state_dict

from alpaca_core import AlpacaError
from alpaca_fsdp import durable
from alpaca_fsdp.job import read_json, write_json
from alpaca_fsdp.world import World

KEPT = 2
_FACTS = "facts.json"


def save(
    folder: Path,
    step: int,
    model: Any,
    optimizer: torch.optim.Optimizer,
    facts: Mapping[str, Any],
    world: World,
) -> None:
    """Write the checkpoint of ``step`` with ``facts`` (JSON) beside it, and drop all but the last two. When this
    returns, a power cut does not take it back. Raises AlpacaError when it cannot be written; those before stay."""
    place = folder / f"step-{step:06d}"
    draft = place.with_name(place.name + ".tmp")
    if world.first:
        shutil.rmtree(draft, ignore_errors=True)
    world.wait()
    files = write(draft, state(model, optimizer), world)
    if world.first:
        write_json(draft / _FACTS, {"step": step, **facts, "files": files})
        durable.publish(draft, place)
        for old in _there(folder)[:-KEPT]:
            shutil.rmtree(old)
    world.wait()


def restore(folder: Path, model: Any, optimizer: torch.optim.Optimizer, world: World) -> dict[str, Any] | None:
    """Load the newest whole checkpoint in ``folder`` into model and optimizer. Its facts, or None where there is none.
    One with a damaged file is put aside with a note."""
    for place in reversed(_there(folder)):
        damaged = damage(place, world)
        if not damaged:
            held = state(model, optimizer)
            read(place, held, world)
            options = StateDictOptions(strict=not _frozen(model))  # reading has missed no weight that is learnt
            set_state_dict(
                model, optimizer, model_state_dict=held["model"], optim_state_dict=held["optimizer"], options=options
            )
            return read_json(place / _FACTS)
        world.emit("note", message=f"checkpoint {place.name} is damaged ({damaged}): trying the one before")
        if world.first:
            aside = place.with_name(place.name + ".damaged")
            shutil.rmtree(aside, ignore_errors=True)
            place.rename(aside)
    return None


def state(model: Any, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The tensors of a checkpoint, by name: of what is learnt (frozen weights are the student's) and the optimizer.
    They are those of the model and the optimizer, not copies."""
    weights, moments = get_state_dict(model, optimizer)
    frozen = _frozen(model)
    return {"model": {name: w for name, w in weights.items() if name not in frozen}, "optimizer": moments}


def _frozen(model: Any) -> set[str]:
    return {name for name, p in model.named_parameters(remove_duplicate=False) if not p.requires_grad}


def write(folder: Path, held: dict[str, Any], world: World) -> dict[str, str]:
    """Write ``held`` to ``folder``, each process its part: the SHA-256 of every file, by name."""
    try:
        dcp.save(held, checkpoint_id=folder, no_dist=not world.sharded)
    except CheckpointException as exc:
        free = shutil.disk_usage(folder.parent).free
        if world.first:
            shutil.rmtree(folder, ignore_errors=True)
        raise AlpacaError(
            f"Writing the checkpoint {folder} failed: {_reason(exc)}. Its disk has {free / 1e6:,.1f} MB free.",
            hint="Mend the disk and give the same command again: it goes on from the last checkpoint.",
        ) from exc
    mine = {path.name: _digest(path) for path in folder.glob(f"__{world.rank}_*.distcp")}
    if world.first:
        mine[".metadata"] = _digest(folder / ".metadata")
    files: dict[str, str] = {}
    for part in world.all(mine):
        files |= part
    return files


def read(folder: Path, held: dict[str, Any], world: World) -> None:
    """Read ``folder`` into the tensors of ``held``."""
    try:
        dcp.load(held, checkpoint_id=folder, no_dist=not world.sharded)
    except CheckpointException as exc:
        raise AlpacaError(f"Reading the checkpoint {folder} failed: {_reason(exc)}.") from exc


def damage(place: Path, world: World) -> str:
    """What is wrong with a checkpoint, or "". Its files are shared out among the processes."""
    try:
        files = sorted(read_json(place / _FACTS)["files"].items())
    except (ValueError, KeyError, TypeError):
        files, wrong = [], [_FACTS]
    else:
        wrong = [name for name, said in files[world.rank :: world.size] if _digest(place / name) != said]
    return ", ".join(sorted({name for part in world.all(wrong) for name in part}))


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return "unreadable"


def _reason(exc: CheckpointException) -> str:
    """What the first process with a failure said, in one line."""
    rank, (error, _) = min(exc.failures.items())
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else error!r}"


def _there(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("step-*") if re.fullmatch(r"step-\d+", path.name))
