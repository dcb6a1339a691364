"""OpenAI's batches, word by word: what each status means, and each line of their files."""

from __future__ import annotations

import json
import time

import pytest
from openai_teachers import environment, fails, script, with_teacher  # noqa: F401

from alpaca_core import BatchStatus, Completion, Usage

BATCH = {"id": "batch_1", "object": "batch", "status": "completed", "created_at": 0, "metadata": {"alpacakit": "key"}}


def answer(k, **body):
    """A line of an output file."""
    choice = {"message": {"content": f"answer {k}"}, "finish_reason": "stop"}
    body = {"id": "c", "model": "m", "choices": [choice], "usage": {"prompt_tokens": 5, "completion_tokens": 3}} | body
    return {"custom_id": f"key-{k:06d}", "error": None, "response": {"status_code": 200, "body": body}}


def problem(k, status, **error):
    """A line of an error file."""
    return {"custom_id": f"key-{k:06d}", "response": {"status_code": status, "body": {"error": error}}}


def lines(*rows):
    return 200, "\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n"


def says(out=None, err=None, **batch):
    """A server that holds one batch, with these files."""
    files = {"output_file_id": out and "out", "error_file_id": err and "err"}
    return {
        "GET /v1/batches/batch_1": (200, BATCH | files | batch),
        "GET /v1/files/out/content": out,
        "GET /v1/files/err/content": err,
    }


def results(server, options=None, **values):
    async def session(teacher):
        return {k: result async for k, result in teacher.results("batch_1")}, teacher.learnt

    return with_teacher(server, session, **({"options": options} if options else {}), **values)


def status(server):
    return with_teacher(server, lambda teacher: teacher.status("batch_1"))


# ---- status --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["validating", "in_progress", "finalizing", "completed", "expired", "cancelled"])
def test_a_batch_has_ended_when_nothing_more_will_come(name):
    with script(says(status=name, request_counts={"total": 9, "completed": 4, "failed": 1})) as server:
        found = status(server)
    assert (found.done, found.total, found.note) == (5, 9, name)
    assert found.ended == (name in ("completed", "expired", "cancelled"))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": "invalid_json_line", "message": "This line is not parseable", "line": 3}, "bad_request"),
        ({"code": "model_not_found", "message": "The model gpt-9 does not exist"}, "not_found"),
        ({"code": "billing_hard_limit_reached", "message": "Billing hard limit"}, "quota"),
    ],
)
def test_a_batch_that_fails_its_validation_says_why(error, kind):
    with script(says(status="failed", errors={"data": [error, error]})) as server:
        told = status(server).refused
    assert told.kind == kind and not told.billed
    assert error["message"] in told.message or kind == "quota"
    assert ("(line 3), and 1 more errors" in told.message) == (kind == "bad_request")


@pytest.mark.parametrize("code", ["token_limit_exceeded", None])
def test_a_batch_too_large_for_the_account_has_ended_with_nothing_done(code):
    error = {"code": code, "message": "Enqueued token limit reached for gpt-6-luna. Limit: 2,000,000 enqueued tokens."}
    counts = {"total": 9, "completed": 0, "failed": 0}
    with script(says(status="failed", errors={"data": [error]}, request_counts=counts)) as server:
        assert status(server) == BatchStatus(True, 0, 9, f"failed: {error['message']}")
        assert results(server) == ({}, {})


@pytest.mark.parametrize("found", [{}, {"status": "failed"}, "<html>", [1]])
def test_a_batch_that_makes_no_sense_is_the_servers_trouble(found):
    with script({"GET /v1/batches/batch_1": (200, found)}) as server:
        if found == {"status": "failed"}:
            assert status(server).refused.kind == "bad_request"
        else:
            assert fails(status, server).kind == "server"


def test_a_batch_that_is_not_there_any_more_is_not_taken_for_a_model():
    with script({}) as server:
        told = fails(status, server)
    assert told.kind == "not_found" and "no such batch" in told.message and "--batch" in told.hint


# ---- find ----------------------------------------------------------------------------------------------------


def find(server, key, since=None):
    return with_teacher(server, lambda teacher: teacher.find(key, time.time() if since is None else since, 3))


def test_a_batch_is_found_by_its_key():
    pages = [BATCH | {"id": "a", "metadata": None}, BATCH | {"id": "b", "metadata": {"alpacakit": "mine"}}]
    with script({"GET /v1/batches": (200, {"data": pages, "has_more": False})}) as server:
        assert find(server, "mine") == "b" and find(server, "other") is None
    assert len(server.requests) == 2


