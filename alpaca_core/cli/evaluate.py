"""``alpacakit evaluate``: how a model does on rows that it has not seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from alpaca_core.cli.comparison import compare, compared
from alpaca_core.cli.console import emit_json, out, table
from alpaca_core.cli.options import ASKING, config_options, json_option, resolve
from alpaca_core.errors import ConfigError


@click.command()
@click.argument("path", metavar="MODEL")  # "model" is the teacher's, in the shared flags
@click.option("--data", type=click.Path(path_type=Path), metavar="FILE", help="Rows with the right outputs.")
@click.option(
    "--out",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="File for the scores (JSON); with --against, folder for the comparison.",
)
@compared
@config_options(*ASKING, "judge", "seed", teacher="Teacher to ask, where the judge asks one.")
@json_option
@click.pass_context
def evaluate(ctx: click.Context, path: str, data: Path | None, file: Path | None, as_json: bool, **_: Any) -> None:
    """Score MODEL, a folder or hub id, on DATA: exact match with the outputs, in all and by kind of task, ROUGE-L, loss
    and perplexity, how many answers end by themselves, how long they are.

    DATA is whatever `alpacakit filter` reads; of a run folder, the rows that were set aside. With --against the answers
    of MODEL are compared with another one's, by a judge; either may be a file of answers (model_outputs.json), or the
    data itself, whose outputs are answers too.

    \b
    alpacakit evaluate runs/practice/model --data runs/practice/heldout.json --out scores.json
    alpacakit evaluate MODEL --data FILE --against BASE --judge pairwise --teacher openai --budget 2 --out versus
    """
    import json

    from alpaca_core.cli.ending import measures, show_samples
    from alpaca_core.dataset import read_rows, write_text
    from alpaca_core.runs import DATA, HELDOUT
    from alpaca_core.training import model_path, score

    if ctx.params["against"] is not None:
        compare(ctx, path, data, file, as_json)
        return
    if data is None:
        raise click.UsageError("Missing option '--data'.", ctx)
    if file is not None and file.exists():
        raise ConfigError(f"{file} exists already.", hint="Name another file for the scores.")
    host, config = resolve(ctx, frozenset())
    host.find("teacher", "transformers").require()
    is_run = (data / DATA).exists() or (data / HELDOUT).exists()
    rows = read_rows(data / HELDOUT if is_run else data)  # never the rows that the run trained on
    if not rows:
        raise ConfigError(f"{data} holds no rows to evaluate on.")
    scores = score(config, host, model_path(path), rows)
    result = {"model": path, "data": str(data), **scores.as_dict()}
    if file is not None:
        write_text(file, json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    if as_json:
        emit_json(result)
        return
    families = sorted(scores.by_family.items(), key=lambda item: -item[1]["exact_match"])
    lines = [[name, str(family["n"]), f"{family['exact_match']:.0%}"] for name, family in families]
    table(["kind of task", "rows", "exact match"], [*lines, ["all", str(scores.n), f"{scores.exact_match:.0%}"]])
    out()
    for part in measures(scores):
        out(part)
    show_samples(scores)
