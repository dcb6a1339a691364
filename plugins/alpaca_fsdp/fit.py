"""The memory plan for the devices found, at the start of a training, and how it is remembered.

``checkpoints/fit.json`` keeps what was decided, so that a training goes on with the very same settings on the same
machine, and what the trial step found too much.
"""

# ruff: noqa: TID253 - loaded by the worker only

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.util import find_spec
from typing import Any

import torch

from alpaca_core import ConfigError
from alpaca_fsdp import forecast, memory, resident, shape
from alpaca_fsdp.examples import Tokens
from alpaca_fsdp.job import Job, read_json, write_json
from alpaca_fsdp.options import LocalOptions
from alpaca_fsdp.world import World

FILE = "fit.json"


def fit(
    job: Job, model: Any, tokens: Sequence[Tokens], world: World, dtype: torch.dtype
) -> tuple[Job, memory.Plan | None]:
    """``job`` with every memory option filled in, and the plan that says so; what the user set stays.

    Tells of the plan in a note, on a GPU or where something is given up for memory. The plan is None where the model's
    config does not tell its shape: then the defaults stand.

    Raises ConfigError, with numbers, when nothing fits.
    """
    fixed = chosen(job.options, world)
    most = _most(job.options, tokens, world)
    try:
        student = shape.read(model.config.to_dict()).counted(model.num_parameters())
    except ConfigError:
        return _filled(job, memory.Settings(**{"micro_tokens": most, "reshard": True, **fixed})), None
    machine = found(world, dtype)
    longest = max(len(example.ids) for example in tokens)
    asked = memory.Asked(most, longest, fixed, eight_bit=find_spec("torchao") is not None)
    before = world.all(read_json(job.checkpoints / FILE) if world.first else None)[0] or {}
    same = before.get("machine") == [machine.name, machine.processes, machine.sharded]
    if same and "settings" in before and before["fixed"] == fixed:
        planned = memory.weigh(student, machine, memory.Settings(**before["settings"]))
    else:
        whole = machine
        if same and "below" in before:
            machine = replace(machine, room=min(machine.room, before["below"]))
        if any(job.checkpoints.glob("step-*")):  # they hold states of that kind
            fixed.setdefault("optimizer_bits", before.get("optimizer_bits", 32))
        planned = replace(memory.plan(student, machine, asked), machine=whole)
    world.wait()  # all have read it
    if world.first:
        remember(job, planned, settings=asdict(planned.settings), fixed=chosen(job.options, world))
    if machine.gpu or planned.settings != memory.candidates(machine, asked)[0]:
        world.emit("note", message=f"memory: {planned}")
    return _filled(job, planned.settings), planned


def remember(job: Job, planned: memory.Plan, **more: Any) -> None:
    """Keep what was decided, or found. Several processes may do so at once, with the same words."""
    machine = planned.machine
    draft = job.checkpoints / f"{FILE}.{os.getpid()}"
    about = {"machine": [machine.name, machine.processes, machine.sharded]}
    write_json(draft, about | {"optimizer_bits": planned.settings.optimizer_bits, **more})
    os.replace(draft, job.checkpoints / FILE)


def chosen(options: LocalOptions, world: World) -> dict[str, Any]:
    """The memory options that the user set. Raises ConfigError for one that cannot be had here."""
    fixed = {name: getattr(options, name) for name in memory.DECIDED if getattr(options, name) is not None}
    if options.lora_rank:
        fixed["lora_rank"] = options.lora_rank
    if fixed.get("offload") and not (world.sharded and world.device.type == "cuda"):
        raise ConfigError(
            "trainer.offload is set, and it takes the trainer fsdp and a GPU to keep weights elsewhere.",
            hint="Use --trainer fsdp (with trainer.processes=1 on one GPU), or leave trainer.offload unset.",
        )
    if fixed.get("optimizer_bits") == 8 and find_spec("torchao") is None:
        raise ConfigError(
            "trainer.optimizer_bits is 8, which needs the package 'torchao', and that is not installed.",
            hint="Install it with: pip install 'alpacakit[8bit]'",
        )
    return fixed


def found(world: World, dtype: torch.dtype) -> memory.Machine:
    """The devices of this training. Where they differ, the smallest counts."""
    taken, left = zip(*world.all((resident.now(), resident.available())), strict=True)
    if world.device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(world.device)
        room, name = min(world.all(free)), torch.cuda.get_device_name(world.device)
    else:
        room, name = (min(left) + sum(taken)) / world.size, "CPU"
    return memory.Machine(
        f"{world.size} x {name}",
        room,
        world.size,
        world.sharded,
        gpu=world.device.type == "cuda",
        host=min(left) + sum(taken),
        bfloat16=dtype == torch.bfloat16,
    )


def _most(options: LocalOptions, tokens: Sequence[Tokens], world: World) -> int:
    """The tokens that a pass is worth: those of a batch in one process, at least the longest example."""
    lengths = [len(example.ids) for example in tokens]
    batch = sum(lengths) / len(lengths) * min(options.batch_size, len(lengths)) / world.size
    return forecast.most_tokens(batch, max(lengths), world.device.type == "cuda")


def _filled(job: Job, settings: memory.Settings) -> Job:
    return replace(job, options=replace(job.options, **{name: getattr(settings, name) for name in memory.DECIDED}))
