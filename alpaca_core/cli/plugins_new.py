"""``alpacakit plugins new``: a plugin to start from, which installs and passes its tests as it is."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from alpaca_core.cli.console import emit_json, out, say
from alpaca_core.cli.options import json_option, plugin_host
from alpaca_core.plugins import KINDS


@click.command()
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), required=True, help="What the plugin offers.")
@click.option("--out", "folder", metavar="DIR", type=click.Path(path_type=Path), help="Default: alpacakit-NAME.")
@json_option
@click.pass_context
def new(ctx: click.Context, name: str, kind: str, folder: Path | None, as_json: bool) -> None:
    """Write a plugin called NAME to start from: its code, its tests, a README and a CI file.

    \b
    alpacakit plugins new no-politics --kind filter
    """
    from alpaca_core.newplugin import use_of, write

    made = write(name, kind, folder, plugin_host(ctx, quiet=True))  # type: ignore[arg-type]
    place = folder or Path(f"alpacakit-{name}")
    if as_json:
        emit_json({"folder": str(place), "files": [str(path.relative_to(place)) for path in made]})
    else:
        for path in made:
            out(str(path))
    say(
        f"Next:\n  cd {shlex.quote(str(place))}\n  pip install -e '.[test]'\n  pytest\n"
        f"  alpacakit plugins check {name}\n  alpacakit {use_of(name, kind)}"  # type: ignore[arg-type]
    )
