"""Message Batches: the same questions and answers as one by one, whatever becomes of the batch."""

from __future__ import annotations

import asyncio
import json
import re
import time
import traceback
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from anthropic_teachers import KEY, REQUEST, environment, message, with_teacher, wrong  # noqa: F401
from openai_teachers import script

from alpaca_core import BatchStatus, Completion, TeacherError, Usage

REQUESTS = [replace(REQUEST, k=k, prompt=f"Write {k} tasks.") for k in (0, 5, 1_234_567)]
LIST, RESULTS = "GET /v1/messages/batches", "GET /v1/messages/batches/b/results"


def row(k, key="key", **result):
    """A line of the results."""
    return {"custom_id": f"{key}-{k:06d}", "result": {"type": "succeeded", "message": message(f"answer {k}")} | result}


def errored(k, text, kind="invalid_request_error"):
    return row(k, type="errored", error=wrong(text, kind)[1])


def lines(*rows):
    return 200, "\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n"


def batch(name="b", status="ended", age=0.0, **counts):
    """A batch as the provider shows it."""
    return {
        "id": name,
        "processing_status": status,
        "request_counts": {"processing": 0, "succeeded": 3, "errored": 0, "canceled": 0, "expired": 0} | counts,
        "created_at": datetime.fromtimestamp(time.time() - age, UTC).isoformat(),
    }


def page(*batches, more=False):
    return 200, {"data": batches, "has_more": more, "last_id": batches[-1]["id"] if batches else None}


def failure(server, work):
    with pytest.raises(TeacherError) as caught:
        with_teacher(server, work)
    assert KEY not in "".join(traceback.format_exception(caught.value)) + caught.value.hint
    return caught.value


async def hand_in(teacher, key="key"):
    return await teacher.submit(key, REQUESTS)


async def collect(teacher, name="b"):
    while not (await teacher.status(name)).ended:
        await asyncio.sleep(0.05)
    return {k: result async for k, result in teacher.results(name)}


async def results(teacher):
    return {k: result async for k, result in teacher.results("b")}, teacher.learnt


def find(key="key", ago=0.0):
    return lambda teacher: teacher.find(key, time.time() - ago, 3)


# ---- handing in, and what comes back -------------------------------------------------------------------------


def test_a_batch_brings_what_asking_one_by_one_brings(provider):
    server = provider()

    async def session(teacher):
        singly = {request.k: await teacher.complete(request) for request in REQUESTS}
        return singly, await collect(teacher, await hand_in(teacher))

    singly, batched = with_teacher(server, session)
    assert batched == {k: replace(reply, limits=None) for k, reply in singly.items()}


def test_requests_are_named_by_key_and_number():
    with script({"POST /v1/messages/batches": (200, batch("b"))}) as server:
        assert with_teacher(server, lambda teacher: hand_in(teacher, "a" * 24)) == "b"
    (sent,) = server.bodies
    names = [row["custom_id"] for row in sent["requests"]]
    assert names == ["a" * 24 + suffix for suffix in ("-000000", "-000005", "-1234567")]
    assert all(re.fullmatch("[a-zA-Z0-9_-]{1,64}", name) for name in names)
    assert sent["requests"][1]["params"] == {
        "model": "claude-haiku-5-5",
        "max_tokens": 3072,
        "system": "Be brief.",
        "messages": [{"role": "user", "content": "Write 5 tasks.\n\nAbout bees."}],
        "thinking": {"type": "disabled"},
    }


@pytest.mark.parametrize("ending", ["expired", "cancelled"])
def test_what_was_not_got_to_is_left_out(provider, ending):
    server = provider(batch_ends=ending, batch_share=0.67)

    async def session(teacher):
        name = await hand_in(teacher)
        return await collect(teacher, name), await teacher.status(name)

    found, status = with_teacher(server, session)
    assert len(found) == 2 and all(isinstance(one, Completion) for one in found.values())
    assert status == BatchStatus(True, 3, 3, "ended")


@pytest.mark.parametrize("state", ["in_progress", "canceling", "ended"])
def test_a_batch_has_ended_when_the_provider_says_so(state):
    shown = batch(status=state, processing=4, errored=2)
    with script({"GET /v1/messages/batches/b": (200, shown)}) as server:
        found = with_teacher(server, lambda teacher: teacher.status("b"))
    assert found == BatchStatus(state == "ended", 5, 9, state)


@pytest.mark.parametrize(
    ("result", "kind"),
    [
        (errored(0, "Internal server error", "api_error"), "server"),
        (errored(0, "Overloaded", "overloaded_error"), "overloaded"),
        (errored(0, "Something new", "mystery_error"), "server"),
        (errored(0, "Slow down", "rate_limit_error"), "rate_limit"),
        (errored(0, "Your credit balance is too low to access the Anthropic API."), "quota"),
        (errored(0, "Pay first", "billing_error"), "quota"),
        (errored(0, "prompt is too long: 201000 tokens > 200000 maximum"), "bad_request"),
        (errored(0, "Request exceeds the maximum size", "request_too_large"), "bad_request"),
        (errored(0, "model: claude-haiku-5-6", "not_found_error"), "not_found"),
        (errored(0, "Your key may not do this", "permission_error"), "permission"),
        (errored(0, "invalid x-api-key", "authentication_error"), "auth"),
        (row(0, message={"content": 3}), "server"),
    ],
)
def test_an_error_in_a_batch_has_the_kind_that_it_has_elsewhere(result, kind):
    with script({RESULTS: lines(result)}) as server:
        found, learnt = with_teacher(server, results)
    assert found[0].kind == kind and not learnt
    assert kind != "bad_request" or result["result"]["error"]["error"]["message"] in found[0].message


