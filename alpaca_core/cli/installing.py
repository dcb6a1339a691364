"""``alpacakit plugins install`` and ``uninstall``: pip of this interpreter, or the line to type where pip is not the
way."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from alpaca_core.cli.console import emit_json, out
from alpaca_core.cli.options import json_option
from alpaca_core.errors import AlpacaError, ConfigError, MissingError
from alpaca_core.hookspecs import PROJECT


class _WithPipOptions(click.Command):
    """A command that keeps what stands behind ``--`` for pip, in ``ctx.meta["pip"]``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        at = args.index("--") if "--" in args else len(args)
        ctx.meta["pip"] = args[at + 1 :]
        return super().parse_args(ctx, args[:at])


@click.command(cls=_WithPipOptions, options_metavar="[OPTIONS] [-- PIP OPTIONS]")
@click.argument("what", nargs=-1, required=True)
@json_option
@click.pass_context
def install(ctx: click.Context, what: tuple[str, ...], as_json: bool) -> int:
    """Install plugins with pip, load them, and say what they offer.

    WHAT is all that pip takes: a name, a wheel, a folder, an address. alpacakit itself stays as it is: a plugin that
    needs another version of it is not installed. Options for pip follow behind "--".

    \b
    alpacakit plugins install alpacakit-parrot
    alpacakit plugins install ./alpacakit_parrot-0.2.0-py3-none-any.whl
    alpacakit plugins install alpacakit-parrot -- --no-index --find-links wheels
    """
    for name in what:
        if _name(name) == PROJECT:
            raise ConfigError(
                f"{PROJECT} itself is no plugin, and is not installed this way.",
                hint=f"Type: {_python()} -m pip install '{name}'",
            )
    _refuse_without_pip("install", what)
    with tempfile.TemporaryDirectory() as folder:
        report, fixed = Path(folder, "report.json"), Path(folder, "constraints.txt")
        fixed.write_text(f"{PROJECT}=={metadata.version(PROJECT)}\n")
        _pip("install", "--report", str(report), "--constraint", str(fixed), *what, *ctx.meta["pip"])
        done = [item["metadata"]["name"] for item in json.loads(report.read_text(encoding="utf-8"))["install"]]
    from alpaca_core.installed import canonical

    # What was there already is not in pip's report.
    names = {canonical(name) for name in [*done, *filter(None, map(_name, what))]}
    rows = [row for row in _listed() if row["distribution"] in names and not row["bundled"]]
    if as_json:
        emit_json(rows)
    for row in [] if as_json else rows:
        out(_told(row))
    if not rows:
        who = ", ".join(sorted(names)) or "what pip installed"
        raise MissingError(
            f"{who} holds no plugin: no entry point in the group '{PROJECT}'.",
            hint="docs/plugins.md says what a plugin is.",
        )
    broken = [row["name"] for row in rows if row["status"] in ("broken", "incompatible")]
    if broken:
        raise MissingError(
            f"installed, but not loaded: {', '.join(broken)}.",
            hint=f"To remove it again: alpacakit plugins uninstall {broken[0]}",
        )
    return 0


@click.command(cls=_WithPipOptions, options_metavar="[OPTIONS] [-- PIP OPTIONS]")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.pass_context
def uninstall(ctx: click.Context, names: tuple[str, ...]) -> None:
    """Uninstall plugins with pip: NAME is a plugin's name or its distribution. Nothing is imported for it.

    \b
    alpacakit plugins uninstall parrot
    alpacakit plugins uninstall alpacakit-parrot
    """
    chosen = list(dict.fromkeys(_distribution(name) for name in names))
    _refuse_without_pip("uninstall", chosen)
    _pip("uninstall", "--yes", *chosen, *ctx.meta["pip"])
    from alpaca_core.installed import installed

    left = [one.distribution for one in installed() if one.distribution in chosen]
    if left:
        where = metadata.distribution(left[0]).locate_file("")
        raise AlpacaError(f"pip did not remove {', '.join(left)}.", hint=f"It lies in {where}: remove it there.")
    for name in chosen:
        out(f"uninstalled {name}")


