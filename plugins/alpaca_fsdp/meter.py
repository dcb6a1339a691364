"""How fast a training runs: tokens per second, the share of the devices' peak, and memory."""

# ruff: noqa: TID253 - loaded by the worker only

from __future__ import annotations

import resource
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from alpaca_fsdp.world import World

WINDOW = 10  # steps over which the speed is taken

# Dense bfloat16 TFLOP/s by the name that torch.cuda.get_device_name gives, from NVIDIA's data sheets (their figures
# "with sparsity" halved). The first that matches counts.
PEAKS = {
    "A100": 312.0,
    "H100 PCIe": 756.0,
    "H100 NVL": 835.0,
    "H100": 989.0,
    "H200 NVL": 835.0,
    "H200": 989.0,
    "GH200": 989.0,
    "B200": 2250.0,
    "L40S": 362.0,
    "L4": 121.0,
    "A10": 125.0,
    "RTX A6000": 155.0,
    "RTX 4090": 165.0,
    "RTX 3090": 71.0,
}


def peak(device: torch.device) -> float | None:
    """FLOP/s that ``device`` could do at most, in dense bfloat16; None for a CPU or a device that is not listed."""
    return peak_of(torch.cuda.get_device_name(device)) if device.type == "cuda" else None


def peak_of(device_name: str) -> float | None:
    words = set(device_name.replace("-", " ").split())
    found = [tera for name, tera in PEAKS.items() if set(name.split()) <= words and "Ti" not in words]
    return found[0] * 1e12 if found else None


@dataclass(frozen=True)
class Work:
    """What a step takes, in FLOP: ``token`` for each token, and ``pair`` times the squared length of each example."""

    token: float
    pair: float

    @classmethod
    def of(cls, model: Any) -> Work | None:
        """6 (N - input embedding) + causal attention 6 L d s a token, forward and backward, for L layers of width d and
        s tokens in the example; None for a model whose configuration does not say L and d.

        An embedding that is the output matrix too is counted: it is multiplied with. This is the count of PaLM
        (Chowdhery et al., 2022, appendix B) with half its attention, because a causal one looks at half the pairs.
        """
        config = model.config
        layers, width = (getattr(config, name, None) for name in ("num_hidden_layers", "hidden_size"))
        if not layers or not width:
            return None
        parameters = sum(parameter.numel() for parameter in model.parameters())
        before, after = model.get_input_embeddings(), model.get_output_embeddings()
        if after is None or before.weight is not after.weight:
            parameters -= before.weight.numel()
        return cls(6.0 * parameters, 6.0 * layers * width)

    def of_step(self, lengths: Sequence[int]) -> float:
        return self.token * sum(lengths) + self.pair * sum(length * length for length in lengths)


class Meter:
    """The speed over the last ``WINDOW`` steps. Counts the tokens of the data: work that was spared counts as done."""

    def __init__(self, world: World, work: Work | None = None) -> None:
        self.world, self.work = world, work
        one = peak(world.device)
        self.peak = one * world.size if one else None
        self._marks: deque[tuple[float, int, float]] = deque(maxlen=WINDOW + 1)  # seconds, tokens, FLOP
        self.begin(0.0)

    def begin(self, seconds: float) -> None:
        """The clock stands at ``seconds``, and what was before does not count."""
        self._marks.clear()
        self._marks.append((seconds, 0, 0.0))

    def step(self, lengths: Sequence[int], seconds: float) -> dict[str, float | None]:
        """After a step over examples of ``lengths`` tokens, the clock at ``seconds``: its speed."""
        _, tokens, flop = self._marks[-1]
        tokens, flop = tokens + sum(lengths), flop + (self.work.of_step(lengths) if self.work else 0.0)
        self._marks.append((seconds, tokens, flop))
        then, tokens_then, flop_then = self._marks[0]
        took = max(seconds - then, 1e-9)
        known = self.work is not None and self.peak is not None
        return {
            "tokens_per_second": round((tokens - tokens_then) / took, 1),
            "mfu": round((flop - flop_then) / took / self.peak, 4) if known else None,  # type: ignore[operator]
        }

    def memory(self) -> int:
        """Bytes of memory that this process has used at most: of its GPU, or of the machine where it has none."""
        if self.world.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.world.device)
        unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
