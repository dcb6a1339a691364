"""Pairs before a judge: who is shown first, what two orders tell, and that no place makes a winner."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alpaca_core.records import Preference
from alpaca_core.versus.outputs import ModelOutput
from alpaca_core.versus.pairing import annotated, position, sample, showings
from alpaca_core.versus.winrate import percent, win_rate

FIRST, TIE, SECOND, NONE = Preference(0.0, raw="A"), Preference(0.5), Preference(1.0), Preference(None, "hm")


def rows(n: int, first: int = 0) -> list[tuple[ModelOutput, ModelOutput]]:
    """``n`` instructions with the answers of a baseline and of a model."""
    names = range(first, first + n)
    return [
        (ModelOutput(f"Name {i}.", f"base {i}", "base"), ModelOutput(f"Name {i}.", f"new {i}", "new")) for i in names
    ]


def orders(found: list, seed: int = 0) -> dict[str, bool]:
    return {showing.pair.instruction: showing.swapped for showing in showings(found, "random", seed)}


def test_the_order_is_a_function_of_the_seed_and_the_task_whatever_else_is_there():
    all_rows = rows(200)
    mixed = random.Random(1).sample(all_rows, 50)
    assert orders(mixed).items() <= orders(all_rows).items()
    assert orders(all_rows, seed=1) != orders(all_rows) == orders(all_rows)
    assert 60 < sum(orders(all_rows).values()) < 140


def test_each_answer_is_where_the_order_says():
    for showing in showings(rows(20), "random", 0):
        first, second = ("new", "base") if showing.swapped else ("base", "new")
        assert (showing.pair.a, showing.pair.b) == (f"{first} {showing.row}", f"{second} {showing.row}")


def test_the_same_answers_are_a_tie_and_are_not_shown():
    same = ModelOutput("Say.", "yes\n", "base"), ModelOutput("Say.", " yes", "new")
    assert showings([same], "both", 0) == []
    (found,) = annotated([same], [], [], "judge")
    assert (found.preference, found.raw_completion) == (1.5, "the same answer")


def test_a_judge_that_always_says_the_first_makes_no_winner_in_both_orders_and_is_seen():
    shown = showings(rows(30), "both", 0)
    always = [FIRST] * len(shown)
    rate = win_rate(annotated(rows(30), shown, always, "judge"))
    assert (rate.win_rate, rate.n_draws, rate.low, rate.high) == (50, 30, 50, 50)
    bias = position(shown, always)
    assert (bias.first, bias.decided, bias.both, bias.disagreed) == (100, 60, 30, 30)


def test_a_judge_that_always_says_the_first_wins_about_half_in_random_order_and_is_seen():
    shown = showings(rows(200), "random", 0)
    always = [FIRST] * len(shown)
    assert 35 < win_rate(annotated(rows(200), shown, always, "judge")).win_rate < 65
    assert position(shown, always).first == 100 and position(shown, always).both == 0


@pytest.mark.parametrize(
    ("straight", "turned", "preference", "disagreed"),
    [
        *((SECOND, FIRST, 2, 0), (FIRST, SECOND, 1, 0), (FIRST, FIRST, 1.5, 1), (TIE, TIE, 1.5, 0)),
        *((SECOND, TIE, 1.75, 0), (NONE, FIRST, None, 0), (NONE, NONE, None, 0)),
    ],
)
def test_two_orders_give_their_mean_and_nothing_where_one_has_no_verdict(straight, turned, preference, disagreed):
    shown = showings(rows(1), "both", 0)
    (found,) = annotated(rows(1), shown, [straight, turned], "judge")
    assert found.preference == preference
    assert position(shown, [straight, turned]).disagreed == disagreed
    assert found.raw_completion == [one.raw or one.reason for one in (straight, turned)]


@given(st.lists(st.sampled_from([0.0, 0.2, 0.5, 1.0]), min_size=1, max_size=12), st.sampled_from(["random", "both"]))
def test_what_one_model_wins_the_other_loses(values, how):
    """A judge that looks at the answers alone: ``values`` are its preferences for the model, row by row."""

    def rate(found, flip):
        shown = showings(found, how, 3)
        said = [Preference(1 - v if one.swapped != flip else v) for one in shown for v in [values[one.row]]]
        return percent(annotated(found, shown, said, "judge"))

    there = rows(len(values))
    assert rate(there, False) + rate([(model, base) for base, model in there], True) == pytest.approx(100)


def test_a_sample_is_drawn_by_the_task_and_grows():
    some, more = sample(rows(100), 10, 0), sample(rows(100), 20, 0)
    assert len(some) == 10 and set(some) < set(more) and some == sorted(some)
    assert sample(rows(100), 10, 1) != some and sample(rows(5), 10, 0) == [0, 1, 2, 3, 4]
