"""Batch mode on the command line: half the price, never handed in twice, nothing lost, the same dataset."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest
from running import N, command, data, environment, generate, summary

PRICE = ("--set", "teacher.price_input=1", "--set", "teacher.price_output=4")


@pytest.fixture(scope="module", params=["openai", "anthropic"])
def teacher(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def singly(tmp_path_factory) -> bytes:
    """The dataset of the same run, asked one by one. Both protocols are given the same answers."""
    from provider import Provider

    out = tmp_path_factory.mktemp("singly") / "run"
    with Provider() as provider:
        generate(provider, out)
    return data(out)


@pytest.fixture(scope="module")
def batched(teacher, tmp_path_factory) -> tuple[Path, dict]:
    """A run in batches in which nothing went wrong, and what the provider counted."""
    from provider import Provider

    out = tmp_path_factory.mktemp("batched") / "run"
    with Provider() as provider:
        generate(provider, out, "--teacher", teacher, "--batch", *PRICE)
        return out, provider.stats()


def whole_price(stats: dict) -> float:
    """Dollars for what the provider billed, asked one by one."""
    return (stats["prompt_tokens"] * 1 + stats["completion_tokens"] * 4) / 1e6


def start(provider, out, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(out, *more),
        env=environment(provider),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def handing_in(teacher: str, fault: str) -> list[str]:
    """What happens at the provider's desk: OpenAI takes the file first."""
    return ["", fault] if teacher == "openai" else [fault]


