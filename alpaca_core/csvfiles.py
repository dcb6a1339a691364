"""Rows from CSV files, and back: commas, a header, quotes doubled inside quotes (RFC 4180), UTF-8."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from io import TextIOWrapper
from typing import Any, BinaryIO

_LONGEST = 2**26  # bytes of one field: a quote that nobody closed does not read a whole file into memory


def records(file: BinaryIO, check: Callable[[Sequence[str]], None]) -> Iterator[tuple[str, Any]]:
    """Each row as a dict of texts, with its place: ``line 3``, where it begins. One that cannot be read comes as the
    ValueError that says so. ``check`` is called with the columns before the first row."""
    csv.field_size_limit(_LONGEST)
    reader = csv.reader(_lines(file), strict=True)
    columns: list[str] | None = None
    while True:
        place = f"line {reader.line_num + 1}"
        try:
            row = next(reader)
        except StopIteration:
            return
        except UnicodeDecodeError as exc:
            yield f"line {reader.line_num + 1}", exc
            return
        except csv.Error as exc:
            yield place, ValueError(f"not CSV: {exc}")
            continue
        if not row:  # a blank line
            continue
        if columns is None:
            columns = row
            check(columns)
        elif len(row) != len(columns):
            yield place, ValueError(f"{len(row)} fields, and the header has {len(columns)}")
        else:
            yield place, dict(zip(columns, row, strict=True))


def write(file: BinaryIO, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a header and ``rows``. A key that a row lacks, and null, become empty; see ``cell`` for the others."""
    text = TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([cell(row.get(name)) for name in columns] for row in rows)
    text.flush()
    text.detach()


def cell(value: Any) -> str | None:
    """``value`` where only text can be: text and null as they are, dates in ISO 8601, anything else as JSON.

    Half a surrogate pair, which no file of text can hold, becomes its JSON escape.
    """
    if value is None:
        return None
    if not isinstance(value, str | int | float | list | tuple | dict):
        value = plain(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=plain)
    return text.encode("utf-8", "backslashreplace").decode()


def plain(value: Any) -> str:
    """Text for a value that JSON does not know, as Parquet has them: dates in ISO 8601, others as they print."""
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _lines(file: BinaryIO) -> Iterator[str]:
    for number, line in enumerate(file):
        yield (line if number else line.removeprefix(b"\xef\xbb\xbf")).decode()
