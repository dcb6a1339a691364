"""Leaderboards as AlpacaEval writes them: ``leaderboard.csv``, a line for each model."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from alpaca_core.dataset import write_text
from alpaca_core.errors import ConfigError
from alpaca_core.versus.lengthcontrol import FULL, MINIMAL, LengthControlled
from alpaca_core.versus.winrate import WinRate

MODE = "community"  # AlpacaEval's word for what its authors have not checked

# AlpacaEval's columns in its order; ours for the minimal form comes last, where there is such a rate.
COLUMNS = (
    "win_rate",
    "standard_error",
    "n_wins",
    "n_wins_base",
    "n_draws",
    "n_total",
    "discrete_win_rate",
    "mode",
    "avg_length",
    "length_controlled_winrate",
    "lc_standard_error",
)
_SAME = 1e-9

Value = int | float | str | None


@dataclass(frozen=True, slots=True)
class Entry:
    """The line of one model: a value for each column, None where the cell is empty."""

    model: str
    values: Mapping[str, Value]


def entry(model: str, rate: WinRate, controlled: LengthControlled | None = None) -> Entry:
    """The line of ``model``. A rate in the minimal form has a column of its own, ``length_controlled_minimal``:
    ``length_controlled_winrate`` means the full one everywhere else."""
    values: dict[str, Value] = dict.fromkeys(COLUMNS)
    values |= {name: value for name, value in rate.as_dict().items() if name in COLUMNS}
    values |= {"mode": MODE, "avg_length": int(rate.avg_length)}
    if controlled is not None and controlled.form == FULL:
        values |= {"length_controlled_winrate": controlled.win_rate, "lc_standard_error": controlled.standard_error}
    elif controlled is not None:
        values[MINIMAL] = controlled.win_rate
    return Entry(model, values)


def read_leaderboard(path: Path) -> list[Entry]:
    """The lines of ``path``, with whatever columns it has. The model is in the first one.

    Raises ConfigError where it cannot be read, where a line has not the header's number of cells, and where a model is
    there twice or without a win rate.
    """
    try:
        lines = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as exc:
        raise ConfigError(f"{path} cannot be read: {getattr(exc, 'strerror', None) or exc}.") from exc
    header, rows = (lines[0], [line for line in lines[1:] if line]) if lines else ([], [])
    if "win_rate" not in header[1:]:
        raise ConfigError(f"{path} is no leaderboard: its first line has no column 'win_rate'.")
    entries: dict[str, Entry] = {}
    problems = []
    for model, *cells in rows:
        if len(cells) != len(header) - 1:
            problems.append(f"{model}: {len(cells) + 1} cells, and the header has {len(header)}")
            continue
        found = Entry(model, {name: _value(cell) for name, cell in zip(header[1:], cells, strict=True)})
        if model in entries:
            problems.append(f"{model}: there twice")
        if not isinstance(found.values["win_rate"], int | float):
            problems.append(f"{model}: win_rate: expected a number, found {found.values['win_rate']!r}")
        entries[model] = found
    if problems:
        raise ConfigError(f"The lines of {path} cannot be used:", problems=problems[:20])
    return list(entries.values())


def write_leaderboard(path: Path, entries: Iterable[Entry]) -> None:
    """Write ``entries``, the best win rate first (the full length-controlled one where every line has it), whole or not
    at all. All columns of all lines are written."""
    lines = list(entries)
    columns = list(dict.fromkeys([*COLUMNS, *(name for line in lines for name in line.values)]))
    controlled = all(_number(line, "length_controlled_winrate") is not None for line in lines)
    key = "length_controlled_winrate" if controlled else "win_rate"
    lines.sort(key=lambda line: -(_number(line, key) or 0.0))
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["", *columns])
    for line in lines:
        writer.writerow([line.model, *("" if (value := line.values.get(name)) is None else value for name in columns)])
    write_text(path, text.getvalue())


def extend_leaderboard(path: Path, entries: Sequence[Entry]) -> None:
    """Add ``entries`` to the leaderboard at ``path``, which is made where there is none.

    Raises ConfigError, and changes nothing, where a model is there already with other figures.
    """
    there = {line.model: line for line in (read_leaderboard(path) if path.exists() else [])}
    others = [line.model for line in entries if line.model in there and not _same(line, there[line.model])]
    if others:
        raise ConfigError(
            f"{path} has other figures for {', '.join(map(repr, others))}.",
            hint="Remove the line there first, or name another file.",
        )
    new = [line for line in entries if line.model not in there]
    if new:
        write_leaderboard(path, [*there.values(), *new])


def _same(one: Entry, other: Entry) -> bool:
    """Whether the figures that both have are the same; the mode, which people set, is none of them."""
    names = [name for name in one.values if name != "mode"]
    pairs = [(_number(one, name), _number(other, name)) for name in names]
    return all(a is None or b is None or abs(a - b) <= _SAME * max(1.0, abs(a)) for a, b in pairs)


def _number(line: Entry, name: str) -> float | None:
    value = line.values.get(name)
    return float(value) if isinstance(value, int | float) else None


def _value(cell: str) -> Value:
    if not cell:
        return None
    for kind in (int, float):
        try:
            value = kind(cell)
        except ValueError:
            continue
        if repr(value) == cell or kind is float:
            return None if value != value else value
    return cell
