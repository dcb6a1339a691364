"""The plugin host: finds plugins, loads each one alone, and finds what they offer by name.

A plugin is an entry point of the group ``alpacakit``: a module with functions marked ``@hookimpl``. One that cannot be
loaded is a row with its error in ``plugins list``; it never takes the tool or another plugin down. Nothing heavy is
imported here: specs name their classes, and ``Spec.load`` imports them on first use.

The order is always the same: bundled plugins first, then by distribution, then files. Nothing depends on it, because
everything is asked for by name.
"""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import MISSING, dataclass, fields, replace
from difflib import get_close_matches
from importlib import metadata
from pathlib import Path
from time import perf_counter
from types import ModuleType
from typing import Literal

import pluggy

import alpaca_core.hookspecs as hookspecs
from alpaca_core.errors import ConfigError, MissingError, Stopped
from alpaca_core.guard import Guard, named_talk, stdout_closed_to_others
from alpaca_core.settings import options_of
from alpaca_core.specs import ChatTemplateSpec, FilterSpec, JudgeSpec, Kind, PromptSpec, Spec, TeacherSpec, TrainerSpec

Status = Literal["active", "disabled", "incompatible", "broken"]

HOOKS: Mapping[str, type[Spec]] = {
    "alpaca_teachers": TeacherSpec,
    "alpaca_prompts": PromptSpec,
    "alpaca_filters": FilterSpec,
    "alpaca_chat_templates": ChatTemplateSpec,
    "alpaca_trainers": TrainerSpec,
    "alpaca_judges": JudgeSpec,
}
KINDS: tuple[Kind, ...] = tuple(spec.kind for spec in HOOKS.values())
BUNDLED = hookspecs.PROJECT  # the distribution whose plugins come with the core
SLOW = 1.0  # seconds: an import that takes longer is told, because every command that looks up plugins waits for it


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """One plugin as it was found. ``error`` says why it is not active; ``load_ms`` is the time that its import and its
    hooks took. ``notes`` are what its user should know though it works: that it is slow, that it uses what is
    deprecated."""

    name: str
    distribution: str
    version: str
    module: str
    status: Status = "active"
    error: str | None = None
    notes: tuple[str, ...] = ()
    load_ms: float = 0.0
    specs: tuple[Spec, ...] = ()

    @property
    def bundled(self) -> bool:
        """Whether it comes with alpacakit."""
        return self.distribution == BUNDLED

    @property
    def failed(self) -> bool:
        """Whether it should work and does not."""
        return self.status in ("broken", "incompatible")

    def answers_to(self, name: str) -> bool:
        """Whether a person may call it ``name``: its own name, its distribution, or ``distribution:name``."""
        return name in (self.name, self.distribution, f"{self.distribution}:{self.name}")

    def complaints(self) -> list[str]:
        """What is wrong with it, a line each; empty where all is well."""
        who = f"plugin {self.name} ({self.distribution} {self.version})"
        return [f"{who} is {self.status}: {self.error}"] * self.failed + [f"{who}: {note}" for note in self.notes]


