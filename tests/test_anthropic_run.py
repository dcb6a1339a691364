"""``alpacakit generate --teacher anthropic``, as a user types it."""

from __future__ import annotations

import json

import pytest
from anthropic_teachers import KEY
from running import N, data, generate, summary


@pytest.fixture
def server(provider, monkeypatch):
    """Starts a provider that the environment names."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)

    def start(**options):
        started = provider(**options)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", started.root)
        return started

    return start


def test_a_run_keeps_what_it_was_asked_for(server, tmp_path):
    started = server(faults={"rate_limit": 0.05, "server": 0.05, "overloaded": 0.05, "refusal": 0.05})
    generate(started, tmp_path / "run", "--teacher", "anthropic")
    rows = json.loads(data(tmp_path / "run"))
    assert len(rows) == N and all(row["instruction"] and row["output"] for row in rows)
    stats = started.stats()
    assert stats["paid_twice"] == stats["early_retries"] == stats["sdk_retries"] == 0
    assert {request["path"] for request in started.requests} == {"/v1/messages"}
    assert all("temperature" not in request["body"] for request in started.requests)
    assert summary(tmp_path / "run")["prompt_tokens"] == stats["prompt_tokens"]


def test_a_run_in_batches_keeps_the_same_rows(server, tmp_path):
    started = server()
    generate(started, tmp_path / "singly", "--teacher", "anthropic")
    started.requests.clear()
    generate(started, tmp_path / "batched", "--teacher", "anthropic", "--batch")
    assert data(tmp_path / "batched") == data(tmp_path / "singly") and not started.requests


def test_a_wrong_key_costs_one_request_and_is_in_no_file(server, tmp_path):
    started = server(key="sk-ant-another-one")
    done = generate(started, tmp_path / "run", "--teacher", "anthropic", code=3)
    assert "refused the key in ANTHROPIC_API_KEY" in done.stderr and KEY not in done.stderr
    assert started.stats()["model_lists"] == 1 and not started.requests
    assert not any(KEY.encode() in file.read_bytes() for file in (tmp_path / "run").rglob("*") if file.is_file())


def test_people_hear_what_was_learnt_and_when_the_model_ends(server, tmp_path):
    started = server(refuses=["thinking=disabled"], shutdown={"claude-haiku-5-5": "2099-01-31"})
    done = generate(started, tmp_path / "run", "--teacher", "anthropic")
    assert "retires claude-haiku-5-5 on 2099-01-31" in done.stderr
    assert done.stderr.count("does not take thinking.type") == 1
    assert summary(tmp_path / "run")["learnt"] == {"thinking.type": None, "output_config.effort": "low"}
    assert len(started.requests) == started.stats()["billed"] + 1
