"""The optimizer and its learning rate."""

from __future__ import annotations

import math
from typing import Any

# ruff: noqa: TID253 - loaded by the worker only
import torch

from alpaca_fsdp import student
from alpaca_fsdp.options import LocalOptions


def build(model: Any, options: LocalOptions) -> torch.optim.Optimizer:
    """AdamW. Matrices of the layers decay; embeddings, biases and norms do not."""
    inner = {id(p) for layer in student.layers(model) for p in layer.parameters() if p.ndim > 1}
    groups = [
        {"params": [p for p in model.parameters() if id(p) in inner], "weight_decay": options.weight_decay},
        {"params": [p for p in model.parameters() if id(p) not in inner], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=options.learning_rate, betas=(0.9, options.beta2), fused=True)


def learning_rate(step: int, steps: int, options: LocalOptions) -> float:
    """The rate of optimizer step ``step`` (from 0) of ``steps``: a straight line up over the warm-up, which takes
    ``ceil(warmup * steps)`` steps, then down to 0 as half a cosine or a line. No step has rate 0."""
    warm = math.ceil(options.warmup * steps)
    if step < warm:
        return options.learning_rate * (step + 1) / (warm + 1)
    done = (step - warm) / max(1, steps - warm)
    shape = {"cosine": 0.5 * (1 + math.cos(math.pi * done)), "linear": 1 - done, "constant": 1.0}
    return options.learning_rate * shape[options.schedule]
