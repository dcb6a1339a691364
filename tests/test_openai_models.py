"""What OpenAI's teacher finds out before it asks anything: whether the key is good, and how long the model will be."""

from __future__ import annotations

import datetime
import time
import traceback

import pytest
from openai_teachers import KEY, environment, script, with_teacher  # noqa: F401
from running import generate

from alpaca_core import TeacherError

LUNA = "gpt-6-luna"
TODAY = datetime.datetime.now(datetime.UTC).date()


def prepare(server):
    return with_teacher(server, lambda teacher: teacher.prepare())


def models(**fields):
    """An answer to GET /v1/models."""
    listed = [{"id": "another", "shutdown_date": "2001-01-01"}, {"id": LUNA, "object": "model", **fields}]
    return {"GET /v1/models": (200, {"object": "list", "data": listed})}


@pytest.mark.parametrize(("days", "said"), [(40, "in 40 days"), (1, "in one day"), (0, "was to shut"), (-9, "was to")])
def test_the_day_of_a_models_end_is_told(days, said):
    day = (TODAY + datetime.timedelta(days)).isoformat()
    with script(models(shutdown_date=day)) as server:
        (note,) = prepare(server)
    assert f"{LUNA} down on {day}" in note and said in note and "--model NAME" in note
    assert server.requests == ["GET /v1/models"]


@pytest.mark.parametrize(
    "says",
    [
        models(),
        models(shutdown_date=None),
        models(shutdown_date="some day"),
        models(shutdown_date=20261223),
        {},
        {"GET /v1/models": (200, {"data": [{"id": "another"}]})},
        {"GET /v1/models": (200, ["gpt"])},
        {"GET /v1/models": (200, "<html>")},
        {"GET /v1/models": (500, {"error": {"message": "down"}})},
        {"GET /v1/models": (429, {"error": {"message": "slow down"}})},
    ],
)
def test_a_server_that_says_nothing_of_the_kind_is_no_trouble(says):
    with script(says) as server:
        assert prepare(server) == []
        assert server.requests == ["GET /v1/models"]


def test_a_server_that_says_nothing_at_all_is_waited_for_only_a_little(monkeypatch):
    monkeypatch.setattr("alpaca_openai.server.PATIENCE", 0.2)
    with script(models(shutdown_date="2001-01-01"), wait=30.0) as server:
        started = time.monotonic()
        assert prepare(server) == []
        assert time.monotonic() - started < 5
    assert prepare("http://127.0.0.1:1/v1") == []


@pytest.mark.parametrize(("status", "kind"), [(401, "auth"), (403, "permission")])
def test_a_refused_key_is_told_at_once_and_not_repeated(status, kind):
    with (
        script({"GET /v1/models": (status, {"error": {"message": f"Incorrect API key: {KEY}"}})}) as server,
        pytest.raises(TeacherError) as caught,
    ):
        prepare(server)
    assert caught.value.kind == kind and server.requests == ["GET /v1/models"]
    assert KEY not in "".join(traceback.format_exception(caught.value)) + caught.value.hint


@pytest.mark.parametrize("status", [401, 403])
def test_a_restricted_key_may_be_good_for_everything_but_the_list_of_models(status):
    text = "You have insufficient permissions for this operation. Missing scopes: api.model.read."
    with script({"GET /v1/models": (status, {"error": {"message": text}})}) as server:
        assert prepare(server) == []


def test_a_run_with_a_wrong_key_costs_one_request_in_all(provider, tmp_path):
    server = provider(key="sk-the-right-one")
    done = generate(server, tmp_path / "run", code=3)
    assert "OPENAI_API_KEY" in done.stderr and "sk-test" not in done.stderr
    assert (server.stats()["model_lists"], server.stats()["requests"]) == (1, 0)


def test_a_run_tells_the_day_of_its_models_end(provider, tmp_path):
    day = (TODAY + datetime.timedelta(40)).isoformat()
    server = provider(shutdown={LUNA: day})
    done = generate(server, tmp_path / "run", n=5)
    assert f"shuts {LUNA} down on {day}" in " ".join(done.stderr.split())
