"""Where configuration values come from: flags, the environment, files. Read as they are, judged in ``config``.

A source is a layer: values by path, where a path is the parts of a dotted key (``("filter", "rouge", "threshold")``),
each with words for where it was found. Layers come strongest first: flags and --set, environment, --config file,
alpacakit.toml.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alpaca_core.errors import ConfigError
from alpaca_core.plugins import suggestion
from alpaca_core.settings import FLAGS, TABLES, known_keys

FILE = "alpacakit.toml"
PREFIX = "ALPACAKIT_"
RESERVED = ("ALPACAKIT_PLUGINS", "ALPACAKIT_STRICT", "ALPACAKIT_DEBUG", "ALPACAKIT_CONFIG")
MEND = "Put it right. Files and variables are checked by: alpacakit config check"  # a flag is not

KeyPath = tuple[str, ...]


@dataclass(frozen=True)
class Setting:
    """A value as it was found. ``text`` tells words of a command line or a variable from typed TOML; ``folder`` is what
    a relative file name starts from."""

    value: Any
    source: str
    folder: Path
    text: bool = False


Layer = Mapping[KeyPath, Setting]


def path_of(key: str) -> KeyPath:
    """The path of a dotted key. What stands between ``filter.`` and the last dot is the filter's name."""
    table, _, rest = key.partition(".")
    if table == "filter":
        name, _, option = rest.rpartition(".")
        return (table, name, option)
    return (table, rest) if rest else (table,)


def dotted(path: KeyPath) -> str:
    """The key that people type for ``path``."""
    return ".".join(path)


def read_layers(
    flags: Mapping[str, Any], sets: Sequence[str], file: Path | None, folder: Path, environ: Mapping[str, str]
) -> list[Layer]:
    """All that users have set, strongest layer first. Raises one ConfigError for everything that cannot be read."""
    problems: list[str] = []
    if file is None and environ.get("ALPACAKIT_CONFIG"):
        file = folder / environ["ALPACAKIT_CONFIG"]
        if not file.exists():
            problems.append(f"ALPACAKIT_CONFIG: there is no file {file}")
            file = None
    layers: list[Layer] = [
        _from_flags(flags, sets, folder, problems),
        _from_environment(environ, folder, problems),
    ]
    files = [file] if file is not None else []
    if (folder / FILE).exists() and not (file is not None and file.resolve() == (folder / FILE).resolve()):
        files.append(folder / FILE)
    layers += [read_file(path, problems) for path in files]
    if problems:
        raise ConfigError(
            "the configuration cannot be read:",
            problems=problems,
            hint=MEND,
        )
    return layers


def _from_flags(
    flags: Mapping[str, Any], sets: Sequence[str], folder: Path, problems: list[str]
) -> dict[KeyPath, Setting]:
    names = {key: "--" + flag.replace("_", "-") for flag, key in FLAGS.items()}
    layer = {
        path_of(key): Setting(
            str(value) if isinstance(value, Path) else value,
            names.get(key, key),
            folder,
            text=isinstance(value, str | Path),
        )
        for key, value in flags.items()
        if value is not None
    }
    for item in sets:
        key, equals, text = item.partition("=")
        path = path_of(key.strip())
        if not equals or not all(path):
            # The text may be a key that was pasted by mistake, so it is not repeated.
            problems.append("--set: expected KEY=VALUE, such as teacher.temperature=0.7")
        elif path in layer and layer[path].source != "--set" and str(layer[path].value) != text:
            problems.append(f"{dotted(path)} is set twice: by {layer[path].source} and by --set")
        else:
            layer[path] = Setting(text, "--set", folder, text=True)
    problems += [f"{setting.source}: not valid UTF-8" for setting in layer.values() if not _is_text(setting.value)]
    return layer


