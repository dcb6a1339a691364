"""The chain asks its filters in order, and its verdicts always name who spoke and why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alpaca_core import AlpacaError, Candidate, Example, Flag, Keep, Reject, Repair, Seed
from alpaca_core.judging import Chain, Judgement

CANDIDATE = Candidate("Name a tree.", "", "oak", number=3, id="000012.03", label="naming")


class Script:
    """A filter that gives the verdict of a function, and remembers what it saw."""

    def __init__(self, verdict=lambda candidate: Keep()) -> None:
        self.verdict, self.judged, self.told = verdict, [], []

    def judge(self, candidate):
        self.judged.append(candidate)
        return self.verdict(candidate)

    def kept(self, example):
        self.told.append(example)


def capitalise(candidate):
    if candidate.output[:1].islower():
        return Repair(replace(candidate, output=candidate.output.capitalize(), id="x", label="x", number=9), "capital")
    return Keep()


def test_the_first_rejection_ends_the_chain():
    last = Script()
    chain = Chain([("calm", Script()), ("strict", Script(lambda c: Reject("too woody"))), ("last", last)])
    assert chain.judge(CANDIDATE) == Judgement(CANDIDATE, False, "strict", "too woody")
    assert last.judged == []


def test_a_repair_is_what_later_filters_judge_and_what_is_kept():
    """The core's own fields stay: they lead back to the origin."""
    last = Script()
    judged = Chain([("grammar", Script(capitalise)), ("last", last)]).judge(CANDIDATE)
    assert judged == Judgement(replace(CANDIDATE, output="Oak"), True, flags=("grammar: capital",))
    assert last.judged == [judged.candidate]


def test_flags_are_collected_and_keep_the_candidate():
    flags = Chain([("a", Script(lambda c: Flag("short"))), ("b", Script(lambda c: Flag("woody")))]).judge(CANDIDATE)
    assert flags == Judgement(CANDIDATE, True, flags=("a: short", "b: woody"))


def test_every_filter_is_told_of_the_seeds_and_of_what_is_kept():
    filters = [Script(), Script()]
    chain = Chain([("a", filters[0]), ("b", filters[1])])
    chain.told([Seed("seed_1", "Sing.", "high", "La.")])
    chain.judge(CANDIDATE)
    chain.kept(Example("Name a tree.", "", "Oak", id="000012.03"))
    for filter in filters:
        assert filter.told == [
            Example("Sing.", "high", "La.", id="seed_1"),
            Example("Name a tree.", "", "Oak", id="000012.03"),
        ]


def test_a_filter_that_raises_is_named_with_the_candidate():
    def fail(candidate):
        raise ZeroDivisionError("division by zero")

    with pytest.raises(AlpacaError, match=r"filter 'odd' failed on 000012\.03: ZeroDivisionError: division by zero"):
        Chain([("odd", Script(fail))]).judge(CANDIDATE)


def test_a_filter_that_gives_no_verdict_is_named_with_the_candidate():
    with pytest.raises(AlpacaError, match=r"filter 'odd' returned None for 000012\.03; expected Keep"):
        Chain([("odd", Script(lambda c: None))]).judge(CANDIDATE)
