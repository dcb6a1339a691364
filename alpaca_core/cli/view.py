"""``alpacakit view``: look through the rows of a run or of a data file in a browser, and mark them."""

from __future__ import annotations

from pathlib import Path

import click

from alpaca_core.cli.console import say


@click.command()
@click.argument("data", metavar="DATA", type=click.Path(path_type=Path))
@click.option(
    "--losses",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="The --out of a training on DATA, for the losses of its rows (default: the run's own).",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="Port (default: a free one).")
@click.option("--open", "opens", is_flag=True, help="Open the page in the browser.")
def view(data: Path, losses: Path | None, port: int, opens: bool) -> None:
    """Look through the rows of DATA in a browser: search, sort, filter, and mark them keep, drop or edit.

    DATA is a run folder, with what its filters rejected and why, or whatever `alpacakit filter` reads. Marks are kept
    in RUN/edits.jsonl, or in FILE.edits.jsonl beside a file; `run`, `generate` and `train` apply them. The page is for
    this machine alone: it is served on loopback, to whoever has the address that is printed. Ctrl-C ends it.

    \b
    alpacakit view runs/practice
    alpacakit view alpaca_data.json --open
    """
    import secrets
    import webbrowser

    from alpaca_core.serving import listening
    from alpaca_core.view import server
    from alpaca_core.view.browsing import Browser

    server.require()
    with listening(server.LOOPBACK, port) as bound:
        browser = Browser(data, losses)
        token = secrets.token_urlsafe(16)
        address = f"http://{server.LOOPBACK}:{bound.getsockname()[1]}/{token}/"
        say(f"{len(browser.entries):,} rows; marks go to {browser.marks_file}; Ctrl-C ends it", dim=True)
        click.echo(address)  # at once, also into a pipe
        if opens:
            webbrowser.open(address)
        server.serve(browser, bound, token)
    if browser.marks:
        count = f"{len(browser.marks):,} mark{'' if len(browser.marks) == 1 else 's'}"
        say(f"{count} in {browser.marks_file}: the next `run`, `generate` or `train` applies what is there.")
