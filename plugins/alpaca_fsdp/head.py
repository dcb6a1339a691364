"""The output layer and its loss in one, so that logits of a whole row never exist at once.

A row of 16,000 tokens and a vocabulary of 32,000 would have 2 GB of logits in float32, as much again for their softmax
and their gradient. Here the logits, losses and gradients of a chunk of tokens are computed together, and no matrix
product is done twice. (The idea is that of Liger Kernel's fused linear cross-entropy; this one runs on any device.)
"""

# ruff: noqa: TID253 - loaded by the worker only

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from alpaca_fsdp.rows import IGNORE

_LOGITS = 1 << 26  # numbers in a chunk's logits at most: 256 MB in float32


class _Scores(torch.autograd.Function):
    """``[tokens, size]`` hidden states, ``[vocabulary, size]`` weights and ``[tokens]`` targets to ``[tokens]`` losses.

    The gradient that comes back must be the same number for every loss, as it is for a sum times a factor: gradients
    are made on the way forward, and only multiplied by it on the way back.
    """

    @staticmethod
    def forward(ctx, hidden, weight, targets, dtype):
        hidden, matrix = hidden.to(dtype), weight.to(dtype)
        backward = any(ctx.needs_input_grad)
        losses = torch.zeros(len(hidden), dtype=torch.float32, device=hidden.device)
        towards = torch.empty_like(hidden) if backward and ctx.needs_input_grad[0] else None
        onto = torch.zeros_like(matrix, dtype=torch.float32) if backward and ctx.needs_input_grad[1] else None
        size = max(1, _LOGITS // len(matrix))
        for at in range(0, len(hidden), size):
            part, wanted = hidden[at : at + size], targets[at : at + size]
            real = (wanted != IGNORE)[:, None]
            wanted = wanted.clamp(min=0)[:, None]
            logarithms = (part @ matrix.T).float().log_softmax(1)
            losses[at : at + size] = -(logarithms.gather(1, wanted) * real).squeeze(1)
            if not backward:
                continue
            gradient = logarithms.exp_()  # softmax, minus one at the target
            gradient.scatter_add_(1, wanted, torch.full_like(real, -1.0, dtype=torch.float32))
            gradient = gradient.to(dtype)
            if towards is not None:
                towards[at : at + size] = (gradient @ matrix) * real
            if onto is not None:
                onto += gradient.T @ (part * real)
        ctx.save_for_backward(towards, onto)
        ctx.types = (hidden.dtype, weight.dtype)
        return losses

    @staticmethod
    def backward(ctx, grad):  # type: ignore[override]
        towards, onto = ctx.saved_tensors
        factor = grad[0] if len(grad) else grad.new_ones(())
        if not grad.is_cuda and not torch.equal(grad, factor.expand_as(grad)):
            raise RuntimeError("the losses of a row must all weigh the same")
        return (
            None if towards is None else towards.mul_(factor),
            None if onto is None else onto.mul_(factor).to(ctx.types[1]),
            None,
            None,
        )


def scores(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """The cross-entropy of each of ``targets`` (0 where it is -100) under ``hidden @ weight.T``, multiplied in
    ``dtype`` and summed in float32. For a loss that is their sum times a factor; see ``_Scores``."""
    return _Scores.apply(hidden, weight, targets, dtype)


@contextmanager
def scoring(model: Any, targets: torch.Tensor | None) -> Iterator[bool]:
    """While it lasts, the output layer of ``model`` answers with the losses of ``targets``, ``[1, tokens, 1]``, in the
    place of logits. False where that cannot be: without targets, or if the layer is more than a matrix."""
    head = model.get_output_embeddings()
    plain = type(head).forward is torch.nn.Linear.forward and head.bias is None if head is not None else False
    if targets is None or not plain:
        yield False
        return

    def answer(hidden: torch.Tensor) -> torch.Tensor:
        device = hidden.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
        # A copy, no view: FSDP warns of views in a module's output.
        return scores(hidden[0], head.weight, targets, dtype)[None, :, None].clone()

    head.forward = answer
    try:
        yield True
    finally:
        del head.forward
