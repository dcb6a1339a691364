"""``alpacakit winrate``: what the verdicts of judges and people come to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alpaca_core.cli.console import emit_json, out, say, table
from alpaca_core.cli.options import json_option
from alpaca_core.errors import ConfigError

if TYPE_CHECKING:
    from alpaca_core.versus.annotations import Annotation
    from alpaca_core.versus.standings import Standing

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("files", type=_FILE, nargs=-1, required=True, metavar="FILE...")
@click.option("--key", type=_FILE, metavar="FILE", help="The FILEs are marked sheets, and this is their key.")
@click.option(
    "--difficulty", type=_FILE, metavar="FILE", help="AlpacaEval's df_gamed.csv, for the full length control."
)
@click.option("--leaderboard", type=_FILE, metavar="FILE", help="Leaderboard (CSV) to make or to extend.")
@click.option("--out", "file", type=_FILE, metavar="FILE", help="File for the verdicts as annotations.json.")
@json_option
def winrate(
    files: Sequence[Path],
    key: Path | None,
    difficulty: Path | None,
    leaderboard: Path | None,
    file: Path | None,
    as_json: bool,
) -> None:
    """How often a model's answers are preferred to a baseline's.

    FILEs are AlpacaEval's annotations.json, of whatever version, or, with --key, what people marked on a sheet. Draws
    count half. The interval is a bootstrap over the instructions. Beside the win rate stand the length-controlled one
    and what a judge would have said that sees lengths alone.

    \b
    alpacakit winrate annotations.json --leaderboard leaderboard.csv
    alpacakit winrate marks-*.csv --key blind.key.json --out annotations.json
    """
    from alpaca_core.versus.annotations import write_annotations
    from alpaca_core.versus.leaderboard import extend_leaderboard
    from alpaca_core.versus.lengthcontrol import read_difficulty
    from alpaca_core.versus.standings import entries, standings

    if file is not None and file.exists():
        raise ConfigError(f"{file} exists already.", hint="Name another file for the verdicts.")
    annotations = _read(files, key)
    found = standings(annotations, read_difficulty(difficulty) if difficulty else None)
    if leaderboard is not None:
        extend_leaderboard(leaderboard, entries(found))
    if file is not None:
        write_annotations(file, annotations)
    emit_json([standing.as_dict() for standing in found]) if as_json else _show(found)


def _read(files: Sequence[Path], key: Path | None) -> list[Annotation]:
    from alpaca_core.versus.annotations import read_annotations
    from alpaca_core.versus.sheet import read_key, read_marks

    if key is None:
        return [row for path in files for row in read_annotations(path)]
    sheet = read_key(key)
    seen: dict[tuple[str, int], Path] = {}
    found = []
    for path in files:
        for row in read_marks(path, sheet):
            if (before := seen.setdefault((row.annotator, row.index), path)) is not path:
                raise ConfigError(
                    f"{path} holds marks of {row.annotator} that {before} holds too.",
                    hint="Leave one of them out. Where they are two people's, name each in the column annotator.",
                )
            found.append(row)
    return found


def _show(found: Sequence[Standing]) -> None:
    from alpaca_core.versus.lengthcontrol import FULL, is_extreme

    forms = {standing.controlled.form for standing in found if standing.controlled}
    control = "length-controlled" if forms == {FULL} else "length-controlled, minimal"
    headers = ["model", "against", "judge", "win rate", "95 %", control, "won", "drawn", "lost", "length", "against"]
    table(headers, [_cells(standing) for standing in found])
    out()
    for standing in found:
        for line in standing.controls:
            out(f"{standing.name}: {line}")
    for standing in found:
        rate, controlled = standing.rate, standing.controlled
        if rate.n_missing:
            say(f"{standing.name}: {rate.n_missing:,} of {rate.n_missing + rate.n_total:,} rows have no verdict.")
        if controlled is None:
            say(f"{standing.name}: no length control: {standing.why_not}")
        elif is_extreme(rate.win_rate, controlled.win_rate):
            say(
                f"{standing.name}: length control moves the rate far, from {rate.win_rate:.1f} % to"
                f" {controlled.win_rate:.1f} %. With answers of {rate.avg_length:,.0f} characters against"
                f" {rate.avg_length_base:,.0f} there are few rows of like length to learn it from: do not lean on it."
            )


def _cells(standing: Standing) -> list[Any]:
    rate, controlled = standing.rate, standing.controlled
    return [
        standing.model,
        standing.baseline,
        standing.judge,
        f"{rate.win_rate:.2f} %",
        f"{rate.low:.2f} to {rate.high:.2f}",
        "" if controlled is None else f"{controlled.win_rate:.2f} %",
        rate.n_wins,
        rate.n_draws,
        rate.n_wins_base,
        f"{rate.avg_length:.0f}",
        f"{rate.avg_length_base:.0f}",
    ]
