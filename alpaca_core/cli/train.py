"""``alpacakit train``: a dataset in, a model out."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alpaca_core.cli.console import emit_json, out, say, shell_line
from alpaca_core.cli.options import TRAINING, config_options, json_option, resolve
from alpaca_core.errors import AlpacaError, ConfigError, MissingError

if TYPE_CHECKING:
    from alpaca_core.config import Config
    from alpaca_core.records import TrainJob


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--out", "folder", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Gets model/, summary.json."
)
@config_options(*TRAINING, "seed")
@click.option("--fresh", is_flag=True, help="Start over where another training was.")
@click.option("--launcher", type=click.Choice(["slurm"]), help="Hand the training over to Slurm.")
@click.option("--dry-run", is_flag=True, help="Show the command line or script of the training, and touch nothing.")
@json_option
@click.pass_context
def train(
    ctx: click.Context,
    data: Path,
    folder: Path,
    fresh: bool,
    launcher: str | None,
    dry_run: bool,
    as_json: bool,
    **_: Any,
) -> None:
    """Fine-tune a student on DATA: a run folder, or whatever `alpacakit filter` reads.

    Marks that were made on its rows (`alpacakit view`) are applied. Training that ended early goes on from its last
    checkpoint when the same command is given again.

    \b
    alpacakit train runs/openai --student huggyllama/llama-7b --trainer fsdp --out llama
    alpacakit train alpaca_data.json --student new:tiny --out tiny --set trainer.max_steps=100
    """
    from alpaca_core.cli.progress import Screen
    from alpaca_core.datafiles import is_list
    from alpaca_core.datafolders import data_files
    from alpaca_core.dataset import write_rows
    from alpaca_core.overlay import training_rows
    from alpaca_core.runs import JOURNAL, read_summary, write_summary
    from alpaca_core.training import check_trainer, run_training, train_job, training_summary

    host, config = resolve(ctx, frozenset({"trainer", "chat_template"}))
    if config.trainer is None:
        raise ConfigError("train needs a trainer.", hint="Name one: --trainer local")
    config.trainer.spec.require()
    curated = training_rows(data)
    rows = curated.rows
    for line in curated.told:
        say(line)
    if not rows:
        raise ConfigError(f"{data} holds no rows to train on.")
    if (folder / JOURNAL).exists():
        raise ConfigError(
            f"{folder} is a run folder, with a dataset and a model of its own.",
            hint="Choose another --out, or train inside it with: alpacakit run --out " + str(folder),
        )
    file, *more = data_files(data)
    as_list = not more and is_list(file) and not curated.changed  # which is what trainers read
    listed = file if as_list else folder / "training_rows.json"
    job = replace(train_job(config, listed, folder, fresh=fresh), ids=[row.id for row in rows])
    if dry_run and not launcher:
        plan = config.trainer.build().plan(job)
        if as_json:
            emit_json({"argv": plan.argv, "env": dict(plan.env), "notes": plan.notes})
            return
        if not as_list:
            out(_writing(listed, data))
        out(shell_line(plan))
        for note in plan.notes:
            out(f"# {note}")
        return
    if launcher:
        script = _slurm(config, job)
        if dry_run:
            first, _, rest = script.partition("\n")
            out("\n".join([first, *([] if as_list else [f"# first: {_writing(listed, data)}"]), rest]).rstrip())
            return
        if not as_list:
            write_rows(listed, rows)
        _submit(script, folder)
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


def _writing(listed: Path, data: Path) -> str:
    """A shell line that writes the rows of ``data`` where the line of the training looks for them."""
    code = (
        "from pathlib import Path; from alpaca_core.dataset import write_rows; "
        "from alpaca_core.overlay import training_rows; "
        f"write_rows(Path({str(listed)!r}), training_rows(Path({str(data)!r})).rows)"
    )
    return shlex.join(["mkdir", "-p", str(listed.parent)]) + " && " + shlex.join([sys.executable, "-c", code])


def _slurm(config: Config, job: TrainJob) -> str:
    assert config.trainer is not None
    trainer = config.trainer.build()
    if not hasattr(trainer, "slurm"):
        raise ConfigError(f"Trainer {config.trainer.name} has no script for Slurm.", hint="Use --trainer fsdp.")
    script: str = trainer.slurm(job)
    return script


def _submit(script: str, folder: Path) -> None:
    """Give ``script`` to Slurm, and keep it in ``folder``."""
    sbatch = shutil.which("sbatch")
    if sbatch is None:
        raise MissingError(
            "There is no sbatch here to hand the training to.",
            hint="Where Slurm is, give the same command; --dry-run prints the script.",
        )
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "train.sbatch"
    file.write_text(script, encoding="utf-8")
    done = subprocess.run([sbatch, str(file)], capture_output=True, text=True)
    if done.returncode:
        raise AlpacaError(f"sbatch refused {file}: {done.stderr.strip()}")
    out(done.stdout.strip())
    out(f"script    {file}")
