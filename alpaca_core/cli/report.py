"""``alpacakit report``: one HTML page of a run or a dataset, and its figures as files."""

from __future__ import annotations

from pathlib import Path

import click

from alpaca_core.cli.console import emit_json, out, say
from alpaca_core.cli.options import json_option, plugin_host

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("data", metavar="RUN|DATA", type=_FILE)
@click.option("--out", "page", type=_FILE, metavar="FILE", help="The page (default: report.html in the run folder).")
@click.option("--figures", type=_FILE, metavar="DIR", help="Write each figure here, as SVG and, where it can, PNG.")
@json_option
@click.pass_context
def report(ctx: click.Context, data: Path, page: Path | None, figures: Path | None, as_json: bool) -> None:
    """One HTML page of a run or a dataset, with its figures.

    The page is a single file: it asks the network for nothing and can be sent as it is. RUN is a run folder, or the
    folder of a training. DATA is whatever `alpacakit filter` reads; then --out names the page.

    \b
    alpacakit report runs/openai
    alpacakit report alpaca_data.json --out data.html --figures figures
    """
    from alpaca_core.cli.page import terms
    from alpaca_core.report.facts import is_run
    from alpaca_core.report.files import check_figures, write_figures
    from alpaca_core.report.page import PAGE, write_report

    if page is None and not is_run(data):
        raise click.UsageError("name the page of a dataset: --out FILE", ctx)
    page = page or data / PAGE
    if figures is not None:
        check_figures(figures)
    made = write_report(data, page, terms(plugin_host(ctx, quiet=True)))
    files, notes = write_figures(figures, made.pictures) if figures is not None else ([], [])
    for note in notes:
        say(f"note: {note}")
    if as_json:
        emit_json({"page": str(page), "bytes": page.stat().st_size, "figures": [str(file) for file in files]})
        return
    out(f"report    {page}  ({page.stat().st_size / 1000:,.0f} KB)")
    if files:
        out(f"figures   {figures}/  ({', '.join(file.name for file in files)})")
