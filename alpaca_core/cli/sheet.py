"""``alpacakit sheet``: a page on which people compare two models without knowing which is which."""

from __future__ import annotations

from pathlib import Path

import click

from alpaca_core.cli.console import emit_json, out
from alpaca_core.cli.options import json_option


@click.command()
@click.argument("baseline", type=click.Path(path_type=Path), metavar="BASELINE")
@click.argument("model", type=click.Path(path_type=Path), metavar="MODEL")
@click.option("--out", "page", type=click.Path(path_type=Path), required=True, metavar="FILE", help="The page (.html).")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="The order of rows and answers (default: 0).")
@json_option
def sheet(baseline: Path, model: Path, page: Path, seed: int, as_json: bool) -> None:
    """Make a page on which people compare the answers of two models blindly.

    BASELINE and MODEL are outputs to the same instructions, as AlpacaEval's model_outputs.json has them. Beside the
    page come the same sheet as a table (.csv), for those who would rather fill in a spreadsheet, and the key
    (.key.json), which is not for their eyes: with it `alpacakit winrate` reads what they marked.

    \b
    alpacakit sheet davinci.json mine.json --out blind.html
    alpacakit winrate marks-*.csv --key blind.key.json
    """
    from alpaca_core.versus.outputs import paired, read_outputs
    from alpaca_core.versus.sheet import sheet_of, write_sheet

    pairs = paired(read_outputs(baseline), read_outputs(model))
    names = [
        rows[0].generator or path.stem for rows, path in zip(zip(*pairs, strict=True), (baseline, model), strict=True)
    ]
    if names[0] == names[1]:
        names = [f"{name} ({path.stem})" for name, path in zip(names, (baseline, model), strict=True)]
    made = sheet_of(pairs, *names, seed=seed)
    paths = write_sheet(page, made)
    if as_json:
        emit_json(
            {"sheet": made.id, "rows": len(made.rows)}
            | dict(zip(("page", "table", "key"), map(str, paths), strict=True))
        )
        return
    out(f"{len(made.rows):,} rows: {names[1]} against {names[0]}")
    out(f"page   {paths[0]}: open it in a browser; it needs no network")
    out(f"table  {paths[1]}: the same rows for a spreadsheet")
    out(f"key    {paths[2]}: keep it from those who mark")
