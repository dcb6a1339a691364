"""Plugins for tests: distributions written into a folder on ``sys.path``, or installed there by pip."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
import tomllib
import zipfile
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from alpaca_core.plugins import PluginHost

OUTSIDE = Path(__file__).parent / "plugins"  # sample plugins as third parties would write them


HOSTILE = OUTSIDE / "hostile"
AGES = OUTSIDE / "ages"  # written for an alpacakit of another time
REQUIRES = {"alpacakit-newer": ["alpacakit>=99"]}


def write(
    folder: Path,
    distribution: str,
    source: str,
    *,
    version: str = "1.0",
    plugin: str = "",
    requires: Iterable[str] = (),
    group: str = "alpacakit",
) -> None:
    """A distribution with one module and one plugin, as pip would have left it in ``folder``."""
    module = distribution.replace("-", "_")
    describe(folder, distribution, version, {plugin or module.removeprefix("alpacakit_"): module}, requires, group)
    (folder / f"{module}.py").write_text("from alpaca_core import *\n" + textwrap.dedent(source))


def describe(
    folder: Path,
    distribution: str,
    version: str,
    plugins: Mapping[str, str],
    requires: Iterable[str] = (),
    group: str = "alpacakit",
) -> None:
    """The metadata of a distribution with these plugins, each with its module."""
    info = folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    needs = "".join(f"Requires-Dist: {line}\n" for line in requires)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n{needs}")
    points = "".join(f"{name} = {module}\n" for name, module in plugins.items())
    (info / "entry_points.txt").write_text(f"[{group}]\n{points}")


def lay(folder: Path, name: str) -> Path:
    """The plugin ``name`` of ``tests/plugins/ages`` in ``folder``, as pip would have left it."""
    about = tomllib.loads((AGES / name / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    plugins = about["entry-points"]["alpacakit"]
    describe(folder, about["name"], about["version"], plugins, about["dependencies"])
    for module in set(plugins.values()):
        shutil.copy(AGES / name / f"{module}.py", folder)
    return folder


def hostile(folder: Path) -> Path:
    """All of ``tests/plugins/hostile``, installed into ``folder``."""
    for source in sorted(HOSTILE.glob("*.py")):
        name = source.stem.replace("_", "-")
        describe(folder, name, "1.0", {name.removeprefix("alpacakit-"): source.stem}, REQUIRES.get(name, ()))
        shutil.copy(source, folder)
    return folder


def wheel(folder: Path, distribution: str, source: str, *, version: str = "1.0", **options: Any) -> Path:
    """A wheel of what ``write`` would write, in ``folder``."""
    module = distribution.replace("-", "_")
    tree = folder / f"{module}-{version}"
    write(tree, distribution, source, version=version, **options)
    info = tree / f"{module}-{version}.dist-info"
    (info / "WHEEL").write_text("Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    files = [path.relative_to(tree).as_posix() for path in sorted(tree.rglob("*")) if path.is_file()]
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in [*files, f"{info.name}/RECORD"]))
    made = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(made, "w") as archive:
        for name in [*files, f"{info.name}/RECORD"]:
            archive.write(tree / name, name)
    return made


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
