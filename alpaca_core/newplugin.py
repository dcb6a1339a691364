"""A new plugin's distribution, written from the templates in ``templates/``: one folder for all kinds, one for each.

A template is a plain file with ``$name`` and the like in its text and its path (``string.Template``), and ``.txt`` at
the end of its name.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable
from importlib import metadata
from importlib.resources import as_file, files
from pathlib import Path
from string import Template

import alpaca_core
from alpaca_core.errors import ConfigError
from alpaca_core.hookspecs import PROJECT
from alpaca_core.plugins import PluginHost
from alpaca_core.specs import Kind

#: What to type to use a component of each kind, after ``alpacakit``.
USES: dict[Kind, str] = {
    "teacher": "generate --teacher $name --filter length -n 20 --out run",
    "prompt": "generate --prompt $name -n 20 --out run",
    "filter": "generate --filter $name -n 20 --out run",
    "chat-template": "run --chat-template $name -n 20 --out run",
    "trainer": "run --trainer $name --student PATH -n 200 --out run",
    "judge": "evaluate MODEL --data FILE --against BASE --judge $name --out versus",
}
LONGEST = 24  # characters of a name
_TOOLS: dict[Kind, tuple[str, ...]] = {"chat-template": ("jinja2>=3.1",)}  # beside pytest and ruff
_EXTRAS: dict[Kind, str] = {"trainer": 'train = ["torch>=2.6", "transformers>=5"]\n'}


def write(name: str, kind: Kind, folder: Path | None, host: PluginHost) -> list[Path]:
    """Write the distribution of a plugin ``name`` that offers one component of ``kind``, into ``folder`` (default:
    ``alpacakit-NAME`` here), and give its files.

    Raises ConfigError for a name that cannot be one or that a component of this kind has, and for a folder that is
    there already.
    """
    check_name(name, kind, host)
    folder = folder or Path(f"{PROJECT}-{name}")
    if folder.exists():
        raise ConfigError(f"{folder} is there already.", hint="Choose another place: --out DIR")
    words = _words(name, kind)
    made = []
    with as_file(files("alpaca_core") / "templates") as templates:
        for source in (templates / "common", templates / kind):
            for path in sorted(path for path in source.rglob("*.txt") if path.is_file()):
                inside = Template(str(path.relative_to(source).with_suffix(""))).substitute(words)
                target = folder / inside
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(Template(path.read_text(encoding="utf-8")).substitute(words), encoding="utf-8")
                made.append(target)
    return sorted(made)


def check_name(name: str, kind: Kind, host: PluginHost) -> None:
    """Raise ConfigError, with a suggestion, for a name that a new component of ``kind`` should not have."""
    plain = re.sub(r"[^a-z0-9]+", "-", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()).strip("-")
    plain = re.sub(rf"^({PROJECT}-|alpaca-(?=.))+", "", plain)
    plain = (plain if re.match("[a-z]", plain) else f"my-{plain}")[:LONGEST].rstrip("-")
    if plain != name:
        raise ConfigError(
            f"'{name}' cannot be the name of a plugin: it is lower-case words joined by '-', without"
            f" '{PROJECT}-', of {LONGEST} characters at most.",
            hint=f"Take: alpacakit plugins new {plain} --kind {kind}",
        )
    taken = [host.owner(spec).distribution for spec in host.specs(kind) if spec.name == name]
    if taken:
        raise ConfigError(
            f"{taken[0]} offers a {kind} '{name}' already.", hint=f"Take: alpacakit plugins new my-{name} --kind {kind}"
        )


def _words(name: str, kind: Kind) -> dict[str, str]:
    """What stands for each placeholder."""
    stem = name.replace("-", "_")
    major, minor = (int(part) for part in metadata.version(PROJECT).split(".")[:2])
    title = "".join(word.capitalize() for word in name.split("-"))
    return {
        "name": name,
        "kind": kind.replace("-", " "),
        "distribution": f"{PROJECT}-{name}",
        "module": f"{PROJECT}_{stem}",
        "stem": stem,
        "Class": f"{title}Plugin" if keyword.iskeyword(title) or title in dir(alpaca_core) else title,
        "bounds": f">={major}.{minor},<{major + 1}",
        "tools": _quoted((*_TOOLS.get(kind, ()), "pytest>=8", "ruff>=0.14")),
        "extras": _EXTRAS.get(kind, ""),
        "use": use_of(name, kind),
    }


def use_of(name: str, kind: Kind) -> str:
    """What to type, after ``alpacakit``, to use the component."""
    return Template(USES[kind]).substitute(name=name)


def _quoted(words: Iterable[str]) -> str:
    return ", ".join(f'"{word}"' for word in words)
