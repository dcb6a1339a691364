"""Win rates and their controls: AlpacaEval's definitions, an interval that can be trusted, two controls."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from verdicts import HARD, annotation, gamed, records, written

from alpaca_core.cli.main import main
from alpaca_core.errors import ConfigError
from alpaca_core.versus.annotations import read_annotations
from alpaca_core.versus.controls import NULL_MODEL, NULL_TEXT, length_bias, longer_wins, null_outputs, null_text
from alpaca_core.versus.leaderboard import read_leaderboard
from alpaca_core.versus.outputs import ModelOutput
from alpaca_core.versus.standings import entries, standings
from alpaca_core.versus.winrate import interval, win_rate

preferences = st.lists(st.floats(1, 2) | st.sampled_from([1.0, 1.5, 2.0]), min_size=2, max_size=40)


def rows_of(values):
    return [annotation(value, index=place) for place, value in enumerate(values)]


def swapped(row):
    """The same verdict with the two models in each other's place."""
    given = None if row.preference is None else 3 - row.preference
    return replace(
        row,
        output_1=row.output_2,
        output_2=row.output_1,
        generator_1=row.generator_2,
        generator_2=row.generator_1,
        preference=given,
    )


@settings(max_examples=25)
@given(preferences)
def test_a_win_rate_is_the_mean_of_the_verdicts_in_percent(values):
    found = win_rate(rows_of(values))
    scores = [100 * (value - 1) for value in values]
    assert found.win_rate == pytest.approx(statistics.mean(scores))
    assert found.standard_error == pytest.approx(statistics.stdev(scores) / math.sqrt(len(scores)))
    assert found.n_wins == sum(score > 50 for score in scores)
    assert found.n_wins_base == sum(score < 50 for score in scores)
    assert found.n_wins + found.n_wins_base + found.n_draws == found.n_total == len(scores)
    assert found.discrete_win_rate == pytest.approx(100 * (found.n_wins + found.n_draws / 2) / found.n_total)


@settings(max_examples=25)
@given(preferences)
def test_the_models_in_each_others_place_have_the_rest_of_the_hundred(values):
    one, other = win_rate(rows_of(values)), win_rate([swapped(row) for row in rows_of(values)])
    assert one.win_rate + other.win_rate == pytest.approx(100)
    assert one.discrete_win_rate + other.discrete_win_rate == pytest.approx(100)
    assert one.standard_error == pytest.approx(other.standard_error, abs=1e-9)
    assert (one.n_wins, one.n_draws, one.n_wins_base) == (other.n_wins_base, other.n_draws, other.n_wins)
    assert one.low + other.high == pytest.approx(100, abs=1e-6) and one.high + other.low == pytest.approx(100, abs=1e-6)


def test_rows_without_a_verdict_count_for_nothing_but_the_lengths():
    found = win_rate([annotation(2.0, "ab", "abcd"), annotation(None, "abcd", "abcdefgh", index=1)])
    assert (found.win_rate, found.n_total, found.n_missing) == (100, 1, 1)
    assert (found.avg_length_base, found.avg_length) == (3, 6)
    assert found.as_dict()["standard_error"] is None
    with pytest.raises(ConfigError, match="None of the 1 comparisons has a verdict"):
        win_rate([annotation(None)])


def test_the_interval_is_that_of_the_binomial_and_a_function_of_the_seed():
    rows = rows_of([2.0] * 120 + [1.0] * 280)
    low, high = interval(rows, seed=3)
    spread = 100 * math.sqrt(0.3 * 0.7 / 400)  # 2.3 points
    assert low == pytest.approx(30 - 1.96 * spread, abs=0.5) and high == pytest.approx(30 + 1.96 * spread, abs=0.5)
    rows = rows_of([1 + place * 0.618 % 1 for place in range(50)])
    assert interval(rows, seed=3) == interval(rows, seed=3) != interval(rows, seed=4)
    assert win_rate(rows, seed=3).low == interval(rows, seed=3)[0]


