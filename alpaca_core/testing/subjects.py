"""What is to be checked: plugins that are installed, the sources of one that is not, or a single file."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from alpaca_core.errors import ConfigError, MissingError
from alpaca_core.hookspecs import PROJECT
from alpaca_core.plugins import Plugin, PluginHost, suggestion
from alpaca_core.sources import Setting
from alpaca_core.specs import Spec
from alpaca_core.testing.findings import Failed, NotApplicable
from alpaca_core.validation import build

#: Options for components, by dotted key as ``--set`` takes them: ``teacher.replies``, ``filter.polite.longest``.
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Subject:
    """A plugin, what it offers of interest, and what its distribution requires (None: it is of no distribution)."""

    plugin: Plugin
    specs: tuple[Spec, ...]
    requires: tuple[str, ...] | None


class _Sources(metadata.Distribution):
    """The distribution that a folder's pyproject.toml would become, as far as its metadata goes."""

    def __init__(self, folder: Path) -> None:
        file = folder / "pyproject.toml"
        try:
            project = tomllib.loads(file.read_text(encoding="utf-8")).get("project", {})
        except (OSError, ValueError) as exc:
            raise ConfigError(
                f"{file} cannot be read: {exc}", hint="Give the folder that holds the plugin's pyproject.toml."
            ) from exc
        if not isinstance(project.get("name"), str):
            raise ConfigError(f"{file} has no name in its table [project].", hint='Give it one: name = "alpacakit-x"')
        points = project.get("entry-points", {}).get(PROJECT, {})
        if not points:
            raise ConfigError(
                f"{file} names no plugin: it has no table [project.entry-points.{PROJECT}].",
                hint=f"Add it, with a line such as: {project['name'].removeprefix(f'{PROJECT}-')} ="
                f' "{project["name"].replace("-", "_")}"',
            )
        needs = "".join(f"Requires-Dist: {line}\n" for line in project.get("dependencies", []))
        lines = "".join(f"{name} = {value}\n" for name, value in points.items())
        self._files = {
            "METADATA": f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project.get('version', '0')}\n"
            + needs,
            "entry_points.txt": f"[{PROJECT}]\n{lines}",
        }

    def read_text(self, filename: str) -> str | None:
        return self._files.get(filename)

    def locate_file(self, path: Any) -> Path:
        return Path(path)


def subjects(target: str, host: PluginHost | None = None) -> list[Subject]:
    """What ``target`` stands for: the folder of a plugin's sources, a file of one, a distribution, a plugin or a
    component. ``host`` are the plugins to look among (default: the installed ones).

    Sources are put on ``sys.path``. Raises ConfigError for sources that hold no plugin, MissingError for a name that
    nothing has.
    """
    path = Path(target)
    if path.suffix == ".py" or "/" in target or target.startswith("."):
        return _from_path(path)
    host = PluginHost() if host is None else host
    wanted = re.sub(r"[-_.]+", "-", target).lower()
    found = [plugin for plugin in host.plugins if plugin.answers_to(target) or plugin.distribution == wanted]
    if found:
        return [Subject(plugin, plugin.specs, _requires(plugin)) for plugin in found]
    distribution, _, short = target.rpartition(":")
    offers = [
        (plugin, tuple(spec for spec in plugin.specs if spec.name == short))
        for plugin in host.plugins
        if distribution in ("", plugin.distribution)
    ]
    if not any(specs for _, specs in offers):
        if path.is_dir():
            return _from_path(path)
        names = {name for plugin in host.plugins for name in (plugin.name, plugin.distribution)}
        names |= {spec.name for spec in host.specs()}
        raise MissingError(
            f"no plugin, distribution or component is called '{target}'.{suggestion(target, names)}",
            hint="See: alpacakit plugins list. The folder of a plugin's sources is named as a path: ./alpacakit-x",
        )
    return [Subject(plugin, specs, _requires(plugin)) for plugin, specs in offers if specs]


