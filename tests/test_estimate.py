"""What a run will take: within its own range before, measured where replies are stored, and told in time."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from running import command, environment, generate, summary

from alpaca_core.cli.main import main
from alpaca_core.cli.progress import FORESEEN, generation_line, shortfall
from alpaca_core.estimate import ENOUGH, tokens_of
from alpaca_core.progress import Progress
from alpaca_core.records import BatchStatus
from alpaca_core.seeds import read_seeds
from alpaca_core.yields import Yield

PRICED = ("--set", "teacher.price_input=1", "--set", "teacher.price_output=5")


@pytest.fixture
def estimate(capsys, monkeypatch, tmp_path):
    """``alpacakit estimate --json`` for the run in ``out``."""

    def call(out: Path, *more: str, n: int | None = 120) -> dict:
        monkeypatch.chdir(tmp_path)
        for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
            monkeypatch.delenv(name, raising=False)
        rows = () if n is None else ("-n", str(n))
        teacher = () if "--from" in more else ("--teacher", "openai")
        capsys.readouterr()
        assert main(["estimate", *teacher, *rows, "--out", str(out), "--json", *more]) == 0
        return json.loads(capsys.readouterr().out)

    return call


def within(figure: float, span: list[float]) -> bool:
    return span[0] <= figure <= span[2]


# ── before ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("prompt", ["self-instruct", "alpaca-2023"])
def test_the_estimate_before_is_within_its_own_range_of_what_the_run_then_costs(provider, tmp_path, estimate, prompt):
    more = (*PRICED, "--prompt", prompt)
    expected = estimate(tmp_path / "run", *more, n=200)
    assert expected["replies"] == 0 and expected["spent"] == 0
    generate(provider(), tmp_path / "run", *more, n=200)
    made = summary(tmp_path / "run")
    assert within(made["replies"], expected["requests"])
    assert within(made["prompt_tokens"], expected["prompt_tokens"])
    assert within(made["completion_tokens"], expected["completion_tokens"])
    assert within(made["cost_usd"], expected["dollars"])


def test_an_estimate_needs_no_key_asks_nobody_and_writes_nothing(estimate, tmp_path):
    expected = estimate(tmp_path / "run")  # the environment has no key, and the address is OpenAI's own
    assert expected["dollars"][1] > 0
    assert list(tmp_path.iterdir()) == []


def test_a_batch_is_estimated_at_its_own_price(estimate, tmp_path):
    alone = estimate(tmp_path / "run", *PRICED)
    together = estimate(tmp_path / "run", *PRICED, "--batch")
    assert together["dollars"] == pytest.approx(alone["batch_dollars"])
    assert together["dollars"] == pytest.approx([dollars / 2 for dollars in alone["dollars"]])
    assert together["batch_dollars"] is None


def test_without_a_price_there_are_tokens_and_no_dollars(estimate, tmp_path):
    expected = estimate(tmp_path / "run", "--model", "my-own-model")
    assert expected["dollars"] is None and expected["budget"] is None
    assert expected["completion_tokens"][1] > 0


def test_a_budget_that_is_too_small_says_how_far_it_reaches(estimate, tmp_path):
    expected = estimate(tmp_path / "run", *PRICED, "--budget", "1", n=10_000)
    share = 1 / expected["dollars"][1]
    assert expected["reach"] == pytest.approx(10_000 * share, rel=0.01)
    assert estimate(tmp_path / "run", *PRICED, "--budget", "100", n=10_000)["reach"] is None


def test_more_items_in_a_request_mean_fewer_requests(estimate, tmp_path):
    few, many = (estimate(tmp_path / "run", "--set", f"prompt.items={items}", n=1000) for items in (5, 20))
    assert few["requests"][1] == pytest.approx(4 * many["requests"][1], abs=4)


def test_an_answer_is_never_expected_to_be_longer_than_it_may_be(estimate, tmp_path):
    expected = estimate(tmp_path / "run", "--set", "prompt.items=100", n=1000)
    assert expected["completion_tokens"][2] <= expected["requests"][2] * 3072


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [  # of the same sentence: letters over what four tokenizers made of it
        ("Explain in simple words why the sky is blue, and give an example from everyday life.", 16, 24),
        ("اشرح بكلمات بسيطة لماذا السماء زرقاء، وأعط مثالاً من الحياة اليومية.", 20, 63),
        ("用简单的语言解释为什么天空是蓝色的，并举一个日常生活中的例子。", 17, 35),
    ],
)
def test_other_scripts_take_more_tokens_for_their_letters(text, least, most):
    assert least <= tokens_of(text) <= most


def test_the_seed_tasks_have_about_four_letters_a_token():
    text = "".join(seed.instruction + seed.output for seed in read_seeds(None))
    assert tokens_of(text) == pytest.approx(len(text) / 4, rel=0.02)


# ── from stored replies ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_resumed_run_is_estimated_by_what_was_measured(provider, tmp_path, estimate):
    server, out = provider(), tmp_path / "run"
    generate(server, out, *PRICED, n=200)
    half = summary(out)
    expected = estimate(out, *PRICED, n=300)
    assert expected["replies"] >= ENOUGH
    assert expected["have"] >= 200 and expected["spent"] == pytest.approx(half["cost_usd"])
    low, mean, high = expected["rows_each"]
    assert low <= mean <= high and mean == pytest.approx(200 / half["replies"], rel=0.15)
    assert expected["completion_tokens"][1] / expected["requests"][1] == pytest.approx(
        half["completion_tokens"] / half["replies"], abs=1
    )
    generate(server, out, *PRICED, n=300)
    assert within(summary(out)["cost_usd"] - half["cost_usd"], expected["dollars"])


def test_a_finished_run_has_nothing_more_to_ask(provider, tmp_path, estimate):
    generate(provider(), tmp_path / "run", *PRICED, n=60)
    expected = estimate(tmp_path / "run", *PRICED, n=60)
    assert expected["requests"] == [0, 0, 0] and expected["dollars"] == [0, 0, 0]


def test_looking_at_a_run_leaves_its_folder_as_it_was_also_after_a_kill(provider, tmp_path, estimate):
    server, out = provider(latency=0.1), tmp_path / "run"
    process = subprocess.Popen(command(out, *PRICED), env=environment(server), stderr=subprocess.DEVNULL)
    while server.stats()["delivered"] < 3:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = {path.name: path.read_bytes() for path in out.iterdir() if not path.name.endswith("-shm")}
    expected = estimate(out, *PRICED)
    assert expected["have"] + expected["waiting"] > 0 and expected["spent"] > 0
    assert {path.name: path.read_bytes() for path in out.iterdir() if not path.name.endswith("-shm")} == before


def test_another_run_in_the_folder_is_told_and_not_counted(provider, tmp_path, estimate):
    generate(provider(), tmp_path / "run", *PRICED, n=40)
    expected = estimate(tmp_path / "run", *PRICED, "--seed", "7", n=40)
    assert expected["have"] == 0 and expected["requests"][1] > 0
    assert "holds another run" in expected["notes"][0]


def test_other_filters_than_the_stored_verdicts_are_told(provider, tmp_path, estimate):
    generate(provider(), tmp_path / "run", *PRICED, n=40)
    assert estimate(tmp_path / "run", *PRICED)["notes"] == []
    (note,) = estimate(tmp_path / "run", *PRICED, "--set", "filter.rouge.threshold=0.5")["notes"]
    assert "other filters" in note


def test_rows_of_runs_that_are_taken_over_need_not_be_bought(provider, tmp_path, estimate):
    generate(provider(), tmp_path / "a", *PRICED, n=200)
    taken = ("--from", str(tmp_path / "a"))
    more = estimate(tmp_path / "b", *taken, n=400)
    assert more["have"] >= 200 and more["spent"] == 0
    assert more["replies"] >= ENOUGH
    assert more["requests"][1] < estimate(tmp_path / "c", *PRICED, n=400)["requests"][1]
    assert estimate(tmp_path / "b", *taken, n=None)["requests"] == [0, 0, 0]


def test_a_dry_run_tells_the_same_as_the_estimate_and_starts_over_where_asked(provider, tmp_path, estimate):
    server, out = provider(), tmp_path / "run"
    generate(server, out, *PRICED, n=40)
    told = json.loads(generate(server, out, *PRICED, "--dry-run", "--json", n=200).stdout)
    expected = estimate(out, *PRICED, n=200)
    assert {name: told[name] for name in expected} == expected
    fresh = json.loads(generate(server, out, *PRICED, "--dry-run", "--fresh", "--json", n=200).stdout)
    assert fresh["have"] == 0


def yields(rows: Iterable[int]) -> Yield:
    seen = Yield()
    for one in rows:
        seen.add(one)
    return seen


@given(st.lists(st.integers(0, 20), min_size=ENOUGH, max_size=200).filter(any), st.integers(0, 50_000))
def test_the_yield_ahead_is_lower_the_more_it_is_doubted_and_never_nothing(rows, missing):
    seen = yields(rows)
    assert seen.ahead(missing, -2) >= seen.ahead(missing) - 1e-9
    assert seen.ahead(missing) >= seen.ahead(missing, 2) - 1e-9 > 0


def test_a_steady_yield_is_taken_to_stay_and_one_that_falls_to_go_on_falling():
    steady, falling = yields([14, 15] * 40), yields(range(18, 8, -1))
    assert steady.ahead(1000) == pytest.approx(14.5, rel=0.02)
    assert falling.ahead(20) < 8.5
    assert falling.ahead(1000) < falling.ahead(20)


def test_what_was_measured_of_a_falling_yield_foretells_the_rest():
    """Of tasks of 9,000 kinds, drawn with equal chances, of which each kind is kept once."""
    rng, kinds, rows = Random(1), set(), []
    for _ in range(400):
        before = len(kinds)
        kinds.update(rng.randrange(9000) for _ in range(20))
        rows.append(len(kinds) - before)
    for stored in (20, 40, 80, 160):
        missing = sum(rows[stored:])
        best, worst = (missing / yields(rows[:stored]).ahead(missing, doubt) for doubt in (-2, 2))
        assert best <= len(rows) - stored <= worst


# ── while it runs ─────────────────────────────────────────────────────────────────────────────────────────────────


def progress(**fields) -> Progress:
    usual = {
        **{"target": 1000, "kept": 300, "candidates": 400, "rejected": {}, "replies": 20, "failed": 0, "in_flight": 8},
        **{"prompt_tokens": 1, "completion_tokens": 1, "cost": 0.30, "seconds": 1.0, "arrived": 20, "waiting": 0.0},
        **{"own": 20, "budget": 5.0, "total_cost": 1.0, "reach": 1000},
    }
    return Progress(**{**usual, **fields})


def test_the_line_shows_dollars_so_far_and_for_all_rows():
    assert "$0.3000 of about $1.00" in generation_line(progress())
    assert "of about" not in generation_line(progress(own=3))
    assert "of about" not in generation_line(progress(kept=1000))
    assert "cost unknown" in generation_line(progress(cost=None, total_cost=None))


def test_the_line_shows_reasoning_only_where_there_is_any():
    assert "reasoning" not in generation_line(progress())
    assert "1,234 reasoning tokens" in generation_line(progress(reasoning_tokens=1234))


def test_the_line_shows_how_far_a_batch_is():
    assert "batch 3/10 in progress" in generation_line(progress(batch=BatchStatus(False, 3, 10, "in_progress")))


def test_a_budget_that_suffices_or_is_not_known_to_fall_short_is_not_complained_of():
    for fine in ({}, {"own": FORESEEN - 1, "budget": 0.5}, {"budget": None}, {"cost": None, "total_cost": None}):
        assert shortfall(progress(**fine)) == ""
    assert "about 500 of 1,000 rows" in shortfall(progress(budget=0.5, reach=500))


def test_a_budget_too_small_is_said_once_and_early(provider, tmp_path):
    out = tmp_path / "run"
    more = (*PRICED, "--budget", "0.6", "--concurrency", "4")
    done = generate(provider(latency=0.02), out, *more, n=3000, code=4)
    (said,) = re.findall(
        r"The budget of \$0.60 will reach about ([\d,]+) of 3,000 rows: after (\d+) replies", done.stderr
    )
    assert FORESEEN <= int(said[1]) <= FORESEEN + 4
    assert done.stderr.index("will reach") < done.stderr.index("leaves too little")
    assert int(said[0].replace(",", "")) == pytest.approx(summary(out)["kept"], rel=0.35)
