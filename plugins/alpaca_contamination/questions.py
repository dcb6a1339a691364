"""The questions of evaluation files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from alpaca_core import ConfigError

FIELDS = ("instruction", "prompt", "question")  # of a row, the first that holds text
_MOST_PROBLEMS = 20


class Question(NamedTuple):
    """A question and where it stands, for people: ``gsm8k.jsonl, line 12``."""

    place: str
    text: str


def read_questions(path: Path) -> list[Question]:
    """The questions of ``path``, a JSON list or a JSON Lines file of rows with one of ``FIELDS``, in their order.

    The ``input`` of a row follows its instruction. Raises ConfigError for a file that cannot be read or has no row, and
    with the place of each row that holds no question, twenty at most.
    """
    questions: list[Question] = []
    problems: list[str] = []
    for place, row in _rows(path):
        text = _text(row)
        if text:
            questions.append(Question(f"{path.name}, {place}", text))
        else:
            problems.append(f"{place}: expected a JSON object with text in {', '.join(FIELDS[:-1])} or {FIELDS[-1]}")
    if not questions and not problems:
        problems = ["it holds no row"]
    if problems:
        more = len(problems) - _MOST_PROBLEMS
        shown = problems[:_MOST_PROBLEMS] + ([f"… and {more:,} more"] if more > 0 else [])
        raise ConfigError(
            f"The evaluation questions of {path} cannot be used:",
            problems=shown,
            hint='A row looks like {"question": "..."}',
        )
    return questions


def _text(row: Any) -> str:
    if not isinstance(row, dict):
        return ""
    text = next((row[name] for name in FIELDS if isinstance(row.get(name), str) and row[name].strip()), "")
    input = row.get("input")
    return f"{text}\n{input}" if text and isinstance(input, str) and input.strip() else text


def _rows(path: Path) -> Iterator[tuple[str, Any]]:
    """Each row with its place; None for one that is not JSON."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(
            f"The evaluation questions of {path} cannot be read: {getattr(exc, 'strerror', None) or exc}",
            hint="Check --set filter.contamination.files",
        ) from exc
    if text.lstrip().startswith("["):
        rows = _json(text)
        yield from ((f"row {number}", row) for number, row in enumerate([None] if rows is None else rows, start=1))
    else:  # not splitlines: JSON text may hold U+2028
        lines = enumerate(text.split("\n"), start=1)
        yield from ((f"line {number}", _json(line)) for number, line in lines if line.strip())


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
