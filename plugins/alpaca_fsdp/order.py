"""The order in which training sees the examples: pure functions of the step, so that nothing of it has to be stored."""

# ruff: noqa: TID253 - loaded by the worker only

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from random import Random

import torch


@dataclass(frozen=True)
class Order:
    """Which examples each optimizer step sees: a pure function of (number of examples, batch size, seed, step).

    Every epoch is a new shuffle; the last batch of an epoch may be smaller.
    """

    examples: int
    batch_size: int
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        return -(-self.examples // self.batch_size)

    def batch(self, step: int) -> list[int]:
        epoch, place = divmod(step, self.steps_per_epoch)
        return _shuffled(self.examples, self.seed, epoch)[place * self.batch_size :][: self.batch_size]


@dataclass(frozen=True)
class TrainerOrder:
    """The same for transformers' Trainer (5.23, with accelerate 1.15), whose processes read ``micro_batch`` examples at
    a time until they have ``batch_size`` together.

    Epoch e is torch's random permutation for seed + e. Several processes must get equally many full micro-batches, so
    for them an epoch ends with its first examples once more, as many as are missing. One process does without.
    """

    examples: int
    batch_size: int
    seed: int
    micro_batch: int
    processes: int

    @property
    def epoch_size(self) -> int:
        """Examples of an epoch, repeated ones included."""
        together = self.micro_batch * self.processes
        return self.examples if self.processes == 1 else -(-self.examples // together) * together

    @property
    def steps_per_epoch(self) -> int:
        return -(-self.epoch_size // self.batch_size)

    def batch(self, step: int) -> list[int]:
        epoch, place = divmod(step, self.steps_per_epoch)
        order = _permuted(self.examples, self.seed + epoch)
        begin = place * self.batch_size
        end = min(begin + self.batch_size, self.epoch_size)
        return [order[i % self.examples] for i in range(begin, end)]


@lru_cache(maxsize=2)
def _shuffled(n: int, seed: int, epoch: int) -> list[int]:
    order = list(range(n))
    Random(f"{seed} {epoch}").shuffle(order)
    return order


@lru_cache(maxsize=2)
def _permuted(n: int, seed: int) -> list[int]:
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed)).tolist()
