"""Laws for judges: no answer has a better chance for its place, and no text makes them fail."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from alpaca_core.errors import ConfigError, MissingError, Stopped, TeacherError
from alpaca_core.records import Completion, Pair, Preference, Request
from alpaca_core.testing.checks_plugin import require_methods
from alpaca_core.testing.fakes import FakeTeacher, Reply
from alpaca_core.testing.findings import Check, Failed, NotApplicable
from alpaca_core.testing.samples import WILD, pairs, wild_texts
from alpaca_core.testing.subjects import Component

VERDICTS = ("A", "B", "tie", "1", "2", "[[A]]", "Output (a)", "Output (b)", "M", "m", "7 9", "9 7")  # as judges write


def judge_checks(component: Component) -> Iterator[Check]:
    """Laws for ``component``, a judge."""
    name = str(component)
    asks = getattr(component.spec, "asks", False)

    def compare(shown: Sequence[Pair], reply: Reply = "A") -> list[Any]:
        teacher = FakeTeacher(lambda _: reply)
        found = list(asyncio.run(component.build().compare(shown, teacher.ask)))
        if teacher.requests and not asks:
            raise Failed("it asks the teacher unannounced", "Write asks=True into the JudgeSpec.")
        return found

    def protocol() -> None:
        require_methods(component.build(), compare=(2, True))

    def prefers() -> str:
        for shown in ([], pairs()[:1], pairs()):
            for reply in VERDICTS:
                _check_preferences(shown, compare(shown, reply))
        values = [preference.b for reply in VERDICTS for preference in compare(pairs(), reply)]
        return f"{sum(value is not None for value in values)} of {len(values)} are verdicts"

    def symmetric() -> str:
        swapped = [replace(pair, a=pair.b, b=pair.a) for pair in pairs()]
        if asks:  # what it is told is about places; it must not look at the answers itself
            for reply in VERDICTS:
                there, back = ([preference.b for preference in compare(shown, reply)] for shown in (pairs(), swapped))
                if there != back:
                    raise Failed(
                        f"told {reply!r}, it prefers {there}, and with the answers exchanged {back}",
                        "Read the place from what the teacher says: 0 for the answer shown first, 1 for the second.",
                    )
            _check_order(component)
            return "it shows a before b, and reads the place"
        for pair, there, back in zip(pairs(), compare(pairs()), compare(swapped), strict=True):
            expected = None if there.b is None else 1 - there.b
            if back.b != expected:
                raise Failed(
                    f"{pair.a!r} against {pair.b!r} is {there.b}, and the other way round {back.b}",
                    "The preference of the exchanged pair is 1 minus that of the pair.",
                )
        return "exchanged answers exchange the preference"

    def survives() -> str:
        texts = wild_texts(60)
        wild = [Pair(text, texts[-i - 1], texts[(3 * i) % 60], texts[(7 * i) % 60]) for i, text in enumerate(texts)]
        replies = (*WILD, TeacherError("bad_request", "refused"), Completion("", "refusal")) if asks else ("",)
        for shown, reply in [(wild, "A"), *((pairs(), reply) for reply in replies)]:
            try:
                _check_preferences(shown, compare(shown, reply))
            except (Failed, NotApplicable, ConfigError, MissingError):
                raise
            except Exception as exc:
                raise Failed(
                    f"it raised {type(exc).__name__}: {exc} when the teacher said {str(reply)[:60]!r}",
                    "What is no verdict beyond doubt is Preference(None, reason).",
                ) from exc
        return f"{len(wild)} pairs, {len(replies)} answers"

    def lets_through() -> None:
        if not asks:
            raise NotApplicable("it does not ask the teacher")

        async def ask(_: Sequence[Request]) -> list[Any]:
            raise Stopped("the budget is spent")

        try:
            asyncio.run(component.build().compare(pairs(), ask))
        except Stopped:
            return
        raise Failed("what stops the comparison was swallowed", "Let through what ask raises.")

    yield Check(name, "has the methods of a judge", protocol)
    yield Check(name, "gives each pair a preference from 0 to 1, or a reason for none", prefers)
    yield Check(name, "treats both places alike", symmetric)
    yield Check(name, "takes any text without raising", survives)
    yield Check(name, "lets through what stops the comparison", lets_through)


def _check_preferences(shown: Sequence[Pair], found: Sequence[Any]) -> None:
    if len(found) != len(shown):
        raise Failed(f"{len(found)} preferences on {len(shown)} pairs", "Give one for each pair, in their order.")
    for preference in found:
        if not isinstance(preference, Preference):
            raise Failed(f"compare gave {preference!r}", "Return Preferences.")
        if preference.b is None and not preference.reason:
            raise Failed("no preference, and no reason why", "Write Preference(None, 'what is missing').")
        if preference.b is not None and not 0 <= preference.b <= 1:
            raise Failed(f"a preference of {preference.b}", "0: a is better; 0.5: a tie; 1: b is better.")


def _check_order(component: Component) -> None:
    """``Pair.a`` is shown before ``Pair.b``."""
    teacher = FakeTeacher(lambda _: "A")
    pair = Pair("Say something.", "", "The first answer, in violet.", "The second answer, in orange.")
    asyncio.run(component.build().compare([pair], teacher.ask))
    for request in teacher.requests:
        text = f"{request.system}\n{request.prompt}\n{request.input}"
        if not -1 < text.find(pair.a) < text.find(pair.b):
            raise Failed(
                "the question does not show a before b",
                "Show both answers whole, a first: the core draws or exchanges the places, and counts on it.",
            )
