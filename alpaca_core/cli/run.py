"""``alpacakit run`` and ``alpacakit generate``: seed tasks in; rows, or a model and its scores, out."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from alpaca_core.cli.console import emit_json, out, say, shell_line
from alpaca_core.cli.options import GENERATION, TRAINING, config_options, json_option, resolve
from alpaca_core.config import Config
from alpaca_core.runs import DATA, SUMMARY, read_summary
from alpaca_core.settings import shown

_OUT = click.option(
    "--out", "folder", type=click.Path(path_type=Path), metavar="DIR", help="Run folder (default: runs/TEACHER)."
)
_FRESH = click.option("--fresh", is_flag=True, help="Start over; what is in the folder is kept aside.")
_DRY_RUN = click.option("--dry-run", is_flag=True, help="Show what would be done, and touch nothing.")


@click.command()
@_OUT
@config_options(*GENERATION, *TRAINING)
@_FRESH
@_DRY_RUN
@json_option
@click.pass_context
def run(ctx: click.Context, folder: Path | None, fresh: bool, dry_run: bool, as_json: bool, **_: Any) -> int:
    """The whole pipeline: generate, filter, train, evaluate.

    Without a teacher it is the practice run: real data, training and scores without a key, a GPU or a network. A run
    that ended early goes on when the same command is given again.

    \b
    alpacakit run
    alpacakit run --teacher openai --trainer fsdp --student huggyllama/llama-7b -n 52000 --budget 10
    """
    from alpaca_core.cli.ending import show_run
    from alpaca_core.cli.page import run_page
    from alpaca_core.cli.progress import Screen
    from alpaca_core.pipeline import default_folder, run_pipeline

    host, config = resolve(ctx)
    folder = folder or default_folder(config)
    if dry_run:
        _show_plan(config, folder, as_json, fresh)
        return 0
    _greet(config)
    with Screen() as screen:
        outcome = run_pipeline(config, host, folder, screen, fresh=fresh)
        page = run_page(host, folder, screen)
    if as_json:
        emit_json(read_summary(folder))
    else:
        show_run(outcome, folder, page)
    # A model that has learnt too little is a result. One whose files are not usable is a failure of the work.
    return 1 if outcome.acceptance is not None and outcome.acceptance.broken else 0


@click.command()
@_OUT
@config_options(*GENERATION)
@_FRESH
@_DRY_RUN
@json_option
@click.pass_context
def generate(ctx: click.Context, folder: Path | None, fresh: bool, dry_run: bool, as_json: bool, **_: Any) -> None:
    """Write a dataset with a teacher, from seed tasks.

    \b
    alpacakit generate --teacher openai -n 2000 --budget 1 --out data
    alpacakit generate --teacher openai --seed-tasks mine.jsonl --dry-run
    """
    from alpaca_core.cli.ending import show_generation
    from alpaca_core.cli.progress import Screen
    from alpaca_core.pipeline import default_folder, generate_stage, has_replies, make_parts, open_run

    host, config = resolve(ctx, frozenset({"teacher", "prompt", "filters"}))
    folder = folder or default_folder(config)
    if dry_run:
        _show_plan(config, folder, as_json, fresh)
        return
    parts = make_parts(config, to_ask=not has_replies(config, folder, fresh=fresh))
    with open_run(config, parts, folder, fresh=fresh) as opened, Screen() as screen:
        screen.stage("generate")
        outcome = generate_stage(config, host, parts, opened, screen, heldout=False)
    if as_json:
        emit_json(outcome.summary)
        return
    show_generation(outcome.summary)
    out(f"files     {folder / DATA}, {folder / 'rejected.jsonl'}, {folder / SUMMARY}")
    out(f"next      alpacakit train {folder / DATA} --out MODEL_DIR")


def _greet(config: Config) -> None:
    notice = getattr(config.teacher.spec, "notice", "") if config.teacher else ""
    if notice:
        say(f"Practice run. {notice} For the real thing: alpacakit run --teacher openai --trainer fsdp")


def _show_plan(config: Config, folder: Path, as_json: bool, fresh: bool) -> None:
    """What a run would do: components, estimate, the training's command line."""
    from alpaca_core.cli.spending import show_estimate
    from alpaca_core.estimate import estimate
    from alpaca_core.pipeline import make_parts
    from alpaca_core.training import train_job

    parts = make_parts(config)
    expected = estimate(config, parts, None if fresh else folder)
    training = None
    if config.trainer is not None:
        training = config.trainer.build().plan(train_job(config, folder / DATA, folder))
    if as_json:
        emit_json(
            {
                "out": str(folder),
                "settings": {key: shown(key, value.value) for key, value in config.values.items()},
                **asdict(expected),
                "training": None if training is None else {"argv": training.argv, "env": dict(training.env)},
            }
        )
        return
    show_estimate(config, parts, folder, expected)
    if training is not None:
        assert config.trainer is not None
        out(f"training  {config.trainer.name}, student {config.student}")
        out(f"          {shell_line(training)}")
        for note in training.notes:
            out(f"          {note}")
