"""A blind comparison by people: a page and a table to mark, and the key that says afterwards which model was which.

The published evaluation of Alpaca was one: its authors compared two models' answers without knowing whose was whose,
90 wins against 89. Each row of a sheet shows an instruction and the two answers as A and B. Which one is A, and the
order of the rows, are drawn from a seed, so whoever stops early has judged a sample of the whole.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from random import Random
from typing import Any

from alpaca_core.dataset import write_text
from alpaca_core.errors import ConfigError
from alpaca_core.versus.annotations import Annotation
from alpaca_core.versus.outputs import ModelOutput, parsed
from alpaca_core.versus.winrate import preference_of

COLUMNS = ("sheet", "row", "instruction", "input", "answer_a", "answer_b", "choice", "annotator")
_CHOICES = {"a": "A", "1": "A", "b": "B", "2": "B", "tie": "tie", "t": "tie", "=": "tie", "draw": "tie", "0": "tie"}
_MARKS_HINT = "The columns are sheet, row, choice and annotator; choice is A, B or tie, or empty."


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a sheet. ``baseline_is_a`` says whose answer stands as A; the sheet itself does not."""

    index: int
    baseline: ModelOutput
    model: ModelOutput
    baseline_is_a: bool

    @property
    def answers(self) -> tuple[str, str]:
        """What is shown as A and as B."""
        pair = (self.baseline.output, self.model.output)
        return pair if self.baseline_is_a else pair[::-1]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A blind comparison of two models, with its key. ``id`` is a function of the texts and the order."""

    baseline: str
    model: str
    rows: tuple[Row, ...]

    @property
    def id(self) -> str:
        told = json.dumps([[row.baseline.instruction, row.baseline.input, *row.answers] for row in self.rows])
        return hashlib.sha256(told.encode()).hexdigest()[:12]


def sheet_of(pairs: Sequence[tuple[ModelOutput, ModelOutput]], baseline: str, model: str, *, seed: int = 0) -> Sheet:
    """A sheet of ``pairs`` (the baseline's row, the model's row; see ``outputs.paired``), a function of ``seed``."""
    random = Random(seed)
    rows = [Row(index, one, other, random.random() < 0.5) for index, (one, other) in enumerate(pairs)]
    random.shuffle(rows)
    return Sheet(baseline, model, tuple(rows))


def key_path(page: Path) -> Path:
    """Where the key of the sheet at ``page`` is."""
    return page.with_suffix(".key.json")


def write_sheet(page: Path, sheet: Sheet) -> tuple[Path, Path, Path]:
    """Write the page (``NAME.html``), the table (``NAME.csv``) and the key (``NAME.key.json``), and give their paths.

    Raises ConfigError where one of them exists. Page and table say nothing of whose answer is whose; in the table a
    text that a spreadsheet would take for a formula begins with an apostrophe.
    """
    paths = page, page.with_suffix(".csv"), key_path(page)
    if page.suffix != ".html":
        raise ConfigError(f"The sheet is a page: {page} does not end in .html.")
    for path in paths:
        if path.exists():
            raise ConfigError(f"{path} exists already.", hint="Name another file: marks are of one sheet alone.")
    rows = [
        {
            "row": number,
            "instruction": row.baseline.instruction,
            "input": row.baseline.input,
            "a": row.answers[0],
            "b": row.answers[1],
        }
        for number, row in enumerate(sheet.rows, start=1)
    ]
    write_text(paths[2], json.dumps(_key(sheet), indent=2, ensure_ascii=False) + "\n")
    write_text(paths[1], _table(sheet.id, rows))
    write_text(paths[0], _page({"id": sheet.id, "rows": rows}))
    return paths


def read_key(path: Path) -> Sheet:
    """The sheet whose key is at ``path``. Raises ConfigError where it is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        base, model = found["baseline"], found["model"]
        rows = tuple(
            Row(
                row["index"],
                ModelOutput(row["instruction"], row["output_1"], base, row["dataset"], row["input"]),
                ModelOutput(row["instruction"], row["output_2"], model, row["dataset"], row["input"]),
                {"baseline": True, "model": False}[row["a"]],
            )
            for row in found["rows"]
        )
        sheet = Sheet(base, model, rows)
        if sheet.id != found["sheet"]:
            raise ValueError("its texts are not those of its sheet any more")
    except OSError as exc:
        raise ConfigError(f"{path} cannot be read: {exc.strerror}.") from exc
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        what = f"it has no {exc}" if isinstance(exc, KeyError) else exc
        raise ConfigError(
            f"{path} is not the key of a sheet: {what}.", hint="It is the .key.json that `alpacakit sheet` wrote."
        ) from exc
    return sheet


