"""Writes tasks in the two forms that teachers are shown."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from alpaca_core import Example, Seed


def numbered(tasks: Iterable[Seed | Example]) -> str:
    """The tasks as items 1, 2, ..., each after a line of ``###``.

    As published with Stanford Alpaca: white space in the instruction becomes single blanks, colons at its end are
    taken off, and an empty input is ``<noinput>``.
    """
    return "".join(
        f"###\n{number}. Instruction: {one_line(task.instruction)}\n"
        f"{number}. Input:\n{task.input or '<noinput>'}\n"
        f"{number}. Output:\n{task.output}\n"
        for number, task in enumerate(tasks, start=1)
    )


def objects(tasks: Iterable[Seed | Example]) -> str:
    """The tasks as JSON, one to a line."""
    rows = ({"instruction": task.instruction, "input": task.input, "output": task.output} for task in tasks)
    return '{"tasks": [\n' + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]}"


def one_line(text: str) -> str:
    """``text`` without line breaks and without a colon at its end."""
    return re.sub(r"\s+", " ", text).strip().rstrip(":")
