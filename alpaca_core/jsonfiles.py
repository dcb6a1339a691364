"""Records from JSON lists and JSON Lines files, with the place of each and every mistake told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain
from typing import Any, BinaryIO

_MARK = b"\xef\xbb\xbf"  # the byte order mark that some editors write


def records(file: BinaryIO) -> Iterator[tuple[str, Any]]:
    """Each record with its place (``row 3`` of a list, ``line 3`` of JSON Lines). One that cannot be read comes as the
    ValueError that says so. A list is read whole, JSON Lines line by line."""
    head, is_list = _head(file)
    if is_list:
        rows = _json(head + file.read())
        if isinstance(rows, list):
            yield from ((f"row {number}", row) for number, row in enumerate(rows, start=1))
        else:
            yield f"line {getattr(rows, 'lineno', 1)}", rows
        return
    lines = chain(head.split(b"\n")[:-1] if head.endswith(b"\n") else [head], file)
    for number, line in enumerate(lines, start=1):  # ends in \n only: JSON text may hold U+2028
        if line.strip():
            yield f"line {number}", _json(line)


def is_list(file: BinaryIO) -> bool:
    """Whether ``file`` begins as a JSON list does."""
    return _head(file)[1]


def no_object(record: Any) -> str:
    """What is wrong with a record that is no JSON object; empty for one that is."""
    if isinstance(record, UnicodeDecodeError):
        return f"byte 0x{record.object[record.start]:02x} is not UTF-8"
    if isinstance(record, json.JSONDecodeError):
        return f"not JSON: {record.msg}"
    if isinstance(record, ValueError):
        return str(record)
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


def _head(file: BinaryIO) -> tuple[bytes, bool]:
    """The lines up to the first that is not blank, without a byte order mark, and whether a list begins there."""
    head = file.readline().removeprefix(_MARK)
    last = head
    while last and not last.strip():
        last = file.readline()
        head += last
    return head, last.lstrip().startswith(b"[")


def _json(data: bytes) -> Any:
    try:
        return json.loads(data.decode())
    except json.JSONDecodeError as exc:
        return exc
    except UnicodeDecodeError as exc:
        exc.lineno = data.count(b"\n", 0, exc.start) + 1  # type: ignore[attr-defined]  # as a JSONDecodeError has
        return exc
    except (ValueError, RecursionError):
        return ValueError("not JSON: a number or a nesting without end")
