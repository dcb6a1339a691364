"""``alpacakit diff``: a fine-tuned model as what must be added to its base, and back."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from alpaca_core.cli.console import emit_json, out
from alpaca_core.cli.options import json_option, plugin_host


@click.group()
def diff() -> None:
    """Publish a fine-tuned model as what it adds to its base, and recover it.

    \b
    alpacakit diff make --base llama-7b --tuned llama/model --out llama-diff
    alpacakit diff recover --base llama-7b --diff llama-diff --out recovered
    """


def _folder(name: str, about: str) -> Any:
    """A required option that takes a folder."""
    return click.option(f"--{name}", name, type=click.Path(path_type=Path), required=True, metavar="DIR", help=about)


@diff.command()
@_folder("base", "The model before fine-tuning.")
@_folder("tuned", "The model after it, or the folder of the run or training that has it.")
@_folder("out", "Gets the difference.")
@click.option("--fresh", is_flag=True, help="Replace the model or difference that is there.")
@json_option
@click.pass_context
def make(ctx: click.Context, fresh: bool, as_json: bool, **folders: Path) -> None:
    """Write the difference of two model folders, in the form of the published Alpaca-7B difference.

    A manifest with the hash of every tensor goes with it, so that the model can be recovered bit for bit. Weights are
    read and written one tensor at a time.

    \b
    alpacakit diff make --base llama-7b --tuned llama/model --out llama-diff
    """
    done = _do(ctx, "make", fresh=fresh, **folders)
    if as_json:
        emit_json(asdict(done))
        return
    out(f"difference  {done.tensors:,} tensors, {done.parameters:,} parameters{_rows(done)}")
    out(f"exact       {done.exact:,} values kept as they are, since adding would round them")
    out(f"folder      {done.folder}")
    out(f"next        alpacakit diff recover --base BASE --diff {done.folder} --out MODEL")


@diff.command()
@_folder("base", "The model that the difference was made against.")
@_folder("diff", "The difference: one of `diff make`, or as Stanford's weight_diff.py writes it.")
@_folder("out", "Gets the model.")
@click.option("--published-checksum", is_flag=True, help="Demand the sum of the published Alpaca-7B's weights.")
@click.option("--fresh", is_flag=True, help="Replace the model that is there.")
@json_option
@click.pass_context
def recover(ctx: click.Context, published_checksum: bool, fresh: bool, as_json: bool, **folders: Path) -> None:
    """Write the model that a difference makes of its base.

    Where the difference has a manifest, the base is compared with it before, and the model, read back, after.

    \b
    alpacakit diff recover --base llama-7b --diff llama-diff --out recovered
    alpacakit diff recover --base llama-7b --diff alpaca-7b-wdiff --out alpaca-7b --published-checksum
    """
    done = _do(ctx, "recover", fresh=fresh, published_checksum=published_checksum, **folders)
    if as_json:
        emit_json(asdict(done))
        return
    out(f"recovered  {done.tensors:,} tensors, {done.parameters:,} parameters{_rows(done)}")
    if done.verified:
        out(f"verified   {done.verified:,} tensors by their SHA-256")
    else:
        out("verified   nothing: the difference has no manifest, so only the sum of the weights can be compared")
    if done.checksum is not None:
        known = ", that of the published Alpaca-7B" if published_checksum else ""
        out(f"sum        {done.checksum.float32:.4f} (in float64 {done.checksum.float64:.4f}){known}")
    out(f"model      {done.folder}")
    out(f'next       alpacakit chat {done.folder} --prompt "..."')


def _do(ctx: click.Context, what: str, **arguments: Any) -> Any:
    """Call a function of the trainers' plugin, which has the packages that handle weights."""
    from alpaca_core.cli.progress import Screen
    from alpaca_core.training import model_path

    trainer = plugin_host(ctx).find("trainer", "fsdp")
    work = replace(trainer, target=f"alpaca_fsdp.difference:{what}", requires=("torch", "safetensors"))
    work.require()
    for name in {"base", "tuned", "diff"} & arguments.keys():
        arguments[name] = Path(model_path(str(arguments[name].expanduser())))
    with Screen() as screen:
        return work.load()(**arguments, on_tensor=screen.tensors)


def _rows(done: Any) -> str:
    if not done.added_rows:
        return ""
    return f"; {done.added_rows} row(s) of the vocabulary that the base lacks, counted as the mean of its others"
