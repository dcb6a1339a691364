"""Options of the teacher ``transformers``. Standard library only: read at start-up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class TransformersOptions:
    """``model`` has to be given; everything else has a default that works."""

    model: str = field(default="", metadata={"help": "a folder or hub id of a causal language model"})
    device: Literal["auto", "cpu", "cuda", "mps"] = field(
        default="auto", metadata={"help": "where to run: auto takes a GPU if there is one"}
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = field(
        default="auto", metadata={"help": "arithmetic: auto is as the model was saved"}
    )
    batch_size: int | None = field(
        default=None, metadata={"help": "requests answered together (default: 128 below 100M parameters, else 16)"}
    )
    temperature: float = field(default=0.0, metadata={"help": "0 always takes the likeliest token"})

    def __post_init__(self) -> None:
        if self.batch_size is not None and self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {self.batch_size}")
        if self.temperature < 0:
            raise ValueError(f"temperature must not be negative, not {self.temperature}")
