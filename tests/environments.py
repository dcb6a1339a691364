"""A virtual environment with the wheel of alpacakit and what it requires, and nothing else: without a network."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Iterable
from email import message_from_bytes
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent


def build(folder: Path, source: Path = ROOT) -> tuple[Path, Path]:
    """The wheel and the sdist of ``source``, as hatchling makes them."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(folder)],
        check=True,
        capture_output=True,
        cwd=source,
        timeout=120,
    )
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sdist


def required(wheel: Path) -> list[str]:
    """The names of what ``wheel`` requires, extras left out."""
    with zipfile.ZipFile(wheel) as archive:
        (path,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        needs = message_from_bytes(archive.read(path)).get_all("Requires-Dist", [])
    return [need.name for need in map(Requirement, needs) if _is_needed(need)]


def _is_needed(need: Requirement) -> bool:
    return not need.marker or need.marker.evaluate({"extra": ""})


def unpacked(sdist: Path, folder: Path) -> Path:
    """The source tree in ``sdist``."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    return folder / sdist.name.removesuffix(".tar.gz")


class Environment:
    """A virtual environment in ``folder``, to which packages of this one are lent by links."""

    def __init__(self, folder: Path) -> None:
        venv.EnvBuilder(with_pip=False, symlinks=True).create(folder)
        self.folder = folder
        self.bin = folder / ("Scripts" if os.name == "nt" else "bin")
        self.site = next(folder.glob("lib*/python*/site-packages"))
        self.environ = {
            name: value for name, value in os.environ.items() if not name.startswith(("ALPACAKIT_", "PYTHON"))
        }

    def lend(self, names: Iterable[str]) -> None:
        """Let it have the distributions ``names`` and what they require, as they are installed here."""
        for dist in closure(names):
            tops = {path.parts[0] for path in dist.files or () if path.parts[0] not in ("..", "__pycache__")}
            for top in sorted(tops):
                if not (self.site / top).exists():
                    (self.site / top).symlink_to(Path(str(dist.locate_file(top))))

    def take_back(self, name: str) -> None:
        """Undo ``lend`` for one distribution."""
        for top in {path.parts[0] for path in metadata.distribution(name).files or ()}:
            if (self.site / top).is_symlink():
                (self.site / top).unlink()

    def install(self, wheel: Path) -> None:
        """Install ``wheel`` with pip, which finds that all it requires is there."""
        command = [
            sys.executable,
            "-m",
            "pip",
            "--python",
            str(self.bin / "python"),
            "install",
            "--no-index",
            str(wheel),
        ]
        subprocess.run(
            [*command, "--quiet", "--disable-pip-version-check"], check=True, capture_output=True, timeout=120
        )

    def alpacakit(self, *args: str, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
        """The installed command, from ``folder``."""
        return subprocess.run(
            [str(self.bin / "alpacakit"), *args],
            capture_output=True,
            text=True,
            timeout=120,
            cwd=folder,
            env={**self.environ, **environ},
        )


def closure(names: Iterable[str]) -> list[metadata.Distribution]:
    """The distributions ``names`` and all that they require, extras left out."""
    found: dict[str, metadata.Distribution] = {}
    left = list(names)
    while left:
        name = left.pop()
        if name not in found:
            found[name] = metadata.distribution(name)
            left += [need.name for need in map(Requirement, found[name].requires or ()) if _is_needed(need)]
    return list(found.values())