@pytest.mark.parametrize(("ages", "pages"), [([0, 3], 1), ([3, 0], 2), ([0, 0], 2)])
def test_the_search_ends_where_all_that_follows_is_older(ages, pages):
    """Days; a clock may be off by one of them. A list that is not the newest first is read to its end."""
    now = time.time()
    data = [BATCH | {"id": f"b{age}", "created_at": int(now - age * 86_400)} for age in ages]
    first, last = (200, {"data": data, "has_more": True}), (200, {"data": [], "has_more": False})
    with script({"GET /v1/batches": [first, last]}) as server:
        assert find(server, "other", now) is None
    assert len(server.requests) == pages


def test_where_there_are_no_batches_nothing_can_be_found():
    with script({}) as server:
        assert fails(find, server, "key").kind == "not_found"
    with script({"GET /v1/batches": (200, {"data": []})}) as server:
        assert find(server, "key") is None
    with script({"GET /v1/batches": (200, {"data": [{"id": 3}], "has_more": True})}) as server:
        assert fails(find, server, "key").kind == "server"


# ---- results -------------------------------------------------------------------------------------------------


def test_answers_and_errors_are_read_from_their_files():
    errors = lines(
        problem(3, 500, message="The server had an error"),
        problem(4, 400, message="The prompt is empty"),
        problem(5, 429, message="Slow down", code="rate_limit_exceeded"),
        problem(6, 429, message="No credit", code="insufficient_quota"),
        {"custom_id": "key-000007", "response": None, "error": {"code": "request_timeout", "message": "Timed out"}},
        {"custom_id": "key-000008", "response": None, "error": {"code": "batch_expired", "message": "Expired"}},
        {"custom_id": "key-000009", "response": None, "error": {"code": "batch_cancelled", "message": "Cancelled"}},
    )
    with script(says(lines(answer(1), answer(0), answer(2, choices=[])), errors)) as server:
        found, learnt = results(server)
    assert found[0] == Completion("answer 0", "stop", Usage(5, 3), "m", "c")
    assert list(found) == [1, 0, 2, 3, 4, 5, 6, 7]
    kinds = [found[k].kind for k in range(2, 8)]
    assert kinds == ["server", "server", "bad_request", "rate_limit", "quota", "server"] and learnt == {}


def test_only_a_newline_ends_a_line():
    text = "one\u2028two\x85three\x0bfour\r"
    said = answer(0, choices=[{"message": {"content": text}, "finish_reason": "stop"}])
    with script(says((200, json.dumps(said, ensure_ascii=False) + "\n\n"))) as server:
        found, _ = results(server)
    assert found[0].text == text


def test_results_of_other_batches_are_not_taken():
    with script(says(lines(answer(0), answer(1) | {"custom_id": "other-000001"}))) as server:
        assert list(results(server)[0]) == [0]


@pytest.mark.parametrize("metadata", [None, {}, {"another": "note"}])
def test_a_server_that_keeps_no_metadata_gives_its_results_all_the_same(metadata):
    with script(says(lines(answer(0), answer(1)), metadata=metadata)) as server:
        assert list(results(server)[0]) == [0, 1]


@pytest.mark.parametrize("out", ["<html>", '{"custom_id": 3}', "[]", '{"custom_id": "key-x", "response": null}'])
def test_a_file_that_makes_no_sense_is_the_servers_trouble(out):
    with script(says((200, out))) as server:
        assert fails(results, server).kind == "server"


def test_a_file_that_is_gone_is_told():
    with script(says(None) | {"GET /v1/batches/batch_1": (200, BATCH | {"output_file_id": "gone"})}) as server:
        assert fails(results, server).kind == "not_found"


def test_what_a_model_refuses_in_a_batch_is_learnt_and_asked_again():
    refused = {"param": "temperature", "code": "unsupported_parameter", "message": "Unsupported parameter"}
    too_long = {"message": "This model's maximum context length is 4097 tokens (1500 in your prompt; 3072 more)"}
    with script(
        says(None, lines(problem(0, 400, **refused), problem(1, 400, **refused), problem(2, 400, **too_long)))
    ) as server:
        found, learnt = results(server)
    assert [found[k].kind for k in (0, 1, 2)] == ["server"] * 3 and learnt == {"temperature": None}


def test_an_answer_that_was_to_be_longer_than_the_model_writes_is_asked_again():
    text = "max_tokens is too large: 6144. This model supports at most 4096 completion tokens."
    with script(says(None, lines(problem(0, 400, message=text), problem(1, 400, message=text)))) as server:
        found, learnt = results(server)
    assert {result.kind for result in found.values()} == {"server"} and learnt == {"max_completion_tokens": 4096}