class PluginHost:
    """All plugins of this environment, and what the active ones offer.

    ``entry_points`` replaces the installed ones (for tests). Plugins named in ``disabled`` are left out, and so are
    third-party ones that ``only``, unless None, does not name. ``files`` are plugins of one file each, as ``--plugin``
    names them. Raises MissingError for a file that does not load; where ``strict``, for any plugin, with all of them.
    """

    def __init__(
        self,
        entry_points: Iterable[metadata.EntryPoint] | None = None,
        disabled: frozenset[str] = frozenset(),
        only: frozenset[str] | None = None,
        strict: bool = False,
        files: Sequence[Path] = (),
    ) -> None:
        found = metadata.entry_points(group=hookspecs.PROJECT) if entry_points is None else entry_points
        candidates = sorted(map(_candidate, found), key=lambda one: (not one.about.bundled, *_place(one.about)))
        bundled = [_load(one, disabled, only, None) for one in candidates if one.about.bundled]
        others = [one for one in candidates if not one.about.bundled]
        with stdout_closed_to_others() if others or files else nullcontext():
            guard = Guard() if others or files else None
            third = [_load(one, disabled, only, guard) for one in others]
            named = [_load(_file_candidate(file), frozenset(), None, guard) for file in files]
        self.plugins: tuple[Plugin, ...] = tuple(_without_repeats([*bundled, *third, *named]))
        for name in disabled | (only or frozenset()):
            if not any(plugin.answers_to(name) for plugin in self.plugins):
                names = [plugin.name for plugin in self.plugins]
                raise ConfigError(
                    f"there is no plugin '{name}'.{suggestion(name, names)}", hint="See: alpacakit plugins list"
                )
        unloaded = [plugin for plugin in self.plugins if plugin.failed]
        if strict and unloaded:
            lines = [f"  {line}" for plugin in unloaded for line in plugin.complaints()]
            raise MissingError(
                "\n".join(["not all plugins load, and that is asked for (strict):", *lines]),
                hint="Mend or uninstall them, or leave them out with --no-plugin NAME.",
            )
        for plugin in named:
            if plugin.failed:
                raise MissingError(f"--plugin {plugin.distribution} cannot be used: {plugin.error}")

    @classmethod
    def from_environment(
        cls,
        disabled: frozenset[str] = frozenset(),
        environ: Mapping[str, str] | None = None,
        strict: bool = False,
        files: Sequence[Path] = (),
    ) -> PluginHost:
        """The host as users configure it: ``ALPACAKIT_PLUGINS="a,b"`` loads only these third-party plugins (empty: none
        of them), ``ALPACAKIT_STRICT=1`` is ``strict``."""
        environ = os.environ if environ is None else environ
        only = environ.get("ALPACAKIT_PLUGINS")
        return cls(
            disabled=disabled,
            only=None if only is None else frozenset(name.strip() for name in only.split(",") if name.strip()),
            strict=strict or environ.get("ALPACAKIT_STRICT", "") not in ("", "0"),
            files=files,
        )

    def specs(self, kind: Kind | None = None) -> list[Spec]:
        """What the active plugins offer, of one kind or all."""
        return [spec for plugin in self.plugins for spec in plugin.specs if kind in (None, spec.kind)]

    def owner(self, spec: Spec) -> Plugin:
        """The plugin that offers ``spec``."""
        return next(plugin for plugin in self.plugins if any(spec is offer for offer in plugin.specs))

    def called(self, spec: Spec) -> str:
        """What to type for ``spec``: its name, or ``distribution:name`` where others offer that name too."""
        shared = sum((spec.kind, spec.name) == (other.kind, other.name) for other in self.specs()) > 1
        return f"{self.owner(spec).distribution}:{spec.name}" if shared else spec.name

    def find(self, kind: Kind, name: str, prefer: str = BUNDLED) -> Spec:
        """The component that ``name`` or ``distribution:name`` stands for.

        Where several distributions offer it, that of ``prefer`` is taken; empty, as for a name that a user typed: none
        of them. Raises MissingError for an unknown name, and
        ConfigError, with the choices, for one that several plugins offer.
        """
        distribution, _, short = name.rpartition(":")
        offers = [
            (plugin, spec)
            for plugin in self.plugins
            for spec in plugin.specs
            if (spec.kind, spec.name) == (kind, short) and distribution in ("", plugin.distribution)
        ]
        preferred = [offer for offer in offers if offer[0].distribution == prefer]
        if len(preferred or offers) == 1:
            return (preferred or offers)[0][1]
        if offers:
            choices = ", ".join(f"{plugin.distribution}:{short}" for plugin, _ in offers)
            raise ConfigError(f"{kind} '{name}' is offered by {len(offers)} plugins.", hint=f"Name one: {choices}")
        names = [spec.name for spec in self.specs(kind)]
        away = [plugin for plugin in self.plugins if plugin.status != "active"]
        raise MissingError(
            "\n".join(
                [
                    f"{kind} '{name}' not found.{suggestion(short, names)} "
                    f"There are: {', '.join(sorted(set(names))) or 'none'}.",
                    *(f"  plugin {plugin.name} is {plugin.status}: {plugin.error}" for plugin in away),
                ]
            ),
            hint=f"See: alpacakit plugins list --kind {kind}",
        )

    def complaints(self) -> list[str]:
        """What is wrong with plugins, a line each, with their names."""
        return [line for plugin in self.plugins for line in plugin.complaints()]

    def versions(self) -> dict[str, str]:
        """The version of each distribution with an active plugin, by name."""
        return {plugin.distribution: plugin.version for plugin in self.plugins if plugin.status == "active"}


def suggestion(name: str, names: Iterable[str]) -> str:
    """`` Did you mean 'x'?`` where one of ``names`` is like ``name``, else nothing."""
    close = get_close_matches(name, list(names), n=1)
    return f" Did you mean '{close[0]}'?" if close else ""


@dataclass(frozen=True)
class _Candidate:
    """A plugin that was found and not loaded. ``unfit`` says why this alpacakit is not the one it was made for."""

    about: Plugin
    load: Callable[[], ModuleType]
    unfit: Callable[[], str | None] = lambda: None


def _candidate(point: metadata.EntryPoint) -> _Candidate:
    """From installed metadata, which a broken installation may have left in pieces."""
    try:
        name, version = str(point.dist.name), str(point.dist.version)  # type: ignore[union-attr]
    except Exception:
        name, version = "unknown", "?"
    try:
        module = point.module
    except AttributeError:
        module = point.value
    distribution = re.sub(r"[-_.]+", "-", name).lower()
    about = Plugin(name=point.name, distribution=distribution, version=version, module=module)
    return _Candidate(about, point.load, lambda: _unfit(point))


def _file_candidate(file: Path) -> _Candidate:
    from alpaca_core.onefile import import_file, version_of  # what nobody asked for costs nothing

    about = Plugin(name=file.stem, distribution=file.name, version=version_of(file), module=file.stem)
    return _Candidate(about, lambda: import_file(file))


def _place(plugin: Plugin) -> tuple[str, str]:
    return plugin.distribution, plugin.name


