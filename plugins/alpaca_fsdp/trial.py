"""The trial step: one forward and backward pass over the fullest row, before the first step and without a trace."""

# ruff: noqa: TID253 - loaded by the worker only

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from alpaca_fsdp import fit, losses, memory, resident
from alpaca_fsdp.examples import Tokens
from alpaca_fsdp.job import Job
from alpaca_fsdp.world import World

LESS = 0.85  # of the memory that was too much: what the next plan may take
_AGAIN = "The same command takes the next plan."


def run(training: Any, planned: memory.Plan | None, job: Job) -> str:
    """Take the trial step of ``training``; what it took, beside what was planned, in words.

    Weights, gradients and randomness are as before afterwards. Raises ``memory.TooMuch`` when memory runs out, or when
    what the step took leaves no room for the optimizer's states. The launcher then starts all processes afresh, with
    the next plan: one that ran out of memory in the middle of a collective cannot go on.
    """
    if planned is None:
        return "memory not planned"
    world: World = training.world
    examples = fullest(training.examples, planned.settings.micro_tokens, job.options.batch_size)
    tokens = sum(len(example.ids) for example in examples)
    randomness = torch.random.get_rng_state()
    if world.device.type == "cuda":
        torch.cuda.empty_cache()  # of what placing and trying left
    resident.forget_peak(world.device)
    try:
        _pass(training, examples)
    except (RuntimeError, MemoryError) as exc:
        if not out_of_memory(exc):
            raise
        fit.remember(job, planned, below=LESS * planned.total)
        raise memory.TooMuch(f"The trial step ran out of memory: {planned}.", hint=_AGAIN) from exc
    training.optimizer.zero_grad()
    torch.random.set_rng_state(randomness)
    took = max(world.all(resident.peak(world.device)))
    states = planned.parts["optimizer"]  # which come with the first step
    expected = planned.total - states - (planned.parts["reserve"] if planned.machine.gpu else 0)
    said = f"{memory.gib(took)} GiB with {tokens:,} tokens, {memory.gib(expected)} expected"
    if planned.machine.gpu and took + states > planned.machine.room:
        if world.first:
            fit.remember(job, planned, below=LESS * (took + states))
        world.wait()
        raise memory.TooMuch(f"The trial step took {said}: too little is left for the optimizer.", hint=_AGAIN)
    return f"trial step {said}"


@contextmanager
def watched(planned: memory.Plan | None, job: Job) -> Iterator[None]:
    """A training whose memory runs out all the same, in a step fuller than the trial's, is to start again with less."""
    try:
        yield
    except (RuntimeError, MemoryError) as exc:
        if planned is None or not out_of_memory(exc):
            raise
        fit.remember(job, planned, below=LESS * planned.total)
        raise memory.TooMuch(f"A step ran out of memory: {planned}.", hint=_AGAIN) from exc


def _pass(training: Any, examples: Sequence[Tokens]) -> None:
    row = training.layout.lay(examples, training.filler, training.world.device)
    with training.casting:
        fused = training.layout.fused and training.options.loss == "tokens"
        each = losses.token_losses(training.model, row, fused)
    each.mean().backward()


def out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` says so: of CUDA's allocator, or of the CPU's (a plain RuntimeError)."""
    kinds = (torch.OutOfMemoryError, MemoryError)
    return isinstance(error, kinds) or "can't allocate memory" in str(error)


def fullest(examples: Sequence[Tokens], capacity: int, most: int) -> list[Tokens]:
    """The longest examples, ``most`` at most, that fill a row of ``capacity`` tokens; the longest one in any case."""
    found: list[Tokens] = []
    tokens = 0
    for example in sorted(examples, key=lambda example: -len(example.ids)):
        if len(found) < most and (not found or tokens + len(example.ids) <= capacity):
            found.append(example)
            tokens += len(example.ids)
    return found
