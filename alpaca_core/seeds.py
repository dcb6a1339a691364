"""Seed tasks: the examples by hand that show the teacher what is wanted.

A file of seed tasks holds one JSON object a line, in the format of Stanford Alpaca's ``seed_tasks.jsonl``
(github.com/tatsu-lab/stanford_alpaca):

    {"id": "seed_001", "name": "...", "instruction": "...", "instances": [{"input": "...", "output": "..."}],
     "is_classification": false}

or one JSON list of Alpaca rows, ``[{"instruction": "...", "input": "...", "output": "..."}, ...]``.
"""

from __future__ import annotations

import hashlib
import json
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

from alpaca_core.errors import ConfigError
from alpaca_core.jsonfiles import no_object, no_text, records
from alpaca_core.records import Seed

_BUNDLED = "seed_tasks.jsonl"
_HINT = 'A line looks like {"id": "tea", "instruction": "...", "instances": [{"input": "", "output": "..."}]}'


def read_seeds(path: Path | None) -> list[Seed]:
    """The seed tasks in ``path``, in their order; ``None`` reads the bundled ones.

    Of a task's instances the first is used, as in the published procedure. A missing ``input`` is empty, a missing
    ``id`` becomes ``row_N``, other keys are ignored, and so are blank lines. An object without ``instances`` is taken
    for an Alpaca row.

    Raises ConfigError when the file cannot be read or holds no task; its ``problems`` name every mistake with its
    line (or, in a list, its row) and field.
    """
    data = _data(path)
    where = str(path) if path else f"the bundled {_BUNDLED}"
    problems: list[str] = []
    seeds: list[Seed] = []
    places: dict[str, str] = {}  # id -> where it was first seen
    for number, (place, record) in enumerate(records(BytesIO(data)), start=1):
        seed = _seed(record, f"row_{number}")
        if isinstance(seed, Seed) and seed.id in places:
            seed = [f"id: {seed.id!r} is already the id of {places[seed.id]}"]
        if isinstance(seed, Seed):
            places[seed.id] = place
            seeds.append(seed)
        else:
            problems += [f"{place}: {mistake}" for mistake in seed]
    if problems:
        raise ConfigError(f"The seed tasks in {where} cannot be used:", problems=problems, hint=_HINT)
    if not seeds:
        raise ConfigError(f"{where} holds no seed task.", hint=_HINT)
    return seeds


def seeds_hash(seeds: list[Seed]) -> str:
    """SHA-256, in hex, of the tasks' id, instruction, input and output in their order: part of a run's identity.

    The layout of the file they came from does not matter.
    """
    rows = [[seed.id, seed.instruction, seed.input, seed.output] for seed in seeds]
    canonical = json.dumps(rows, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _data(path: Path | None) -> bytes:
    try:
        return (files("alpaca_core") / _BUNDLED if path is None else path).read_bytes()
    except FileNotFoundError as exc:
        raise ConfigError(
            f"There is no file {path} to read seed tasks from.",
            hint="Check the path, or leave --seed-tasks out to use the bundled ones.",
        ) from exc
    except OSError as exc:
        raise ConfigError(f"The seed tasks in {path} cannot be read: {exc.strerror}.") from exc


def _seed(record: Any, default_id: str) -> Seed | list[str]:
    """The seed task in ``record``, or every mistake in it."""
    if mistake := no_object(record):
        return [mistake]
    row, prefix = record, ""
    mistakes = []
    if "instances" in record or "output" not in record:
        instances = record.get("instances")
        if isinstance(instances, list) and instances and isinstance(instances[0], dict):
            row, prefix = instances[0], "instances[0]."
        else:
            row = {"output": "-"}  # nothing more to say about its output
            mistakes.append('instances: expected a list that starts with {"input": "...", "output": "..."}')
    fields = {
        "id": record.get("id", default_id),
        "instruction": record.get("instruction"),
        f"{prefix}input": row.get("input", ""),
        f"{prefix}output": row.get("output"),
    }
    for name, value in fields.items():
        if mistake := no_text(value):
            mistakes.append(f"{name}: {mistake}")
        elif not value.strip() and not name.endswith("input"):
            mistakes.append(f"{name}: empty")
    return mistakes or Seed(*fields.values())
