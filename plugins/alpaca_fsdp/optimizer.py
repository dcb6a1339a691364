"""Optimizers and the learning rate."""

# ruff: noqa: TID253 - loaded by the worker only

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch

from alpaca_fsdp.options import LocalOptions


def build(model: Any, options: LocalOptions) -> list[torch.optim.Optimizer]:
    """AdamW for everything, or Muon for the matrices of the layers and AdamW for the rest."""
    matrices, rest = [], []
    inner = {id(p) for layer in _layers(model) for p in layer.parameters()}
    for parameter in model.parameters():
        (matrices if parameter.ndim == 2 and id(parameter) in inner else rest).append(parameter)
    decay = options.weight_decay
    if options.optimizer == "muon":
        return [Muon(matrices, options.learning_rate, decay), _adamw([{"params": rest, "weight_decay": 0.0}], options)]
    groups = [{"params": matrices, "weight_decay": decay}, {"params": rest, "weight_decay": 0.0}]
    return [_adamw([group for group in groups if group["params"]], options)]


def _layers(model: Any) -> list[Any]:
    from alpaca_fsdp.student import layers

    return layers(model)


def _adamw(groups: list[dict[str, Any]], options: LocalOptions) -> torch.optim.AdamW:
    return torch.optim.AdamW(groups, lr=options.learning_rate, fused=True)


def learning_rate(step: int, steps: int, options: LocalOptions) -> float:
    """The rate of optimizer step ``step`` (from 0) of ``steps``: a straight line up over the warm-up, which takes
    ``ceil(warmup * steps)`` steps, then down to 0 as half a cosine or a line."""
    warm = math.ceil(options.warmup * steps)
    if step < warm:
        return options.learning_rate * (step + 1) / (warm + 1)
    done = (step - warm) / max(1, steps - warm)
    shape = {"cosine": 0.5 * (1 + math.cos(math.pi * done)), "linear": 1 - done, "constant": 1.0}
    return options.learning_rate * shape[options.schedule]


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised by Newton-Schulz: K. Jordan et al., "Muon", 2024, with its quintic's coefficients.

    The update is scaled by ``0.2 * sqrt(max(rows, columns))`` (Liu et al., "Muon is Scalable", arXiv 2502.16982), which
    gives it the size of an AdamW step: one learning rate serves both. Float32 throughout, and matrices of one shape go
    through together: on a CPU that is what is fast. Under FSDP the momentum is sharded like its parameter; every
    process gathers it, computes the same update and keeps its own part.
    """

    def __init__(
        self, parameters: Iterable[torch.Tensor], lr: float, weight_decay: float = 0.0, momentum: float = 0.95
    ):
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            alike: dict[torch.Size, list[torch.Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    alike[parameter.shape].append(parameter)
            for shape, parameters in alike.items():
                updates = orthogonal(torch.stack([self._direction(p, group["momentum"]) for p in parameters]))
                size = 0.2 * max(shape) ** 0.5
                for parameter, update in zip(parameters, updates, strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.add_(_like(parameter, update), alpha=-group["lr"] * size)

    def _direction(self, parameter: torch.Tensor, momentum: float) -> torch.Tensor:
        """Nesterov's look-ahead on the momentum, whole."""
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        average = state["momentum"].lerp_(parameter.grad, 1 - momentum)
        ahead = parameter.grad.lerp(average, momentum)
        return ahead.full_tensor() if hasattr(ahead, "full_tensor") else ahead


def orthogonal(matrices: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """``[n, rows, columns]`` with all singular values brought near 1."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x


def _like(parameter: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
    """``whole``, or this process's part of it where ``parameter`` is sharded."""
    if not hasattr(parameter, "placements"):
        return whole
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(whole, parameter.device_mesh, parameter.placements, src_data_rank=None)
