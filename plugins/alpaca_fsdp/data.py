"""The training rows: a JSON list of objects with instruction, input and output."""

from __future__ import annotations

import hashlib
import json
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from alpaca_core import ChatTemplate, ConfigError, Example


def read(path: Path) -> list[Example]:
    """The rows of ``path``, their row numbers (from 0) as ids. Raises ConfigError naming file, row and field."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise ConfigError(f"Cannot read the training data {path}: {exc.strerror}.") from exc
    except ValueError as exc:
        raise ConfigError(f"The training data {path} is not JSON: {exc}.") from exc
    if not isinstance(rows, list) or not rows:
        raise ConfigError(f"The training data {path} must be a JSON list of at least one row.")
    return [_example(path, number, row) for number, row in enumerate(rows)]


def _example(path: Path, number: int, row: Any) -> Example:
    if not isinstance(row, dict):
        raise ConfigError(f"{path}, row {number}: expected an object, found {type(row).__name__}.")
    fields = {"instruction": row.get("instruction"), "input": row.get("input", ""), "output": row.get("output")}
    for name, value in fields.items():
        if not isinstance(value, str):
            found = "nothing" if name not in row else type(value).__name__
            raise ConfigError(f"{path}, row {number}, field {name!r}: expected a text, found {found}.")
    return Example(id=str(number), **fields)


def digest(path: Path) -> str:
    """SHA-256 of the file, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_template(target: str, options: dict[str, Any]) -> ChatTemplate:
    """The chat template that ``module:Class`` names, built with its options."""
    module, _, name = target.partition(":")
    template = getattr(import_module(module), name)
    return template(SimpleNamespace(**options)) if options else template()


def fixed_lines(template: ChatTemplate) -> list[str]:
    """The texts that every prompt of ``template`` repeats, between the fields of the example. Longest first."""
    instruction, given = "\ue000", "\ue001"  # private-use characters stand for the fields
    lines: set[str] = set()
    for example in (Example(instruction, given, ""), Example(instruction, "", "")):
        for part in template.prompt(example).split(instruction):
            lines.update(part.split(given))
    return sorted(filter(str.strip, lines), key=lambda line: (-len(line), line))
