"""Marks that people make on rows by hand: keep, drop or edit, one JSON object a line, in a file to commit and compare.

    {"action": "edit", "id": "000012.03", "row": "9c1e6a0f3b2d4e57", "output": "Paris", "note": "it said Lyon",
     "about": "Name the capital of France.", "when": "2026-05-01T09:30:00Z"}

A mark belongs to the texts of a row, not to its place: ``row`` is ``key`` of them. ``id`` and ``about`` (how the
instruction begins) are for people. The last mark on a row counts; ``clear`` takes the others back.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from alpaca_core.datafiles import encoded
from alpaca_core.errors import ConfigError
from alpaca_core.jsonfiles import is_list, no_object, no_text, records

EDITS = "edits.jsonl"  # in a run folder; beside a data file it is FILE.edits.jsonl
TEXTS = ("instruction", "input", "output")

Action = Literal["keep", "drop", "edit", "clear"]
_ACTIONS = ("keep", "drop", "edit", "clear")
_ROW = re.compile(r"[0-9a-f]{16}")
_ABOUT = 80
_MOST_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class Mark:
    """One mark. Of ``edit`` the texts are those that replace the row's; None leaves one as it is."""

    action: Action
    row: str
    id: str = ""
    instruction: str | None = None
    input: str | None = None
    output: str | None = None
    note: str = ""
    about: str = ""
    when: str = ""

    @property
    def texts(self) -> dict[str, str]:
        """The texts that an edit replaces."""
        return {name: text for name in TEXTS if (text := getattr(self, name)) is not None}


def key(instruction: str, input: str, output: str) -> str:
    """What a mark knows a row by: the first 16 hexadecimal digits of the SHA-256 of the three texts, as a JSON list in
    ASCII with ", " between them."""
    return hashlib.sha256(json.dumps([instruction, input, output]).encode()).hexdigest()[:16]


def about(instruction: str) -> str:
    """How ``instruction`` begins, in one line."""
    line = " ".join(instruction[: 2 * _ABOUT].encode("utf-8", "replace").decode().split())
    return line if len(line) <= _ABOUT else line[: _ABOUT - 1] + "…"


def now() -> str:
    """A mark's ``when``: UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def mistakes(record: Any) -> list[str]:
    """What is wrong with ``record`` as a mark, each with its field; empty for one that can be used."""
    if mistake := no_object(record):
        return [mistake]
    found = [
        f"{name}: {mistake}"
        for name in Mark.__slots__
        if record.get(name) is not None and (mistake := no_text(record[name]))
    ]
    found += [f"{name}: no such field" for name in record if name not in Mark.__slots__]
    if record.get("action") not in _ACTIONS:
        found.append(f"action: expected one of {', '.join(_ACTIONS)}, found {_shown(record.get('action'))}")
    row = record.get("row")
    if not (isinstance(row, str) and _ROW.fullmatch(row)):
        found.append(f"row: expected 16 hexadecimal digits, found {_shown(row)}")
    given = [name for name in TEXTS if record.get(name) is not None]
    if record.get("action") == "edit" and not given:
        found.append(f"edit: expected a new text for one of {', '.join(TEXTS)}")
    if record.get("action") in ("keep", "drop", "clear"):
        found += [f"{name}: only an edit has new texts" for name in given]
    return found


def _shown(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value)[:40]


def read_marks(path: Path) -> dict[str, Mark]:
    """The marks of the file ``path`` that count, by the rows' keys, in the order of their making; none where there is
    no file. Raises ConfigError for a damaged file: ``problems`` name line and field, twenty at most."""
    marks: dict[str, Mark] = {}
    problems: list[str] = []
    if not path.exists():
        return marks
    try:
        with path.open("rb") as file:
            if is_list(file):
                raise ConfigError(f"{path} is a JSON list.", hint="Marks are JSON Lines: one object a line.")
            file.seek(0)
            for place, record in records(file):
                found = mistakes(record)
                problems += [f"{place}: {mistake}" for mistake in found]
                if found or problems:
                    continue
                mark = Mark(**{name: value for name, value in record.items() if value is not None})
                marks.pop(mark.row, None)
                if mark.action != "clear":
                    marks[mark.row] = mark
    except OSError as exc:
        raise ConfigError(f"{path} cannot be read: {exc.strerror}.") from exc
    if problems:
        more = len(problems) - _MOST_PROBLEMS
        shown = problems[:_MOST_PROBLEMS] + ([f"… and {more:,} more"] if more > 0 else [])
        raise ConfigError(
            f"The marks of {path} cannot be used:", problems=shown, hint="Mend or remove these lines; no mark is lost."
        )
    return marks


def add_mark(path: Path, mark: Mark) -> None:
    """Write ``mark`` behind the others, a whole line or nothing; the disk has it when this returns."""
    record = {name: value for name, value in asdict(mark).items() if value not in (None, "") or name in mark.texts}
    order = ("action", "id", "row", *TEXTS, "note", "about", "when")
    line = encoded(json.dumps({name: record[name] for name in order if name in record}, ensure_ascii=False) + "\n")
    with _held(path) as file:
        size = os.fstat(file).st_size
        if size and os.pread(file, 1, size - 1) != b"\n":  # an editor left the last line open
            line = b"\n" + line
        try:
            if os.write(file, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            os.fsync(file)
        except OSError:
            os.ftruncate(file, size)
            raise


@contextmanager
def _held(path: Path) -> Iterator[int]:
    """The file ``path``, made where it is missing, held by this process: not one that was moved away meanwhile."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                same = os.path.samestat(os.stat(path), os.fstat(file))
            except FileNotFoundError:
                same = False
            if same:
                yield file
                return
        finally:
            os.close(file)


def start_over(folder: Path, aside: Path) -> None:
    """Move the run ``folder`` to ``aside`` and put an empty one in its place, with a copy of the marks in it."""
    fresh = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    fresh.mkdir()
    if not (folder / EDITS).exists():
        os.rename(folder, aside)
        os.rename(fresh, folder)
        return
    with _held(folder / EDITS):  # a mark that is made now waits, and goes into the new folder
        shutil.copy2(folder / EDITS, fresh / EDITS)
        os.rename(folder, aside)
        os.rename(fresh, folder)


def summary_of(marks: Mapping[str, Mark]) -> dict[str, int]:
    """How many marks of each action there are."""
    return {action: sum(mark.action == action for mark in marks.values()) for action in ("drop", "edit", "keep")}
