"""What models answered to a set of instructions, in the files of AlpacaEval.

``model_outputs.json`` and ``reference_outputs.json`` of github.com/tatsu-lab/alpaca_eval are JSON lists of
``{"instruction": ..., "output": ..., "generator": ..., "dataset": ...}``, one row for each instruction of the set.
"""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from alpaca_core import datafiles
from alpaca_core.dataset import write_text
from alpaca_core.errors import ConfigError
from alpaca_core.jsonfiles import no_object, no_text

_HINT = 'A row looks like {"instruction": "...", "output": "...", "generator": "the model", "dataset": "..."}'
_MOST_PROBLEMS = 20

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class ModelOutput:
    """The ``output`` of model ``generator`` to an instruction. ``dataset`` names the part of the set that it is from;
    ``input`` is Alpaca's field, which AlpacaEval's own set has merged into its instructions."""

    instruction: str
    output: str
    generator: str = ""
    dataset: str = ""
    input: str = ""


def read_outputs(path: Path) -> list[ModelOutput]:
    """The rows of ``path``, in their order: JSON list, JSON Lines, CSV, Parquet or Arrow.

    ``generator``, ``dataset`` and ``input`` may be missing or null. Raises ConfigError where there is no such file or
    no row, and where rows have mistakes: ``problems`` name each with its place and field, twenty at most.
    """
    return parsed(path, _output, _HINT)


def write_outputs(path: Path, outputs: Iterable[ModelOutput]) -> None:
    """Write ``outputs`` as AlpacaEval has them, whole or not at all. ``input`` is written where there is one."""
    rows = [
        {"instruction": row.instruction, **({"input": row.input} if row.input else {}), "output": row.output}
        | {"generator": row.generator, "dataset": row.dataset}
        for row in outputs
    ]
    write_text(path, json.dumps(rows, indent=2, ensure_ascii=False) + "\n")


def paired(reference: Sequence[ModelOutput], outputs: Sequence[ModelOutput]) -> list[tuple[ModelOutput, ModelOutput]]:
    """Each row of ``reference`` with the row of ``outputs`` that answers the same instruction and input, in the order
    of ``reference``. An instruction that is there several times is paired in the order of its rows.

    Raises ConfigError unless both answer exactly the same instructions: a win rate over those that happen to match
    would be of another set.
    """
    waiting: dict[tuple[str, str], deque[ModelOutput]] = defaultdict(deque)
    for row in outputs:
        waiting[row.instruction, row.input].append(row)
    pairs, alone = [], []
    for row in reference:
        if same := waiting[row.instruction, row.input]:
            pairs.append((row, same.popleft()))
        else:
            alone.append(row)
    surplus = [row for rows in waiting.values() for row in rows]
    if alone or surplus:
        raise ConfigError(
            f"The two models did not answer the same instructions: {len(pairs):,} are in both.",
            problems=[
                f"{len(rows):,} in the {title} alone, such as {row.instruction[:80]!r}"
                for title, rows in (("reference", alone), ("outputs", surplus))
                if rows
                for row in rows[:1]
            ],
            hint="Instructions are compared letter by letter; make both files from one set.",
        )
    return pairs


def parsed(path: Path, parse: Callable[[int, dict[str, Any]], tuple[Row | None, list[str]]], hint: str) -> list[Row]:
    """The rows of data file ``path``, each made by ``parse`` from its number, counted from 0, and its fields.

    ``parse`` gives the row, or None and what is wrong. Raises ConfigError with the place of every mistake, twenty at
    most, and where the file cannot be read or has no rows.
    """
    rows: list[Row] = []
    problems: list[str] = []
    number = -1
    for number, (place, record) in enumerate(datafiles.records(path)):
        row, mistakes = (None, [mistake]) if (mistake := no_object(record)) else parse(number, record)
        problems += [f"{place}: {mistake}" for mistake in mistakes]
        if row is not None:
            rows.append(row)
    if problems:
        more = len(problems) - _MOST_PROBLEMS
        shown = [*problems[:_MOST_PROBLEMS], *([f"… and {more:,} more"] if more > 0 else [])]
        raise ConfigError(f"The rows of {path} cannot be used:", problems=shown, hint=hint)
    if number < 0:
        raise ConfigError(f"{path} holds no rows.", hint=hint)
    return rows


def texts(record: dict[str, Any], needed: Sequence[str], optional: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The text fields of ``record``, and what is wrong with them. An optional one may be missing or null: empty."""
    found = {name: record.get(name) for name in needed}
    found |= {name: "" if record.get(name) is None else record[name] for name in optional}
    return found, [f"{name}: {mistake}" for name, value in found.items() if (mistake := no_text(value))]


def _output(_: int, record: dict[str, Any]) -> tuple[ModelOutput | None, list[str]]:
    fields, mistakes = texts(record, ("instruction", "output"), ("generator", "dataset", "input"))
    return (None, mistakes) if mistakes else (ModelOutput(**fields), [])
