"""Preferences between the answers of two models, in the files of AlpacaEval: ``annotations.json``.

A JSON list with a row for each comparison. AlpacaEval has written the judge's side of it under two sets of names:
``raw_completion, price_per_example, time_per_example`` at first, ``preference_raw_completion`` and so on, with
``preference_version`` and ``preference_date``, since version 0.6. Both are read, the present one is written.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alpaca_core.dataset import write_text
from alpaca_core.versus.outputs import parsed, texts

DRAW = 1.5

_HINT = (
    'A row looks like {"instruction": "...", "output_1": "...", "generator_1": "the baseline", "output_2": "...",'
    ' "generator_2": "the model", "annotator": "the judge", "preference": 1.5}'
)
_NEEDED = ("instruction", "output_1", "output_2")
_OPTIONAL = ("generator_1", "generator_2", "dataset", "annotator", "input")
# A field of Annotation, as it is written, as it was written.
_SPELLINGS = (
    ("raw_completion", "preference_raw_completion", "raw_completion"),
    ("price", "preference_price_per_example", "price_per_example"),
    ("seconds", "preference_time_per_example", "time_per_example"),
    ("version", "preference_version", "version"),
    ("date", "preference_date", "date"),
)


@dataclass(frozen=True, slots=True)
class Annotation:
    """What ``annotator`` said of two answers to one instruction. 1 is the baseline, 2 the model that is measured.

    ``index`` is the place of the instruction in its set, from 0; instruction difficulties are found by it.
    ``preference`` goes from 1 (the baseline's answer is better) to 2 (the model's is), 1.5 is a draw, and None stands
    for a comparison without a verdict. ``raw_completion`` is what the judge wrote, ``price`` in dollars and
    ``seconds`` what it took, ``version`` and ``date`` what made it and when. ``other`` holds the fields that a file
    has beside these.
    """

    index: int
    instruction: str
    output_1: str
    generator_1: str
    output_2: str
    generator_2: str
    dataset: str = ""
    annotator: str = ""
    preference: float | None = None
    raw_completion: Any = None
    price: float | None = None
    seconds: float | None = None
    version: Any = None
    date: str | None = None
    input: str = ""
    other: Mapping[str, Any] = field(default_factory=dict)


def read_annotations(path: Path) -> list[Annotation]:
    """The rows of ``path`` in their order, in either spelling; where both are there, the present one counts.

    A row without ``index`` gets its place in the file, from 0. A preference of 0, as old files have it, is a draw;
    null, NaN and -1, AlpacaEval's mark for a verdict that failed, are none. Raises ConfigError where the file cannot
    be read or has no rows, and for every other mistake with its place and field, twenty at most.
    """
    return parsed(path, _annotation, _HINT)


def write_annotations(path: Path, annotations: Iterable[Annotation]) -> None:
    """Write ``annotations`` in the present spelling, whole or not at all.

    ``index`` is written where it is not the place in the file, ``input`` where there is one.
    """
    rows = [_record(place, row) for place, row in enumerate(annotations)]
    write_text(path, json.dumps(rows, indent=2, ensure_ascii=False) + "\n")


def _record(place: int, row: Annotation) -> dict[str, Any]:
    record = {} if row.index == place else {"index": row.index}
    record |= {"instruction": row.instruction} | ({"input": row.input} if row.input else {})
    names = ("output_1", "generator_1", "dataset", "output_2", "generator_2")
    record |= {name: getattr(row, name) for name in names} | dict(row.other)
    record |= {"annotator": row.annotator, "preference": row.preference}
    return record | {new: getattr(row, name) for name, new, _ in _SPELLINGS}


def _annotation(number: int, record: dict[str, Any]) -> tuple[Annotation | None, list[str]]:
    fields, mistakes = texts(record, _NEEDED, _OPTIONAL)
    preference, wrong = _preference(record.get("preference"))
    index = number if record.get("index") is None else record["index"]
    if "preference" not in record:
        wrong = "missing"
    if wrong:
        mistakes.append(f"preference: {wrong}")
    if isinstance(index, bool) or not isinstance(index, int) or index < 0:
        mistakes.append(f"index: expected a number from 0 on, found {index!r}")
    judged: dict[str, Any] = {}
    for name, new, old in _SPELLINGS:
        judged[name] = record.get(new) if record.get(new) is not None else record.get(old)
    for name in ("price", "seconds"):
        if isinstance(judged[name], bool) or not isinstance(judged[name], int | float | None):
            mistakes.append(f"{name}: expected a number, found {judged[name]!r}")
        elif judged[name] is not None and not math.isfinite(judged[name]):
            judged[name] = None
    if mistakes:
        return None, mistakes
    known = {*_NEEDED, *_OPTIONAL, "preference", "index", *(name for _, *names in _SPELLINGS for name in names)}
    other = {name: value for name, value in record.items() if name not in known}
    return Annotation(index=index, preference=preference, other=other, **fields, **judged), []


def _preference(value: Any) -> tuple[float | None, str]:
    """A preference as it stands in a file, and what is wrong with it."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None, ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        if value == -1:
            return None, ""
        if value == 0:
            return DRAW, ""
        if 1 <= value <= 2:
            return float(value), ""
    return None, f"expected a number from 1 (the baseline) to 2 (the model), found {value!r}"
