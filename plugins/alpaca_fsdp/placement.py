"""The model on its device: its arithmetic, and its shards where several processes share it."""

# ruff: noqa: TID253 - loaded by the worker only

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from alpaca_fsdp import kernels, student
from alpaca_fsdp.options import LocalOptions
from alpaca_fsdp.world import World


def dtype(options: LocalOptions, world: World) -> torch.dtype:
    if options.dtype == "auto":
        return torch.bfloat16 if world.device.type == "cuda" else torch.float32
    return getattr(torch, options.dtype)


def compute_twice(model: Any) -> None:
    """Activation checkpointing: each layer keeps its input alone, and is computed again in the backward pass. It wraps
    the layer's own ``forward``, so that the hooks of FSDP stay outside: they run once in each direction."""
    for layer in student.layers(model):
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)


def place(model: Any, world: World, arithmetic: torch.dtype, options: LocalOptions) -> tuple[Any, str]:
    """The model on its device, sharded if there is a process group, and the line of fact about it. Activation
    checkpointing, resharding and offloading are as ``options`` say."""
    faster = kernels.apply(model, options, world.device)
    if options.checkpointing == "full":
        compute_twice(model)
    if not world.sharded:
        return model.to(world.device), "single process" + faster
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import CPUOffloadPolicy, FSDPModule, MixedPrecisionPolicy, fully_shard

    # Gradients are summed in float32 and weights stay float32, whatever the arithmetic is done in.
    policy = MixedPrecisionPolicy(param_dtype=arithmetic, reduce_dtype=torch.float32)
    more = {"offload_policy": CPUOffloadPolicy()} if options.offload else {}
    whole = model.num_parameters()
    mesh = init_device_mesh(world.device.type, (world.size,))
    for layer in student.layers(model):
        fully_shard(layer, mesh=mesh, mp_policy=policy, reshard_after_forward=options.reshard is not False, **more)
    fully_shard(model, mesh=mesh, mp_policy=policy, **more)
    if not options.offload:  # which keeps the weights where they are, and moved the buffers already
        model.to(world.device)  # buffers, which are not sharded
    count = sum(isinstance(module, FSDPModule) for module in model.modules())
    here = sum(parameter.to_local().numel() for parameter in model.parameters())
    fact = f"sharded: {count} FSDPModule x {world.size} · {here:,} of {whole:,} parameters in the first process"
    return model, fact + faster


def keep_gathered(model: Any, keep: bool) -> None:
    """Whether the weights that FSDP gathered stay after the next backward pass, for another forward pass with the same
    ones: gradients of several rows are summed without gathering the weights for each. Without FSDP, nothing."""
    for module in (m for m in model.modules() if hasattr(m, "set_reshard_after_backward")):
        module.set_reshard_after_backward(not keep, recurse=False)
