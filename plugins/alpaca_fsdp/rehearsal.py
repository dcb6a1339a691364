"""What would stop a training after hours, tried before its first step: writing a checkpoint, reading it back, and room
for all that is to come."""

# ruff: noqa: TID253 - loaded by the worker only

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from alpaca_core import AlpacaError, ConfigError
from alpaca_fsdp import checkpoint, resident
from alpaca_fsdp import pieces as saved
from alpaca_fsdp.world import World

_CHUNK = 1 << 22  # numbers that a fingerprint takes at a time


def rehearse(folder: Path, model: Any, optimizer: torch.optim.Optimizer, world: World, checkpoints: int) -> None:
    """Write a checkpoint of this very model and optimizer, read it back, compare, and remove it. Model and optimizer
    are then as before; the optimizer must not have taken a step.

    ``checkpoints`` is how many will be written at least. Raises ConfigError, with numbers, where the disk has no room
    for those that are there at once (``checkpoint.KEPT`` and the one being written) and the final model, or the memory
    none for the largest weight of it; AlpacaError where reading back gives something else. A note tells what it took.
    """
    begun = time.monotonic()
    untouched = not optimizer.state  # AdamW makes its moments at its first step: here, with gradients of zero
    held = checkpoint.state(model, optimizer)
    tensors = dict(_tensors(held))
    size = int(world.sum(torch.tensor([sum(t.nbytes for t in tensors.values())], device=world.device)).item())
    pieces = saved.plan(model)
    _check_disk(folder, size, sum(piece.size for piece in pieces), checkpoints)
    _check_memory(max(piece.size for piece in pieces))
    draft = folder / "rehearsal.tmp"
    if world.first:
        shutil.rmtree(draft, ignore_errors=True)
    world.wait()
    if untouched:  # all zeros: with a number of its own in each, one read into another's place is noticed
        moments = [tensor for name, tensor in tensors.items() if name.startswith("optimizer.")]
        for number, tensor in enumerate(moments, 1):
            tensor.fill_(number % 100)
    before = {name: fingerprint(tensor) for name, tensor in tensors.items()}
    checkpoint.write(draft, held, world)
    written = time.monotonic() - begun
    for tensor in tensors.values():
        tensor.zero_()
    checkpoint.read(draft, held, world)
    wrong = sorted(name for name, tensor in _tensors(held) if fingerprint(tensor) != before[name])
    wrong = sorted(set().union(*world.all(wrong)))
    if wrong:
        raise AlpacaError(
            f"A checkpoint written to {folder} does not read back as it was: {', '.join(wrong[:3])}.",
            hint="Check the disk, or choose another --out.",
        )
    if untouched:
        optimizer.state.clear()
    if world.first:
        shutil.rmtree(draft)
    took = time.monotonic() - begun
    world.emit(
        "note",
        message=f"rehearsed: a checkpoint of {_gb(size)} written in {written:.1f} s, read back and compared in"
        f" {took - written:.1f} s; there is room for what is to come",
    )


def check_room(folder: Path, model: Any, optimizer: torch.optim.Optimizer, world: World, checkpoints: int) -> None:
    """The part of ``rehearse`` for a training that goes on: its checkpoint has just been read, so only room is left to
    look at."""
    size = sum(t.nbytes for _, t in _tensors(checkpoint.state(model, optimizer)))
    size = int(world.sum(torch.tensor([size], device=world.device)).item())
    pieces = saved.plan(model)
    there = len(list(folder.glob("step-*")))
    _check_disk(folder, size, sum(piece.size for piece in pieces), max(checkpoints - there, 1))
    _check_memory(max(piece.size for piece in pieces))


def fingerprint(tensor: torch.Tensor) -> int:
    """A number that changes when any bit of ``tensor`` does, or two unequal elements change places (up to chance)."""
    bits = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[tensor.itemsize]
    total = 0
    for number, chunk in enumerate(tensor.detach().contiguous().reshape(-1).view(bits).split(_CHUNK), 1):
        places = torch.arange(1, len(chunk) + 1, device=chunk.device)
        total += number * int((chunk.long() * (places * 2654435761 + 1)).sum())
    return total


def _tensors(held: Any, name: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor in ``held`` with its name, of sharded ones the part of this process. Those of other kinds (quantised
    optimizer states) are left out: they are written, and not compared."""
    if isinstance(held, dict):
        for key, value in held.items():
            yield from _tensors(value, f"{name}.{key}" if name else str(key))
    elif isinstance(held, torch.Tensor):
        here = held.to_local() if hasattr(held, "to_local") else held
        here = here.detach()
        if type(here) in (torch.Tensor, torch.nn.Parameter):
            yield name, here


def _check_disk(folder: Path, checkpoint_size: int, model_size: int, checkpoints: int) -> None:
    at_once = min(checkpoints, checkpoint.KEPT + 1)
    needed = at_once * checkpoint_size + model_size
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ConfigError(
            f"The disk of {folder.parent} has {_gb(free)} free, and this training needs {_gb(needed)}:"
            f" {at_once} checkpoint(s) of {_gb(checkpoint_size)} and the final model of {_gb(model_size)}.",
            hint=f"Free {_gb(needed - free)} there, or choose another --out.",
        )


def _check_memory(largest: int) -> None:
    """The final model is gathered weight by weight: one in memory, and once more while it changes its form."""
    needed, free = 2 * largest, resident.available()
    if free < needed:
        raise ConfigError(
            f"This machine has {_gb(free)} of memory left, and writing the final model takes {_gb(needed)}:"
            f" twice its largest weight of {_gb(largest)}.",
            hint="End other programs, or train on a machine with more memory.",
        )


def _gb(size: int) -> str:
    """Bytes for people: ``81 GB``, ``12.5 MB``."""
    return f"{size / 1e9:,.3g} GB" if size >= 1e9 else f"{size / 1e6:.3g} MB"
