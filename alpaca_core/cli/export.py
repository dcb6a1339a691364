"""``alpacakit export``: a dataset or a model in the forms that others read, with a card, and to the hub."""

from __future__ import annotations

import re
import shlex
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from alpaca_core.cli.console import emit_json, out
from alpaca_core.cli.options import json_option, plugin_host

if TYPE_CHECKING:
    from alpaca_core.plugins import PluginHost
    from alpaca_core.specs import Spec

_FORMATS = ("alpaca", "jsonl", "parquet", "csv", "sharegpt", "messages")  # exporting.FORMATS, without importing it
_TOOLS = ("trl", "llama-factory", "axolotl")  # peerconfigs.TOOLS
_OF_A_MODEL = ("config.json", "adapter_config.json")
_PATH = click.Path(path_type=Path)


@dataclass(frozen=True)
class _Wish:
    """What was asked for."""

    source: Path
    target: Path
    name: str
    licence: str
    converter: Path | None


@click.command()
@click.argument("source", metavar="RUN|DATA|MODEL", type=_PATH)
@click.option("--out", "target", type=_PATH, metavar="PATH", help="New file or folder.")
@click.option("--format", "form", type=click.Choice(_FORMATS), help="One file of rows, in this form.")
@click.option("--config", "tool", type=click.Choice(_TOOLS), help="Rows with a configuration that trains on them.")
@click.option("--student", default="", metavar="NAME", help="With --config: the model to train (default: the run's).")
@click.option("--model", "as_model", is_flag=True, help="Of a run: its model, not its data.")
@click.option("--gguf", is_flag=True, help="Write the model as GGUF too, by llama.cpp's converter.")
@click.option("--llama-cpp", type=_PATH, metavar="PATH", help="Where llama.cpp is (default: LLAMA_CPP, then the PATH).")
@click.option("--license", "licence", default="", metavar="ID", help="Licence for the card, such as cc-by-4.0.")
@click.option(
    "--push", "name", default="", metavar="ORG/NAME", help="Make this repository of it on the Hugging Face hub."
)
@click.option("--private", is_flag=True, help="With --push: nobody else sees it.")
@click.option("--dry-run", is_flag=True, help="List the files and their sizes. Write and send nothing.")
@json_option
@click.pass_context
def export(
    ctx: click.Context,
    source: Path,
    target: Path | None,
    form: str | None,
    tool: str | None,
    student: str,
    as_model: bool,
    gguf: bool,
    llama_cpp: Path | None,
    licence: str,
    name: str,
    private: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Share a dataset or a model. Nothing is overwritten.

    A file is written as --format says or its name ends (.json, .jsonl, .parquet, .csv); without either, --out becomes a
    Hugging Face dataset folder with a card. A model, or a run with --model, becomes a model folder with a card, a
    Modelfile for Ollama and, with --gguf, a GGUF file; a LoRA adapter is merged. Only --push sends anything, and only
    these files.

    \b
    alpacakit export runs/practice --out practice.json --format sharegpt
    alpacakit export runs/practice --out practice-data --license cc0-1.0
    alpacakit export runs/practice --push me/practice-data --private --dry-run
    alpacakit export runs/practice --config trl --out practice-trl
    alpacakit export runs/practice --model --out practice-model --gguf --llama-cpp llama.cpp
    """
    from alpaca_core.sharing.exporting import refuse_existing, written
    from alpaca_core.sharing.modelfolders import find_converter

    kind = _kind(source, target, form, tool, as_model or gguf or llama_cpp is not None)
    _check(ctx, kind)
    converter = find_converter(llama_cpp) if gguf or llama_cpp is not None else None
    if target is not None:
        refuse_existing(target)
    with ExitStack() as stack:
        place = target
        if dry_run or place is None:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="alpacakit-")))
            place = folder / (target.name if target is not None else name.rpartition("/")[2])
        wish = _Wish(source, place, name, licence, converter)
        told = _write(plugin_host(ctx), kind, wish, form or "", tool or "", student)
        files = written(place) if place.is_dir() else {place.name: place.stat().st_size}
        address = ""
        if name and not dry_run:
            from alpaca_core.sharing.hub import push

            address = push(place, name, "model" if kind == "model" else "dataset", private=private)
    told |= {"out": None if dry_run or target is None else str(target), "files": files}
    if name:
        told["pushed"] = address or None
    emit_json(told) if as_json else _show(kind, told, name, licence, dry_run)


def _kind(source: Path, target: Path | None, form: str | None, tool: str | None, as_model: bool) -> str:
    """What is to be written: ``config``, ``model``, ``file`` or ``folder``."""
    from alpaca_core.runs import DATA
    from alpaca_core.sharing.exporting import is_file_name

    if tool is not None:
        return "config"
    itself = any((source / name).is_file() for name in _OF_A_MODEL)
    inside = any((source / folder / name).is_file() for folder in ("model", "adapter") for name in _OF_A_MODEL)
    if as_model or itself or (inside and form is None and not (source / DATA).is_file()):
        return "model"
    return "file" if form is not None or (target is not None and is_file_name(target)) else "folder"


def _check(ctx: click.Context, kind: str) -> None:
    """Raise UsageError for flags that do not go together."""
    given = ctx.params
    name, alone = given["name"], kind in ("file", "config")
    wrong = {
        "--format is for rows": given["form"] is not None and kind in ("model", "config"),
        "--push takes a dataset folder or a model, not one file or a configuration": name and alone,
        "--push takes ORG/NAME": name and not re.fullmatch(r"[\w.-]+/[\w.-]+", name, re.ASCII),
        "--out PATH is missing": given["target"] is None and (alone or not (name or given["dry_run"])),
        "--private goes with --push": given["private"] and not name,
        "--student goes with --config": given["student"] and kind != "config",
        "--license is for cards, and one file or a configuration has none": given["licence"] and alone,
    }
    for message, is_wrong in wrong.items():
        if is_wrong:
            raise click.UsageError(message, ctx)


def _write(host: PluginHost, kind: str, wish: _Wish, form: str, tool: str, student: str) -> dict[str, Any]:
    """Do it; returns what there is to tell, for JSON."""
    if kind == "file":
        from alpaca_core.sharing.exporting import export_file, format_of

        chosen = form or format_of(wish.target)
        return {"kind": kind, "format": chosen, "rows": export_file(wish.source, wish.target, chosen)}
    if kind == "folder":
        from alpaca_core.sharing.datacards import export_folder

        folder = export_folder(
            wish.source, wish.target, teachers=host.specs("teacher"), licence=wish.licence, name=wish.name
        )
        return {"kind": "dataset", "rows": dict(folder.splits), "columns": list(folder.columns)}
    if kind == "config":
        from alpaca_core.sharing.peerconfigs import export_config

        run = _run_config(wish.source)
        template = _template(host.find("chat-template", run.get("chat_template", {}).get("name", "alpaca")))
        trained = run.get("trainer", {}).get("student", "") if isinstance(run.get("trainer"), dict) else ""
        chosen = student or ("" if trained.startswith("new:") else trained)
        here = Path(chosen).expanduser()
        chosen = str(here.resolve()) if chosen and here.exists() else chosen  # the tool runs in another folder
        return {"kind": kind, "tool": tool, "run": export_config(wish.source, wish.target, tool, chosen, template)}
    from alpaca_core.sharing.modelfolders import export_model

    done = export_model(
        wish.source,
        wish.target,
        teachers=host.specs("teacher"),
        templates=_templates(host),
        merge=lambda adapter, folder: _merge(host, adapter, folder),
        converter=wish.converter,
        licence=wish.licence,
        name=wish.name,
    )
    return {"kind": "model", "gguf": done.gguf or None, "ollama_template": done.modelfile}


def _run_config(source: Path) -> dict[str, Any]:
    import tomllib

    from alpaca_core.runs import CONFIG, understood

    file = source / CONFIG
    with understood(source, CONFIG):
        return tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def _template(spec: Spec) -> Any:
    """The chat template as it is when nobody sets anything."""
    return spec.load()(*([spec.options()] if spec.options is not None else []))


def _templates(host: PluginHost) -> list[Any]:
    """The chat templates of all plugins."""
    found = []
    for spec in host.specs("chat-template"):
        with suppress(Exception):  # one that does not load is not the model's either
            found.append(_template(spec))
    return found


def _merge(host: PluginHost, adapter: Path, folder: Path) -> None:
    trainer = host.find("trainer", "local")
    work = replace(
        trainer, target="alpaca_fsdp.merging:merge", requires=("torch", "transformers", "peft"), extra="alpacakit[lora]"
    )
    work.require()
    work.load()(adapter, folder)


def _show(kind: str, told: dict[str, Any], name: str, licence: str, dry_run: bool) -> None:
    rows = told.get("rows")
    if isinstance(rows, dict):
        out("rows      " + ", ".join(f"{split} {n:,}" for split, n in rows.items()))
    elif rows is not None:
        out(f"rows      {rows:,}, as {told['format']}")
    if kind != "file" or dry_run:
        for place, (file, size) in enumerate(told["files"].items()):
            out(f"{'' if place else 'files':<9} {size:>13,} bytes  {file}")
    if dry_run:
        out("dry run   nothing was written" + (f" or sent to {name} on the hub" if name else ""))
        return
    if told["out"]:
        out(f"written   {told['out']}")
    if told.get("pushed"):
        out(f"pushed    {told['pushed']}")
    if kind == "config":
        out(f"next      cd {shlex.quote(told['out'])} && {told['run']}")
    elif told["out"] and "README.md" in told["files"]:
        unnamed = "" if licence else ": it names no licence"
        out(f"next      read {Path(told['out']) / 'README.md'} before you share it{unnamed}")