def _requires(plugin: Plugin) -> tuple[str, ...] | None:
    if plugin.bundled:
        return None
    try:
        return tuple(metadata.requires(plugin.distribution) or ())
    except metadata.PackageNotFoundError:
        return None


def _from_path(path: Path) -> list[Subject]:
    if path.suffix == ".py":
        if not path.is_file():
            raise ConfigError(f"there is no file {path}.")
        points = [metadata.EntryPoint(path.stem.replace("_", "-"), path.stem, PROJECT)]
        folder, requires = path.resolve().parent, None
    else:
        sources = _Sources(path)
        points = list(sources.entry_points)
        folder, requires = path.resolve(), tuple(sources.requires or ())
    for place in (folder / "src", folder):
        if place.is_dir():
            sys.path.insert(0, str(place))
    for point in points:
        _forget(point.module.partition(".")[0], folder)
    return [Subject(plugin, plugin.specs, requires) for plugin in PluginHost(entry_points=points).plugins]


def _forget(package: str, folder: Path) -> None:
    """Let ``package`` be imported anew where it came from elsewhere: the same plugin, as it was installed."""
    file = getattr(sys.modules.get(package), "__file__", None)
    if file and not Path(file).resolve().is_relative_to(folder):
        for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
            del sys.modules[name]


@dataclass(frozen=True)
class Component:
    """A spec, with the options that it is tried with."""

    spec: Spec
    values: Values

    def __str__(self) -> str:
        return f"{self.spec.kind} {self.spec.name}"

    def given(self) -> dict[str, Any]:
        """Those of the values that are for this component, by the option's name."""
        table = table_of(self.spec)
        keys = {f"{table}.{name}": name for name in self.names()}
        return {keys[key]: value for key, value in self.values.items() if key in keys}

    def names(self) -> list[str]:
        """The names of its options."""
        return list(self.spec.options.__dataclass_fields__) if self.spec.options else []  # type: ignore[attr-defined]

    def options(self, **more: Any) -> Any:
        """Its options, checked: those given, over ``more`` as far as there are such options, over its defaults. None
        where it has none. Raises ConfigError."""
        cls, given = self.spec.options, self.given()
        if cls is None:
            return None
        chosen = {name: value for name, value in {**more, **given}.items() if name in self.names()}
        if not given:
            return cls(**chosen)  # of the kit's own, which need no check
        settings = {
            name: Setting(str(value), "given", Path.cwd(), text=True)
            if isinstance(value, str | Path)
            else Setting(value, "given", Path.cwd())
            for name, value in chosen.items()
        }
        options, problems = build(cls, settings, table_of(self.spec))
        if problems:
            raise ConfigError(f"{self}: its options are wrong:", problems=problems)
        return options

    def has(self, *names: str) -> str:
        """The first of ``names`` that is an option; "" if none is."""
        return next((name for name in names if name in self.names()), "")

    def target(self) -> Any:
        """The class. Raises NotApplicable where a package that it needs is not installed."""
        try:
            self.spec.require()
            return self.spec.load()
        except MissingError as exc:
            raise NotApplicable(f"{exc.message} {exc.hint}") from exc

    def build(self, **more: Any) -> Any:
        """An instance as the core would make it. Raises NotApplicable where there is no class to be had, Failed where
        it ends the program, and what the component itself raises."""
        try:
            cls = self.target()
        except NotApplicable:
            raise
        except (Exception, SystemExit) as exc:
            raise NotApplicable("its target does not resolve") from exc
        try:
            return cls() if self.spec.options is None else cls(self.options(**more))
        except SystemExit as exc:
            raise Failed("it ends the program when it is built", "Raise ConfigError or MissingError instead.") from exc


def table_of(spec: Spec) -> str:
    """The table of a configuration that holds the options of ``spec``."""
    return f"filter.{spec.name}" if spec.kind == "filter" else spec.kind.replace("-", "_")
