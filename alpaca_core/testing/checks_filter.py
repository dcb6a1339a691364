"""Laws for filters: a verdict depends on what was kept before, and on nothing else; it always comes with a reason."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterator, Sequence
from numbers import Number
from typing import Any

from alpaca_core.errors import ConfigError, MissingError, Stopped, TeacherError
from alpaca_core.records import Candidate, Completion, Example, Flag, Keep, Reject, Repair, Request
from alpaca_core.testing.checks_plugin import require_methods
from alpaca_core.testing.fakes import FakeTeacher
from alpaca_core.testing.findings import Check, Failed, NotApplicable
from alpaca_core.testing.samples import WILD, candidates, examples, seeds, wild_candidates
from alpaca_core.testing.subjects import Component

PURE = "Let judge change nothing: what a filter remembers it learns from kept, which the core calls for every kept row."


def filter_checks(component: Component) -> Iterator[Check]:
    """Laws for ``component``, a filter or a dataset filter; a chain has none of its own."""
    if not component.spec.target:
        return
    if _selects(component):
        yield from _dataset_checks(component)
        return
    name = str(component)

    def protocol() -> None:
        require_methods(component.build(), judge=(1, False), kept=(1, False))

    def judges() -> str:
        filter = component.build()
        verdicts = _run(filter, candidates())[0]
        _check_verdicts(candidates(), verdicts)
        return _counted(verdicts)

    def survives() -> str:
        filter = component.build()
        for row in wild_candidates():
            try:
                _check_verdicts([row], [filter.judge(row)])
                filter.kept(Example(row.instruction, row.input, row.output, row.id))
            except (Failed, NotApplicable, ConfigError, MissingError):
                raise
            except Exception as exc:
                fields = (row.instruction[:30], row.input[:30], row.output[:30])
                raise Failed(
                    f"it raised {type(exc).__name__}: {exc} on {fields}",
                    "Judge any text, the empty one too: an exception ends the run.",
                ) from exc
        return f"{len(wild_candidates())} candidates"

    def changes_nothing() -> None:
        rows, filter = candidates(), component.build()
        kept = _run(filter, rows)[1]
        before = _state(filter)
        first = [filter.judge(row) for row in rows]
        if first != [filter.judge(row) for row in rows]:
            raise Failed("asked twice, it gives another verdict", PURE)
        changed = sorted(name for name, value in _state(filter).items() if before.get(name) != value)
        if changed:
            raise Failed(f"judge changed {', '.join(f'self.{name}' for name in changed)}", PURE)
        backwards = component.build()
        _told(backwards, kept)
        if first != [backwards.judge(row) for row in reversed(rows)][::-1]:
            raise Failed("a verdict depends on which candidates were judged before it", PURE)

    def rebuilds() -> str:
        rows, filter = candidates(), component.build()
        kept = _run(filter, rows)[1]
        again = component.build()
        _told(again, kept)
        for row in [*rows, *wild_candidates()]:
            if filter.judge(row) != again.judge(row):
                raise Failed(
                    f"told of the same kept rows, a new one judges otherwise: {row.instruction[:60]!r}",
                    "Let the state depend on what kept told it alone: a resumed run builds it again from there.",
                )
        return f"{len(kept)} kept rows"

    yield Check(name, "has the methods of a filter", protocol)
    yield Check(name, "gives a verdict with its reason", judges)
    yield Check(name, "judges any text without raising", survives)
    yield Check(name, "changes nothing as it judges", changes_nothing)
    yield Check(name, "gives the same verdicts when its state is rebuilt", rebuilds)


def _selects(component: Component) -> bool:
    try:
        return hasattr(component.target(), "select")
    except (Exception, SystemExit):  # told by the check of the target
        return False


def _told(filter: Any, kept: Sequence[Candidate]) -> None:
    for seed in seeds():
        filter.kept(Example(seed.instruction, seed.input, seed.output, seed.id))
    for row in kept:
        filter.kept(Example(row.instruction, row.input, row.output, row.id))


def _run(filter: Any, rows: Sequence[Candidate]) -> tuple[list[Any], list[Candidate]]:
    """The verdicts on ``rows`` and what was kept, as in a run: the filter is told of each kept row."""
    _told(filter, [])
    verdicts, kept = [], []
    for row in rows:
        verdict = filter.judge(row)
        verdicts.append(verdict)
        if not isinstance(verdict, Reject):
            better = verdict.candidate if isinstance(verdict, Repair) else row
            kept.append(better)
            filter.kept(Example(better.instruction, better.input, better.output, row.id))
    return verdicts, kept


def _state(filter: Any) -> dict[str, Any]:
    """A copy of the attributes that hold plain things, by name; caches, which say so in their name, left out. What an
    object of the filter's own holds is seen through its verdicts only."""
    attributes = getattr(filter, "__dict__", {}).items()
    return {name: copy.deepcopy(value) for name, value in attributes if _is_plain(value) and "cache" not in name}


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_plain(item) for pair in value.items() for item in pair)
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, Number | str | bytes)


