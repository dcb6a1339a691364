"""The optimizer and its learning rate."""

from __future__ import annotations

import math
from typing import Any

# ruff: noqa: TID253 - loaded by the worker only
import torch

from alpaca_fsdp import student
from alpaca_fsdp.options import LocalOptions


def build(model: Any, options: LocalOptions) -> torch.optim.Optimizer:
    """AdamW over what is not frozen. Matrices of the layers decay; embeddings, biases and norms do not.
    ``optimizer_bits`` 8 takes torchao's, whose states are quantised block by block."""
    inner = {id(p) for layer in student.layers(model) for p in layer.parameters() if p.ndim > 1}
    learnt = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in learnt if id(p) in inner], "weight_decay": options.weight_decay},
        {"params": [p for p in learnt if id(p) not in inner], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]  # with LoRA all is in the layers
    if options.optimizer_bits == 8:
        from torchao.optim import AdamW8bit

        return AdamW8bit(groups, lr=options.learning_rate, betas=(0.9, options.beta2))
    return torch.optim.AdamW(groups, lr=options.learning_rate, betas=(0.9, options.beta2), fused=True)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The learning rate of the next step. torchao's is a tensor, and has to stay the same one."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def learning_rate(done: float, options: LocalOptions) -> float:
    """The rate when the share ``done`` of the training is behind: a straight line up over the warm-up, then down to 0
    as half a cosine or a line."""
    if done < options.warmup:
        return options.learning_rate * done / options.warmup
    rest = (done - options.warmup) / (1 - options.warmup)
    shape = {"cosine": 0.5 * (1 + math.cos(math.pi * rest)), "linear": 1 - rest, "constant": 1.0}
    return options.learning_rate * shape[options.schedule]
