"""The chain asks its filters in order, and its verdicts always name who spoke and why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alpaca_core import AlpacaError, Candidate, Example, Flag, Keep, Reject, Repair, Seed
from alpaca_core.judging import Chain, Judgement, refilter

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


class Once:
    """Rejects an instruction that was kept before."""

    def __init__(self) -> None:
        self.seen: dict[str, str] = {}

    def judge(self, candidate):
        same = self.seen.get(candidate.instruction)
        return Reject(f"same as {same}") if same else Keep()

    def kept(self, example):
        self.seen[example.instruction] = example.id


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


# -- a dataset filtered again


def records(*instructions: str) -> list[dict]:
    return [{"instruction": text, "input": "", "output": "Yes", "source": i} for i, text in enumerate(instructions)]


def test_every_row_ends_kept_as_it_was_or_rejected_with_its_reason():
    rows = records("a", "b", "a", "c")
    result = refilter(rows, Chain([("once", Once())]))
    assert result.kept == [rows[0], rows[1], rows[3]]
    assert result.rejected == [rows[2] | {"id": "row_3", "filter": "once", "reason": "same as row_1"}]
    assert result.reasons() == {"once": 1}


def test_rows_are_compared_with_seeds_only_where_seeds_are_given():
    rows, seeds = records("a", "b"), [Seed("seed_1", "b", "", "")]
    assert refilter(rows, Chain([("once", Once())])).kept == rows
    assert refilter(rows, Chain([("once", Once())]), seeds).kept == rows[:1]


def test_without_a_filter_every_row_is_kept():
    rows = records("a", "a", "")
    assert refilter(rows, Chain([])).kept == rows


def test_only_a_filter_that_repairs_changes_a_row():
    rows = [{"instruction": "Name a tree.", "input": "", "output": "oak", "source": 1}]
    result = refilter(rows, Chain([("grammar", Script(capitalise))]))
    assert result.kept == [{"instruction": "Name a tree.", "input": "", "output": "Oak", "source": 1}]
    assert result.flags == {"grammar": 1}
