"""The processes of a training: who they are, what they share, and when they have to end."""

# ruff: noqa: TID253 - loaded by the worker only

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import torch
import torch.distributed as dist

from alpaca_core import AlpacaError, ConfigError, Stopped
from alpaca_fsdp import parent

LAUNCHED = "ALPACAKIT_LAUNCHED"  # set by the launcher: standard input is its pipe
EVENT = "\x1e"  # starts a line of standard output that holds an event as JSON (ASCII's record separator)
_SAME = 2.0  # seconds


@dataclass(frozen=True)
class World:
    """This process among ``size``. ``sharded`` says whether they are a process group that shards the model."""

    rank: int
    size: int
    device: torch.device
    sharded: bool

    @classmethod
    def join(cls, sharded: bool, device: str) -> World:
        """Set up the device, and with ``sharded`` the process group that torchrun's variables describe."""
        from accelerate import PartialState

        if device == "cuda" and not torch.cuda.is_available():
            raise ConfigError("trainer.device is cuda, but PyTorch finds no GPU.", hint="Use --set trainer.device=cpu.")
        if sharded and device != "cpu" and torch.cuda.is_available() and not dist.is_initialized():
            # gloo for what is offloaded, and for Python objects. An hour: NCCL's ten minutes may pass while the first
            # process compares a saved model; that processes can talk at all is asked by ``probe``.
            dist.init_process_group("cuda:nccl,cpu:gloo", timeout=timedelta(hours=1))
        state = PartialState(cpu=device == "cpu" or not torch.cuda.is_available())
        if sharded and not dist.is_initialized():  # accelerate sets up no group for one process
            dist.init_process_group("nccl" if state.device.type == "cuda" else "gloo")
        return cls(state.process_index, state.num_processes, state.device, sharded)

    @property
    def first(self) -> bool:
        return self.rank == 0

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """``values`` added up over all processes."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def all(self, value: Any) -> list[Any]:
        """``value`` of every process."""
        values = [value]
        if self.size > 1:
            values = [None] * self.size
            dist.all_gather_object(values, value)
        return values

    def wait(self) -> None:
        """Until every process is here."""
        if self.size > 1:
            dist.barrier()

    def emit(self, kind: str, **content: Any) -> None:
        """Tell the launcher, once for all processes."""
        if self.first:
            emit(kind, **content)

    def stop(self, step: int) -> NoReturn:
        """End a training that was asked to, after ``step`` and its checkpoint. Raises Stopped."""
        self.emit("stopped", step=step)
        self.leave()
        raise Stopped(f"Stopped after step {step}, with a checkpoint.", hint="The same command goes on from it.")

    def leave(self) -> None:
        if dist.is_initialized():
            dist.destroy_process_group()


listener: Callable[..., None] | None = None  # takes the events where no launcher reads standard output


def emit(kind: str, **content: Any) -> None:
    """One event as a line of standard output, in one piece; or to the ``listener``. That nobody reads it any more (a
    closed terminal) ends nothing; see Launcher."""
    if listener is not None:
        listener(kind, **content)
        return
    line = EVENT + json.dumps({"kind": kind, **content}) + "\n"
    try:
        sys.stdout.flush()
        os.write(1, line.encode())
    except OSError:
        pass


def emit_error(error: AlpacaError) -> None:
    emit("error", type=type(error).__name__, message=error.message, hint=error.hint)


class Launcher:
    """Who started us: news that training should stop, and an end at once when they are gone.

    The launcher's end of standard input: a byte asks to stop at the next step; its end means that the launcher died,
    and ends this process at once. Signals (from torchrun, a scheduler, a terminal) ask the same, and a second one ends
    at once; one that follows within ``_SAME`` seconds is the same one, sent to us and through torchrun. Whoever started
    us may also die alone: Linux then kills us (torchrun's workers are in sessions of their own and get no other news).
    """

    def __init__(self) -> None:
        self.asked_to_stop = False
        self._first_signal = 0.0
        launched = LAUNCHED in os.environ
        if launched:
            threading.Thread(target=self._listen, daemon=True).start()
        # Not for a worker started by hand: it may outlive its shell (nohup).
        if launched or "TORCHELASTIC_RUN_ID" in os.environ:
            parent.end_together()
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(name) != signal.SIG_IGN:  # nohup
                signal.signal(name, self._signalled)

    def _listen(self) -> None:
        while os.read(0, 1):
            self.asked_to_stop = True
        os._exit(1)

    def _signalled(self, number: int, _: Any) -> None:
        now = time.monotonic()
        if self._first_signal and now - self._first_signal > _SAME:
            os._exit(128 + number)
        self.asked_to_stop, self._first_signal = True, self._first_signal or now


def hold(lock: Path) -> int:
    """Lock the output folder for as long as this process lives. Raises AlpacaError if another one has it."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise AlpacaError(f"Another training is writing to {lock.parent}.") from exc
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()} {os.environ.get(LAUNCHED, 0)}\n".encode())
    return descriptor
