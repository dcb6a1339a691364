"""Laws for every plugin, whatever it offers: how it is packaged, how it is imported, what its specs say."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import MISSING, fields
from functools import cache
from typing import Any

from alpaca_core.hookspecs import PROJECT
from alpaca_core.plugins import HOOKS
from alpaca_core.specs import FilterSpec
from alpaca_core.testing.findings import Check, Failed, NotApplicable
from alpaca_core.testing.subjects import Component, Subject

RESERVED = "alpaca_"  # modules of bundled plugins begin so
LONGEST_SUMMARY = 100

# What start-up pays for the plugin: its import and the calls of its hooks, in a process of its own.
_IMPORT = """
import contextlib, importlib, io, json, sys, time
path, module, hooks = json.loads(sys.argv[1])
sys.path[:] = path
import alpaca_core, alpaca_core.plugins
before, told, started = set(sys.modules), io.StringIO(), time.perf_counter()
with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
    plugin = importlib.import_module(module)
    for hook in hooks:
        list(getattr(plugin, hook, list)())
seconds = time.perf_counter() - started
print(json.dumps([seconds, told.getvalue(), sorted(set(sys.modules) - before)]))
"""


def plugin_checks(subject: Subject) -> Iterator[Check]:
    """Laws for the distribution and the import."""
    plugin, name = subject.plugin, f"plugin {subject.plugin.name}"

    def loads() -> str:
        if plugin.status != "active":
            raise Failed(f"it is {plugin.status}: {plugin.error}", "Mend what the error says: nobody can use it so.")
        if not plugin.specs:
            raise Failed("it offers nothing", "Return a spec from at least one hook, such as alpaca_filters.")
        return f"it offers {', '.join(f'{spec.kind} {spec.name}' for spec in plugin.specs)}"

    def legal_names() -> None:
        if not re.fullmatch(r"[a-z][a-z0-9]*([.-][a-z0-9]+)*", plugin.name):
            raise Failed(
                f"the entry point is called {plugin.name!r}", "Call it in lower-case words joined by '-': no-shouting."
            )
        if plugin.bundled:
            return
        package = plugin.module.partition(".")[0]
        if package.startswith(RESERVED) or plugin.distribution.startswith("alpaca-"):
            raise Failed(
                f"distribution {plugin.distribution}, module {package}: names with {RESERVED} are the bundled plugins'",
                f"Call the distribution {PROJECT}-{plugin.name}, the module {PROJECT}_{plugin.name.replace('-', '_')}.",
            )

    def bounded() -> str:
        from packaging.requirements import Requirement

        if subject.requires is None:
            raise NotApplicable("it comes with alpacakit" if plugin.bundled else "it is of no distribution")
        todo = f'Write into pyproject.toml: dependencies = ["{PROJECT}>=0.1,<1"]'
        needs = [Requirement(line) for line in subject.requires]
        ours = [need for need in needs if need.name.lower() == PROJECT and "extra" not in str(need.marker)]
        if not ours:
            raise Failed(f"it does not depend on {PROJECT}", todo)
        if not any(rule.operator in ("<", "<=", "==", "~=") for need in ours for rule in need.specifier):
            raise Failed(f"it takes any later version: {ours[0]}", todo)
        return str(ours[0])

    def imported() -> tuple[float, str, list[str]]:
        if plugin.status != "active":
            raise NotApplicable("it does not load")
        return _imported(plugin.module, tuple(sys.path))

    def light() -> str:
        seconds, _, names = imported()
        own = {plugin.module.partition(".")[0], "alpaca_core", *sys.stdlib_module_names}
        foreign = sorted({package for name in names if (package := name.partition(".")[0]) not in own})
        foreign = [package for package in foreign if not package.startswith("_")]
        took = f"{seconds * 1000:.0f} ms"
        if foreign:
            raise Failed(
                f"it imports {', '.join(foreign)} ({took}), which every command would wait for",
                "Keep specs and options in a module that imports the standard library and alpaca_core only. The class "
                "is named by a string, 'package.module:Class': its module, imported on first use, may import anything.",
            )
        return took

    def silent() -> None:
        told = imported()[1]
        if told:
            raise Failed(f"it prints {told[:80]!r}", "Print nothing when it is imported: stdout belongs to data.")

    yield Check(name, "loads and offers something", loads)
    yield Check(name, "has legal names", legal_names)
    yield Check(name, "depends on alpacakit with an upper bound", bounded)
    yield Check(name, "has a light import", light)
    yield Check(name, "prints nothing when it is imported", silent)


@cache
def _imported(module: str, path: tuple[str, ...]) -> tuple[float, str, list[str]]:
    """Seconds, what was printed, and the modules that came in."""
    argv = [sys.executable, "-c", _IMPORT, json.dumps([path, module, list(HOOKS)])]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise Failed(
            f"it does not import in a fresh Python: {(done.stderr.strip().splitlines() or ['no word'])[-1]}",
            f"Try: python -c 'import {module}'",
        )
    seconds, told, names = json.loads(done.stdout.splitlines()[-1])
    return seconds, told, names


def spec_checks(component: Component, filters: frozenset[str]) -> Iterator[Check]:
    """Laws for a spec. ``filters`` are the names of all filters there are, for chains."""
    spec, name = component.spec, str(component)

    def summary() -> None:
        if not spec.summary.endswith(".") or "\n" in spec.summary or len(spec.summary) > LONGEST_SUMMARY:
            raise Failed(
                f"its summary is {spec.summary!r}",
                f"Write one sentence of at most {LONGEST_SUMMARY} characters that ends with a full stop.",
            )

    def options() -> str:
        if spec.options is None:
            return "none"
        if not spec.options.__dataclass_params__.frozen:  # type: ignore[attr-defined]
            raise Failed(f"{spec.options.__name__} can be changed", "Decorate it with @dataclass(frozen=True).")
        items = [item for item in fields(spec.options) if item.init]
        bare = [item.name for item in items if item.default is MISSING and item.default_factory is MISSING]
        if bare:
            raise Failed(f"without a default: {', '.join(bare)}", "Give every option a default; '' or None may do.")
        mute = [item.name for item in items if not str(item.metadata.get("help", "")).strip()]
        if mute:
            raise Failed(
                f"without help: {', '.join(mute)}",
                'Write: name: int = field(default=3, metadata={"help": "What it is."})',
            )
        try:
            spec.options()
        except Exception as exc:
            raise Failed(f"the defaults are refused: {exc}", "The defaults have to pass __post_init__.") from exc
        return ", ".join(item.name for item in items)

    def resolves() -> str:
        if isinstance(spec, FilterSpec) and spec.chain:
            absent = [member for member, _ in spec.chain if member.rpartition(":")[2] not in filters]
            if absent:
                raise Failed(f"its chain names filters that are not there: {', '.join(absent)}", "Mend the names.")
            return f"{len(spec.chain)} filters"
        try:
            component.target()
        except (AttributeError, ImportError) as exc:
            raise Failed(
                f"{spec.target} leads nowhere: {exc}", "Write 'package.module:Class' as they are in the plugin."
            ) from exc
        return spec.target

    yield Check(name, "has a summary of one sentence", summary)
    yield Check(name, "has options with defaults and help", options)
    yield Check(name, "has a target that resolves", resolves)


def require_methods(component: Any, **methods: tuple[int, bool]) -> None:
    """Raise Failed unless ``component`` has each method, to be called with so many arguments, and ``async`` or not."""
    for name, (count, waits) in methods.items():
        method = getattr(component, name, None)
        how = f"{'async ' if waits else ''}def {name}(self, ...)"
        if not callable(method):
            raise Failed(f"it has no method {name}", f"Write {how} as alpaca_core.protocols has it.")
        try:
            inspect.signature(method).bind(*range(count))
        except TypeError as exc:
            raise Failed(
                f"{name} cannot be called with {count} arguments: {exc}",
                "Take the arguments that alpaca_core.protocols names, in their order.",
            ) from exc
        plain = inspect.ismethod(method) and not hasattr(method, "__wrapped__")  # no decorator that may await
        if plain and inspect.iscoroutinefunction(method) != waits:
            raise Failed(f"{name} is {'not ' if waits else ''}async", f"Write {how}.")