def read_marks(path: Path, sheet: Sheet) -> list[Annotation]:
    """What people marked in ``path``, the table filled in or what the page saved (CSV, JSON), in the order of the rows.

    The annotator is the name that is there, or else the file's. Rows without a choice are left out. Raises ConfigError
    for marks of another sheet, unknown rows and choices, and two marks of one person on one row, each with its place.
    """
    records = parsed(path, _mark, _MARKS_HINT) if path.suffix == ".json" else _marks(path)
    rows = {str(number): row for number, row in enumerate(sheet.rows, start=1)}
    found: dict[tuple[str, str], Annotation] = {}
    problems: list[str] = []
    for place, mark in records:
        number, choice = str(mark["row"]).strip(), str(mark["choice"] or "").strip().lower()
        annotator = str(mark.get("annotator") or "").strip() or path.stem
        if str(mark["sheet"]).strip() != sheet.id:
            problems.append(f"{place}: of sheet {mark['sheet']}, and the key is of {sheet.id}")
        elif number not in rows:
            problems.append(f"{place}: row {number}, and there are {len(rows)}")
        elif choice and choice not in _CHOICES:
            problems.append(f"{place}: choice: expected A, B or tie, found {mark['choice']!r}")
        elif (annotator, number) in found:
            problems.append(f"{place}: a second mark of {annotator} on row {number}")
        elif choice:
            found[annotator, number] = _annotation(rows[number], sheet, _CHOICES[choice], annotator)
    if problems:
        raise ConfigError(f"The marks of {path} cannot be used:", problems=problems[:20], hint=_MARKS_HINT)
    if not found:
        raise ConfigError(f"Nothing is marked in {path}.", hint=_MARKS_HINT)
    return sorted(found.values(), key=lambda row: (row.annotator, row.index))


def _annotation(row: Row, sheet: Sheet, choice: str, annotator: str) -> Annotation:
    winner = 0 if choice == "tie" else 1 if (choice == "A") == row.baseline_is_a else 2
    return Annotation(
        index=row.index,
        instruction=row.baseline.instruction,
        input=row.baseline.input,
        output_1=row.baseline.output,
        generator_1=sheet.baseline,
        output_2=row.model.output,
        generator_2=sheet.model,
        dataset=row.baseline.dataset,
        annotator=annotator,
        preference=preference_of(winner),
        raw_completion=choice,
    )


def _key(sheet: Sheet) -> dict[str, Any]:
    rows = [
        {
            "index": row.index,
            "instruction": row.baseline.instruction,
            "input": row.baseline.input,
            "dataset": row.baseline.dataset,
            "output_1": row.baseline.output,
            "output_2": row.model.output,
            "a": "baseline" if row.baseline_is_a else "model",
        }
        for row in sheet.rows
    ]
    return {"sheet": sheet.id, "baseline": sheet.baseline, "model": sheet.model, "rows": rows}


def _page(data: Mapping[str, Any]) -> str:
    """The page with ``data`` in it, as JSON that cannot end the script that it stands in."""
    text = json.dumps(data)
    for mark in "<>&":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return (resources.files("alpaca_core.versus") / "sheet.html").read_text(encoding="utf-8").replace("@DATA@", text)


def _table(id: str, rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for row in rows:
        texts = (_plain(row[name]) for name in ("instruction", "input", "a", "b"))
        writer.writerow([id, row["row"], *texts, "", ""])
    return "\ufeff" + text.getvalue()  # the mark tells spreadsheets that it is UTF-8


def _plain(text: str) -> str:
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _mark(number: int, record: dict[str, Any]) -> tuple[tuple[str, dict[str, Any]] | None, list[str]]:
    missing = [f"{name}: missing" for name in ("sheet", "row", "choice") if name not in record]
    return (None, missing) if missing else ((f"row {number + 1}", record), [])


def _marks(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """The rows of a CSV file; spreadsheets write it with semicolons or tabs too."""
    csv.field_size_limit(2**26)
    try:
        text = path.read_text(encoding="utf-8-sig")
        head = text.partition("\n")[0]
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count), strict=True)
        if missing := [name for name in ("sheet", "row", "choice") if name not in (reader.fieldnames or ())]:
            raise ConfigError(f"{path} has no column {', '.join(missing)}.", hint=_MARKS_HINT)
        return [(f"line {reader.line_num}", row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as exc:
        raise ConfigError(f"{path} cannot be read: {getattr(exc, 'strerror', None) or exc}.") from exc