def _load(candidate: _Candidate, disabled: frozenset[str], only: frozenset[str] | None, guard: Guard | None) -> Plugin:
    """Load one plugin, under ``guard`` unless it is bundled. Whatever goes wrong becomes its status."""
    plugin = candidate.about
    if any(plugin.answers_to(name) for name in disabled):
        return replace(plugin, status="disabled", error="left out by --no-plugin")
    if only is not None and not plugin.bundled and not any(plugin.answers_to(name) for name in only):
        return replace(plugin, status="disabled", error="not named in ALPACAKIT_PLUGINS")
    started = perf_counter()
    try:
        if unfit := None if plugin.bundled else candidate.unfit():
            return replace(plugin, status="incompatible", error=unfit)
        started = perf_counter()
        with named_talk(plugin.name):
            specs, notes = _offers(candidate.load())
        plugin = replace(plugin, specs=specs, notes=notes)
    except (KeyboardInterrupt, Stopped, ConfigError):  # signals, and what was wrong with the name of a file
        raise
    except BaseException as exc:  # SystemExit too, and what plugins derive from BaseException
        plugin = replace(plugin, status="broken", error=_one_line(exc))
    seconds = perf_counter() - started
    slow = f"its import takes {seconds:.1f} s, for which every command that looks up plugins waits"
    plugin = replace(plugin, load_ms=seconds * 1000, notes=plugin.notes + (slow,) * (seconds >= SLOW))
    changed = guard.put_back() if guard else []
    if not changed:
        return plugin
    sys.modules.pop(plugin.module, None)  # imported again it would seem to change nothing
    names = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
    error = f"it changes {names} when it is imported, which was put back"
    return replace(plugin, status="broken", error=error, specs=())


def _one_line(exc: BaseException) -> str:
    """An error as it fits into a table: one line, without what could steer a terminal."""
    try:
        text = " ".join(str(exc).split())
    except Exception:
        text = "(its text cannot be read)"
    line = "".join(letter for letter in f"{type(exc).__name__}: {text}" if letter.isprintable()).removesuffix(": ")
    return line if len(line) <= 300 else f"{line[:297]}..."


def _without_repeats(plugins: Iterable[Plugin]) -> Iterable[Plugin]:
    """``distribution:name`` must be one component: what repeats another of its distribution does not load."""
    seen: dict[tuple[str, str, str], str] = {}
    for plugin in plugins:
        keys = [(plugin.distribution, spec.kind, spec.name) for spec in plugin.specs]
        again = next((key for key in keys if key in seen), None)
        if again is None:
            seen.update(dict.fromkeys(keys, plugin.name))
            yield plugin
        else:
            error = f"it offers {again[1]} '{again[2]}', as does plugin '{seen[again]}' of its distribution"
            yield replace(plugin, status="broken", error=error, specs=())


def _offers(module: ModuleType) -> tuple[tuple[Spec, ...], tuple[str, ...]]:
    """What a plugin's hooks return, and what is deprecated in them. A manager of its own per plugin, so that none can
    spoil another's call."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        manager.register(module)
    notes = tuple(dict.fromkeys(f"deprecated: {warning.message}" for warning in warned))
    callers = manager.get_hookcallers(module) or []
    if not callers:
        raise TypeError("it implements no hook: no function of the module is marked @hookimpl")
    specs: dict[tuple[str, str], Spec] = {}
    for caller in callers:
        if caller.name not in HOOKS:
            raise TypeError(f"there is no hook '{caller.name}'.{suggestion(caller.name, HOOKS)}")
        for offer in (offer for result in caller() for offer in result):
            if not isinstance(offer, HOOKS[caller.name]):
                raise TypeError(f"{caller.name} returned {offer!r}, not a {HOOKS[caller.name].__name__}")
            if (offer.kind, offer.name) in specs:
                raise ValueError(f"it offers {offer.kind} '{offer.name}' twice")
            _check(offer)
            specs[offer.kind, offer.name] = offer
    return tuple(specs.values()), notes


def _check(offer: Spec) -> None:
    """Raise ValueError for a spec that listings could not show."""
    who = f"{offer.kind} '{offer.name}'"
    if not isinstance(offer.summary, str) or not offer.summary.isprintable():
        raise ValueError(f"{who}: its summary must be one line of text, not {offer.summary!r}")
    offer.missing()
    for item in fields(offer.options) if offer.options else ():
        if item.default is MISSING and item.default_factory is MISSING:
            raise ValueError(f"{who}: its option '{item.name}' has no default")
    options_of(offer.options)


def _unfit(point: metadata.EntryPoint) -> str | None:
    """Why the plugin's own requirement on alpacakit excludes this version, or None."""
    for line in (point.dist and point.dist.requires) or ():
        if not re.match(rf"{BUNDLED}(?![\w.-])", line, re.IGNORECASE):
            continue
        from packaging.requirements import Requirement  # 30 ms that only third-party plugins cost

        needed = Requirement(line)
        ours = metadata.version(BUNDLED)
        if needed.marker and not needed.marker.evaluate({"extra": ""}):
            continue
        if not needed.specifier.contains(ours, prereleases=True):
            return f"it needs {BUNDLED}{needed.specifier}, and this is {ours}"
    return None
