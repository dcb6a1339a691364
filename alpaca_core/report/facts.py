"""What a report tells of: everything that a run folder, or a file of rows, says about itself."""

from __future__ import annotations

import json
import math
import sqlite3
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alpaca_core.dataset import read_rows
from alpaca_core.errors import AlpacaError, ConfigError
from alpaca_core.records import Example
from alpaca_core.refilter import kind_of
from alpaca_core.reuse import opened
from alpaca_core.runs import CONFIG, DATA, HELDOUT, JOURNAL, REJECTED, SUMMARY, read_summary
from alpaca_core.steplog import NAME as STEPS

SAMPLES = "samples.jsonl"
EXAMPLES = 2  # rejected candidates shown of each filter
_MOST_KINDS = 1_000  # of reasons counted for a filter


@dataclass(frozen=True)
class Rejected:
    """The rejected candidates of one filter: how many, the kinds of reason, and the first few."""

    count: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    first: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Step:
    """One optimizer step of metrics.jsonl."""

    step: int
    epoch: float
    loss: float


@dataclass(frozen=True)
class Facts:
    """Everything a page is made of. ``rows`` are those trained on, ``heldout`` those set aside; ``summary`` and
    ``config`` are summary.json and run.toml, empty where there are none; ``header`` is the comment that run.toml begins
    with; ``answers`` are the lines of samples.jsonl; ``models`` and ``asked`` what run.db knows of who answered and
    when (seconds since 1970)."""

    name: str
    rows: list[Example]
    heldout: list[Example] = field(default_factory=list)
    summary: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    header: tuple[str, ...] = ()
    rejected: Mapping[str, Rejected] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    answers: tuple[Mapping[str, Any], ...] = ()
    models: tuple[str, ...] = ()
    asked: tuple[float, float] | None = None

    @property
    def is_run(self) -> bool:
        return bool(self.summary or self.config or self.steps)


def is_run(path: Path) -> bool:
    """Whether ``path`` is the folder of a run or of a training, rather than a dataset."""
    return path.is_dir() and any((path / name).is_file() for name in (JOURNAL, SUMMARY, STEPS))


def gather(path: Path) -> Facts:
    """Read what ``path`` holds: a run folder, the folder of a training, or whatever else ``dataset.read_rows`` reads.

    Raises ConfigError where there is nothing to tell of, or a file of the run does not hold what it should.
    """
    if not is_run(path):
        rows = read_rows(path)
        if not rows:
            raise ConfigError(f"{path} holds no rows to tell of.")
        return Facts(_name(path), rows)
    config, header = _config(path)
    models, asked = _journal(path)
    return Facts(
        name=_name(path),
        rows=_rows(path / DATA),
        heldout=_rows(path / HELDOUT),
        summary=_whole(path / SUMMARY, read_summary, path),
        config=config,
        header=header,
        rejected=_rejected(path / REJECTED),
        steps=tuple(
            Step(line["step"], _finite(line.get("epoch")), line["loss"])
            for line in _lines(path / STEPS)
            if isinstance(line.get("step"), int) and isinstance(line.get("loss"), (int, float))
        ),
        answers=tuple(_lines(path / SAMPLES)),
        models=models,
        asked=asked,
    )


def _name(path: Path) -> str:
    resolved = path.resolve()
    return resolved.name or str(resolved)


def _finite(value: Any) -> float:
    """``value`` where it is a number that can be drawn, else 0."""
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else 0.0


def _rows(path: Path) -> list[Example]:
    return read_rows(path) if path.is_file() else []


def _rejected(path: Path) -> dict[str, Rejected]:
    """rejected.jsonl by filter, the largest first. It is read line by line: it may be larger than the dataset."""
    counts: Counter[str] = Counter()
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    first: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for line in _lines(path):
        name, of = str(line.get("filter", "")), kinds[str(line.get("filter", ""))]
        kind = kind_of(str(line.get("reason", ""))[:2_000])
        counts[name] += 1
        of[kind if kind in of or len(of) < _MOST_KINDS else "other reasons"] += 1
        if len(first[name]) < EXAMPLES:
            first[name].append(line)
    return {name: Rejected(count, kinds[name], tuple(first[name])) for name, count in counts.most_common()}


def _lines(path: Path) -> Iterator[Mapping[str, Any]]:
    """The objects of a JSON Lines file; none where it is missing. A kill may have cut the last line."""
    if not path.is_file():
        return
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            try:
                value = json.loads(line)
            except ValueError as exc:
                if line.endswith("\n"):
                    raise ConfigError(f"{path}, line {number}: {exc}") from exc
                return
            if not isinstance(value, dict):
                raise ConfigError(f"{path}, line {number}: expected an object, found {type(value).__name__}")
            yield value


def _whole(path: Path, read: Any, *args: Any, kind: type = dict) -> Any:
    try:
        found = read(*args)
    except ValueError as exc:
        raise ConfigError(f"{path} cannot be read: {exc}") from exc
    if not isinstance(found, kind):
        raise ConfigError(f"{path}: expected an object, found {type(found).__name__}")
    return found


def _config(path: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """run.toml, and the lines of comment that it begins with."""
    if not (path / CONFIG).is_file():
        return {}, ()
    text = _whole(path / CONFIG, (path / CONFIG).read_text, "utf-8", kind=str)
    found = _whole(path / CONFIG, tomllib.loads, text)
    header = [line.removeprefix("# ") for line in text.split("\n\n", 1)[0].splitlines() if line.startswith("# ")]
    return found, tuple(header)


def _journal(path: Path) -> tuple[tuple[str, ...], tuple[float, float] | None]:
    """The models that answered, the most frequent first, and when the first and the last request were sent."""
    if not (path / JOURNAL).is_file():
        return (), None
    try:
        with opened(path / JOURNAL) as journal:
            models = journal.execute(
                "SELECT model FROM replies WHERE model <> '' GROUP BY model ORDER BY count(*) DESC, model LIMIT 5"
            ).fetchall()
            first, last = journal.execute("SELECT min(sent), max(sent) FROM attempts").fetchone()
    except sqlite3.DatabaseError as exc:
        raise AlpacaError(f"{path / JOURNAL} is not a run journal that alpacakit can read: {exc}") from exc
    return tuple(str(model) for (model,) in models), None if first is None else (first, last)
