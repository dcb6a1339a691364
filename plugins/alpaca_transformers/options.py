"""Options of the teacher ``transformers``. Standard library only: read at start-up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class TransformersOptions:
    """``model`` has to be given; everything else has a default that works."""

    model: str = field(default="", metadata={"help": "a folder or hub id of a causal language model"})
    device: Literal["auto", "cpu", "cuda", "mps"] = field(
        default="auto", metadata={"help": "where to run: auto takes a GPU if there is one", "identity": False}
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = field(
        default="auto",
        metadata={"help": "arithmetic: auto is as the model was saved, but bfloat16 for large float32 ones on a GPU"},
    )
    batch_size: int | None = field(
        default=None,
        metadata={
            "help": "requests answered together; none: 64 on a GPU, 16 on a CPU",
            "identity": False,
        },
    )
    temperature: float | None = field(
        default=None,
        metadata={"help": "0 always takes the likeliest token; none: as the model recommends, else 0.8"},
    )
    top_p: float | None = field(
        default=None,
        metadata={"help": "draw from the likeliest tokens of this share; none: as the model recommends, else 0.95"},
    )

    def __post_init__(self) -> None:
        if self.batch_size is not None and self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {self.batch_size}")
        if self.temperature is not None and self.temperature < 0:
            raise ValueError(f"temperature must not be negative, not {self.temperature}")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be above 0 and at most 1, not {self.top_p}")
