"""Checkpoints: sharded files of torch.distributed.checkpoint, readable by any number of processes.

A folder ``step-000500`` holds weights and optimizer after step 500. It appears whole, by renaming. Everything else that
training depends on (order, learning rate, randomness) is a function of the step.
"""

# ruff: noqa: TID253 - loaded by the worker only

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict, set_state_dict

from alpaca_fsdp.job import read_json, write_json
from alpaca_fsdp.world import World

KEPT = 2


def save(
    folder: Path,
    step: int,
    model: Any,
    optimizer: torch.optim.Optimizer,
    facts: dict[str, Any],
    world: World,
) -> None:
    """Write the checkpoint of ``step`` with ``facts`` (JSON) beside it, and drop all but the last two."""
    place = folder / f"step-{step:06d}"
    draft = place.with_name(place.name + ".tmp")
    if world.first:
        shutil.rmtree(draft, ignore_errors=True)
    world.wait()
    dcp.save(_state(model, optimizer), checkpoint_id=draft, no_dist=not world.sharded)
    if world.first:
        write_json(draft / "facts.json", {"step": step, **facts})
        shutil.rmtree(place, ignore_errors=True)
        os.replace(draft, place)
        for old in _there(folder)[:-KEPT]:
            shutil.rmtree(old)
    world.wait()


def restore(folder: Path, model: Any, optimizer: torch.optim.Optimizer, world: World) -> dict[str, Any] | None:
    """Load the newest checkpoint in ``folder`` into model and optimizer. Its facts, or None where there is none."""
    places = _there(folder)
    if not places:
        return None
    state = _state(model, optimizer)
    dcp.load(state, checkpoint_id=places[-1], no_dist=not world.sharded)
    options = StateDictOptions(strict=not _frozen(model))  # dcp.load has missed no weight that is learnt
    set_state_dict(
        model, optimizer, model_state_dict=state["model"], optim_state_dict=state["optimizer"], options=options
    )
    return read_json(places[-1] / "facts.json")


def _state(model: Any, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """What a checkpoint holds: weights without frozen ones, which the student has, and the optimizer."""
    weights, moments = get_state_dict(model, optimizer)
    frozen = _frozen(model)
    return {"model": {name: w for name, w in weights.items() if name not in frozen}, "optimizer": moments}


def _frozen(model: Any) -> set[str]:
    return {name for name, p in model.named_parameters(remove_duplicate=False) if not p.requires_grad}


def _there(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("step-*") if re.fullmatch(r"step-\d+", path.name))
