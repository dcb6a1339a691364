"""Distributions with plugins as their metadata has them, without importing any: what to uninstall, what to install
elsewhere."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata

from alpaca_core.hookspecs import PROJECT
from alpaca_core.plugins import BUNDLED, Plugin


@dataclass(frozen=True)
class Installed:
    """One distribution with the names of its plugins."""

    distribution: str
    version: str
    plugins: tuple[str, ...]


def canonical(name: str) -> str:
    """A distribution's name as the host shows it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed() -> list[Installed]:
    """The distributions with plugins that are installed now, alpacakit itself included."""
    importlib.invalidate_caches()
    found: dict[str, tuple[str, list[str]]] = {}
    for point in metadata.entry_points(group=PROJECT):
        if point.dist is not None and point.dist.metadata["Name"]:
            name = canonical(point.dist.name)
            found.setdefault(name, (point.dist.version, []))[1].append(point.name)
    return [Installed(name, version, tuple(sorted(names))) for name, (version, names) in sorted(found.items())]


def requirement_lines(plugins: Iterable[Plugin]) -> list[str]:
    """The lines of a requirements file that installs the active plugins of ``plugins`` elsewhere: alpacakit with the
    extras whose packages are here, then others. What does not load, and what is a file, becomes a comment."""
    plugins = list(plugins)
    extras = {
        _extra(spec.extra) for p in plugins if p.bundled for spec in p.specs if spec.requires and not spec.missing()
    }
    lines = {BUNDLED: _requirement(BUNDLED, sorted(filter(None, extras)))}
    for plugin in plugins:
        if plugin.bundled:
            continue
        if plugin.failed or plugin.status == "disabled":
            line = f"# {plugin.distribution}=={plugin.version} is {plugin.status}: {plugin.error}"
        elif plugin.distribution.endswith(".py"):
            line = f"# {plugin.distribution} is a file: take it along, and name it with --plugin"
        else:
            line = _requirement(plugin.distribution, [])
        lines.setdefault(plugin.distribution, line)
    return list(lines.values())


def _extra(text: str | None) -> str:
    match = re.fullmatch(rf"{BUNDLED}\[([\w.-]+)\]", text or "")
    return match[1] if match else ""


def _requirement(name: str, extras: Iterable[str]) -> str:
    """How pip installs what is here: the version, or where it came from (PEP 610)."""
    dist = metadata.distribution(name)
    who = name + (f"[{','.join(extras)}]" if extras else "")
    origin = json.loads(dist.read_text("direct_url.json") or "{}")
    url = origin.get("url", "")
    if not url:
        return f"{who}=={dist.version}"
    if origin.get("dir_info", {}).get("editable"):
        from urllib.parse import urlsplit
        from urllib.request import url2pathname

        return f"-e {url2pathname(urlsplit(url).path)}{who[len(name) :]}"
    vcs = origin.get("vcs_info")
    where = f"{vcs['vcs']}+{url}@{vcs['commit_id']}" if vcs else url
    folder = origin.get("subdirectory")
    return f"{who} @ {where}" + (f"#subdirectory={folder}" if folder else "")
