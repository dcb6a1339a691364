"""Marks laid over rows: what people kept, dropped and edited by hand, applied when rows go to files and to a trainer.

No verdict changes by it, of the marked row or of another: marks are applied to what the filters left, and the journal
stays as it is.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from alpaca_core.datafolders import data_files
from alpaca_core.dataset import read_rows
from alpaca_core.errors import AlpacaError
from alpaca_core.marks import EDITS, Mark, key, read_marks
from alpaca_core.records import Example
from alpaca_core.reuse import opened
from alpaca_core.runs import DATA, HELDOUT, JOURNAL

BY_HAND = "edits"  # what stands as the filter of a row that was dropped by hand
_MOST_MISSING = 5


@dataclass(frozen=True, slots=True)
class Row:
    """A row with the verdict on it: ``filter`` and ``reason`` say who rejected it and why, ``flags`` are remarks."""

    example: Example
    kept: bool = True
    filter: str = ""
    reason: str = ""
    flags: tuple[str, ...] = ()

    @property
    def rejection(self) -> dict[str, Any]:
        """For rejected.jsonl."""
        row = self.example
        texts = {"instruction": row.instruction, "input": row.input, "output": row.output}
        return {"id": row.id, **texts, "filter": self.filter, "reason": self.reason}


@dataclass(frozen=True)
class Overlaid:
    """``rows`` in their order, as the marks leave them, and which marks did what: the ids of rows ``dropped`` and
    ``taken_in`` in spite of a filter, and the new texts of those ``edited``. ``idle`` marks changed nothing (a drop of
    a rejected row, a keep of a kept one); the rows of ``missing`` ones are not here."""

    rows: Sequence[Row]
    marks: int = 0
    dropped: Sequence[str] = ()
    taken_in: Sequence[str] = ()
    edited: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    idle: int = 0
    missing: Sequence[Mark] = ()

    @property
    def kept(self) -> list[Example]:
        return [row.example for row in self.rows if row.kept]

    @property
    def rejected(self) -> list[Row]:
        return [row for row in self.rows if not row.kept]

    @property
    def counts(self) -> dict[str, int]:
        """How many rows each filter rejected, the largest first."""
        counts = Counter(row.filter for row in self.rows if not row.kept)
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def summary(self) -> dict[str, int]:
        """For JSON: how many marks there are, and rows by what became of them."""
        return {
            "marks": self.marks,
            "dropped": len(self.dropped),
            "taken_in": len(self.taken_in),
            "edited": len(self.edited),
            "idle": self.idle,
            "missing": len(self.missing),
        }

    def told(self, file: Path) -> list[str]:
        """What to tell a person of the marks in ``file``; nothing where there are none."""
        if not self.marks:
            return []
        counts = {
            "dropped": len(self.dropped),
            "edited": len(self.edited),
            "taken in": len(self.taken_in),
            "without effect": self.idle,
        }
        said = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
        applied = self.marks - len(self.missing)
        lines = [f"{_marks(applied)} of {file} applied{f': {said}' if said else ''}."]
        if self.missing:
            has = "mark has no row" if len(self.missing) == 1 else "marks have no row"
            lines.append(f"{len(self.missing):,} {has} here, and stay for one that has:")
            lines += [f"  {mark.action} {mark.id or mark.row} {mark.about}" for mark in self.missing[:_MOST_MISSING]]
            lines += ["  …"] if len(self.missing) > _MOST_MISSING else []
        return lines


def _marks(count: int) -> str:
    return f"{count:,} mark{'' if count == 1 else 's'}"


def lay_over(rows: Sequence[Row], marks: Mapping[str, Mark]) -> Overlaid:
    """``rows`` with ``marks`` applied.

    A mark applies to every kept row with the texts that it was made on. Where none of these is kept, ``keep`` and
    ``edit`` take in the first of the rejected.
    """
    if not marks:
        return Overlaid(rows)
    places: dict[str, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        name = key(row.example.instruction, row.example.input, row.example.output)
        if name in marks:
            places[name].append(place)
    after = list(rows)
    dropped, taken_in, edited, idle, missing = [], [], {}, 0, []
    for name, mark in marks.items():
        here = places.get(name, [])
        kept = [place for place in here if rows[place].kept]
        if not here:
            missing.append(mark)
        elif (mark.action == "drop" and not kept) or (mark.action == "keep" and kept):
            idle += 1
        elif mark.action == "drop":
            for place in kept:
                reason = f"dropped by hand: {mark.note}" if mark.note else "dropped by hand"
                after[place] = replace(rows[place], kept=False, filter=BY_HAND, reason=reason)
                dropped.append(rows[place].example.id)
        else:
            for place in kept or here[:1]:
                row = rows[place]
                after[place] = replace(row, example=replace(row.example, **mark.texts), kept=True, filter="", reason="")
                taken_in += [] if row.kept else [row.example.id]
                edited |= {row.example.id: mark.texts} if mark.texts else {}
    return Overlaid(after, len(marks), dropped, taken_in, edited, idle, missing)


def run_rows(query: Callable[[str], Any]) -> list[Row]:
    """The judged candidates of a journal, in their order. ``query`` is its ``execute``, or ``Store.rows``."""
    found = query(
        "SELECT instruction, input, output, id, label, kept, filter, reason, flags FROM candidates"
        " WHERE kept IS NOT NULL ORDER BY k, place"
    )
    return [
        Row(Example(*row[:5]), bool(row[5]), row[6], row[7], tuple(json.loads(row[8])) if row[8] else ())
        for row in found
    ]


def run_of(path: Path) -> Path | None:
    """The run folder that ``path`` means, itself or by its data file; None for other data."""
    folder = path.parent if path.name == DATA and not path.is_dir() else path
    return folder if (folder / JOURNAL).is_file() else None


def marks_file(path: Path) -> Path:
    """Where the marks on the rows of ``path`` are: edits.jsonl in a run folder, else PATH.edits.jsonl beside the file
    (or beside the folder, where it holds several)."""
    if folder := run_of(path):
        return folder / EDITS
    files = data_files(path)
    beside = files[0] if len(files) == 1 else path.resolve()
    return beside.with_name(f"{beside.name}.{EDITS}")


def held_out(folder: Path) -> set[str]:
    """The ids of the rows that a run set aside: also of those that a mark dropped, which heldout.json lacks."""
    if not (folder / HELDOUT).exists():
        return set()
    aside = {row["id"] for row in json.loads((folder / HELDOUT).read_text(encoding="utf-8"))}
    stored = _read(folder, lambda query: query("SELECT value FROM meta WHERE key = 'edits'").fetchone())
    return aside | set(json.loads(stored[0]).get("aside", ()) if stored else ())


def rows_of(path: Path) -> list[Row]:
    """All rows of ``path``, a run folder or data: of a run those rejected, too. Raises as ``dataset.read_rows``."""
    folder = run_of(path)
    if folder is None:
        return [Row(row) for row in read_rows(path)]
    found: list[Row] = _read(folder, run_rows)
    return found


def _read(folder: Path, read: Callable[[Callable[[str], Any]], Any]) -> Any:
    """What ``read`` gets out of the journal of the run ``folder``, whose ``execute`` it is given."""
    try:
        with opened(folder / JOURNAL) as journal:
            return read(journal.execute)
    except sqlite3.DatabaseError as exc:
        raise AlpacaError(f"{folder / JOURNAL} is not a run journal that alpacakit can read: {exc}") from exc


@dataclass(frozen=True)
class Curated:
    """Rows to train on, marks applied. ``changed``: the file of the data does not hold them as they are here.
    ``told`` is what to say of the marks."""

    rows: list[Example]
    changed: bool = False
    told: Sequence[str] = ()


def training_rows(path: Path) -> Curated:
    """The rows of ``path`` to train on: what is in its file, and where there are marks, what they make of it.

    Of a run with marks these are the rows that running it again would write, so that a mark counts at once; rows held
    out are not among them. Raises as ``read_rows`` and ``read_marks``.
    """
    written = read_rows(path)
    file = marks_file(path)
    marks = read_marks(file)
    if not marks:
        return Curated(written)
    laid = lay_over(rows_of(path), marks)
    folder = run_of(path)
    unseen = held_out(folder) if folder else set()
    rows = [row for row in laid.kept if row.id not in unseen]
    return Curated(rows, [*map(_texts, rows)] != [*map(_texts, written)], laid.told(file))


def _texts(row: Example) -> tuple[str, str, str]:
    return row.instruction, row.input, row.output
