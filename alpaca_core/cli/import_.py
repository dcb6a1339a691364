"""``alpacakit import``: rows of other forms as rows of instruction, input and output."""

from __future__ import annotations

from pathlib import Path

import click

from alpaca_core.cli.console import emit_json, out
from alpaca_core.cli.options import json_option

_PATH = click.Path(path_type=Path)


@click.command("import")
@click.argument("source", metavar="DATA", type=_PATH)
@click.option("--out", "target", type=_PATH, required=True, metavar="FILE", help="New file for the rows.")
@click.option("--rejected", type=_PATH, metavar="FILE", help="New file for rows that cannot be taken, with reasons.")
@click.option(
    "--first-turn", is_flag=True, help="Of a conversation of several turns, take the first question and answer."
)
@click.option("--drop-system", is_flag=True, help="Leave system messages out.")
@click.option("--empty-inputs", is_flag=True, help="Empty an input that only says that there is none (N/A, <noinput>).")
@json_option
def import_(
    source: Path,
    target: Path,
    rejected: Path | None,
    first_turn: bool,
    drop_system: bool,
    empty_inputs: bool,
    as_json: bool,
) -> None:
    """Read a dataset of another form, to train on, filter or look at.

    DATA is a JSON, JSON Lines, CSV, Parquet or Arrow file or a Hugging Face dataset folder. Each row's form is found by
    looking: instruction and output (Alpaca), conversations (ShareGPT), messages, prompt and completion. The file is
    written as its name ends: .json, .jsonl, .csv, .parquet. Rows that cannot be taken end the command, with their
    reasons, unless --rejected names a file for them. Other keys of a row stay.

    \b
    alpacakit import sharegpt.json --out rows.json --rejected left.jsonl
    alpacakit import sharegpt.json --out rows.json --first-turn --drop-system
    """
    from alpaca_core.errors import ConfigError
    from alpaca_core.sharing.exporting import refuse_existing
    from alpaca_core.sharing.importing import import_rows

    for file in filter(None, (target, rejected)):
        if file.is_dir():
            raise ConfigError(f"{file} is a folder.", hint="Name a file, such as rows.json.")
        refuse_existing(file)
    if rejected is not None and rejected.resolve() == target.resolve():
        raise ConfigError("--out and --rejected name the same file.", hint="Choose another for each.")
    how = {"first_turn": first_turn, "drop_system": drop_system, "empty_inputs": empty_inputs}
    tally = import_rows(source, target, rejected, **how)
    if as_json:
        emit_json(tally.as_dict())
        return
    forms = ", ".join(f"{name} {n:,}" for name, n in tally.forms.items())
    out(f"taken     {tally.taken:,} of {tally.rows:,} rows ({forms}): {target}")
    if tally.reasons:
        out(f"left      {tally.rows - tally.taken:,} rows: {rejected}")
        for line in tally.lines():
            out(f"          {line}")
    if tally.emptied:
        out(f"emptied   {tally.emptied:,} inputs that only said that there is none")