def _check_verdicts(rows: Sequence[Any], verdicts: Sequence[Any]) -> None:
    for row, verdict in zip(rows, verdicts, strict=True):
        if not isinstance(verdict, Keep | Repair | Flag | Reject):
            raise Failed(f"the verdict is {verdict!r}", "Return Keep(), Repair(...), Flag(...) or Reject(...).")
        if isinstance(verdict, Repair) and not isinstance(verdict.candidate, Candidate):
            raise Failed(f"it repaired to {verdict.candidate!r}", "Use dataclasses.replace(candidate, output=...).")
        if not isinstance(verdict, Keep) and not (isinstance(verdict.reason, str) and verdict.reason.strip()):
            raise Failed(
                f"no reason is given for a {type(verdict).__name__} of {row.instruction[:60]!r}",
                "Say what was measured: Reject('212 words').",
            )


def _counted(verdicts: Sequence[Any]) -> str:
    kinds = [type(verdict).__name__.lower() for verdict in verdicts]
    return ", ".join(f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds)))


def _dataset_checks(component: Component) -> Iterator[Check]:
    """Laws for a filter that has ``select``."""
    name = str(component)
    asks = getattr(component.spec, "asks", False)

    def select(rows: Sequence[Example], teacher: FakeTeacher) -> list[Any]:
        return list(asyncio.run(component.build().select(rows, teacher.ask)))

    def protocol() -> None:
        require_methods(component.build(), select=(2, True))

    def judges() -> str:
        for count in (0, 1, len(examples())):
            teacher = FakeTeacher(lambda _: "4")
            verdicts = select(examples(count), teacher)
            if len(verdicts) != count:
                raise Failed(f"{len(verdicts)} verdicts on {count} rows", "Give one verdict for each row, in order.")
            _check_verdicts(examples(count), verdicts)
            if teacher.requests and not asks:
                raise Failed("it asks the teacher unannounced", "Write asks=True into the FilterSpec.")
        return _counted(verdicts)

    def repeats() -> str:
        teacher = FakeTeacher(_by_prompt)
        there, again = select(examples(), teacher), select(examples(), teacher)
        if there != again:
            raise Failed("the same rows and answers get other verdicts", "Draw nothing, or from a seed of its options.")
        back = select(examples()[::-1], teacher)[::-1]
        return "whatever the order of the rows" if back == there else "in the same order: another one changes them"

    def survives() -> str:
        _needs(asks)
        for reply in (*WILD, TeacherError("bad_request", "refused"), Completion("", "refusal")):
            try:
                _check_verdicts(examples(3), select(examples(3), FakeTeacher(lambda _, reply=reply: reply)))
            except (Failed, NotApplicable, ConfigError, MissingError):
                raise
            except Exception as exc:
                raise Failed(
                    f"it raised {type(exc).__name__}: {exc} when the teacher said {str(reply)[:60]!r}",
                    "An answer that says nothing, or a TeacherError, leaves the row: Flag('not judged: ...').",
                ) from exc
        return f"{len(WILD) + 2} answers"

    def lets_through() -> None:
        _needs(asks)

        async def ask(_: Sequence[Request]) -> list[Any]:
            raise Stopped("the budget is spent")

        try:
            asyncio.run(component.build().select(examples(3), ask))
        except Stopped:
            return
        raise Failed("what stops the run was swallowed", "Let through what ask raises: a spent budget, a wrong key.")

    yield Check(name, "has the methods of a dataset filter", protocol)
    yield Check(name, "gives one verdict for each row, with its reason", judges)
    yield Check(name, "gives the same verdicts on the same rows", repeats)
    yield Check(name, "takes any answer without raising", survives)
    yield Check(name, "lets through what stops the run", lets_through)


def _needs(asks: bool) -> None:
    if not asks:
        raise NotApplicable("it does not ask the teacher")


def _by_prompt(request: Request) -> str:
    """An answer that depends on the question alone."""
    return str(len(request.prompt) % 6)
