"""A file of JSON lines that each belong to an optimizer step, and stay true to the checkpoints."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any


class StepFile:
    """Lines with a ``step``, written as the steps are done: those up to a checkpoint are in the system's hands before
    the checkpoint is begun. A training that goes on from one keeps the lines up to its step and writes the rest anew,
    so that no line is missing and none is there twice, however the process before ended."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[str] | None = None

    def begin(self, step: int) -> None:
        """Keep what belongs to steps up to ``step``; nothing where the training begins anew."""
        kept = [line for line in _lines(self.path) if step and json.loads(line)["step"] <= step]
        draft = self.path.with_name(self.path.name + ".tmp")
        draft.write_text("".join(kept), encoding="utf-8")
        os.replace(draft, self.path)
        self._file = self.path.open("a", encoding="utf-8", errors="replace")  # a row may hold half a surrogate pair

    def write(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Add ``lines``, all at once."""
        assert self._file is not None, "begin comes first"
        self._file.write("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
        self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _lines(path: Path) -> list[str]:
    """The whole lines of ``path``: a kill may have cut the last one. Texts may hold other ends of lines than ours."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="\n") as file:
        return [line for line in file if line.endswith("\n")]