def test_answers_are_given_out_and_what_was_not_run_is_left_out():
    with script({RESULTS: lines(row(0), row(6, type="expired"), row(7, type="canceled"))}) as server:
        found, _ = with_teacher(server, results)
    assert found == {0: Completion("answer 0", "stop", Usage(5, 7), "claude-haiku-5-5", "msg_1")}


def test_only_a_newline_ends_a_line():
    text = "one\u2028two\x85three\x0bfour\r"
    with script({RESULTS: (200, "\n" + lines(row(0, message=message(text)))[1] + "\n")}) as server:
        found, _ = with_teacher(server, results)
    assert found[0].text == text


def test_results_are_read_as_they_come_in():
    """The second half of a line is held back until the line before it was given out."""
    first, second = (json.dumps(row(k)).encode() + b"\n" for k in (0, 1))
    got_first = asyncio.Event()

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(first + second) + first + second[:9])
        await got_first.wait()
        writer.write(second[9:])
        writer.close()

    async def session(teacher):
        server = await asyncio.start_server(answer, "127.0.0.1", port)
        found = []
        async with server, asyncio.timeout(10):
            async for k, _ in teacher.results("b"):
                found.append(k)
                got_first.set()
        return found

    with script({}) as free:
        port = int(free.url.rpartition(":")[2].removesuffix("/v1"))
    assert with_teacher(f"http://127.0.0.1:{port}", session) == [0, 1]


@pytest.mark.parametrize("text", ["<html>", '{"custom_id": 3}', "[]", '{"custom_id": "key-x", "result": {}}'])
def test_results_that_make_no_sense_are_the_servers_trouble(text):
    with script({RESULTS: (200, text)}) as server:
        assert failure(server, results).kind == "server"


def test_a_batch_that_is_not_there_any_more_is_not_taken_for_a_model():
    with script({}) as server:
        for work in (results, lambda teacher: teacher.status("b")):
            told = failure(server, work)
            assert told.kind == "not_found" and "no such batch" in told.message and "--batch" in told.hint


# ---- parameters that a model does not take -------------------------------------------------------------------


def test_what_a_model_refuses_in_a_batch_is_learnt_and_left_out_of_the_next(provider):
    server = provider(refuses=["thinking=disabled"])

    async def session(teacher):
        first = await collect(teacher, await hand_in(teacher))
        return first, dict(teacher.learnt), await collect(teacher, await hand_in(teacher, "again"))

    first, learnt, second = with_teacher(server, session)
    assert [one.kind for one in first.values()] == ["server"] * 3
    assert learnt == {"thinking.type": None, "output_config.effort": "low"}
    assert all(isinstance(one, Completion) for one in second.values()) and len(second) == 3


# ---- a batch whose name was lost -----------------------------------------------------------------------------


def test_a_batch_is_found_after_its_answer_was_lost(provider):
    """Also beside batches of the same size, of which one is not ours and one has not ended."""
    server = provider(desk=["", "reset"], batch_seconds=0.4)

    async def session(teacher):
        since = time.time()
        other = await hand_in(teacher, "other")
        with pytest.raises(TeacherError) as lost:
            await hand_in(teacher, "mine")
        name = await teacher.find("mine", since, 3)
        return other, lost.value, name, await teacher.find("nobody", since, 3), await collect(teacher, name)

    other, lost, name, nobody, found = with_teacher(server, session)
    assert (lost.kind, lost.billed) == ("connection", False)
    assert name not in (None, other) and nobody is None and set(found) == {request.k for request in REQUESTS}
    assert server.stats()["batches"] == 2


def test_the_search_ends_where_all_that_follows_is_older():
    pages = [page(batch("a", succeeded=2), batch("b", age=60), more=True), page(batch("c", age=7200), batch("d"))]
    with script({LIST: pages, "GET /v1/messages/batches/b": (200, batch()), RESULTS: lines(row(0))}) as server:
        assert with_teacher(server, find(ago=3600)) == "b"
    assert server.requests == [LIST, LIST, "GET /v1/messages/batches/b", RESULTS]
    with script({LIST: page(batch("old", age=3600))}) as server:
        assert with_teacher(server, find(ago=60)) is None
    assert server.requests == [LIST]


@pytest.mark.parametrize("found", [page(), page(batch("x", succeeded=9))])
def test_where_no_batch_fits_there_is_none(found):
    with script({LIST: found}) as server:
        assert with_teacher(server, find()) is None


def test_a_batch_without_any_result_is_not_ours():
    with script({LIST: page(batch()), "GET /v1/messages/batches/b": (200, batch()), RESULTS: (200, "")}) as server:
        assert with_teacher(server, find()) is None


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_server_that_has_no_list_cannot_tell(status):
    with script({LIST: (status, {})}) as server:
        assert failure(server, find()).kind == "not_found"


@pytest.mark.parametrize("missing", ["id", "created_at", "request_counts", "processing_status"])
def test_a_list_that_makes_no_sense_is_the_servers_trouble(missing):
    odd = {name: value for name, value in batch().items() if name != missing}
    with script({LIST: (200, {"data": [odd]})}) as server:
        assert failure(server, find()).kind == "server"
