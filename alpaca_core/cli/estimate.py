"""``alpacakit estimate``: requests, tokens and dollars of a generation, before any is spent."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from alpaca_core.cli.console import emit_json
from alpaca_core.cli.options import GENERATION, config_options, json_option, resolve


@click.command()
@click.option(
    "--out", "folder", type=click.Path(path_type=Path), metavar="DIR", help="Run folder (default: runs/TEACHER)."
)
@config_options(*GENERATION)
@json_option
@click.pass_context
def estimate(ctx: click.Context, folder: Path | None, as_json: bool, **_: Any) -> None:
    """What a generation will take: requests, tokens and dollars, at best, usually and at worst.

    Asks nobody, writes nothing and needs no key. Where the run folder holds replies of this run already, the figures
    are measured on them, and are those of what is still to come.

    \b
    alpacakit estimate --teacher openai -n 52000
    alpacakit estimate --teacher openai -n 52000 --batch --json
    """
    from alpaca_core.cli.spending import show_estimate
    from alpaca_core.estimate import estimate as estimated
    from alpaca_core.pipeline import default_folder, make_parts

    _host, config = resolve(ctx, frozenset({"teacher", "prompt", "filters"}))
    folder = folder or default_folder(config)
    parts = make_parts(config, to_ask=False)
    expected = estimated(config, parts, folder)
    if as_json:
        emit_json({"out": str(folder), **asdict(expected)})
    else:
        show_estimate(config, parts, folder, expected)
