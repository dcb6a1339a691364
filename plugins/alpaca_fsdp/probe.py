"""Whether the processes of a training can talk to each other: asked first, and answered within a minute."""

# ruff: noqa: TID253 - loaded by the worker only

from __future__ import annotations

import os
import socket
import sys
import threading
from typing import Any

import torch
import torch.distributed as dist

from alpaca_core import AlpacaError
from alpaca_fsdp.world import World, emit_error

PATIENCE = 60.0  # seconds; without the probe PyTorch waits ten minutes (NCCL) or thirty (gloo), and names nobody


def exchange(world: World, patience: float = PATIENCE) -> None:
    """Add up a number over all processes. Raises AlpacaError for a wrong sum; when it takes longer than ``patience``,
    this process reports who was there and ends with code 1, because an exchange that hangs cannot be left."""
    if world.size == 1:
        return
    store = dist.distributed_c10d._get_default_store().clone()  # a connection of its own: that of the group may hang
    store.set(f"alpacakit/probe/{world.rank}", f"{socket.gethostname()}, {world.device}")
    done = threading.Event()
    threading.Thread(target=_watch, args=(world, store, done, patience), daemon=True).start()
    total = int(world.sum(torch.ones(1, device=world.device)).item())
    store.set(f"alpacakit/probed/{world.rank}", "")
    done.set()
    if total != world.size:
        raise AlpacaError(f"{world.size} processes added up 1 each, and got {total}.")


def _watch(world: World, store: Any, done: threading.Event, patience: float) -> None:
    if done.wait(patience):
        return
    lines = []
    for rank in range(world.size):
        here, through = (store.check([f"alpacakit/{name}/{rank}"]) for name in ("probe", "probed"))
        where = store.get(f"alpacakit/probe/{rank}").decode() if here else ""
        lines.append(f"  process {rank}: " + (f"{where}: {'through' if through else 'waits'}" if here else "not here"))
    error = AlpacaError(
        f"The processes cannot exchange data: no sum after {patience:g} s.\n" + "\n".join(lines),
        hint="On GPUs, NCCL_DEBUG=INFO in the environment shows why; NCCL_SOCKET_IFNAME names the network interface.",
    )
    print(error.message, file=sys.stderr, flush=True)
    emit_error(error)
    os._exit(1)
