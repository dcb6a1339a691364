"""Length control: the published method's figures, and what must hold of it whatever the data."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_winrate import swapped
from verdicts import HARD, annotation, gamed, records, written

from alpaca_core.errors import ConfigError
from alpaca_core.versus.annotations import read_annotations
from alpaca_core.versus.lengthcontrol import is_extreme, length_controlled, read_difficulty
from alpaca_core.versus.logistic import _below, _drawn, fit, log_loss, path

# What alpaca_eval 0.6.6 with scikit-learn 1.9.1 says of these rows: rate, standard error, C, weights.
SOME = records(missing=(3, 17))
PUBLISHED = [
    ("minimal", records(), 41.83870041249152, None, 166.81005372, (-1.66262581, -0.32939842)),
    ("full", records(), 43.549601408087455, 0.0525500698147479, 10000, (-1.32823618, -0.02303861, -0.25913902)),
    ("minimal", SOME, 42.22365317533957, None, 21.5443469, (-1.63183341, -0.3135989)),
    ("full", SOME, 43.91684168822225, 0.08576355561972276, 10000, (-1.30377029, -0.03753129, -0.24402702)),
    ("minimal", HARD, 25.139515023352597, None, 2.7825594, (-6.23633369, -1.09118527)),
    ("full", HARD, 43.47831734692943, 0.710673712400477, 10000, (-3.28231069, -0.31353938, -0.26097523)),
]


@pytest.fixture(scope="module")
def difficulty(tmp_path_factory):
    file = tmp_path_factory.mktemp("difficulty") / "df_gamed.csv"
    file.write_text(gamed())
    return read_difficulty(file)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return read_annotations(written(tmp_path_factory.mktemp("rows") / "annotations.json", records(30)))


@pytest.mark.parametrize(("form", "rows", "rate", "error", "cost", "weights"), PUBLISHED)
def test_the_figures_are_the_published_packages(tmp_path, difficulty, form, rows, rate, error, cost, weights):
    annotations = read_annotations(written(tmp_path / "annotations.json", rows))
    found = length_controlled(annotations, difficulty if form == "full" else None)
    assert found.form == {"full": "length_controlled_v1", "minimal": "length_controlled_minimal"}[form]
    assert found.win_rate == pytest.approx(rate, abs=1e-8)
    assert found.cost == pytest.approx(cost)
    assert tuple(found.weights.values()) == pytest.approx(weights, abs=1e-7)
    assert found.standard_error == (None if error is None else pytest.approx(error, abs=1e-8))


def test_the_models_in_each_others_place_have_the_rest_of_the_hundred(rows):
    assert length_controlled([swapped(row) for row in rows]).win_rate == pytest.approx(
        100 - length_controlled(rows).win_rate, abs=1e-6
    )


def test_the_unit_of_length_does_not_matter(rows):
    longer = [replace(row, output_1=row.output_1 * 7, output_2=row.output_2 * 7) for row in rows]
    assert length_controlled(longer).win_rate == pytest.approx(length_controlled(rows).win_rate, abs=1e-6)


def test_a_judge_that_likes_length_alone_leaves_nothing_for_the_model():
    """The win rate is far over 50, and the whole of it is length."""
    deltas = [-40 + 5 * place for place in range(40)]
    rows = [
        annotation(1 + 1 / (1 + math.exp(-delta / 30)), "a" * 200, "b" * (200 + delta), index=place)
        for place, delta in enumerate(deltas)
    ]
    assert sum(row.preference - 1 for row in rows) / 40 > 0.75
    assert length_controlled(rows).win_rate < 60


def test_answers_of_one_length_are_controlled_for_nothing():
    rows = [annotation(1.0 if place % 4 else 2.0, "aaa", "bbb", index=place) for place in range(40)]
    found = length_controlled(rows)
    assert found.weights["length"] == 0
    assert found.win_rate == pytest.approx(25, abs=3)  # the penalty draws it towards 50


def test_a_model_against_itself_is_even():
    rows = [replace(annotation(1.5, index=place), generator_2="base") for place in range(3)]
    assert length_controlled(rows).win_rate == 50


def test_what_cannot_be_controlled_is_refused(rows, difficulty):
    with pytest.raises(ConfigError, match="5 comparisons with a verdict"):
        length_controlled(rows[:4])
    with pytest.raises(ConfigError, match="these rows are of 2"):
        length_controlled([*rows, replace(rows[0], generator_2="other")])
    with pytest.raises(ConfigError, match="nothing on 1 of 30 instructions, such as number 999"):
        length_controlled([*rows[:-1], replace(rows[-1], index=999)], difficulty)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text.replace("std_delta_len", "delta"), "no column 'std_delta_len'"),
        (lambda text: text.replace("False", "maybe", 1), "line 2: not_gamed_baseline: expected True or False"),
        (lambda text: text.replace("0,m1,1.0", "0,m1,hard", 1), "line 2: instruction_difficulty: expected a number"),
        (lambda text: text.replace("\n1,m1", "\none,m1", 1), "line 3: "),
    ],
)
def test_a_difficulty_file_is_refused_with_the_place(tmp_path, change, told):
    file = tmp_path / "df_gamed.csv"
    file.write_text(change(gamed()))
    with pytest.raises(ConfigError, match=told):
        read_difficulty(file)


FAR = [(20, 9.9), (50, 63), (2, 27)]
NEAR = [(20, 12), (50, 61), (2, 13)]


@pytest.mark.parametrize(("rate", "controlled"), FAR + NEAR)
def test_a_far_move_is_told_by_the_packages_rule(rate, controlled):
    assert is_extreme(rate, controlled) == ((rate, controlled) in FAR)


# -- the regression


def brute_force(columns, targets, shares, cost):
    """The minimum by halving a step around the best point so far, without any derivative."""

    def objective(point):
        return sum(map(abs, point)) + cost * log_loss(columns, targets, shares, list(point))

    best, step = (0.0,) * len(columns), 4.0
    value = objective(best)
    while step > 1e-7:
        around = [(best[0] + a * step, best[1] + b * step) for a in (-1, 0, 1) for b in (-1, 0, 1) if (a, b) != (0, 0)]
        lowest, point = min((objective(point), point) for point in around)
        if lowest < value:
            best, value = point, lowest
        else:
            step /= 2
    return best


features = st.lists(st.tuples(st.floats(-1, 1), st.floats(0, 1)), min_size=3, max_size=12)


@settings(max_examples=15)
@given(features, st.sampled_from([0.05, 0.5, 5.0, 50.0]))
def test_to_the_end_the_fit_is_the_minimum_that_a_search_finds(data, cost):
    columns = [[x for x, _ in data], [1.0] * len(data)]
    targets, shares = [p for _, p in data], [1.0] * len(data)
    found = fit(columns, targets, shares, cost, tolerance=1e-9)
    reached = sum(map(abs, found)) + cost * log_loss(columns, targets, shares, found)
    searched = brute_force(columns, targets, shares, cost)
    assert reached <= sum(map(abs, searched)) + cost * log_loss(columns, targets, shares, list(searched)) + 1e-6


def test_a_weight_that_is_not_worth_its_penalty_is_nothing():
    columns = [[1.0, -1.0] * 10, [1.0] * 20]
    assert fit(columns, [0.5] * 20, [1.0] * 20, 1000.0) == [0.0, 0.0]
    assert fit(columns, [0.9, 0.1] * 10, [1.0] * 20, 1e-4) == [0.0, 0.0]
    separating = fit(columns, [0.9, 0.1] * 10, [1.0] * 20, 1000.0)
    assert separating == pytest.approx([math.log(9), 0], abs=0.01)


def test_a_row_of_share_two_is_two_rows():
    columns, targets = [[0.3, -0.8, 0.5], [1.0, 1.0, 1.0]], [0.2, 0.9, 0.4]
    twice = [[*column, column[0]] for column in columns]
    assert fit(columns, targets, [2.0, 1.0, 1.0], 10.0, tolerance=1e-9) == pytest.approx(
        fit(twice, [*targets, 0.2], [1.0] * 4, 10.0, tolerance=1e-9), abs=1e-6
    )


def test_the_random_orders_are_those_of_numpy_and_cpp():
    """``numpy.random.RandomState(123).randint(2**31 - 1)``, and the 10,000th number of the C++ standard's check."""
    drawn = _drawn(123)
    assert [next(drawn) % 2**31 for _ in range(3)] == [843828734, 914636141, 1228959102]
    drawn = _drawn(5489)
    assert [next(drawn) for _ in range(10_000)][-1] == 4123659995
    assert {_below(3, drawn) for _ in range(50)} == {0, 1, 2}
    assert len(path([[0.1, 0.4], [1.0, 1.0]], [0.2, 0.7], [1.0, 1.0], [0.1, 1.0])) == 2
