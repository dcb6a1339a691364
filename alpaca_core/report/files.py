"""The figures of a report as files: SVG, and PNG where the package for it is installed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from alpaca_core.datafiles import unfinished
from alpaca_core.errors import ConfigError, MissingError
from alpaca_core.report.figures import framed
from alpaca_core.report.pictures import Picture
from alpaca_core.report.png import png

WIDTH = 1_440  # of a PNG in pixels


def check_figures(folder: Path) -> None:
    """Raise ConfigError where ``folder`` holds anything already: no figure is written over another file."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} is not empty.", hint="Choose another folder with --figures DIR")


def write_figures(folder: Path, pictures: Mapping[str, Picture]) -> tuple[list[Path], list[str]]:
    """Write each of ``pictures`` into ``folder``, all or none: the files, and what there is to say about them."""
    content: dict[Path, bytes] = {}
    missing: dict[str, list[str]] = {}  # figures without a PNG, by what it needs
    for name, picture in pictures.items():
        drawn = framed(picture.svg)
        content[folder / f"{name}.svg"] = drawn.encode()
        try:
            content[folder / f"{name}.png"] = png(drawn, WIDTH)
        except MissingError as exc:
            missing.setdefault(f"{exc.message} {exc.hint}", []).append(name)
    notes = [f"{', '.join(names)}: written as SVG alone. {why}" for why, names in missing.items()]
    with unfinished(*content) as files:
        for file, data in zip(files, content.values(), strict=True):
            file.write(data)
    return list(content), notes