def _from_environment(environ: Mapping[str, str], folder: Path, problems: list[str]) -> dict[KeyPath, Setting]:
    short = {PREFIX + flag.upper(): path_of(key) for flag, key in FLAGS.items()}
    layer: dict[KeyPath, Setting] = {}
    for name, text in sorted(environ.items()):
        if not name.startswith(PREFIX) or name in RESERVED or not text:
            continue
        path = short.get(name) or _long_path(name)
        if path is None:
            known = [*short, *RESERVED, *(_variable(key) for key in known_keys() if "." in key)]
            problems.append(f"unknown variable {name}.{suggestion(name, known)}")
        elif not _is_text(text):
            problems.append(f"{name}: not valid UTF-8")
        else:
            layer[path] = Setting(text, name, folder, text=True)
    return layer


def _variable(key: str) -> str:
    return PREFIX + key.replace(".", "__").upper()


def _long_path(name: str) -> KeyPath | None:
    """The path that ALPACAKIT_TABLE__KEY or ALPACAKIT_FILTER__NAME__KEY stands for, or None. Filters are named with
    ``-``, which a variable's name cannot hold, so ``_`` stands for it."""
    parts = name.removeprefix(PREFIX).lower().split("__")
    if parts[0] == "filter" and len(parts) == 3:
        return ("filter", parts[1].replace("_", "-"), parts[2])
    return tuple(parts) if len(parts) == 2 and parts[0] in TABLES and all(parts) else None


def read_file(path: Path, problems: list[str]) -> dict[KeyPath, Setting]:
    """The values of a TOML file. What cannot be read is added to ``problems``."""
    try:
        text = path.read_bytes().decode("utf-8")
        data = tomllib.loads(text)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as exc:
        problems.append(f"{path}: {exc.strerror}")
        return {}
    except UnicodeDecodeError as exc:
        problems.append(f"{path}: not valid UTF-8 at byte {exc.start}")
        return {}
    except (ValueError, RecursionError) as exc:
        problems.append(f"{path}: not valid TOML: {exc or 'nested too deeply'}")
        return {}
    lines = _lines(text)
    layer: dict[KeyPath, Setting] = {}
    for place, value in _flat(data, path, problems):
        at = lines.get(place)
        layer[place] = Setting(value, f"{path}:{at}" if at else str(path), path.parent)
    return layer


def _flat(data: Mapping[str, Any], path: Path, problems: list[str]) -> Iterable[tuple[KeyPath, Any]]:
    for key, value in data.items():
        if not key or key not in (*TABLES, "filter"):
            yield (key,), value
        elif not isinstance(value, Mapping):
            problems.append(f"{path}: {key} must be a table: [{key}]")
        elif key != "filter":
            yield from (((key, name), item) for name, item in value.items())
        else:
            for name, options in value.items():
                if isinstance(options, Mapping):
                    yield from (((key, name, option), item) for option, item in options.items())
                else:
                    problems.append(f"{path}: filter.{name} must be a table: [filter.{name}]")


_HEADER = re.compile(r"\s*\[([^\[\]]+)\]\s*(#.*)?$")
_KEY = re.compile(r"\s*([^=#\[\]]+?)\s*=")


def _lines(text: str) -> dict[KeyPath, int]:
    """The line of each key that stands on a line of its own; others are missing. For error texts only."""
    table: KeyPath = ()
    found: dict[KeyPath, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = _parts(header[1])
        elif key := _KEY.match(line):
            found.setdefault(table + _parts(key[1]), number)
    return found


def _parts(key: str) -> KeyPath:
    """The parts of a TOML key, quoted ones included."""
    try:
        node: Any = tomllib.loads(f"{key} = 0")
    except (ValueError, RecursionError):
        return (key,)
    parts = []
    while isinstance(node, dict) and node:
        name, node = next(iter(node.items()))
        parts.append(name)
    return tuple(parts)


def _is_text(value: Any) -> bool:
    """False for a string with bytes that were no UTF-8 when the system handed them over."""
    if isinstance(value, list | tuple):
        return all(map(_is_text, value))
    return not isinstance(value, str) or not any("\ud800" <= char <= "\udfff" for char in value)


def file_name(setting: Setting) -> str:
    """The value of ``setting`` as an absolute file name, from the folder of the file that holds it."""
    return os.path.abspath(setting.folder / os.path.expanduser(setting.value)) if setting.value else ""
