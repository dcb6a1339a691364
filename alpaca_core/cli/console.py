"""What people and programs read: data goes to stdout, talk to stderr.

Colour only on a terminal, and never where ``NO_COLOR`` is set. rich is imported where progress is drawn.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from alpaca_core.records import Plan


def is_terminal() -> bool:
    """Whether a person watches stderr: progress bars belong there only then."""
    return sys.stderr.isatty()


def say(text: str = "", *, dim: bool = False) -> None:
    """Tell a person something, on stderr."""
    if dim and is_terminal() and not os.environ.get("NO_COLOR"):
        text = f"\x1b[2m{text}\x1b[0m"
    print(text, file=sys.stderr, flush=True)


def out(text: str = "") -> None:
    """Write data to stdout."""
    print(text)


def emit_json(value: Any) -> None:
    """Write one JSON document to stdout, readable and without ANSI."""
    out(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write aligned columns to stdout, under ``headers``. Empty cells show as ``-``."""
    cells = [list(headers), *([str(cell) or "-" for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        out("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def shell_line(plan: Plan) -> str:
    """The line to paste into a shell for what ``plan`` would start."""
    env = "".join(f"{name}={shlex.quote(value)} " for name, value in plan.env.items())
    return env + shlex.join(plan.argv)


def console() -> Console:
    """A rich console on stderr, which leaves square brackets alone and obeys ``NO_COLOR``."""
    from rich.console import Console

    return Console(stderr=True, markup=False, highlight=False)