def test_judging_the_instructions_twice_does_not_narrow_the_interval():
    rows = rows_of([2.0] * 30 + [1.0] * 50)
    assert interval([*rows, *rows]) == pytest.approx(interval(rows))


def test_a_judge_of_lengths_alone_prefers_the_longer_answer():
    rows = [annotation(1.2, "aaaa", "aa"), annotation(1.9, "a", "aa"), annotation(1.1, "aa", "aa"), annotation(None)]
    assert [row.preference for row in longer_wins(rows)] == [1.0, 2.0, 1.5, None]
    assert {row.annotator for row in longer_wins(rows)[:3]} == {"length"}
    bias = length_bias([*rows, annotation(2.0, "aaa", "a"), annotation(1.5, "a", "aaa")])
    assert (bias.n, bias.longer) == (3, pytest.approx(200 / 3))
    assert length_bias(rows[2:]).longer is None


def test_a_null_model_answers_everything_with_one_text():
    given = [ModelOutput("Add 1 and 2.", "3", "mine", "sums"), ModelOutput("Say hello.", "Hello.", "mine", input="x")]
    made = null_outputs(given)
    assert [(row.instruction, row.input, row.dataset) for row in made] == [
        ("Add 1 and 2.", "", "sums"),
        ("Say hello.", "x", ""),
    ]
    assert {(row.output, row.generator) for row in made} == {(NULL_TEXT, NULL_MODEL)}


def test_a_null_model_that_wins_makes_the_judge_doubtful():
    assert "trust no result" in null_text(76.9, "judge") and "trust no result" not in null_text(2.0, "judge")
    won = [replace(row, generator_2=NULL_MODEL) for row in rows_of([2.0] * 6)]
    assert any("trust no result" in line for line in standings(won)[0].controls)


def test_several_judges_stand_alone_and_together(tmp_path):
    rows = read_annotations(written(tmp_path / "a.json", records()))
    other = [replace(row, annotator="second", preference=1.5) for row in rows]
    found = standings([*rows, *other])
    assert [standing.judge for standing in found] == ["judge", "second", "all"]
    assert found[2].rate.win_rate == pytest.approx((found[0].rate.win_rate + 50) / 2)
    assert [line.model for line in entries(found)] == ["mine"]
    assert entries(found)[0].values["n_total"] == 120


def test_a_leaderboard_has_one_baseline():
    rows = rows_of([1.0, 2.0])
    with pytest.raises(ConfigError, match="one baseline, and mine"):
        entries(standings([*rows, *(replace(row, generator_1="another") for row in rows)]))


def test_few_verdicts_have_a_win_rate_and_no_length_control():
    [found] = standings(rows_of([1.0, 2.0]))
    assert found.rate.win_rate == 50 and found.controlled is None and "five" in found.why_not


def test_the_command_tells_rate_form_controls_and_what_is_missing(tmp_path, capsys):
    file = str(written(tmp_path / "a.json", records(missing=(3, 17))))
    assert main(["winrate", file]) == 0
    minimal = capsys.readouterr()
    assert "length-controlled, minimal" in minimal.out and "49.18 %" in minimal.out and "42.22 %" in minimal.out
    assert "2 of 60 rows have no verdict" in minimal.err
    (tmp_path / "df_gamed.csv").write_text(gamed())
    more = ["--difficulty", str(tmp_path / "df_gamed.csv"), "--leaderboard", str(tmp_path / "board.csv")]
    assert main(["winrate", file, *more]) == 0
    full = capsys.readouterr()
    assert "minimal" not in full.out and "43.92 %" in full.out
    [line] = read_leaderboard(tmp_path / "board.csv")
    assert line.values["length_controlled_winrate"] == pytest.approx(43.91684168822225, abs=1e-8)
    assert main(["winrate", str(written(tmp_path / "hard.json", HARD))]) == 0
    assert "length control moves the rate far, from 55.0 % to 25.1 %" in capsys.readouterr().err
    assert main(["winrate", str(tmp_path / "none.json")]) == 2
    assert "none.json cannot be read: No such file" in capsys.readouterr().err
