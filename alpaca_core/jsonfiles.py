"""Records from JSON lists and JSON Lines files, with the place of each and every mistake told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from alpaca_core.errors import ConfigError


def decode(data: bytes, title: str) -> str:
    """``data`` as UTF-8, without the byte order mark that some editors write. ``title`` begins the error's text."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        raise ConfigError(
            f"{title} cannot be used:",
            problems=[f"line {line}: byte 0x{data[exc.start]:02x} is not UTF-8"],
            hint="Save the file as UTF-8.",
        ) from exc


def records(text: str) -> Iterator[tuple[str, Any]]:
    """Each record with its place (``row 3`` of a list, ``line 3`` of JSON Lines). One that is not JSON comes as the
    ValueError that says so."""
    if not text.lstrip().startswith("["):
        for number, line in enumerate(text.split("\n"), start=1):  # not splitlines: JSON text may hold U+2028
            if line.strip():
                yield f"line {number}", _json(line)
        return
    rows = _json(text)
    if isinstance(rows, list):
        yield from ((f"row {number}", row) for number, row in enumerate(rows, start=1))
    else:
        yield f"line {getattr(rows, 'lineno', 1)}", rows


def no_object(record: Any) -> str:
    """What is wrong with a record that is no JSON object; empty for one that is."""
    if isinstance(record, ValueError):
        return f"not JSON: {getattr(record, 'msg', record)}"
    return "" if isinstance(record, dict) else f"expected a JSON object, found {type(record).__name__}"


def no_text(value: Any) -> str:
    """What is wrong with a value that should be text; empty for text that UTF-8 can hold."""
    if value is None:
        return "missing"
    if not isinstance(value, str):
        return f"expected text, found {type(value).__name__}"
    try:
        value.encode()
    except UnicodeEncodeError:
        return "half of a surrogate pair, which is not text"
    return ""


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as exc:
        return exc
    except (ValueError, RecursionError):
        return ValueError("a number or a nesting without end")
