"""Plugins for tests: distributions written into a folder on ``sys.path``, or installed there by pip."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

from alpaca_core.plugins import PluginHost

OUTSIDE = Path(__file__).parent / "plugins"  # sample plugins as third parties would write them


def write(
    folder: Path,
    distribution: str,
    source: str,
    *,
    version: str = "1.0",
    plugin: str = "",
    requires: Iterable[str] = (),
) -> None:
    """A distribution with one module and one plugin, as pip would have left it in ``folder``."""
    module = distribution.replace("-", "_")
    info = folder / f"{module}-{version}.dist-info"
    info.mkdir(parents=True)
    needs = "".join(f"Requires-Dist: {line}\n" for line in requires)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n{needs}")
    (info / "entry_points.txt").write_text(f"[alpacakit]\n{plugin or module.removeprefix('alpacakit_')} = {module}\n")
    (folder / f"{module}.py").write_text("from alpaca_core import *\n" + textwrap.dedent(source))


def host(folder: Path, **options: Any) -> PluginHost:
    """A host that sees the plugins of ``folder`` and no others. ``folder`` must be on ``sys.path``."""
    points = [point for found in metadata.distributions(path=[str(folder)]) for point in found.entry_points]
    return PluginHost(entry_points=points, **options)


def pip_install(folder: Path, *names: str) -> Path:
    """Install sample plugins into ``folder``, from their sources and without a network."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run(
        [*command, "--disable-pip-version-check", "--target", str(folder), *(str(OUTSIDE / name) for name in names)],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return folder
