"""The plugin host: finds plugins, loads each one alone, and finds what they offer by name.

A plugin is an entry point of the group ``alpacakit``: a module with functions marked ``@hookimpl``. One that cannot be
loaded is a row with its error in ``plugins list``; it never takes the tool or another plugin down. Nothing heavy is
imported here: specs name their classes, and ``Spec.load`` imports them on first use.

The order is always the same: bundled plugins first, then by distribution. Nothing depends on it, because everything is
asked for by name.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from contextlib import redirect_stdout
from dataclasses import MISSING, dataclass, fields, replace
from difflib import get_close_matches
from importlib import metadata
from time import perf_counter
from types import ModuleType
from typing import Literal

import pluggy

import alpaca_core.hookspecs as hookspecs
from alpaca_core.errors import ConfigError, MissingError
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


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """One plugin as it was found. ``error`` says why it is not active; ``load_ms`` is the time its import took."""

    name: str
    distribution: str
    version: str
    module: str
    status: Status = "active"
    error: str | None = None
    load_ms: float = 0.0
    specs: tuple[Spec, ...] = ()

    @property
    def bundled(self) -> bool:
        """Whether it comes with alpacakit."""
        return self.distribution == BUNDLED

    def answers_to(self, name: str) -> bool:
        """Whether a person may call it ``name``: its own name, its distribution, or ``distribution:name``."""
        return name in (self.name, self.distribution, f"{self.distribution}:{self.name}")


class PluginHost:
    """All plugins of this environment, and what the active ones offer.

    ``entry_points`` replaces the installed ones (for tests). Plugins named in ``disabled`` are left out, and so are
    third-party ones that ``only``, unless None, does not name. ``strict`` raises the first plugin's error.
    """

    def __init__(
        self,
        entry_points: Iterable[metadata.EntryPoint] | None = None,
        disabled: frozenset[str] = frozenset(),
        only: frozenset[str] | None = None,
        strict: bool = False,
    ) -> None:
        found = metadata.entry_points(group=hookspecs.PROJECT) if entry_points is None else entry_points
        order = sorted(found, key=lambda point: (_distribution(point) != BUNDLED, _distribution(point), point.name))
        self.plugins: tuple[Plugin, ...] = tuple(_load(point, disabled, only, strict) for point in order)
        for name in disabled | (only or frozenset()):
            if not any(plugin.answers_to(name) for plugin in self.plugins):
                names = [plugin.name for plugin in self.plugins]
                raise ConfigError(
                    f"there is no plugin '{name}'.{suggestion(name, names)}", hint="See: alpacakit plugins list"
                )

    @classmethod
    def from_environment(
        cls, disabled: frozenset[str] = frozenset(), environ: Mapping[str, str] | None = None
    ) -> PluginHost:
        """The host as users configure it: ``ALPACAKIT_PLUGINS="a,b"`` loads only these third-party plugins (empty: none
        of them), ``ALPACAKIT_STRICT_PLUGINS=1`` raises a broken plugin's error."""
        environ = os.environ if environ is None else environ
        only = environ.get("ALPACAKIT_PLUGINS")
        return cls(
            disabled=disabled,
            only=None if only is None else frozenset(name.strip() for name in only.split(",") if name.strip()),
            strict=bool(environ.get("ALPACAKIT_STRICT_PLUGINS")),
        )

    def specs(self, kind: Kind | None = None) -> list[Spec]:
        """What the active plugins offer, of one kind or all."""
        return [spec for plugin in self.plugins for spec in plugin.specs if kind in (None, spec.kind)]

    def owner(self, spec: Spec) -> Plugin:
        """The plugin that offers ``spec``."""
        return next(plugin for plugin in self.plugins if any(spec is offer for offer in plugin.specs))

    def find(self, kind: Kind, name: str, prefer: str = "") -> Spec:
        """The component that ``name`` or ``distribution:name`` stands for.

        Where several distributions offer it, that of ``prefer`` is taken. Raises MissingError for an unknown name, and
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
        """One line for each plugin that should work and does not."""
        return [_complaint(plugin) for plugin in self.plugins if plugin.status in ("broken", "incompatible")]

    def versions(self) -> dict[str, str]:
        """The version of each distribution with an active plugin, by name."""
        return {plugin.distribution: plugin.version for plugin in self.plugins if plugin.status == "active"}


def suggestion(name: str, names: Iterable[str]) -> str:
    """`` Did you mean 'x'?`` where one of ``names`` is like ``name``, else nothing."""
    close = get_close_matches(name, list(names), n=1)
    return f" Did you mean '{close[0]}'?" if close else ""


def _distribution(point: metadata.EntryPoint) -> str:
    return re.sub(r"[-_.]+", "-", point.dist.name).lower() if point.dist else "unknown"


def _load(point: metadata.EntryPoint, disabled: frozenset[str], only: frozenset[str] | None, strict: bool) -> Plugin:
    """Load one plugin. Whatever goes wrong becomes its status."""
    plugin = Plugin(
        name=point.name,
        distribution=_distribution(point),
        version=point.dist.version if point.dist else "?",
        module=point.module,
    )
    if any(plugin.answers_to(name) for name in disabled):
        return replace(plugin, status="disabled", error="left out by --no-plugin")
    if only is not None and not plugin.bundled and not any(plugin.answers_to(name) for name in only):
        return replace(plugin, status="disabled", error="not named in ALPACAKIT_PLUGINS")
    started = perf_counter()
    try:
        if unfit := None if plugin.bundled else _unfit(point):
            return replace(plugin, status="incompatible", error=unfit)
        with redirect_stdout(sys.stderr):  # stdout is for data, whatever a plugin prints when it is imported
            specs = _offers(point.load())
    except (Exception, SystemExit) as exc:
        broken = replace(plugin, status="broken", error=f"{type(exc).__name__}: {exc}")
        if strict:
            raise MissingError(_complaint(broken)) from exc
        return broken
    return replace(plugin, specs=specs, load_ms=(perf_counter() - started) * 1000)


def _complaint(plugin: Plugin) -> str:
    return f"plugin {plugin.name} ({plugin.distribution} {plugin.version}) is {plugin.status}: {plugin.error}"


def _offers(module: ModuleType) -> tuple[Spec, ...]:
    """What a plugin's hooks return. A manager of its own per plugin, so that none can spoil another's call."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(module)
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
            for item in fields(offer.options) if offer.options else ():
                if item.default is MISSING and item.default_factory is MISSING:
                    raise ValueError(f"{offer.kind} '{offer.name}': its option '{item.name}' has no default")
            specs[offer.kind, offer.name] = offer
    return tuple(specs.values())


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
