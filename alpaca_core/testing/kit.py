"""The kit as a whole: which laws hold for a plugin, and how they are tried, from a test or from the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from alpaca_core.errors import ConfigError, MissingError
from alpaca_core.plugins import PluginHost
from alpaca_core.testing.checks_chat_template import chat_template_checks
from alpaca_core.testing.checks_filter import filter_checks
from alpaca_core.testing.checks_judge import judge_checks
from alpaca_core.testing.checks_plugin import plugin_checks, spec_checks
from alpaca_core.testing.checks_prompt import prompt_checks
from alpaca_core.testing.checks_teacher import teacher_checks
from alpaca_core.testing.checks_trainer import trainer_checks
from alpaca_core.testing.findings import Check, Finding, NotApplicable, tried
from alpaca_core.testing.subjects import Component, Values, subjects, table_of

STUDENT = "new:tiny"


def checks(
    target: str | Path,
    options: Values | None = None,
    *,
    slow: bool = False,
    student: str = STUDENT,
    host: PluginHost | None = None,
) -> list[Check]:
    """The checks for ``target``: the folder of a plugin's sources, a file, or the name of a distribution, a plugin or a
    component. Nothing is tried yet.

    ``options`` are those that components are built with, by dotted key as ``--set`` takes them. ``slow`` trains
    ``student`` with a trainer. ``host`` are the plugins to look among (default: the installed ones).

    Raises ConfigError for sources that hold no plugin or an option that nothing has, MissingError for an unknown name.
    """
    host = PluginHost() if host is None else host
    found = subjects(str(target), host)
    components = [Component(spec, options or {}) for subject in found for spec in subject.specs]
    known = {f"{table_of(component.spec)}.{name}" for component in components for name in component.names()}
    if unknown := sorted(set(options or {}) - known):
        raise ConfigError(
            f"{', '.join(unknown)}: {target} has no such option.", hint=f"It has: {', '.join(sorted(known)) or 'none'}"
        )
    for component in components:
        if component.given():
            component.options()  # raises ConfigError for a value that cannot be
    filters = frozenset(
        spec.name
        for spec in [*host.specs("filter"), *(spec for subject in found for spec in subject.specs)]
        if spec.kind == "filter"
    )
    made = [check for subject in found for check in plugin_checks(subject)]
    for component in components:
        made += spec_checks(component, filters)
        made += _of_kind(component, slow, student)
    return made


def check(target: str | Path, options: Values | None = None, **how: Any) -> list[Finding]:
    """Try every check of ``checks``, which see; a finding for each, in their order."""
    return tried(checks(target, options, **how))


def conformance(target: str | Path, options: Values | None = None, **how: Any) -> Callable[..., None]:
    """A test for pytest with a case for each check of ``checks``, which see.

        from alpaca_core.testing import conformance

        test_conformance = conformance("alpacakit-polite")

    What does not apply is skipped with its reason.
    """
    try:
        import pytest
    except ImportError as exc:
        raise MissingError("conformance needs pytest.", hint="Install it with: pip install pytest") from exc

    @pytest.mark.parametrize("law", checks(target, options, **how), ids=str)
    def test_conformance(law: Check) -> None:
        try:
            law.try_it()
        except NotApplicable as exc:
            pytest.skip(str(exc))

    return test_conformance


def _of_kind(component: Component, slow: bool, student: str) -> Iterator[Check]:
    match component.spec.kind:
        case "teacher":
            yield from teacher_checks(component)
        case "prompt":
            yield from prompt_checks(component)
        case "filter":
            yield from filter_checks(component)
        case "chat-template":
            yield from chat_template_checks(component)
        case "trainer":
            yield from trainer_checks(component, slow, student)
        case "judge":
            yield from judge_checks(component)
