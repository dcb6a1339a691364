"""What the options set to None become, by student."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeVar

from alpaca_core import ConfigError
from alpaca_fsdp.options import LocalOptions


@dataclass(frozen=True)
class Architecture:
    """A LLaMA from scratch, with tied embeddings. ``vocabulary`` is what its tokenizer has at most, before the lines
    of the chat template. ``init`` is the standard deviation of the first weights; with ``mimetic``, attention starts as
    "look at what is alike and copy it" (queries as keys, output as the values' transpose: after Trockman and Kolter,
    "Mimetic Initialization of Self-Attention Layers", 2023), which a student with few steps would else have to find."""

    hidden: int
    feed_forward: int
    layers: int
    heads: int
    vocabulary: int
    init: float
    mimetic: bool = False


ARCHITECTURES = {
    "new:tiny": Architecture(hidden=128, feed_forward=352, layers=3, heads=4, vocabulary=1500, init=0.05, mimetic=True),
    "new:small": Architecture(hidden=512, feed_forward=1376, layers=8, heads=8, vocabulary=8000, init=0.02),
}

# Fine-tuning keeps to the published Alpaca recipe (README of tatsu-lab/stanford_alpaca).
PUBLISHED = {"learning_rate": 2e-5, "schedule": "cosine", "warmup": 0.03, "weight_decay": 0.0, "beta2": 0.999}
# LoRA wants a larger rate: 3e-4 is what the published Alpaca-LoRA trained with (finetune.py of tloen/alpaca-lora).
PUBLISHED_LORA = PUBLISHED | {"learning_rate": 3e-4}
RECIPES = {
    "new:tiny": {"learning_rate": 2e-3, "schedule": "linear", "warmup": 0.03, "weight_decay": 0.1, "beta2": 0.98},
    "new:small": {"learning_rate": 1e-3, "schedule": "cosine", "warmup": 0.03, "weight_decay": 0.1, "beta2": 0.98},
}

# Sets of options by name, for ``trainer.preset``. They fill in what is None. Those of machines hold a LLaMA of 6.7
# billion parameters by the plan's numbers (memory.py).
_KEPT = {"checkpointing": "none", "optimizer_bits": 32, "offload": False}
PRESETS: dict[str, dict[str, Any]] = {
    # The published training to the token, the step and the loss: docs/training-parity.md.
    "alpaca-2023": {**PUBLISHED, "encoding": "text", "stepping": "trainer", "pad_row": True},
    # Four A100-80GB: the machine of the published command.
    "a100-4x80": {"processes": 4, "micro_tokens": 4096, "reshard": False, **_KEPT},
    "h200": {"processes": 1, "micro_tokens": 2048, "reshard": False, **_KEPT},
    # One GPU with 24 GB holds the frozen weights in bfloat16, and LoRA's adapters.
    "consumer-24gb": {"processes": 1, "micro_tokens": 4096, "lora_rank": 16, **_KEPT, "checkpointing": "full"},
    "cpu": {"processes": 2, "micro_tokens": 4096, "reshard": False, **_KEPT},
}
# What every training does whose presets do not speak of it.
USUAL = {"encoding": "ids", "stepping": "own", "pad_row": False}

Options = TypeVar("Options", bound=LocalOptions)


def resolved(options: Options, student: str) -> Options:
    """``options`` with every None filled in: as the first preset that does so says, or else as ``student`` needs it."""
    preset: dict[str, Any] = {}
    for name in reversed(presets(options.preset)):
        preset |= PRESETS[name]
    rank = options.lora_rank or preset.get("lora_rank")
    recipe = USUAL | RECIPES.get(student, PUBLISHED_LORA if rank else PUBLISHED)
    recipe |= ({"lora_alpha": 2.0 * rank} if rank else {}) | preset
    return replace(options, **{name: v for name, v in recipe.items() if getattr(options, name, 0) is None})


def presets(text: str) -> list[str]:
    """The names in ``trainer.preset``. Raises ConfigError for one that does not exist."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in PRESETS:
            raise ConfigError(f"There is no preset {name!r}.", hint=f"Presets are {', '.join(PRESETS)}.")
    return names
