"""A trainer that writes a script for TRL, with the run's data beside it, and runs it where TRL is installed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from alpaca_core import TrainerSpec, hookimpl


def option(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class TrlOptions:
    """Each is an argument of TRL's ``SFTConfig``, but for ``launch``."""

    epochs: float = option(3.0, "Passes over the data.")
    max_steps: int = option(-1, "Stop after so many steps; -1: as many as epochs take.")
    batch_size: int = option(8, "Examples of one step on each device.")
    learning_rate: float = option(2e-5, "Peak learning rate.")
    max_length: int = option(512, "Tokens of an example; longer ones are cut.")
    save_steps: int = option(500, "Write a checkpoint every so many steps.")
    device: str = option("auto", "auto: a GPU if there is one; cpu.")
    launch: bool = option(True, "Run the script; false: write it, for another machine.")

    def __post_init__(self) -> None:
        names = ("epochs", "batch_size", "learning_rate", "max_length", "save_steps")
        wrong = [f"{name} must be above 0, not {getattr(self, name)}" for name in names if not getattr(self, name) > 0]
        if self.device not in ("auto", "cpu"):
            wrong.append(f"device must be auto or cpu, not {self.device}")
        if wrong:
            raise ValueError("\n".join(wrong))


@hookimpl
def alpaca_trainers() -> Iterable[TrainerSpec]:
    return [
        TrainerSpec(
            name="trl",
            target="alpacakit_trl.trainer:TrlTrainer",
            summary="Writes a script for TRL's SFTTrainer, and runs it where TRL is installed.",
            extra="alpacakit-trl[trl]",
            options=TrlOptions,
        )
    ]
