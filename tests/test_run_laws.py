"""The laws of a run, tried on the command line against a real provider over HTTP, with the real SDK.

The dataset is a pure function of the configuration and the replies; nothing paid for is lost; the budget is hard;
every candidate ends kept or rejected; a folder holds one run.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import distributions
import pytest
from running import ALPACAKIT, N, command, data, environment, generate, summary


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> bytes:
    """The dataset of a run in which nothing went wrong."""
    from provider import Provider

    out = tmp_path_factory.mktemp("undisturbed") / "run"
    with Provider() as provider:
        generate(provider, out)
    assert len(json.loads(data(out))) == N
    return data(out)


# ── determinism ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("concurrency", [1, 64])
def test_concurrency_does_not_change_a_byte_of_the_dataset(provider, tmp_path, undisturbed, concurrency):
    generate(provider(latency=0.02), tmp_path / "run", "--concurrency", str(concurrency))
    assert data(tmp_path / "run") == undisturbed


def test_faults_do_not_change_a_byte_of_the_dataset(provider, tmp_path, undisturbed):
    faults = {"rate_limit": 0.1, "server": 0.1, "overloaded": 0.05, "early_reset": 0.05, "reset": 0.05}
    generate(provider(faults=faults), tmp_path / "run")
    assert data(tmp_path / "run") == undisturbed


def test_another_seed_gives_another_dataset(provider, tmp_path, undisturbed):
    generate(provider(), tmp_path / "run", "--seed", "1")
    assert data(tmp_path / "run") != undisturbed


def test_killed_again_and_again_the_run_resumes_and_pays_only_for_what_was_in_flight(provider, tmp_path, undisturbed):
    server = provider(latency=0.15)
    out, in_flight, kills = tmp_path / "run", 4, 5
    for _ in range(kills):
        before = server.stats()["requests"]
        process = subprocess.Popen(
            command(out, "--concurrency", str(in_flight)), env=environment(server), stderr=subprocess.DEVNULL
        )
        while process.poll() is None and server.stats()["requests"] < before + 2:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
    generate(server, out, "--concurrency", str(in_flight))
    assert data(out) == undisturbed
    assert server.stats()["paid_twice"] <= kills * in_flight


# ── nothing paid is lost, nothing is asked twice ──────────────────────────────────────────────────────────────────


def test_a_finished_run_sends_nothing_when_it_is_run_again(provider, tmp_path):
    server = provider()
    generate(server, tmp_path / "run")
    sent, rows = server.stats()["requests"], data(tmp_path / "run")
    generate(server, tmp_path / "run")
    assert server.stats()["requests"] == sent
    assert data(tmp_path / "run") == rows


def test_another_filter_judges_the_stored_replies_again(provider, tmp_path):
    server = provider()
    generate(server, tmp_path / "run")
    sent = server.stats()["requests"]
    generate(server, tmp_path / "run", "--set", "filter.rouge.threshold=0.95", "-n", "100")
    assert server.stats()["requests"] == sent
    assert len(json.loads(data(tmp_path / "run"))) == 100


def test_stored_replies_are_judged_again_without_a_key_which_is_asked_for_once_a_row_is_missing(provider, tmp_path):
    generate(provider(), tmp_path / "run")
    rows = data(tmp_path / "run")
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "ALPACAKIT_"))}

    def again(*more: str) -> subprocess.CompletedProcess[str]:
        words = command(tmp_path / "run", *more)
        return subprocess.run(words, env=bare, capture_output=True, text=True, timeout=120)

    assert again("--set", "filter.rouge.threshold=0.95").returncode == 0
    refused = again("-n", "10000")
    assert refused.returncode == 3 and "OPENAI_API_KEY is not set" in refused.stderr
    assert again().returncode == 0
    assert data(tmp_path / "run") == rows


def test_a_larger_n_keeps_the_rows_it_had_and_judges_the_stored_surplus_first(provider, tmp_path):
    server = provider()
    generate(server, tmp_path / "run", n=50)
    first = json.loads(data(tmp_path / "run"))
    sent = server.stats()["requests"]
    generate(server, tmp_path / "run", n=51)
    assert server.stats()["requests"] <= sent + 1
    assert json.loads(data(tmp_path / "run"))[:50] == first


def test_a_truncated_reply_gives_its_whole_items_and_is_not_bought_again(provider, tmp_path):
    server = provider(faults={"truncated": 1.0})
    generate(server, tmp_path / "run", n=40)
    assert server.stats()["paid_twice"] == 0


def forget(out: Path, k: int) -> None:
    """As if the process had been killed before reply ``k`` came, and after later ones had."""
    with sqlite3.connect(out / "run.db") as journal:
        journal.execute("DELETE FROM replies WHERE k = ?", (k,))
    journal.close()


@pytest.mark.parametrize("n", [N, 40])
def test_a_hole_before_stored_replies_is_filled_also_for_a_smaller_n(provider, tmp_path, undisturbed, n):
    server = provider()
    out = tmp_path / "run"
    generate(server, out)
    sent = server.stats()["requests"]
    forget(out, 1)
    generate(server, out, n=n)
    assert server.stats()["requests"] == sent + 1
    assert json.loads(data(out)) == json.loads(undisturbed)[:n]


def test_half_a_surrogate_pair_in_a_reply_neither_stops_the_run_nor_loses_it(provider, tmp_path):
    server = provider()
    written = server.reply

    def broken(*given):
        reply = written(*given)
        reply["choices"][0]["message"]["content"] += "\ud83d"
        return reply

    server.reply = broken
    generate(server, tmp_path / "run")
    assert server.stats()["paid_twice"] == 0


def test_a_request_that_always_fails_is_given_up_while_others_succeed(provider, tmp_path):
    """Also where nothing else is left to ask: one request more then tells a poisoned one from an outage."""
    server = provider()
    draw, poisoned = server.draw, []

    def draw_poison(name):
        if len(server.seen) == 2 and not poisoned:
            poisoned.append(name)
        return "server" if name in poisoned else draw(name)

    server.draw = draw_poison
    out = tmp_path / "run"
    generate(server, out, "--set", "generation.attempts=2", "--concurrency", "1", n=60)
    assert summary(out)["failed"] == 1
    assert len(json.loads(data(out))) == 60


def test_a_filter_that_fails_loses_no_reply_in_flight(provider, tmp_path):
    from alpaca_core.store import Store

    site = tmp_path / "site"
    distributions.write(
        site,
        "alpacakit-fragile",
        """
        @hookimpl
        def alpaca_filters():
            return [FilterSpec(name="fragile", target="alpacakit_fragile:Fragile", summary="Fails.")]

        class Fragile:
            def judge(self, candidate):
                if candidate.id.startswith("000001"):
                    raise KeyError("no such thing")
                return Keep()

            def kept(self, example):
                pass
        """,
    )
    server = provider(latency=0.3)
    done = subprocess.run(
        command(tmp_path / "run", "--filter", "fragile", "--concurrency", "4"),
        env={**environment(server), "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "filter 'fragile' failed on 000001.00: KeyError" in done.stderr
    journal = Store(tmp_path / "run" / "run.db")
    assert len(journal.settled()) == server.stats()["billed"]
    journal.close()


# ── need and money ────────────────────────────────────────────────────────────────────────────────────────────────


def test_in_flight_is_bounded_by_need_whatever_the_concurrency(provider, tmp_path):
    least = provider()
    generate(least, tmp_path / "one", "--concurrency", "1", n=300)
    server = provider(latency=0.1)
    generate(server, tmp_path / "many", "--concurrency", "256", n=300)
    assert server.stats()["billed"] <= 1.3 * least.stats()["billed"]


def priced(dollars: float) -> list[str]:
    return [
        "--set",
        "teacher.price_input=1.0",
        "--set",
        "teacher.price_output=10.0",
        "--budget",
        str(dollars),
    ]


@pytest.mark.parametrize("concurrency", [4, 64])
def test_the_budget_is_never_exceeded_and_a_larger_one_goes_on(provider, tmp_path, undisturbed, concurrency):
    server = provider(latency=0.02, faults={"reset": 0.2})
    out = tmp_path / "run"
    done = generate(server, out, *priced(0.1), "--concurrency", str(concurrency), code=4)
    assert "budget" in done.stderr
    assert 0 < summary(out)["cost_usd"] <= 0.1
    billed = server.stats()
    assert billed["prompt_tokens"] * 1e-6 + billed["completion_tokens"] * 1e-5 <= 0.1
    generate(server, out, *priced(20))
    assert data(out) == undisturbed


def test_a_budget_without_a_known_price_is_refused_before_anything_is_sent(provider, tmp_path):
    server = provider()
    done = generate(server, tmp_path / "run", "--budget", "3", code=2)
    assert "price" in done.stderr
    assert server.stats()["requests"] == 0


def test_a_reply_without_usage_counts_at_its_worst_price(provider, tmp_path):
    server = provider()
    written = server.reply
    server.reply = lambda *given: {**written(*given), "usage": None}
    generate(server, tmp_path / "run", *priced(0.2), code=4)
    assert 0.1 < summary(tmp_path / "run")["cost_usd"] <= 0.2


def test_a_price_that_is_learnt_later_counts_what_was_spent_before(provider, tmp_path):
    out, server = tmp_path / "run", provider()
    generate(server, out, n=60)
    assert summary(out)["cost_usd"] is None
    generate(server, out, *priced(20), n=61)
    billed = server.stats()
    cost = billed["prompt_tokens"] * 1e-6 + billed["completion_tokens"] * 1e-5
    assert summary(out)["cost_usd"] == pytest.approx(cost)


def test_a_yield_near_nothing_stops_the_run(provider, tmp_path):
    server = provider(faults={"empty": 1.0})
    done = generate(server, tmp_path / "run", code=4)
    assert "No reply held a single task" in done.stderr
    assert server.stats()["requests"] < 70


# ── nothing is silent ─────────────────────────────────────────────────────────────────────────────────────────────


def test_every_candidate_is_kept_or_rejected_with_a_reason(provider, tmp_path):
    server = provider(faults={"malformed": 0.4, "truncated": 0.2, "empty": 0.1, "refusal": 0.1})
    out = tmp_path / "run"
    generate(server, out)
    counts = summary(out)
    assert counts["kept"] == len(json.loads(data(out))) == N
    assert counts["kept"] + sum(counts["rejected"].values()) == counts["candidates"]
    rejected = [json.loads(line) for line in (out / "rejected.jsonl").read_text().splitlines()]
    assert len(rejected) == sum(counts["rejected"].values())
    assert all(row["filter"] and row["reason"] for row in rejected)
    assert counts["replies"] <= server.stats()["billed"]


def test_a_request_that_is_refused_for_good_is_journalled_and_the_run_goes_on(provider, tmp_path):
    server = provider(script=["", "bad_request"])
    out = tmp_path / "run"
    generate(server, out)
    assert summary(out)["failed"] == 1
    assert len(json.loads(data(out))) == N


def test_an_interrupted_run_writes_the_rows_so_far_and_says_how_to_go_on(provider, tmp_path, undisturbed):
    server = provider(latency=0.2)
    out = tmp_path / "run"
    process = subprocess.Popen(
        command(out, "--concurrency", "2"), env=environment(server), stderr=subprocess.PIPE, text=True
    )
    while server.stats()["billed"] < 3:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "the same command goes on" in said
    assert json.loads((out / "summary.json").read_text())["status"] == "interrupted"
    rows = json.loads(data(out))
    assert 0 < len(rows) < N and rows == json.loads(undisturbed)[: len(rows)]
    generate(server, out)
    assert data(out) == undisturbed
    assert server.stats()["paid_twice"] == 0


# ── what stops at once ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("fault", "code"), [("auth", 3), ("permission", 3), ("not_found", 2), ("quota", 4)])
def test_what_no_retry_can_mend_costs_exactly_one_request(provider, tmp_path, fault, code):
    server = provider(faults={fault: 1.0})
    done = generate(server, tmp_path / "run", "--concurrency", "64", code=code)
    assert server.stats()["requests"] == 1
    assert "sk-test" not in done.stderr


def test_a_configuration_that_the_provider_refuses_is_told_after_one_request(provider, tmp_path):
    server = provider(faults={"bad_request": 1.0})
    done = generate(server, tmp_path / "run", code=2)
    assert "maximum context length" in done.stderr
    assert server.stats()["requests"] == 1


def test_an_address_where_nobody_answers_is_told_within_seconds(provider, tmp_path):
    server = provider()
    base = "http://127.0.0.1:9/v1"  # the discard port: nobody listens
    done = generate(server, tmp_path / "run", "--set", f"teacher.base_url={base}", code=4)
    assert "cannot be reached" in done.stderr
    assert server.stats()["requests"] == 0


def test_no_key_is_written_anywhere_in_the_run_folder(provider, tmp_path):
    out = tmp_path / "run"
    generate(provider(), out)
    for file in out.iterdir():
        assert b"sk-test-0000" not in file.read_bytes(), file


# ── a folder holds one run ────────────────────────────────────────────────────────────────────────────────────────


def test_another_identity_is_refused_with_the_difference_and_fresh_keeps_the_old_one_aside(provider, tmp_path):
    server = provider()
    out = tmp_path / "run"
    generate(server, out, n=30)
    rows = data(out)
    done = generate(server, out, "--set", "teacher.temperature=0.5", n=30, code=2)
    assert "teacher.temperature: 1.0 there, 0.5 asked for" in done.stderr
    assert data(out) == rows
    generate(server, out, "--set", "teacher.temperature=0.5", "--fresh", n=30)
    assert data(tmp_path / "run.1") == rows


def test_a_folder_in_which_nothing_was_answered_or_paid_takes_other_settings(provider, tmp_path):
    server = provider(models=["gpt-6-luna"])
    wrong = generate(server, tmp_path / "run", "--model", "gpt-6-tuna", n=30, code=2)
    assert "gpt-6-tuna" in wrong.stderr
    generate(server, tmp_path / "run", "--model", "gpt-6-luna", n=30)
    assert len(json.loads(data(tmp_path / "run"))) == 30
    assert summary(tmp_path / "run")["requests"] == summary(tmp_path / "run")["replies"]


def test_a_folder_in_which_an_answer_was_lost_is_kept(provider, tmp_path):
    paid = ("--budget", "0.05", "--set", "teacher.price_input=1", "--set", "teacher.price_output=5")
    generate(provider(faults={"reset": 1.0}), tmp_path / "run", *paid, n=30, code=4)
    assert summary(tmp_path / "run")["cost_usd"] > 0 and not summary(tmp_path / "run")["replies"]
    done = generate(provider(), tmp_path / "run", *paid, "--set", "teacher.temperature=0.5", n=30, code=2)
    assert "holds another run" in done.stderr


def test_a_folder_that_takes_other_settings_may_be_looked_at_meanwhile(provider, tmp_path, undisturbed):
    server, out = provider(script=["auth"]), tmp_path / "run"
    generate(server, out, "--seed", "1", code=3)
    with sqlite3.connect(out / "run.db") as reader:
        assert reader.execute("SELECT count(*) FROM replies").fetchone() == (0,)
        generate(server, out)
    reader.close()
    assert data(out) == undisturbed


def test_a_folder_that_holds_something_else_is_refused_and_left_alone(provider, tmp_path):
    (tmp_path / "thesis.tex").write_text("42")
    generate(provider(), tmp_path, code=2)
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]


def test_two_processes_cannot_work_in_the_same_folder(provider, tmp_path):
    server = provider(latency=60)
    out = tmp_path / "run"
    first = subprocess.Popen(command(out), env=environment(server), stderr=subprocess.DEVNULL)
    while server.stats()["requests"] == 0:
        time.sleep(0.01)
    done = generate(server, out, code=1)
    first.kill()
    first.wait()
    assert "Another alpacakit is working" in done.stderr


def test_the_same_configuration_can_be_run_from_the_folders_own_run_toml(provider, tmp_path):
    server = provider()
    generate(server, tmp_path / "run", "--set", "filter.rouge.threshold=0.6")
    again = subprocess.run(
        [*ALPACAKIT, "generate", "--config", str(tmp_path / "run" / "run.toml"), "--out", str(tmp_path / "again")],
        env=environment(server),
        capture_output=True,
        text=True,
    )
    assert again.returncode == 0, again.stderr
    assert data(tmp_path / "again") == data(tmp_path / "run")


def test_dry_run_touches_nothing_and_tells_the_plan(provider, tmp_path):
    server = provider()
    done = generate(server, tmp_path / "run", "--dry-run")
    assert server.stats()["requests"] == 0
    assert not (tmp_path / "run").exists()
    assert "requests" in done.stdout


def test_a_screen_that_goes_away_ends_the_run_and_loses_nothing(provider, tmp_path, undisturbed):
    """As with ``2>&1 | head``: writing to the screen fails while requests are in flight."""
    server, out = provider(latency=0.3), tmp_path / "run"
    read, write = os.pipe()
    running = subprocess.Popen(command(out), env=environment(server), stdout=subprocess.DEVNULL, stderr=write)
    os.close(write)
    os.close(read)
    assert running.wait(timeout=20) != 0
    generate(server, out)
    assert data(out) == undisturbed and server.stats()["paid_twice"] == 0
