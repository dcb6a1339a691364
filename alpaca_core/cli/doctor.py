"""``alpacakit doctor``: what is here, what is missing, what to type."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import click

from alpaca_core.cli.console import emit_json, out, table
from alpaca_core.cli.options import json_option, plugin_host
from alpaca_core.errors import AlpacaError
from alpaca_core.plugins import BUNDLED, PluginHost


@dataclass(frozen=True)
class Check:
    """One thing looked at. ``hint`` says what to type where it is not ``ok``."""

    name: str
    status: Literal["ok", "missing", "warning", "broken"]
    detail: str
    hint: str = ""


@click.command()
@json_option
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> int:
    """Look at this machine: packages, devices, keys, plugins, disk. Exit code 0 unless alpacakit itself is broken.

    \b
    alpacakit doctor
    alpacakit doctor --json
    """
    host = plugin_host(ctx, quiet=True)
    checks = [*_system(), *_packages(), *_torch(), *_keys(host), *_plugins(host), *_configuration(host), *_disk()]
    broken = any(check.status == "broken" for check in checks)
    if as_json:
        emit_json({"ok": not broken, "checks": [asdict(check) for check in checks]})
    else:
        table(["status", "what", "found"], [(check.status, check.name, check.detail) for check in checks])
        for hint in dict.fromkeys(check.hint for check in checks if check.hint):
            out(hint)
    return 1 if broken else 0


def _system() -> Iterator[Check]:
    yield Check("alpacakit", "ok", metadata.version(BUNDLED))
    yield Check("python", "ok", f"{platform.python_version()} on {platform.system()}, {os.cpu_count()} CPUs")


def _packages() -> Iterator[Check]:
    """Each extra with its packages, as the installed metadata names them."""
    from packaging.requirements import Requirement

    needed = [Requirement(line) for line in metadata.requires(BUNDLED) or ()]
    optional = [r for r in needed if r.marker and not r.marker.evaluate({"extra": ""}) and r.name != BUNDLED]
    for extra in metadata.metadata(BUNDLED).get_all("Provides-Extra") or ():
        mine = [r for r in optional if r.marker and r.marker.evaluate({"extra": extra})]
        found: list[str] = []
        missing: list[str] = []
        for requirement in mine:
            try:
                version = metadata.version(requirement.name)
            except metadata.PackageNotFoundError:
                missing.append(requirement.name)
                continue
            fits = requirement.specifier.contains(version, prereleases=True)
            (found if fits else missing).append(
                f"{requirement.name} {version}" + ("" if fits else f" (needs {requirement.specifier})")
            )
        if missing:
            line = f"To add {extra}: pip install '{BUNDLED}[{extra}]'"
            yield Check(f"extra {extra}", "missing", f"missing: {', '.join(missing)}", line)
        elif found:
            yield Check(f"extra {extra}", "ok", ", ".join(found))


_ASK_TORCH = """
import json, torch
cuda = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
print(json.dumps([torch.__version__, cuda, torch.backends.mps.is_available()]))
"""


def _torch() -> Iterator[Check]:
    """Devices, asked of torch in a process of its own: its import takes seconds, and may crash on a broken driver."""
    if find_spec("torch") is None:
        return
    try:
        reply = subprocess.run(
            [sys.executable, "-c", _ASK_TORCH], capture_output=True, text=True, timeout=120, check=True
        )
        version, cuda, mps = json.loads(reply.stdout.splitlines()[-1])
    except (subprocess.SubprocessError, ValueError, IndexError) as exc:
        said = (getattr(exc, "stderr", None) or str(exc)).strip().splitlines()[-1]
        yield Check("torch", "warning", f"cannot be used: {said}", "To mend torch: pip install --force-reinstall torch")
        return
    devices = ", ".join(cuda) or ("Apple GPU" if mps else "no GPU: training runs on the CPU")
    yield Check("torch", "ok", f"{version}; {devices}")


def _keys(host: PluginHost) -> Iterator[Check]:
    """Whether keys are set. Their values are never read out."""
    teachers: dict[tuple[str, ...], list[str]] = {}
    for spec in host.specs("teacher"):
        if keys := getattr(spec, "keys", ()):
            teachers.setdefault(keys, []).append(spec.name)
    for keys, names in teachers.items():
        held = [key for key in keys if os.environ.get(key)]
        about = f"for teacher {', '.join(names)}"
        if held:
            yield Check(f"key {held[0]}", "ok", f"set, {about}")
        else:
            yield Check(f"key {keys[0]}", "missing", f"not set, {about}", f"To set a key: export {keys[0]}=...")


def _plugins(host: PluginHost) -> Iterator[Check]:
    for plugin in host.plugins:
        wrong = [f"{plugin.status}: {plugin.error}"] * plugin.failed + list(plugin.notes)
        for detail in wrong:
            if plugin.bundled:
                hint = f"To mend alpacakit: pip install --force-reinstall {BUNDLED}"
                yield Check(f"plugin {plugin.name}", "broken" if plugin.failed else "warning", detail, hint)
            else:
                hint = f"To go without plugin {plugin.name}: alpacakit --no-plugin {plugin.name} ..., or"
                hint += f" alpacakit plugins uninstall {plugin.distribution}"
                yield Check(f"plugin {plugin.name}", "warning", detail, hint)
    active = [plugin for plugin in host.plugins if plugin.status == "active"]
    if active:
        yield Check("plugins", "ok", f"{len(active)} active: {', '.join(plugin.name for plugin in active)}")


def _configuration(host: PluginHost) -> Iterator[Check]:
    from alpaca_core.config import load_config

    try:
        load_config(host)
        yield Check("configuration", "ok", "can be read")
    except AlpacaError as exc:
        yield Check("configuration", "warning", exc.message.splitlines()[0], "To see it all: alpacakit config check")


def _disk() -> Iterator[Check]:
    here = Path.cwd()
    free = shutil.disk_usage(here).free / 1e9
    yield Check("disk", "ok" if free > 1 else "warning", f"{free:.0f} GB free in {here}")
    if not os.access(here, os.W_OK):
        yield Check(
            "folder", "warning", f"{here} cannot be written to", "Go to a folder of your own, or give --out DIR"
        )
