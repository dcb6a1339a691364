"""Faster code for a model's own layers, where the device has it."""

# ruff: noqa: TID253 - loaded by the worker only

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch

from alpaca_fsdp import student
from alpaca_fsdp.options import LocalOptions


def apply(model: Any, options: LocalOptions, device: torch.device) -> str:
    """Use Liger's Triton kernels for norms, rotary embeddings and feed-forward gates where the package is installed and
    knows the model, or else compile each layer: by default on a GPU. Returns what is used, for people, "" for nothing.

    The loss is not Liger's: ours computes logits for supervised tokens only (see ``head``). Layers are compiled one
    by one, their ``forward`` alone, so that the hooks of FSDP stay outside and all layers share one compilation; the
    number of tokens is left open, since every row has its own.
    """
    if device.type == "cuda" and options.compile is None and find_spec("liger_kernel"):
        from liger_kernel.transformers import _apply_liger_kernel_to_instance
        from liger_kernel.transformers.monkey_patch import MODEL_TYPE_TO_APPLY_LIGER_FN

        if model.config.model_type in MODEL_TYPE_TO_APPLY_LIGER_FN:
            _apply_liger_kernel_to_instance(model, cross_entropy=False, fused_linear_cross_entropy=False)
            return "Liger kernels"
    if options.compile or (options.compile is None and device.type == "cuda"):
        for layer in student.layers(model):
            layer.forward = torch.compile(layer.forward, dynamic=True)
        return "compiled layers"
    return ""
