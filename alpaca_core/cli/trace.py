"""``alpacakit trace``: where a row came from, what filters said of it, and how well it was learnt."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from alpaca_core.cli.console import emit_json, out, say, table
from alpaca_core.cli.options import json_option
from alpaca_core.cli.progress import clipped


@click.command()
@click.argument("name", metavar="[ID]", required=False)
@click.option(
    "--run",
    "folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="A run folder, or the --out of a training (default: the newest in runs/).",
)
@click.option("--worst", type=click.IntRange(min=1), metavar="N", help="List the N rows that were learnt worst.")
@json_option
@click.pass_context
def trace(ctx: click.Context, name: str | None, folder: Path | None, worst: int | None, as_json: bool) -> None:
    """Follow a row: its origin, the verdicts on it, its losses.

    ID is an example's id, as in rejected.jsonl, heldout.json and row_losses.jsonl, or the number of a row of
    alpaca_data.json, from 0.

    \b
    alpacakit trace 000012.03 --run runs/openai
    alpacakit trace --worst 20 --run runs/openai
    """
    from alpaca_core import tracing

    if (name is None) == (worst is None):
        raise click.UsageError("give the id of an example, or --worst N", ctx)
    if folder is None:
        folder = tracing.newest_run()
        say(f"in {folder}", dim=True)
    if worst is not None:
        rows = tracing.worst(folder, worst)
        emit_json(rows) if as_json else _show_worst(rows)
        return
    found = tracing.trace(folder, str(name))
    emit_json(found) if as_json else _show(found)


def _show_worst(rows: list[dict[str, Any]]) -> None:
    epochs = max(len(row["losses"]) for row in rows)
    cells = [
        [
            row["id"],
            row["row"],
            *(f"{loss:.3f}" for loss in row["losses"]),
            *[""] * (epochs - len(row["losses"])),
            "rose" if row["rose"] else "",
            row["tokens"],
            clipped(row["instruction"]),
        ]
        for row in rows
    ]
    table(["id", "row", *(f"epoch {n + 1}" for n in range(epochs)), "", "tokens", "instruction"], cells)


def _show(found: dict[str, Any]) -> None:
    row = "" if found["row"] is None else f", row {found['row']}"
    out(f"{found['id'] or 'row ' + str(found['row'])}: {found['fate']}{row if found['id'] else ''}")
    for part in ("instruction", "input", "output"):
        if found.get(part):
            _line(part, *found[part].splitlines())
    if "origin" in found:
        _show_origin(found["origin"])
        _line("verdicts", *(found["verdicts"] or ["none: no filter had anything against it"]))
    losses = [f"epoch {of['epoch']}: {of['loss']:.4f} over {of['tokens']} tokens" for of in found["losses"]]
    _line("losses", *(losses or ["not trained on"]))


def _show_origin(origin: dict[str, Any]) -> None:
    model = f", {origin['model']}" if origin["model"] else ""
    when = "" if origin["sent"] is None else f", sent {datetime.fromtimestamp(origin['sent']):%Y-%m-%d %H:%M:%S}"
    tokens = f"{origin['prompt_tokens']:,} tokens in, {origin['completion_tokens']:,} out"
    _line(
        "origin",
        f"teacher {origin['teacher']}{model}, prompt {origin['prompt']}",
        f"request {origin['request']}, task {origin['item'] + 1} of {origin['tasks']} in its reply{when}",
        f"the reply: {tokens}, ended by {origin['finish']}",
        *([f"taken over from {origin['from']}"] if "from" in origin else []),
    )
    if origin["cost_usd"] is not None:
        _line("cost", f"${origin['cost_usd']:.6f}, its share of the ${origin['reply_cost_usd']:.6f} of the reply")
    elif origin["sent"] is None:
        _line("cost", "paid by the run that it was taken over from")
    else:
        _line("cost", "unknown: the price was not known")
    shown = origin["shown"]
    _line(
        "shown", "the seed tasks of the run are not here any more" if shown is None else ", ".join(shown) or "nothing"
    )


def _line(title: str, *texts: str) -> None:
    for place, text in enumerate(texts or ("",)):
        out(f"{'' if place else title:<12} {text}".rstrip())
