"""The published check of the Alpaca-7B weight difference: the float32 sum of everything in the recovered model.

It was taken over the state dict that transformers had in 2023, which held each layer's rotary frequencies
(``rotary_emb.inv_freq``) as well. Today's keeps them out of a model's files, as they follow from its configuration; a
sum without them is off by 239 for LLaMA-7B. Here they are always counted.
"""

# ruff: noqa: TID253 - loaded by what handles weights only

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

PUBLISHED = 50637.1836  # stanford_alpaca, weight_diff.py
TOLERANCE = 1e-2
ROTARY = "rotary_emb.inv_freq"


@dataclass(frozen=True)
class Checksum:
    """The sum in float32, tensor after tensor as published, and in float64, where order hardly matters."""

    float32: float
    float64: float

    @property
    def published(self) -> bool:
        """Whether it is the published one, within the published tolerance."""
        return abs(self.float32 - PUBLISHED) <= TOLERANCE


class Summing:
    """Sums of a model's tensors."""

    def __init__(self) -> None:
        # Numbers of Python: a small tensor kept between large ones that come and go would keep those in memory's way.
        self._sums: dict[str, tuple[float, float]] = {}

    def add(self, name: str, tensor: torch.Tensor) -> None:
        self._sums[name] = tensor.sum().item(), tensor.sum(dtype=torch.float64).item()

    def result(self, order: Iterable[str]) -> Checksum:
        """The sum of the sums, taken in ``order``: in float32 that makes a difference."""
        single, double = torch.zeros(()), 0.0
        for name in order:
            single, double = single + self._sums[name][0], double + self._sums[name][1]
        return Checksum(single.item(), double)


def frequencies(config: Mapping[str, Any]) -> torch.Tensor:
    """The rotary frequencies of a LLaMA: theta^(-2i/d) for the d numbers of a head (Su et al., 2021)."""
    size = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    theta = config.get("rope_theta") or (config.get("rope_parameters") or {}).get("rope_theta") or 10000.0
    return 1.0 / theta ** (torch.arange(0, size, 2).float() / size)
