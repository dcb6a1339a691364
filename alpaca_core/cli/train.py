"""``alpacakit train``: a dataset in, a model out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from alpaca_core.cli.console import emit_json, out, shell_line
from alpaca_core.cli.options import TRAINING, config_options, json_option, resolve
from alpaca_core.errors import ConfigError


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--out", "folder", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Gets model/, summary.json."
)
@config_options(*TRAINING, "seed")
@click.option("--fresh", is_flag=True, help="Start over where another training was.")
@click.option("--dry-run", is_flag=True, help="Show the command line of the training, and touch nothing.")
@json_option
@click.pass_context
def train(ctx: click.Context, data: Path, folder: Path, fresh: bool, dry_run: bool, as_json: bool, **_: Any) -> None:
    """Fine-tune a student on DATA: a run folder, or whatever `alpacakit filter` reads.

    Training that ended early goes on from its last checkpoint when the same command is given again.

    \b
    alpacakit train runs/openai --student huggyllama/llama-7b --trainer fsdp --out llama
    alpacakit train alpaca_data.json --student new:tiny --out tiny --set trainer.max_steps=100
    """
    from alpaca_core.cli.progress import Screen
    from alpaca_core.datafiles import is_list
    from alpaca_core.datafolders import data_files
    from alpaca_core.dataset import read_rows, write_rows
    from alpaca_core.runs import JOURNAL, read_summary, write_summary
    from alpaca_core.training import check_trainer, run_training, train_job, training_summary

    host, config = resolve(ctx, frozenset({"trainer", "chat_template"}))
    if config.trainer is None:
        raise ConfigError("train needs a trainer.", hint="Name one: --trainer local")
    config.trainer.spec.require()
    rows = read_rows(data)
    if not rows:
        raise ConfigError(f"{data} holds no rows to train on.")
    if (folder / JOURNAL).exists():
        raise ConfigError(
            f"{folder} is a run folder, with a dataset and a model of its own.",
            hint="Choose another --out, or train inside it with: alpacakit run --out " + str(folder),
        )
    file, *more = data_files(data)
    as_list = not more and is_list(file)  # which is what trainers read
    listed = file if as_list else folder / "training_rows.json"
    job = replace(train_job(config, listed, folder, fresh=fresh), ids=[row.id for row in rows])
    if dry_run:
        plan = config.trainer.build().plan(job)
        if as_json:
            emit_json({"argv": plan.argv, "env": dict(plan.env), "notes": plan.notes})
            return
        out(shell_line(plan))
        for note in plan.notes:
            out(f"# {note}")
        return
    check_trainer(config, job)
    if not as_list:
        write_rows(listed, rows)
    with Screen() as screen:
        screen.stage("train")
        result = run_training(config, job, screen.training)
    summary = {**read_summary(folder), "status": "done", "training": training_summary(result)}
    write_summary(folder, summary)
    if as_json:
        emit_json(summary)
        return
    out(
        f"trained   {result.steps:,} steps, {result.tokens:,} tokens, final loss {result.final_loss:.4f},"
        f" {result.strategy} x {result.world_size}, {result.seconds:.0f} s"
    )
    out(f"model     {result.model}")
    out(f'next      alpacakit chat {result.model} --prompt "..."')
