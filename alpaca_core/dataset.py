"""Dataset files: read with every mistake named, written whole or not at all.

The format is Stanford Alpaca's: one JSON list of ``{"instruction": ..., "input": ..., "output": ...}``, indented by
four (``alpaca_data.json`` of github.com/tatsu-lab/stanford_alpaca). JSON Lines, an object a line, is read as well.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from alpaca_core.errors import ConfigError
from alpaca_core.jsonfiles import decode, no_object, no_text
from alpaca_core.jsonfiles import records as read_json
from alpaca_core.records import Example

_IN_A_RUN = "alpaca_data.json"
_HINT = 'A row looks like {"instruction": "...", "input": "", "output": "..."}'
_MOST_PROBLEMS = 20


def read_rows(path: Path) -> list[Example]:
    """The rows of ``path`` as Examples: see ``read_records``."""
    return [example(record, number) for number, record in enumerate(read_records(path), start=1)]


def read_records(path: Path) -> list[dict[str, Any]]:
    """The rows of ``path``, a JSON list, a JSON Lines file or a run folder, in their order and with all their keys.

    A missing or null ``input`` becomes empty; texts may be empty. Raises ConfigError when the file cannot be read;
    its ``problems`` name each mistake with its row (or, in JSON Lines, its line) and field, twenty at most.
    """
    path = path / _IN_A_RUN if path.is_dir() else path
    rows: list[dict[str, Any]] = []
    problems: list[str] = []
    for place, record in read_json(_text(path)):
        mistakes = _mistakes(record)
        problems += (f"{place}: {mistake}" for mistake in mistakes)
        if not mistakes:
            rows.append(record | {"input": record.get("input") or ""})
    if problems:
        more = len(problems) - _MOST_PROBLEMS
        shown = problems[:_MOST_PROBLEMS] + ([f"… and {more:,} more"] if more > 0 else [])
        raise ConfigError(f"The rows of {path} cannot be used:", problems=shown, hint=_HINT)
    return rows


def example(record: Mapping[str, Any], number: int) -> Example:
    """A row as an Example. Its id is the row's own ``id`` or else ``row_N``, its label the row's ``family``."""
    id, family = record.get("id"), record.get("family")
    return Example(
        record["instruction"],
        record["input"],
        record["output"],
        id=id if isinstance(id, str) and id else f"row_{number}",
        label=family if isinstance(family, str) else "",
    )


def write_rows(path: Path, rows: Iterable[Example], *, labels: bool = False) -> None:
    """Write ``rows`` as Stanford's ``alpaca_data.json`` has them; ``labels`` adds each one's ``id`` and ``family``."""
    records = []
    for row in rows:
        record = {"instruction": row.instruction, "input": row.input, "output": row.output}
        records.append(record | {"id": row.id, "family": row.label} if labels else record)
    write_records(path, records)


def write_records(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Write ``records`` with all their keys: JSON Lines where ``path`` ends in ``.jsonl``, else Stanford's list."""
    if path.suffix == ".jsonl":
        write_jsonl(path, records)
    else:
        write_text(path, _indented(records))


def _indented(records: Sequence[Mapping[str, Any]]) -> str:
    """What ``json.dumps(records, indent=4)`` gives, several times faster: indented, that runs in Python alone."""
    rows = []
    for record in records:
        fields = (f"        {_one(name)}: {_one(value)}" for name, value in record.items())
        rows.append("    {\n" + ",\n".join(fields) + "\n    }" if record else "    {}")
    return "[\n" + ",\n".join(rows) + "\n]" if rows else "[]"


def _one(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value)
    return json.dumps(value, indent=4).replace("\n", "\n        ")


def write_jsonl(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object a line, readable in every script."""
    write_text(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path``, in UTF-8, whole or not at all: a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with unfinished.open("wb") as file:
            # Half a surrogate pair, which a teacher may write, has no UTF-8; \udXXX is its JSON escape.
            file.write(text.encode("utf-8", "backslashreplace"))
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def split(rows: Sequence[Example], heldout: int, seed: int) -> tuple[list[Example], list[Example]]:
    """``rows`` parted into (train, held out), both in their order.

    ``heldout`` rows are set aside, a tenth of all at most, as many of each label as there are; which ones is a
    function of ``seed`` and the rows' ids alone.
    """
    by_label: dict[str, list[int]] = defaultdict(list)
    for place in sorted(range(len(rows)), key=lambda place: _hash(seed, rows[place].id)):
        by_label[rows[place].label].append(place)
    # One of each label, a second of each, and so on.
    turns = (place for turn in zip_longest(*(by_label[label] for label in sorted(by_label))) for place in turn)
    ordered = [place for place in turns if place is not None]
    chosen = set(ordered[: min(heldout, len(rows) // 10)])
    train = [row for place, row in enumerate(rows) if place not in chosen]
    return train, [rows[place] for place in sorted(chosen)]


def _hash(seed: int, id: str) -> bytes:
    return hashlib.sha256(f"{seed}:{id}".encode("utf-8", "backslashreplace")).digest()


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError as exc:
        raise ConfigError(f"There is no file {path} to read rows from.", hint="Check the path.") from exc
    return decode(data, f"The rows of {path}")


def _mistakes(record: Any) -> list[str]:
    if mistake := no_object(record):
        return [mistake]
    fields = {"instruction": record.get("instruction"), "output": record.get("output")}
    if record.get("input") is not None:
        fields["input"] = record["input"]
    return [f"{name}: {mistake}" for name, value in fields.items() if (mistake := no_text(value))]
