"""Where a run's money went: every cent has a fate, whatever happened on the way."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from running import command, environment, generate, summary

from alpaca_core.account import account
from alpaca_core.entries import Judged
from alpaca_core.records import Candidate, Completion, Request, Usage
from alpaca_core.store import Store

PRICED = ("--set", "teacher.price_input=1", "--set", "teacher.price_output=5", "--budget", "20")
CONTENT = {"truncated": 0.1, "malformed": 0.2, "empty": 0.1, "refusal": 0.1, "content_filter": 0.1}
TRANSPORT = {"rate_limit": 0.1, "server": 0.1, "overloaded": 0.05, "early_reset": 0.05, "reset": 0.1, "garbage": 0.05}


@pytest.fixture
def store(tmp_path: Path):
    store = Store(tmp_path / "run.db")
    yield store
    store.close()


def answer(store: Store, k: int, cost: float | None, *kept: bool | None, text: str = "1. ...", finish="stop") -> None:
    """A reply that cost ``cost``, with a task for each of ``kept``: kept, rejected, or left over."""
    request = Request(k, "Write.")
    store.answered(store.sent(request, cost), k, Completion(text, finish, Usage(10, 30)), cost)
    rows = [
        Judged(Candidate("a", "", "b", id=f"{k}.{place}"), k, place, one, "rouge" if one is False else "")
        for place, one in enumerate(kept)
    ]
    store.judged(rows, k)


def parts(account: dict) -> list[dict]:
    several = (*account["rejected"].values(), *account["without_tasks"].values(), *account["lost"].values())
    return [account["kept"], account["surplus"], account["not_judged"], *several]


# ── the fates ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_cost_of_a_reply_is_divided_evenly_over_its_tasks(store):
    answer(store, 0, 0.08, True, True, False, None)
    found = account(store.rows)["account"]
    assert found["kept"] == {"count": 2, "amount": pytest.approx(0.04)}
    assert found["rejected"] == {"rouge": {"count": 1, "amount": pytest.approx(0.02)}}
    assert found["surplus"] == {"count": 1, "amount": pytest.approx(0.02)}
    assert found["each"] == pytest.approx(0.04)


def test_replies_without_a_task_say_why(store):
    answer(store, 0, 0.01, text=" \n")
    answer(store, 1, 0.02, text="I cannot help with that.", finish="refusal")
    answer(store, 2, 0.03, text="Sure, ask me anything!")
    made = account(store.rows)
    fates = {"empty": 0.01, "refusal": 0.02, "no task found": 0.03}
    assert {name: part["amount"] for name, part in made["account"]["without_tasks"].items()} == pytest.approx(fates)
    assert made["finishes"] == {"stop": 2, "refusal": 1} and made["empty"] == 1


def test_a_reply_that_waits_for_an_earlier_one_is_not_judged_yet(store):
    answer(store, 0, 0.01, True)
    request = Request(2, "Write.")
    store.answered(store.sent(request, 0.05), 2, Completion("1. ..."), 0.02)
    assert account(store.rows)["account"]["not_judged"] == {"count": 1, "amount": 0.02}


def test_attempts_without_a_reply_are_lost_at_what_they_may_have_cost(store):
    store.lost(store.sent(Request(0, "Write."), 0.05), "connection", "reset", 0.05)
    store.lost(store.sent(Request(0, "Write."), 0.05), "rate_limit", "429", 0.0)
    store.sent(Request(0, "Write."), 0.05)
    assert account(store.rows)["account"]["lost"] == {
        "connection": {"count": 1, "amount": 0.05},
        "in flight when killed": {"count": 1, "amount": 0.05},
        "rate_limit": {"count": 1, "amount": 0.0},
    }


def test_where_the_price_is_unknown_the_account_is_of_tokens(store):
    answer(store, 0, None, True, False)
    found = account(store.rows)["account"]
    assert found["unit"] == "tokens"
    assert [found["kept"]["amount"], found["rejected"]["rouge"]["amount"]] == [20, 20]


def test_a_new_journal_has_an_account_of_nothing(store):
    made = account(store.rows)
    assert sum(part["amount"] for part in parts(made["account"])) == 0 and made["account"]["each"] is None


# ── whole runs ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("faults", [{}, CONTENT, {**CONTENT, **TRANSPORT}], ids=["none", "answers", "all"])
def test_the_parts_add_up_to_the_cost_and_to_the_counts(provider, tmp_path, faults):
    out = tmp_path / "run"
    generate(provider(faults=faults), out, *PRICED)
    made = summary(out)
    found = made["account"]
    assert sum(part["amount"] for part in parts(found)) == pytest.approx(made["cost_usd"], abs=1e-9)
    assert found["kept"]["count"] == made["kept"]
    assert {name: part["count"] for name, part in found["rejected"].items()} == made["rejected"]
    assert sum(made["finishes"].values()) == made["replies"]
    assert sum(part["count"] for part in found["lost"].values()) == made["attempts"] - made["replies"]


def test_the_parts_add_up_after_a_kill_too(provider, tmp_path):
    server, out = provider(latency=0.15), tmp_path / "run"
    process = subprocess.Popen(
        command(out, *PRICED, "--concurrency", "4"), env=environment(server), stderr=subprocess.DEVNULL
    )
    while server.stats()["requests"] < 4:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    generate(server, out, *PRICED)
    made = summary(out)
    assert made["account"]["lost"]["in flight when killed"]["amount"] > 0
    assert sum(part["amount"] for part in parts(made["account"])) == pytest.approx(made["cost_usd"], abs=1e-9)


def test_a_lost_reply_is_asked_again_before_the_budget_goes_to_new_ones(provider, tmp_path):
    """Else the replies behind it, which are paid, could not be judged."""
    server, out = provider(latency=0.1, script=["", *["reset"] * 3]), tmp_path / "run"
    generate(server, out, *PRICED[:4], "--budget", "0.25", "--concurrency", "8", n=1000, code=4)
    made = summary(out)
    assert made["account"]["not_judged"]["count"] == 0
    assert made["kept"] > 100 and made["cost_usd"] > 0.2


def test_replies_of_another_run_cost_nothing_here(provider, tmp_path):
    server = provider()
    generate(server, tmp_path / "a", *PRICED, n=40)
    generate(server, tmp_path / "b", "--from", str(tmp_path / "a"), n=None)
    made = summary(tmp_path / "b")
    assert made["kept"] >= 40 and made["cost_usd"] == 0
    assert all(part["amount"] == 0 for part in parts(made["account"]))


def test_the_last_screen_names_what_money_went_to_and_nothing_that_is_zero(provider, tmp_path):
    done = generate(provider(script=["", "reset"]), tmp_path / "run", *PRICED)
    assert re.search(r"^went to +kept rows +120 +\$0\.\d{4} +\d+%$", done.stdout, re.MULTILINE)
    assert re.search(r"^ +lost: connection +1 +\$0\.\d{4} +\d+%$", done.stdout, re.MULTILINE)
    for nothing in ("not judged", "without a task", "reasoning", "from a cache", "$0.00 "):
        assert nothing not in done.stdout


def test_reasoning_tokens_are_shown(provider, tmp_path):
    done = generate(provider(reasoning=50), tmp_path / "run", *PRICED, "--set", "teacher.reasoning_effort=low", n=40)
    made = summary(tmp_path / "run")
    assert made["reasoning_tokens"] == 50 * made["replies"]
    assert f"({made['reasoning_tokens']:,} reasoning)" in done.stdout


def test_summary_json_stays_plain_json(provider, tmp_path):
    done = generate(provider(), tmp_path / "run", "--json", n=20)
    assert json.loads(done.stdout)["generation"]["account"]["unit"] == "tokens"