def wait_for(condition, seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def journalled(out) -> list[tuple[str | None, float | None]]:
    try:
        with sqlite3.connect(f"file:{out / 'run.db'}?mode=ro", uri=True) as db:
            return db.execute("SELECT batch, ended FROM batches").fetchall()
    except sqlite3.OperationalError:
        return []


def test_a_batch_gives_the_same_bytes_as_asking_one_by_one(batched, singly):
    out, _ = batched
    assert data(out) == singly


def test_a_batch_costs_half(batched):
    out, stats = batched
    assert summary(out)["cost_usd"] == pytest.approx(whole_price(stats) / 2)


def test_rows_of_a_batch_add_up(batched):
    out, _ = batched
    made = summary(out)
    assert made["kept"] + sum(made["rejected"].values()) == made["candidates"]
    assert len(json.loads(data(out))) == N


def test_a_batch_that_was_waited_for_when_the_run_was_killed_is_collected(provider, tmp_path, teacher, singly):
    server, out = provider(batch_seconds=1.5), tmp_path / "run"
    running = start(server, out, "--teacher", teacher, "--batch")
    wait_for(lambda: any(name for name, _ in journalled(out)))
    running.kill()
    running.wait()
    batches = server.stats()["batches"]
    generate(server, out, "--teacher", teacher, "--batch")
    assert data(out) == singly
    assert server.stats()["paid_twice"] == 0
    with sqlite3.connect(out / "run.db") as db:
        assert db.execute("SELECT count(*) FROM batches").fetchone()[0] == server.stats()["batches"] >= batches


def test_a_run_killed_while_handing_in_finds_its_batch(provider, tmp_path, teacher, singly):
    server, out = provider(desk=handing_in(teacher, "swallow")), tmp_path / "run"  # it is taken, and no answer comes
    running = start(server, out, "--teacher", teacher, "--batch")
    wait_for(lambda: server.stats()["batches"] == 1)
    assert journalled(out) == [(None, None)]
    running.kill()
    running.wait()
    generate(server, out, "--teacher", teacher, "--batch")
    assert data(out) == singly
    assert server.stats()["paid_twice"] == 0


def test_a_lost_answer_does_not_hand_a_batch_in_twice(provider, tmp_path, teacher, singly):
    server = provider(desk=handing_in(teacher, "reset"))
    generate(server, tmp_path / "run", "--teacher", teacher, "--batch")
    assert data(tmp_path / "run") == singly
    assert server.stats()["paid_twice"] == 0


@pytest.mark.parametrize(("fault", "code"), [("quota", 4), ("bad_request", 2)])
def test_an_error_of_asking_after_a_batch_does_not_give_it_up(provider, tmp_path, teacher, singly, fault, code):
    server, out = provider(batch_seconds=1.5), tmp_path / "run"
    running = start(server, out, "--teacher", teacher, "--batch")
    wait_for(lambda: any(name for name, _ in journalled(out)))
    server.batches.desk = [fault]
    assert running.wait(timeout=20) == code
    generate(server, out, "--teacher", teacher, "--batch")
    assert data(out) == singly
    assert server.stats()["paid_twice"] == 0 and server.stats()["batches"] == 1


def killed_while_handing_in(server, out, teacher: str, fault: str, n: int = N) -> None:
    server.batches.desk = handing_in(teacher, fault)
    running = start(server, out, "--teacher", teacher, "--batch", *PRICE, "-n", str(n))
    wait_for(lambda: not server.batches.desk)
    if fault == "swallow":
        wait_for(lambda: server.stats()["batches"])
    running.kill()
    running.wait()


def test_a_refused_key_does_not_lose_a_batch_that_is_looked_for(provider, tmp_path, teacher, singly):
    server, out = provider(), tmp_path / "run"
    killed_while_handing_in(server, out, teacher, "swallow")
    server.key = "sk-another-0000"
    generate(server, out, "--teacher", teacher, "--batch", *PRICE, code=3)
    server.key = ""
    generate(server, out, "--teacher", teacher, "--batch", *PRICE)
    assert data(out) == singly and server.stats()["paid_twice"] == 0


def test_a_batch_that_never_arrived_does_not_go_past_a_smaller_budget(provider, tmp_path, teacher):
    server, out = provider(), tmp_path / "run"
    killed_while_handing_in(server, out, teacher, "hang", n=1000)
    generate(server, out, "--teacher", teacher, "--batch", *PRICE, "--budget", "0.02", n=1000, code=4)
    assert 0 < whole_price(server.stats()) / 2 <= 0.02


def test_a_folder_with_a_batch_at_the_provider_takes_no_other_settings(provider, tmp_path):
    """Also where it costs nothing."""
    server, out = provider(batch_seconds=60.0), tmp_path / "run"
    free = ("--batch", "--set", "teacher.price_input=0", "--set", "teacher.price_output=0")
    running = start(server, out, *free)
    wait_for(lambda: any(name for name, _ in journalled(out)))
    running.kill()
    running.wait()
    generate(server, out, *free, "--seed", "7", code=2)
    assert len(journalled(out)) == 1


def test_an_interrupt_does_not_wait_for_a_provider_that_does_not_answer(provider, tmp_path, teacher):
    server, out = provider(batch_seconds=60.0), tmp_path / "run"
    running = start(server, out, "--teacher", teacher, "--batch")
    wait_for(lambda: any(name for name, _ in journalled(out)))
    server.batches.desk = ["hang"]
    wait_for(lambda: not server.batches.desk)
    running.send_signal(signal.SIGINT)
    assert running.wait(timeout=10) == 130


def test_a_batch_that_the_provider_has_forgotten_can_be_given_up_as_the_error_says(provider, tmp_path, teacher, singly):
    server, out = provider(batch_seconds=60.0), tmp_path / "run"
    running = start(server, out, "--teacher", teacher, "--batch")
    wait_for(lambda: any(name for name, _ in journalled(out)))
    running.kill()
    running.wait()
    server.batches.all.clear()
    done = generate(server, out, "--teacher", teacher, "--batch", code=4)
    assert "go on from the start: --fresh" in done.stderr and "goes on at the provider" not in done.stderr
    generate(server, out, "--teacher", teacher, "--fresh")
    assert data(out) == singly


def test_a_batch_left_behind_is_collected_without_the_flag_too(provider, tmp_path, teacher, singly):
    server, out = provider(batch_seconds=1.5), tmp_path / "run"
    running = start(server, out, "--teacher", teacher, "--batch")
    wait_for(lambda: any(name for name, _ in journalled(out)))
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=20)
    assert running.returncode == 130 and "goes on at the provider" in said
    generate(server, out, "--teacher", teacher)
    assert data(out) == singly
    assert server.stats()["paid_twice"] == 0 and server.stats()["batches"] == 1


