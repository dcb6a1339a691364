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
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

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
    weights, moments = get_state_dict(model, optimizer)
    dcp.save({"model": weights, "optimizer": moments}, checkpoint_id=draft, no_dist=not world.sharded)
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
    weights, moments = get_state_dict(model, optimizer)
    state = {"model": weights, "optimizer": moments}
    dcp.load(state, checkpoint_id=places[-1], no_dist=not world.sharded)
    set_state_dict(model, optimizer, model_state_dict=state["model"], optim_state_dict=state["optimizer"])
    return read_json(places[-1] / "facts.json")


def _there(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("step-*") if re.fullmatch(r"step-\d+", path.name))
