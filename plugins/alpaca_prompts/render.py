"""Writes tasks as the numbered list that teachers are shown."""

from __future__ import annotations

import re
from collections.abc import Iterable

from alpaca_core import Seed


def numbered(tasks: Iterable[Seed]) -> str:
    """The tasks as items 1, 2, ..., each after a line of ``###``.

    As published with Stanford Alpaca: white space in the instruction becomes single blanks, colons at its end are
    taken off, and an empty input is ``<noinput>``.
    """
    return "".join(
        f"###\n{number}. Instruction: {_one_line(task.instruction)}\n"
        f"{number}. Input:\n{task.input or '<noinput>'}\n"
        f"{number}. Output:\n{task.output}\n"
        for number, task in enumerate(tasks, start=1)
    )


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().rstrip(":")
