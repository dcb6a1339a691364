"""The public API: what ``alpaca_core`` exports, and that it says what it promises."""

from __future__ import annotations

import inspect
import types
from dataclasses import fields, is_dataclass

import pytest

import alpaca_core
from alpaca_core import hookspecs
from alpaca_core.plugins import HOOKS
from alpaca_core.settings import TABLES

OBJECTS = {name: getattr(alpaca_core, name) for name in alpaca_core.__all__}


def test_all_is_what_is_there() -> None:
    there = {
        name
        for name, value in vars(alpaca_core).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert set(alpaca_core.__all__) == there
    assert list(alpaca_core.__all__) == sorted(alpaca_core.__all__)


@pytest.mark.parametrize("name", [name for name, value in OBJECTS.items() if inspect.isclass(value)])
def test_a_public_class_says_what_it_is(name: str) -> None:
    doc = OBJECTS[name].__doc__ or ""
    assert doc and not doc.startswith(f"{name}("), "no docstring of its own"


@pytest.mark.parametrize("name", [name for name, value in OBJECTS.items() if is_dataclass(value)])
def test_records_and_specs_are_frozen(name: str) -> None:
    assert OBJECTS[name].__dataclass_params__.frozen


def test_the_host_calls_every_hook_that_is_declared() -> None:
    declared = {name for name, value in vars(hookspecs).items() if hasattr(value, f"{hookspecs.PROJECT}_spec")}
    assert set(HOOKS) == declared


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_is_documented_with_an_example_that_works(hook: str) -> None:
    line = next(line.strip() for line in getattr(hookspecs, hook).__doc__.splitlines() if "return [" in line)
    (spec,) = eval(line.removeprefix("return "), vars(hookspecs))
    assert isinstance(spec, HOOKS[hook])


@pytest.mark.parametrize("table", TABLES)
def test_every_key_of_the_core_has_a_default_and_help(table: str) -> None:
    assert TABLES[table]()
    for item in fields(TABLES[table]):
        assert item.metadata["help"].endswith("."), item.name


def test_every_option_of_a_bundled_plugin_has_a_default_and_help() -> None:
    from alpaca_core.plugins import PluginHost

    for spec in PluginHost(only=frozenset()).specs():
        if spec.options is not None:
            assert spec.options.__dataclass_params__.frozen and spec.options()
            assert [item.name for item in fields(spec.options) if not item.metadata.get("help")] == [], spec.name


def test_every_bundled_component_has_a_summary_of_one_sentence() -> None:
    from alpaca_core.plugins import PluginHost

    for spec in PluginHost(only=frozenset()).specs():
        assert spec.summary.endswith(".") and len(spec.summary) <= 100, spec
