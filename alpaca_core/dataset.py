"""Datasets: rows of instruction, input and output, read with every mistake named, written whole or not at all.

The format is Stanford Alpaca's: one JSON list of ``{"instruction": ..., "input": ..., "output": ...}``, indented by
four (``alpaca_data.json`` of github.com/tatsu-lab/stanford_alpaca). ``datafiles`` has the other formats.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from alpaca_core import datafiles
from alpaca_core.datafolders import data_files
from alpaca_core.errors import ConfigError
from alpaca_core.jsonfiles import no_object, no_text
from alpaca_core.records import Example

_HINT = 'A row looks like {"instruction": "...", "input": "", "output": "..."}'
_MOST_PROBLEMS = 20


def read_rows(path: Path) -> list[Example]:
    """The rows of ``path`` as Examples: see ``read_records``."""
    return [example(record, number) for number, record in enumerate(read_records(path), start=1)]


def read_records(path: Path) -> list[dict[str, Any]]:
    """The rows of ``path`` in their order: see ``each_record``."""
    return list(each_record(path))


def each_record(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of ``path``, with all their keys, one after the other as they are read.

    ``path`` is a data file (JSON list, JSON Lines, CSV, Parquet, Arrow), a run folder or a dataset folder. A missing or
    null ``input`` becomes empty; texts may be empty. Raises ConfigError when there are no such files, and, at the end,
    when there were mistakes: ``problems`` name each with its line or row and its field, twenty at most. No row comes
    after the first mistake, so what was made of the rows before must not be used until the end is reached.
    """
    return _checked(path, data_files(path))


def _checked(path: Path, files: list[Path]) -> Iterator[dict[str, Any]]:
    problems: list[str] = []
    more, keys = 0, ""
    for file in files:
        name = f"{file.name} " if len(files) > 1 else ""
        for place, record in datafiles.records(file):
            mistakes = _mistakes(record)
            for mistake in mistakes:
                if len(problems) < _MOST_PROBLEMS:
                    problems.append(f"{name}{place}: {mistake}")
                else:
                    more += 1
            if not keys and isinstance(record, dict) and not {"instruction", "output"} <= record.keys():
                keys = f". The keys of {name}{place} are: {', '.join(map(repr, record))}"
            if not problems:
                yield record | {"input": record.get("input") or ""}
    if problems:
        shown = [*problems, f"… and {more:,} more"] if more else problems
        title = path if len(files) > 1 else files[0]
        raise ConfigError(f"The rows of {title} cannot be used:", problems=shown, hint=_HINT + keys)


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


def write_records(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Write ``records`` with all their keys, in the format of the suffix (see ``datafiles``)."""
    with datafiles.writers(path) as [writer]:
        for record in records:
            writer.write(record)


def write_jsonl(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object a line, readable in every script."""
    write_text(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path``, in UTF-8, whole or not at all: a reader sees the old file or the new one."""
    with datafiles.unfinished(path) as [file]:
        file.write(datafiles.encoded(text))


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


def _mistakes(record: Any) -> list[str]:
    if mistake := no_object(record):
        return [mistake]
    fields = {"instruction": record.get("instruction"), "output": record.get("output")}
    if record.get("input") is not None:
        fields["input"] = record["input"]
    return [f"{name}: {mistake}" for name, value in fields.items() if (mistake := no_text(value))]
