"""``alpacakit accept``: whether a finished model is fit for use, with an exit code for scripts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from alpaca_core.acceptance import STOP_RATE
from alpaca_core.cli.console import emit_json, out, say
from alpaca_core.cli.options import config_options, json_option, resolve
from alpaca_core.errors import AlpacaError, ConfigError


@click.command()
@click.argument("path", metavar="MODEL")  # "model" is the teacher's, in the shared flags
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Rows that it was not trained on (default: the run's).",
)
@click.option("--base", metavar="MODEL", help="The model before it was trained (default: the run's).")
@click.option(
    "--exported",
    type=click.Path(exists=True),
    metavar="PATH",
    multiple=True,
    help="The same model in another form: a folder, a LoRA adapter's folder, a GGUF file. Repeatable.",
)
@click.option(
    "--stop-rate",
    type=click.FloatRange(0, 1),
    default=STOP_RATE,
    show_default=True,
    metavar="SHARE",
    help="Share of answers that have to end by themselves.",
)
@config_options()
@json_option
@click.pass_context
def accept(
    ctx: click.Context,
    path: str,
    data: Path | None,
    base: str | None,
    exported: tuple[str, ...],
    stop_rate: float,
    as_json: bool,
    **_: Any,
) -> int:
    """Accept MODEL or refuse it: a run folder, a model's folder or a hub id.

    Each check has a number, a limit, and advice where it fails. Of a run folder, the rows that were set aside, the
    student before training and the LoRA adapter are taken from there. Ends with 0 when the model is accepted, 1 when it
    is not.

    \b
    alpacakit accept runs/practice
    alpacakit accept MODEL --data heldout.json --base huggyllama/llama-7b --exported model.gguf
    """
    from alpaca_core import acceptance
    from alpaca_core.cli.ending import show_acceptance
    from alpaca_core.dataset import read_rows
    from alpaca_core.evaluate import measure
    from alpaca_core.runs import DATA, HELDOUT
    from alpaca_core.trained import Trained
    from alpaca_core.training import model_path, open_model

    host, config = resolve(ctx, frozenset())
    host.find("teacher", "transformers").require()
    found = Trained.of(path)
    file = found.heldout if data is None else data / HELDOUT if (data / DATA).exists() else data
    if file is None:
        raise ConfigError(
            f"Nothing says which rows {path} was not trained on.", hint="Give rows with the right outputs: --data FILE"
        )
    rows = read_rows(file)
    if not rows:
        raise ConfigError(
            f"{file} holds no rows to try the model with.", hint="Give rows with the right outputs: --data FILE"
        )
    settings = config.evaluation
    model = open_model(host, found.model, batch_size=settings.batch_size)
    before = model_path(base) if base else found.base
    given = found.heldout is not None and file.resolve() == found.heldout.resolve()

    def base_losses(jinja: str) -> Any:
        nonlocal before
        try:
            opened = open_model(host, before, batch_size=settings.batch_size) if before else None
            return None if opened is None else opened.losses(rows, jinja)  # type: ignore[attr-defined]
        except AlpacaError as exc:
            if base:  # it was asked for
                raise
            say(f"{before}, the base by what its training noted, is not compared with: {exc}", dim=True)
            before = ""
            return None

    result = acceptance.accept(
        model,
        rows,
        lambda: measure(model, rows, settings.max_new_tokens),
        base_losses,
        template=found.chat_template(host),
        exported=[*exported, *([str(found.adapter)] if found.adapter else [])],
        outputs=found.outputs,
        floor=found.floor if given else None,
        stop_rate=stop_rate,
    )
    for note in getattr(model, "notes", ()):
        say(note, dim=True)
    if as_json:
        emit_json(
            {"model": found.model, "base": before or None, "data": str(file), "rows": len(rows)} | result.as_dict()
        )
    else:
        out(f"{found.model}, on {len(rows):,} rows of {file}" + (f", against {before}" if before else ""))
        out()
        show_acceptance(result)
    return 0 if result.accepted else 1
