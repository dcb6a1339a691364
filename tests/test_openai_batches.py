"""OpenAI's batches: the same questions and answers as one by one, whatever becomes of the batch."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from functools import partial

import pytest
from alpaca_openai import ChatOptions
from openai_teachers import DIALECTS, REQUEST, environment, every_dialect, fails, with_teacher, without_aiohttp  # noqa: F401
from running import data, generate

from alpaca_core import Completion, TeacherError

REQUESTS = [replace(REQUEST, k=k, prompt=f"Write tasks, №\u2028{k}.") for k in (0, 1, 2, 5, 7, 1_000_000)]


async def round_trip(teacher, requests):
    """The batch's name and its results."""
    batch = await teacher.submit("key", requests)
    while not (await teacher.status(batch)).ended:
        await asyncio.sleep(0.02)
    return batch, {k: result async for k, result in teacher.results(batch)}


def through(server, options=ChatOptions, requests=REQUESTS, **values):
    return with_teacher(server, lambda teacher: round_trip(teacher, requests), options, **values)


@every_dialect
@pytest.mark.parametrize("fault", ["", "truncated", "refusal", "content_filter"])
def test_a_batch_asks_and_answers_the_same_as_one_by_one(provider, options, fault):
    server = provider(faults={fault: 0.5} if fault else {}, batch_seconds=0.05)

    async def one_by_one(teacher):
        return {request.k: replace(await teacher.complete(request), limits=None) for request in REQUESTS}

    expected = with_teacher(server, one_by_one, options)
    batch, found = through(server, options)
    assert found == expected and bool(server.stats()["faults"]) == bool(fault)
    (held,) = server.batches.all.values()
    assert list(held.requests) == [f"key-{request.k:06d}" for request in REQUESTS]
    assert list(held.requests.values()) == [request["body"] for request in server.requests[: len(REQUESTS)]]


def test_a_batch_goes_there_and_back_without_aiohttp_too(provider, monkeypatch):
    without_aiohttp(monkeypatch)
    _, found = through(provider(batch_seconds=0.05))
    assert [found[request.k].finish for request in REQUESTS] == ["stop"] * len(REQUESTS)


@pytest.mark.parametrize("options", [DIALECTS["responses"], partial(ChatOptions, model="stops-are-refused")])
def test_stop_strings_that_the_model_is_not_told_end_a_batchs_answers_all_the_same(provider, options):
    server = provider(batch_seconds=0.05)
    requests = [replace(request, stop=("\n3. Input:", "nowhere")) for request in REQUESTS]

    async def without_stops(teacher):
        teacher.learnt["stop"] = None
        return await round_trip(teacher, requests)

    _, found = with_teacher(server, without_stops, options)
    assert all(reply.finish == "stop" and "\n3. Input" not in reply.text for reply in found.values())
    assert all("2. Output:" in reply.text for reply in found.values())


@pytest.mark.parametrize("stops", [[("a",), ("b",), ()], [("a",), (), ()], [("x" * 600,)] * 3])
def test_stop_strings_that_find_no_place_in_a_batch_are_refused_before_it_is_sent(provider, stops):
    server = provider()
    requests = [replace(request, stop=stop) for request, stop in zip(REQUESTS, stops, strict=False)]
    told = fails(partial(through, server, DIALECTS["responses"], requests))
    assert told.kind == "bad_request" and server.stats()["batch_calls"] == 0


@pytest.mark.parametrize("ending", ["expired", "cancelled"])
def test_a_batch_that_ends_early_gives_what_it_has(provider, ending):
    server = provider(batch_ends=ending, batch_share=0.5, batch_seconds=0.05)
    _, found = through(server)
    assert len(found) == 3 and all(isinstance(reply, Completion) for reply in found.values())
    assert server.stats()["billed"] == 3


def test_what_a_model_refused_in_a_batch_is_worth_another_try_however_often_it_is_read(provider):
    """As after a connection that broke between two results, or after a kill."""
    server = provider(refuses=["temperature"], batch_seconds=0.05)

    async def session(teacher):
        batch, first = await round_trip(teacher, REQUESTS)
        return first, {k: result async for k, result in teacher.results(batch)}

    for found in with_teacher(server, session):
        assert {result.kind for result in found.values()} == {"server"}


def test_a_batch_whose_arrival_was_not_heard_of_is_found(provider):
    server = provider(desk=["", "reset"], batch_seconds=0.05)

    async def session(teacher):
        with pytest.raises(TeacherError) as caught:
            await teacher.submit("key", REQUESTS)
        return caught.value, await teacher.find("key", time.time(), 6), await teacher.find("other", time.time(), 6)

    told, found, other = with_teacher(server, session)
    assert told.kind == "connection" and not told.billed
    assert found in server.batches.all and other is None and server.stats()["batches"] == 1


def test_a_batch_is_found_among_many(provider):
    server = provider(batch_seconds=5.0)

    async def session(teacher):
        first = await teacher.submit("first", REQUESTS[:1])
        for number in range(100):
            await teacher.submit(f"another-{number}", REQUESTS[:1])
        return first, await teacher.find("first", time.time(), 1)

    first, found = with_teacher(server, session)
    assert first == found


def test_what_the_model_refuses_in_a_batch_is_asked_again_without_it(provider):
    server = provider(refuses=["temperature", "reasoning_effort=none"], batch_seconds=0.05)

    async def session(teacher):
        tries = [(await round_trip(teacher, REQUESTS))[1] for _ in range(3)]
        return tries, dict(teacher.learnt)

    (first, second, third), learnt = with_teacher(server, session)
    assert {result.kind for result in (*first.values(), *second.values())} == {"server"}
    assert all(isinstance(reply, Completion) for reply in third.values())
    assert learnt == {"temperature": None, "reasoning_effort": "minimal"}


@every_dialect
def test_an_answer_that_does_not_fit_the_context_is_asked_again_so_that_it_does(provider, options):
    server = provider(context=2048, batch_seconds=0.05)

    async def session(teacher):
        return (await round_trip(teacher, REQUESTS))[1], (await round_trip(teacher, REQUESTS))[1]

    first, second = with_teacher(server, session, options)
    assert {result.kind for result in first.values()} == {"server"}
    assert all(isinstance(reply, Completion) for reply in second.values())


@pytest.mark.parametrize(
    ("fault", "kind"), [("auth", "auth"), ("quota", "quota"), ("rate_limit", "rate_limit"), ("server", "server")]
)
@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_trouble_at_any_step_has_its_kind_and_costs_nothing(provider, fault, kind, place):
    server = provider(desk=[""] * place + [fault], batch_seconds=0.0)
    told = fails(through, server)
    assert (told.kind, told.billed) == (kind, False)
    assert server.stats()["batch_calls"] == place + 1


@pytest.mark.parametrize("options", ["chat", "responses", "completions"])
def test_a_run_in_batches_makes_the_same_dataset(provider, tmp_path, options):
    server = provider(faults={"truncated": 0.1, "malformed": 0.1}, batch_seconds=0.1)
    teacher = ("--teacher", "text-davinci-003") if options == "completions" else ("--set", f"teacher.api={options}")
    generate(server, tmp_path / "one", *teacher, n=60)
    generate(server, tmp_path / "batch", *teacher, "--batch", n=60)
    rows = data(tmp_path / "batch")
    assert rows == data(tmp_path / "one") and len(json.loads(rows)) == 60
    assert server.stats()["batches"] >= 1
