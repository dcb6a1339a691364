"""TensorBoard, Weights & Biases and trackio: what ``trainer.report_to`` names is told of every step."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from alpaca_core import MissingError
from alpaca_fsdp.options import reporters

PROJECT = "alpacakit"
STEP = ("loss", "learning_rate", "grad_norm", "epoch", "tokens", "tokens_per_second", "memory", "mfu")


def require(report_to: str) -> None:
    """Raises MissingError when the package of one of them is not installed."""
    missing = [name for name in reporters(report_to) if find_spec(name) is None]
    if missing:
        raise MissingError(
            f"trainer.report_to names {' and '.join(missing)}, which cannot be imported.",
            hint=f"pip install {' '.join(missing)}",
        )


class Reports:
    """The trackers of one training, for its first process alone. One that fails is told of once and left out: nothing
    that a tracker does stops a training."""

    def __init__(self, report_to: str, out: Path, note: Callable[[str], None]) -> None:
        self._names, self._out, self._note = reporters(report_to), out, note
        self._trackers: dict[str, Any] = {}

    def begin(self, step: int) -> None:
        """Start them, after ``step`` of the training; what they were told of later steps is void."""
        for name in self._names:
            self._try(name, self._start, name, step)

    def step(self, step: int, values: Mapping[str, Any]) -> None:
        """Tell of a step, under the usual names: ``train/loss``, ``train/learning_rate`` and so on."""
        self._log({f"train/{name}": values[name] for name in STEP if values.get(name) is not None}, step)

    def samples(self, step: int, texts: list[str]) -> None:
        """Tell of sample answers."""
        self._log({f"samples/{place}": text for place, text in enumerate(texts)}, step)

    def close(self) -> None:
        for name, tracker in list(self._trackers.items()):
            self._try(name, tracker.finish)

    def _log(self, values: dict[str, Any], step: int) -> None:
        for name, tracker in list(self._trackers.items()):
            self._try(name, tracker.log, values, step)

    def _try(self, name: str, what: Callable[..., None], *arguments: Any) -> None:
        try:
            what(*arguments)
        except Exception as exc:  # whatever a tracker raises
            self._trackers.pop(name, None)
            said = (str(exc).strip().splitlines() or [""])[0]
            self._note(f"{name} is told nothing more, it failed: {type(exc).__name__}: {said}"[:500])

    def _start(self, name: str, step: int) -> None:
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS

        if name == "tensorboard":
            # TensorBoard hides what was written before for this step and later ones.
            tracker = LOGGER_TYPE_TO_CLASS[name]("tensorboard", str(self._out), purge_step=step + 1)
        else:
            run = {"name": f"{self._out.name}-{self._id()}", "resume": "allow"}  # by which trackio knows a run again
            if name == "wandb":
                run |= {"id": self._id(), "dir": str(self._out)}
            tracker = LOGGER_TYPE_TO_CLASS[name](os.environ.get(f"{name.upper()}_PROJECT", PROJECT), **run)
        tracker.start()
        self._trackers[name] = tracker

    def _id(self) -> str:
        """The same for every start of a training, another for one that begins anew: it lies with the checkpoints."""
        file = self._out / "checkpoints" / "run.id"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(uuid.uuid4().hex[:8], encoding="utf-8")
        return file.read_text(encoding="utf-8")
