"""Data files of every format, by their suffix: read row by row, and written row by row, whole or not at all.

    read    .json, .jsonl, .csv (each also with .gz), .parquet, .arrow; any other name is tried as JSON
    written .json, .jsonl, .csv, .parquet

Only a JSON list is held in memory as a whole.
"""

from __future__ import annotations

import gzip
import json
import os
import pickle
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO, Protocol

from alpaca_core import arrowfiles, csvfiles, jsonfiles
from alpaca_core.errors import ConfigError

_TEXTS = ("instruction", "output")  # "input" may be left out
_COLUMNS = ("instruction", "input", "output")
_NO_COLUMNS = 'Rows have "instruction", "output" and, if there is one, "input". The columns found are: '

# -- reading


def records(path: Path, needed: Sequence[str] = _TEXTS) -> Iterator[tuple[str, Any]]:
    """Each row of the file with its place (``row 3``, ``line 3``). One that cannot be read comes as the ValueError that
    says so.

    Raises ConfigError when the file cannot be read or one of the columns ``needed`` is missing; MissingError when
    pyarrow is needed.
    """

    def check(columns: Sequence[str]) -> None:
        problems = [f"no column {name!r}" for name in needed if name not in columns]
        problems += [
            f"{columns.count(name)} columns {name!r}" for name in dict.fromkeys(columns) if columns.count(name) > 1
        ]
        if problems:
            found = ", ".join(map(repr, columns))
            raise ConfigError(f"The rows of {path} cannot be used:", problems=problems, hint=_NO_COLUMNS + found)

    try:
        if path.suffix in (".parquet", ".arrow"):
            yield from arrowfiles.records(path, check)
            return
        with _opened(path) as file:
            if path.name.removesuffix(".gz").endswith(".csv"):
                yield from csvfiles.records(file, check)
            else:
                yield from jsonfiles.records(file)
    except (OSError, EOFError, zlib.error) as exc:
        raise ConfigError(f"{path} cannot be read: {getattr(exc, 'strerror', None) or exc}.") from exc


def is_list(path: Path) -> bool:
    """Whether the file is a JSON list, which trainers read."""
    if path.suffix in (".parquet", ".arrow", ".gz", ".csv"):
        return False
    with path.open("rb") as file:
        return jsonfiles.is_list(file)


def _opened(path: Path) -> Any:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


# -- writing


class Writer(Protocol):
    """Takes rows one at a time. ``finish`` is called after the last."""

    def write(self, record: Mapping[str, Any]) -> None: ...
    def finish(self) -> None: ...


@contextmanager
def unfinished(*paths: Path) -> Iterator[list[BinaryIO]]:
    """Files for the content of ``paths``. All of these appear when the block ends well, and none does if not: readers
    see the old files or the new ones."""
    drafts = [path.with_name(f".{path.name}.{os.getpid()}.tmp") for path in paths]
    try:
        with ExitStack() as stack:
            for path in paths:
                path.parent.mkdir(parents=True, exist_ok=True)
            files = [stack.enter_context(draft.open("wb")) for draft in drafts]
            yield files
            for file in files:
                file.flush()
                os.fsync(file.fileno())
        for draft, path in zip(drafts, paths, strict=True):
            os.replace(draft, path)
    except BaseException:
        for draft in drafts:
            draft.unlink(missing_ok=True)
        raise


@contextmanager
def writers(*paths: Path) -> Iterator[list[Writer]]:
    """A writer for each of ``paths``, by its suffix; without one, a JSON list. As ``unfinished``, all or none appear.

    Raises ConfigError for a suffix that is not written, MissingError where pyarrow is missing: before anything is made.
    """
    formats = check_written(*paths)
    with unfinished(*paths) as files, ExitStack() as stack:
        made = [kind(file, stack) for kind, file in zip(formats, files, strict=True)]
        yield made
        for writer in made:
            writer.finish()


def check_written(*paths: Path) -> list[Any]:
    """Raise what ``writers`` would raise for ``paths``."""
    return [_format(path) for path in paths]


def _format(path: Path) -> Any:
    if path.suffix == ".parquet":
        arrowfiles.require(path)
    if path.suffix not in _FORMATS:
        written = ", ".join(suffix for suffix in _FORMATS if suffix)
        raise ConfigError(f"{path}: rows are not written as '{path.suffix}'.", hint=f"Use one of {written}.")
    return _FORMATS[path.suffix]


class _List:
    """Stanford's: ASCII, indented by four, no newline at the end. What ``json.dump(rows, file, indent=4)`` gives, which
    runs in Python alone: texts, as nearly all values are, go a faster way."""

    def __init__(self, file: BinaryIO, _: ExitStack) -> None:
        self._file, self._before = file, b"[\n    "

    def write(self, record: Mapping[str, Any]) -> None:
        fields = ",\n        ".join(f"{json.dumps(name)}: {self._value(value)}" for name, value in record.items())
        text = f"{{\n        {fields}\n    }}" if fields else "{}"
        self._file.write(self._before + text.encode())
        self._before = b",\n    "

    @staticmethod
    def _value(value: Any) -> str:
        if isinstance(value, str):
            return json.dumps(value)
        return json.dumps(value, indent=4, default=csvfiles.plain).replace("\n", "\n        ")

    def finish(self) -> None:
        self._file.write(b"\n]" if self._before[:1] == b"," else b"[]")


class _Lines:
    """An object a line, readable in every script."""

    def __init__(self, file: BinaryIO, _: ExitStack) -> None:
        self._file = file

    def write(self, record: Mapping[str, Any]) -> None:
        self._file.write(encoded(json.dumps(record, ensure_ascii=False, default=csvfiles.plain) + "\n"))

    def finish(self) -> None:
        pass


class _Table:
    """Columns are known after the last row only, so the rows wait in a file without a name until then."""

    def __init__(self, file: BinaryIO, stack: ExitStack) -> None:
        self._file = file
        self._waiting = stack.enter_context(TemporaryFile(dir=Path(file.name).parent))
        self._columns: dict[str, None] = {}

    def write(self, record: Mapping[str, Any]) -> None:
        pickle.dump(record, self._waiting)
        self._columns.update(dict.fromkeys(record))

    def rows(self) -> Iterator[Mapping[str, Any]]:
        self._waiting.seek(0)
        while self._waiting.peek(1):
            yield pickle.load(self._waiting)

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self._columns) or _COLUMNS


class _Csv(_Table):
    def finish(self) -> None:
        csvfiles.write(self._file, self.columns, self.rows())


class _Parquet(_Table):
    def finish(self) -> None:
        arrowfiles.write(self._file, self.columns, self.rows)


_FORMATS = {".json": _List, ".jsonl": _Lines, ".csv": _Csv, ".parquet": _Parquet, "": _List}


def encoded(text: str) -> bytes:
    """UTF-8. Half a surrogate pair, which a teacher may write, has none; ``\\udXXX`` is its JSON escape."""
    return text.encode("utf-8", "backslashreplace")
