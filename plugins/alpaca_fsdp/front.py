"""The worker without a launcher: started by torchrun or by hand, it tells people what happens, and its exit code is
that of the command line. torchrun makes 1 of every code but 0."""

from __future__ import annotations

import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from alpaca_core import AlpacaError, StepLog, Stopped, TrainEvent
from alpaca_fsdp import job as jobs
from alpaca_fsdp import parent
from alpaca_fsdp.memory import TooMuch
from alpaca_fsdp.task import Task
from alpaca_fsdp.trainer import check_student


def main(read: Callable[[Any], Task], words: Any) -> int:
    """Do the task that ``read`` makes of ``words``. The first process alone speaks, but for a fault of another."""
    rank = int(os.environ.get("RANK", 0))
    if "RANK" in os.environ:  # no worker outlives its torchrun
        parent.end_together()
    if rank:
        logging.disable(logging.WARNING)
        warnings.filterwarnings("ignore")
    try:
        _train(read(words), rank == 0)
    except Stopped as stopped:
        if rank == 0:
            print(f"{stopped.message}\n{stopped.hint}", file=sys.stderr, flush=True)
        return stopped.exit_code
    except AlpacaError as error:
        if rank == 0 or isinstance(error, TooMuch):  # of one process alone
            _complain(error.message, error.hint)
        return error.exit_code
    except Exception as exc:
        _complain_of_fault(exc, rank)
        return 1
    return 0


def _train(task: Task, first: bool) -> None:
    os.environ.update(task.environment)
    check_student(task.job.student)
    job = jobs.decide(task.job, task.sharded, task.in_place)
    for note in task.notes:
        _say(note, first)
    # Every process looks by itself; nothing is written before all of them have joined.
    done = jobs.finished(job)
    if done is not None:
        _say(f"{done.model} is finished already: nothing to do", first)
        return
    from alpaca_fsdp import run, world

    if task.tf32:
        import torch

        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    if task.deepspeed:
        from alpaca_fsdp import deepspeed

        config = deepspeed.configuration(Path(task.deepspeed))
        os.environ["ACCELERATE_USE_DEEPSPEED"] = "true"
    here = world.World.join(job.sharded, job.options.device)
    asked = world.Launcher()  # not before: a signal must end a process that waits for others which do not come
    if here.first:
        jobs.begin(job, fresh=False)
    with StepLog(job.out) as log:
        world.listener = Report(log, task.logging_steps)
        deepspeed.run(job, config, asked, here) if task.deepspeed else run.run(job, asked)
    if here.first:
        jobs.clear(job)


class Report:
    """Prints events, a step every ``every`` steps, and logs all steps."""

    def __init__(self, log: StepLog, every: int) -> None:
        self.log, self.every = log, every

    def __call__(self, kind: str, **content: Any) -> None:
        match kind:
            case "step":
                event = TrainEvent("step", **content)
                self.log.event(event)
                if event.step % self.every == 0 or event.step == event.steps:
                    print(step_line(event), flush=True)
            case "checkpoint":
                print(f"checkpoint after step {content['step']}", flush=True)
            case "saved":
                print(f"model: {content['message']}", flush=True)
            case "ready" | "note" | "sample" if content.get("message"):
                print(content["message"], flush=True)


def step_line(event: TrainEvent) -> str:
    """``step 3/1,218  loss 1.0312  learning rate 1.6e-06  2,031 tokens/s``"""
    speed = f"  {event.tokens / event.seconds:,.0f} tokens/s" if event.seconds else ""
    return f"step {event.step:,}/{event.steps:,}  loss {event.loss:.4f}  learning rate {event.learning_rate:.2g}{speed}"


def _say(text: str, first: bool) -> None:
    if first:
        print(text, flush=True)


def _complain(message: str, hint: str) -> None:
    print(f"error: {message}" + (f"\n{hint}" if hint else ""), file=sys.stderr, flush=True)


def _complain_of_fault(exc: Exception, rank: int) -> None:
    if os.environ.get("ALPACAKIT_DEBUG"):
        traceback.print_exc()
    lost = isinstance(exc, RuntimeError) and any(name in str(exc) for name in ("gloo", "NCCL", "TCPStore"))
    if lost and os.environ.get("WORLD_SIZE", "1") != "1":
        if rank == 0:
            _complain("Another process of this training ended.", "If it said nothing, it was killed: for memory?")
        return
    where = f"process {rank}: " if rank else ""
    _complain(f"{where}{type(exc).__name__}: {exc}", "Set ALPACAKIT_DEBUG=1 for the traceback.")
