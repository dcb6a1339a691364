"""The model on its device: its arithmetic, and its shards where several processes share it."""

# ruff: noqa: TID253 - loaded by the worker only

from __future__ import annotations

from typing import Any

import torch

from alpaca_fsdp import student
from alpaca_fsdp.options import LocalOptions
from alpaca_fsdp.world import World


def dtype(options: LocalOptions, world: World) -> torch.dtype:
    if options.dtype == "auto":
        return torch.bfloat16 if world.device.type == "cuda" else torch.float32
    return getattr(torch, options.dtype)


def place(model: Any, world: World, arithmetic: torch.dtype) -> tuple[Any, str]:
    """The model on its device, sharded if there is a process group, and the line of fact about it."""
    if not world.sharded:
        return model.to(world.device), "single process"
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

    # Gradients are summed in float32 and weights stay float32, whatever the arithmetic is done in.
    policy = MixedPrecisionPolicy(param_dtype=arithmetic, reduce_dtype=torch.float32)
    whole = model.num_parameters()
    mesh = init_device_mesh(world.device.type, (world.size,))
    for layer in student.layers(model):
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh, mp_policy=policy)
    model.to(world.device)  # buffers, which are not sharded
    count = sum(isinstance(module, FSDPModule) for module in model.modules())
    here = sum(parameter.to_local().numel() for parameter in model.parameters())
    return model, f"sharded: {count} FSDPModule x {world.size} · {here:,} of {whole:,} parameters in the first process"