def _distribution(name: str) -> str:
    """The distribution to remove for ``name``."""
    from alpaca_core.installed import canonical, installed
    from alpaca_core.plugins import suggestion

    here = installed()
    found = [one for one in here if name in one.plugins or canonical(name) == one.distribution]
    third = [one.distribution for one in found if one.distribution != PROJECT]
    if len(third) == 1:
        return third[0]
    if third:
        raise ConfigError(f"several distributions have a plugin '{name}'.", hint=f"Name one: {', '.join(third)}")
    if canonical(name) == PROJECT:
        raise ConfigError(
            f"{PROJECT} itself is not uninstalled this way.", hint=f"Type: {_python()} -m pip uninstall {PROJECT}"
        )
    if found:
        raise ConfigError(
            f"plugin '{name}' comes with {PROJECT} and stays.",
            hint=f"Leave it out with: alpacakit --no-plugin {name} ...",
        )
    names = [known for one in here if one.distribution != PROJECT for known in (*one.plugins, one.distribution)]
    raise MissingError(f"no plugin '{name}' is installed.{suggestion(name, names)}", hint="See: alpacakit plugins list")


def _name(what: str) -> str:
    """The distribution that ``what`` names; empty for a file, a folder or an address."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    try:
        return canonicalize_name(Requirement(what).name)
    except InvalidRequirement:
        return ""


def _refuse_without_pip(verb: str, what: Sequence[str]) -> None:
    """Raise MissingError with the line to type where another tool than pip keeps this environment."""
    line = line_of_manager(verb, what, Path(sys.prefix))
    if line:
        raise MissingError(f"pip is not the way to {verb} plugins in {sys.prefix}.", hint=f"Type: {line}")
    if find_spec("pip") is None:
        verb_line = shlex.join(["uv", "pip", verb, "--python", sys.executable, *what])
        raise MissingError(
            f"there is no pip in {sys.prefix}.",
            hint=f"Type: {verb_line}\nor first: {_python()} -m ensurepip",
        )


def line_of_manager(verb: str, what: Sequence[str], prefix: Path) -> str:
    """The line that installs or uninstalls plugins in an environment of pipx's or of uv's tools, which undo what pip
    does there at their next upgrade; empty for other environments."""
    if (prefix / "pipx_metadata.json").is_file():
        return shlex.join(["pipx", "inject" if verb == "install" else "uninject", PROJECT, *what])
    try:
        receipt = tomllib.loads((prefix / "uv-receipt.toml").read_text(encoding="utf-8"))["tool"]["requirements"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    ours = [one for one in receipt if one.get("name") == PROJECT]
    named = set(filter(None, map(_name, what)))
    kept = [_uv(one) for one in receipt if one.get("name") != PROJECT and _name(one["name"]) not in named]
    extras = [part for text in (*kept, *(what if verb == "install" else ())) for part in ("--with", text)]
    return shlex.join(["uv", "tool", "install", _uv(ours[0]) if ours else PROJECT, *extras])


def _uv(one: dict[str, Any]) -> str:
    """A requirement as uv's receipt holds it, as text."""
    name = one["name"] + (f"[{','.join(one['extras'])}]" if one.get("extras") else "")
    if "git" in one:
        return f"{name} @ git+{one['git']}"
    where = next((str(one[key]) for key in ("editable", "directory", "path", "url") if key in one), "")
    return f"{name} @ {where}" if where else name + one.get("specifier", "")


def _python() -> str:
    return shlex.quote(sys.executable)


def _pip(verb: str, *args: str) -> None:
    """Run pip of this interpreter; what it says goes to stderr."""
    command = [sys.executable, "-m", "pip", verb, "--disable-pip-version-check", *args]
    code = subprocess.run(command, stdout=2).returncode
    if code:
        raise AlpacaError(f"pip could not {verb} this: it ended with {code}, and said why above.")


def _listed() -> list[dict[str, Any]]:
    """``plugins list --json`` of a new process: what was imported here may be of an older version."""
    environ = {name: value for name, value in os.environ.items() if name != "ALPACAKIT_STRICT"}
    command = [sys.executable, "-P", "-m", "alpaca_core", "plugins", "list", "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, env=environ)
    if done.returncode:
        raise AlpacaError("it is installed, but the plugins cannot be listed.", hint="See: alpacakit plugins list")
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def _told(row: dict[str, Any]) -> str:
    """One line on a plugin that was installed."""
    offers = ", ".join(f"{component['kind']} {component['called']}" for component in row["components"])
    who = f"plugin {row['name']} ({row['distribution']} {row['version']})"
    return "; ".join([f"{who} is {row['status']}: {row['error'] or offers}", *row["notes"]])