@pytest.mark.parametrize("ends", ["expired", "cancelled"])
def test_a_batch_that_ends_early_gives_what_it_finished(provider, tmp_path, teacher, singly, ends):
    server = provider(batch_ends=ends, batch_share=0.6)
    generate(server, tmp_path / "run", "--teacher", teacher, "--batch", *PRICE)
    assert data(tmp_path / "run") == singly
    stats = server.stats()
    assert stats["batches"] > 1 and stats["paid_twice"] == 0
    assert summary(tmp_path / "run")["cost_usd"] == pytest.approx(whole_price(stats) / 2)  # the rest costs nothing


def test_requests_that_fail_in_a_batch_are_asked_again(provider, tmp_path, teacher, singly):
    server = provider(faults={"server": 0.2})
    generate(server, tmp_path / "run", "--teacher", teacher, "--batch")
    assert data(tmp_path / "run") == singly
    assert server.stats()["paid_twice"] == 0


def given_up(out) -> int:
    with sqlite3.connect(out / "run.db") as db:
        return db.execute("SELECT count(*) FROM failures").fetchone()[0]


def test_an_empty_wallet_within_a_batch_stops_the_run_and_gives_no_request_up(
    provider, tmp_path, teacher, singly, monkeypatch
):
    monkeypatch.setattr("provider.IN_BATCH", ("quota",))
    server, out = provider(faults={"quota": 0.5}), tmp_path / "run"
    once = ("--teacher", teacher, "--batch", "--set", "generation.attempts=1")
    done = generate(server, out, *once, code=4)
    assert "credit" in done.stderr.lower() and server.stats()["batches"] == 1 and server.stats()["billed"] > 0
    server.faults = {}
    generate(server, out, *once)
    assert data(out) == singly and server.stats()["paid_twice"] == 0 and given_up(out) == 0


def test_an_outage_of_a_whole_batch_gives_no_request_up(provider, tmp_path, teacher, singly):
    server, out = provider(faults={"server": 1.0}), tmp_path / "run"
    once = ("--teacher", teacher, "--batch", "--set", "generation.attempts=1")
    done = generate(server, out, *once, code=4)
    assert "nothing but errors" in done.stderr
    server.faults = {}
    generate(server, out, *once)
    assert data(out) == singly and given_up(out) == 0


def test_a_request_that_always_fails_in_a_batch_is_given_up_while_others_succeed(provider, tmp_path):
    server, out = provider(), tmp_path / "run"
    draw, poisoned = server.draw, []

    def draw_poison(name):
        poisoned.extend([] if poisoned else [name])
        return "server" if name in poisoned else draw(name)

    server.draw = draw_poison
    generate(server, out, "--batch", "--set", "generation.attempts=2", n=40)
    assert given_up(out) == 1 and len(json.loads(data(out))) == 40


def test_a_configuration_that_the_provider_refuses_is_told_after_one_batch(provider, tmp_path, teacher):
    server, out = provider(faults={"bad_request": 1.0}), tmp_path / "run"
    generate(server, out, "--teacher", teacher, "--batch", code=2)
    assert server.stats()["batches"] == 1 and given_up(out) == 0


def test_a_batch_stays_within_the_budget(provider, tmp_path, teacher):
    server, out = provider(), tmp_path / "run"
    generate(server, out, "--teacher", teacher, "--batch", "--budget", "0.02", *PRICE, n=2000, code=4)
    assert 0 < whole_price(server.stats()) / 2 <= 0.02


def test_a_batch_that_brings_nothing_is_followed_by_smaller_ones(provider, tmp_path, teacher):
    server, out = provider(batch_ends="expired", batch_share=0.0), tmp_path / "run"
    done = generate(server, out, "--teacher", teacher, "--batch", code=4)
    with sqlite3.connect(out / "run.db") as db:
        sizes = [total for (total,) in db.execute("SELECT total FROM batches ORDER BY submitted")]
    assert sizes == [7, 4, 2, 1] and "batch of one request" in done.stderr
    assert server.stats()["billed"] == 0


def test_a_wrong_key_hands_nothing_in(provider, tmp_path, teacher):
    server = provider(key="sk-another-0000")
    generate(server, tmp_path / "run", "--teacher", teacher, "--batch", code=3)
    assert server.stats()["batches"] == 0


def test_a_teacher_without_batches_is_refused_at_once(provider, tmp_path):
    done = generate(provider(), tmp_path / "run", "--teacher", "procedural", "--batch", code=2)
    assert "has no batch API" in done.stderr and not (tmp_path / "run").exists()
