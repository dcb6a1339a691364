"""What the options set to None become, by student."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

from alpaca_fsdp.options import LocalOptions


@dataclass(frozen=True)
class Architecture:
    """A LLaMA from scratch, with tied embeddings. ``vocabulary`` is what its tokenizer has at most, before the lines
    of the chat template."""

    hidden: int
    feed_forward: int
    layers: int
    heads: int
    vocabulary: int
    init: float  # standard deviation of the first weights


ARCHITECTURES = {
    "new:tiny": Architecture(hidden=128, feed_forward=352, layers=4, heads=4, vocabulary=2000, init=0.05),
    "new:small": Architecture(hidden=512, feed_forward=1376, layers=8, heads=8, vocabulary=8000, init=0.02),
}

# Fine-tuning keeps to the published Alpaca recipe (README of tatsu-lab/stanford_alpaca).
PUBLISHED = {
    "learning_rate": 2e-5,
    "optimizer": "adamw",
    "schedule": "cosine",
    "warmup": 0.03,
    "weight_decay": 0.0,
}
RECIPES = {
    "new:tiny": {
        "learning_rate": 8e-3,
        "optimizer": "muon",
        "schedule": "linear",
        "warmup": 0.03,
        "weight_decay": 0.01,
    },
    "new:small": {
        "learning_rate": 1e-3,
        "optimizer": "adamw",
        "schedule": "cosine",
        "warmup": 0.03,
        "weight_decay": 0.1,
    },
}

Options = TypeVar("Options", bound=LocalOptions)


def resolved(options: Options, student: str) -> Options:
    """``options`` with every None filled in as ``student`` needs it."""
    recipe = RECIPES.get(student, PUBLISHED)
    return replace(options, **{name: v for name, v in recipe.items() if getattr(options, name) is None})
