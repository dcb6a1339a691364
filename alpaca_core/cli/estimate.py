"""``alpacakit estimate``: what a generation or a training will take, before anything is spent."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from alpaca_core.cli.console import emit_json, out
from alpaca_core.cli.options import GENERATION, TRAINING, config_options, json_option, resolve
from alpaca_core.errors import ConfigError


@click.command()
@click.option(
    "--out", "folder", type=click.Path(path_type=Path), metavar="DIR", help="Run folder (default: runs/TEACHER)."
)
@config_options(*GENERATION, *TRAINING)
@click.option("--gpus", metavar="DEVICES", help="Train on these: 4xA100-80GB, H200, cpu (default: what is here).")
@click.option("--data", type=click.Path(path_type=Path), metavar="FILE", help="Train on this data.")
@click.option("--gpu-price", type=click.FloatRange(min=0), metavar="USD", help="Dollars per device and hour.")
@json_option
@click.pass_context
def estimate(
    ctx: click.Context,
    folder: Path | None,
    gpus: str | None,
    data: Path | None,
    gpu_price: float | None,
    as_json: bool,
    **flags: Any,
) -> None:
    """What a generation will take: requests, tokens and dollars, at best, usually and at worst.

    With --student, --trainer, --gpus or --data: what a training will take, memory by part and minutes besides, and the
    plan that fits. One that does not fit is refused (exit 2) with what it needs. With --teacher too, both.

    Asks nobody, writes nothing and needs no key. Where the run folder holds replies of this run already, the figures
    are measured on them, and are those of what is still to come.

    \b
    alpacakit estimate --teacher openai -n 52000
    alpacakit estimate --teacher openai -n 52000 --batch --json
    alpacakit estimate --student huggyllama/llama-7b --gpus 4xA100-80GB
    alpacakit estimate --student new:small --data alpaca_data.json --gpus cpu
    """
    training = any((flags["student"], flags["trainer"], gpus, data, gpu_price is not None))
    generation = not training or flags["teacher"]
    needs = {"teacher", "prompt", "filters"} if generation else set()
    _host, config = resolve(ctx, frozenset(needs | ({"trainer", "chat_template"} if training else set())))
    found: dict[str, Any] = {}
    if generation:
        from alpaca_core.cli.spending import show_estimate
        from alpaca_core.estimate import estimate as estimated
        from alpaca_core.pipeline import default_folder, make_parts

        folder = folder or default_folder(config)
        parts = make_parts(config, to_ask=False)
        expected = estimated(config, parts, folder)
        found |= {"out": str(folder), **asdict(expected)}
        if not as_json:
            show_estimate(config, parts, folder, expected)
    if training:
        from alpaca_core.cli.spending import show_training
        from alpaca_core.dataset import read_rows
        from alpaca_core.training import estimate_training

        if config.trainer is None:
            raise ConfigError("A training needs a trainer.", hint="Name one: --trainer local")
        rows = int(flags["num_examples"]) if flags["num_examples"] and data is None else None
        needed = estimate_training(config, gpus or "", rows if data is None else read_rows(data), gpu_price)
        found["training"] = asdict(needed)
        if not as_json:
            if generation:
                out()
            show_training(config, needed)
    if as_json:
        emit_json(found)
