"""metrics.jsonl: one line for each optimizer step, with its loss and what it took."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType

from alpaca_core.records import TrainEvent

NAME = "metrics.jsonl"
FIELDS = (
    *("step", "epoch", "loss", "learning_rate", "grad_norm", "tokens", "seconds"),
    *("tokens_per_second", "memory", "mfu"),
)


class StepLog:
    """Writes the steps of a training into ``folder``. A training that goes on from a checkpoint continues the file:
    what it does again replaces what was there."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._file = None

    def __enter__(self) -> StepLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def event(self, event: TrainEvent) -> None:
        """Write a ``step`` event; others pass by."""
        if event.kind != "step":
            return
        if self._file is None:
            draft = self._path.with_name(NAME + ".tmp")
            kept = "".join(line for line in self._lines() if json.loads(line)["step"] < event.step)
            draft.write_text(kept, encoding="utf-8")
            os.replace(draft, self._path)
            self._file = self._path.open("a", encoding="utf-8", buffering=1)
        self._file.write(json.dumps({name: getattr(event, name) for name in FIELDS}) + "\n")

    def _lines(self) -> list[str]:
        if not self._path.exists():
            return []
        lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True)
        return [line for line in lines if line.endswith("\n")]  # the last one may have been cut by a kill
