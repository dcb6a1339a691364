"""Options of the trainers ``local`` and ``fsdp``. Standard library only: read at start-up."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal


def option(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class LocalOptions:
    """Defaults are the published Alpaca recipe. Those set to None follow the student, because what suits seven billion
    trained parameters teaches a new million nothing: see ``student.RECIPES``."""

    preset: str = option("", "named sets of options, with commas between: what is set here wins over them")
    device: Literal["auto", "cpu", "cuda"] = option("auto", "where to train: auto takes a GPU if there is one")
    dtype: Literal["auto", "float32", "bfloat16"] = option(
        "auto", "arithmetic of the model: auto is bfloat16 on a GPU and float32 on a CPU; weights stay float32"
    )
    epochs: float = option(3.0, "passes over the data")
    max_steps: int | None = option(None, "stop after so many optimizer steps (default: as many as epochs take)")
    max_seconds: float | None = option(
        None, "time cap: the learning rate reaches its end by then, and training stops (default: none)"
    )
    batch_size: int = option(128, "examples per optimizer step, over all processes")
    max_length: int = option(512, "tokens per example at most; longer ones are cut on the right")
    learning_rate: float | None = option(None, "peak learning rate (default: 2e-5; new:* students have their own)")
    schedule: Literal["cosine", "linear", "constant"] | None = option(
        None, "learning rate after warm-up (default: cosine; new:* students have their own)"
    )
    warmup: float | None = option(None, "share of the steps for warm-up (default: 0.03; new:* students differ)")
    weight_decay: float | None = option(None, "weight decay of matrices (default: 0; new:* students differ)")
    beta2: float | None = option(None, "AdamW's second beta (default: 0.999; new:* students differ)")
    max_grad_norm: float = option(1.0, "clip the gradient to this norm")
    packing: bool = option(True, "pack examples into rows without padding; the losses are the same")
    micro_tokens: int = option(4096, "tokens of one forward pass per process, at most; less takes less memory")
    save_steps: int = option(500, "write a checkpoint every so many steps; the last two are kept")

    def __post_init__(self) -> None:
        _positive(self, "epochs", "batch_size", "max_grad_norm", "micro_tokens", "save_steps")
        _positive(self, "max_steps", "max_seconds", "learning_rate", optional=True)
        if self.max_length < 8:
            raise ValueError(f"max_length must be at least 8, not {self.max_length}")
        if self.warmup is not None and not 0 <= self.warmup < 1:
            raise ValueError(f"warmup is a share of the steps, at least 0 and less than 1, not {self.warmup}")
        if self.beta2 is not None and not 0 <= self.beta2 < 1:
            raise ValueError(f"beta2 must be at least 0 and less than 1, not {self.beta2}")
        if self.weight_decay is not None and self.weight_decay < 0:
            raise ValueError(f"weight_decay must not be negative, not {self.weight_decay}")


@dataclass(frozen=True)
class FsdpOptions(LocalOptions):
    """The same, over several processes."""

    processes: int | None = option(None, "how many on each node (default: one per GPU; 2 where there is none)")
    nodes: int = option(1, "machines that train together, with a folder for --out that all of them see")
    rendezvous: str = option("", "with several nodes: HOST:PORT of one of them, where they meet")

    def __post_init__(self) -> None:
        super().__post_init__()
        _positive(self, "processes", optional=True)
        _positive(self, "nodes")
        if self.rendezvous and not re.fullmatch(r"\S+:\d+", self.rendezvous):
            raise ValueError(f"rendezvous must be HOST:PORT, not {self.rendezvous!r}")


def _positive(options: Any, *names: str, optional: bool = False) -> None:
    for name in names:
        value = getattr(options, name)
        if not (optional and value is None) and not value > 0:
            raise ValueError(f"{name} must be greater than 0, not {value}")
