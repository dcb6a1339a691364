"""The tests' own provider: what it promises of files and batches."""

# ruff: noqa: TID253 - a test may load anything

from __future__ import annotations

import asyncio
import json
import time

import anthropic
import openai
import pytest
from provider_clients import anthropic_client, by_chat, openai_client

# ---- OpenAI's batches ----------------------------------------------------------------------------------------

ENDED = ("failed", "completed", "expired", "cancelled", "ended")
PROMPTS = [f"Prompt {number}." for number in range(20)]


def line(number, prompt, **given):
    body = {"model": "any", "messages": [{"role": "user", "content": prompt}]} | given
    return {"custom_id": f"k-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}


async def submit(client, lines, **given):
    """A batch, just handed in."""
    content = "\n".join(map(json.dumps, lines)).encode()
    file = await client.files.create(file=("in.jsonl", content), purpose="batch")
    create = client.batches.create
    return await create(
        input_file_id=file.id,
        endpoint="/v1/chat/completions",
        completion_window="24h",
        metadata={"key": "ours"},
        **given,
    )


async def ended(look):
    """What ``look`` sees once the batch has ended."""
    started = time.monotonic()
    while time.monotonic() < started + 20:
        batch = await look()
        if getattr(batch, "processing_status", batch.__dict__.get("status")) in ENDED:
            return batch
        await asyncio.sleep(0.01)


async def openai_rows(client, batch):
    """The rows of both files."""
    files = [file and (await client.files.content(file)).text for file in (batch.output_file_id, batch.error_file_id)]
    return [[json.loads(row) for row in (file or "").splitlines()] for file in files]


async def openai_batch(server, lines, work=None):
    """An ended batch, its answers and its errors."""
    client = openai_client(server)
    batch = await submit(client, lines)
    if work:
        await work(client, batch.id)
    batch = await ended(lambda: client.batches.retrieve(batch.id))
    return batch, *await openai_rows(client, batch)


async def one_by_one(create, bodies):
    return [await create(**body) for body in bodies]


def test_a_batch_gives_what_the_same_requests_give_one_by_one(provider):
    faults = {"truncated": 0.3, "malformed": 0.3}
    server, other = provider(faults=faults | {"reset": 0.3}), provider(faults=faults)
    lines = [line(*item) for item in enumerate(PROMPTS)]
    batch, answers, errors = asyncio.run(openai_batch(server, lines))
    assert (batch.status, batch.request_counts.completed, errors) == ("completed", 20, [])
    found = {row["custom_id"]: row["response"]["body"] for row in answers}
    alone = asyncio.run(one_by_one(openai_client(other).chat.completions.create, [line["body"] for line in lines]))
    assert found == {f"k-{k}": reply.to_dict() for k, reply in enumerate(alone)}
    assert list(found) != sorted(found, key=lambda name: int(name[2:]))
    stats = server.stats()
    assert stats["faults"] == other.stats()["faults"] and (stats["batches"], stats["batch_requests"]) == (1, 20)
    assert stats["batch_completion_tokens"] == stats["completion_tokens"] == other.stats()["completion_tokens"]
    by_chat(server, PROMPTS[0])
    assert server.stats()["paid_twice"] == 1 and stats["requests"] == 0


@pytest.mark.parametrize(("ending", "code"), [("expired", "batch_expired"), ("cancelled", "batch_cancelled")])
def test_a_batch_that_ends_early_gives_what_was_finished(provider, ending, code):
    server = provider(batch_ends=ending, batch_share=0.3)
    batch, answers, errors = asyncio.run(openai_batch(server, [line(*item) for item in enumerate(PROMPTS)]))
    assert (batch.status, len(answers)) == (ending, 6)
    assert [row["error"]["code"] for row in errors] == [code] * 14 and errors[0]["response"] is None
    assert len({row["custom_id"] for row in answers + errors}) == 20
    assert server.stats()["billed"] == 6


def test_a_batch_can_be_cancelled(provider):
    server = provider(batch_seconds=600)
    lines = [line(*item) for item in enumerate(PROMPTS)]
    batch, answers, errors = asyncio.run(openai_batch(server, lines, lambda client, name: client.batches.cancel(name)))
    assert (batch.status, answers, len(errors)) == ("cancelled", [], 20) and batch.cancelled_at


def test_a_request_of_a_batch_can_fail_alone(provider):
    server = provider(faults={"server": 0.5}, refuses=["verbosity"])
    lines = [*(line(*item) for item in enumerate(PROMPTS)), line(20, "The last.", verbosity="low")]
    batch, answers, errors = asyncio.run(openai_batch(server, lines))
    statuses = {row["custom_id"]: row["response"]["status_code"] for row in errors}
    assert batch.request_counts.failed == len(errors) > 1 and len(answers) + len(errors) == 21
    assert statuses.pop("k-20") == 400 and set(statuses.values()) == {500}


def test_a_batch_with_a_wrong_file_fails(provider):
    server = provider(models=["any"])
    lines = [line(0, "Go on."), line(0, "Go on."), line(1, "Go on.", model="other")]
    batch, *_ = asyncio.run(openai_batch(server, lines))
    codes = [(error.code, error.line) for error in batch.errors.data]
    assert batch.status == "failed" and codes[:2] == [("duplicate_custom_id", 2), ("model_not_found", 3)]
    assert server.stats()["billed"] == 0


def test_the_list_of_batches_has_the_newest_first_and_shows_metadata(provider):
    async def listing(client):
        made = [(await submit(client, [line(0, "Go on.")])).id for _ in range(5)]
        return made, [(one.id, one.metadata) async for one in client.batches.list(limit=2)]

    made, found = asyncio.run(listing(openai_client(provider())))
    assert found == [(name, {"key": "ours"}) for name in reversed(made)]


def test_a_batch_that_breaks_off_at_its_creation_is_there(provider):
    async def creation(client):
        with pytest.raises(openai.APIConnectionError):
            await submit(client, [line(0, "Go on.")])
        return [one.metadata async for one in client.batches.list()]

    assert asyncio.run(creation(openai_client(provider(faults={"batch_reset": 1.0})))) == [{"key": "ours"}]
    assert asyncio.run(creation(openai_client(provider(desk=["", "reset"])))) == [{"key": "ours"}]
    assert asyncio.run(creation(openai_client(provider(desk=["", "early_reset"])))) == []


def test_files_and_batches_need_a_key_too(provider):
    with pytest.raises(openai.AuthenticationError):
        asyncio.run(submit(openai_client(provider(key="sk-right"), "sk-wrong"), [line(0, "Go on.")]))


# ---- Anthropic's batches -------------------------------------------------------------------------------------


def row(number, prompt, **given):
    params = {"model": "any", "max_tokens": 9000, "messages": [{"role": "user", "content": prompt}]} | given
    return {"custom_id": f"k-{number}", "params": params}


async def message_batch(server, rows, work=None):
    """An ended batch, and its results by their names."""
    client = anthropic_client(server)
    batches = client.messages.batches
    batch = await batches.create(requests=rows)
    if work:
        await work(batches, batch.id)
    batch = await ended(lambda: batches.retrieve(batch.id))
    return batch, {one.custom_id: one.result async for one in await batches.results(batch.id)}


def test_a_batch_of_messages_gives_what_the_same_requests_give_one_by_one(provider):
    faults = {"truncated": 0.3, "malformed": 0.3}
    server, other = provider(faults=faults | {"hang": 0.3}), provider(faults=faults)
    rows = [row(*item) for item in enumerate(PROMPTS)]
    batch, found = asyncio.run(message_batch(server, rows))
    assert batch.request_counts.succeeded == 20 and batch.processing_status == "ended"
    replies = asyncio.run(one_by_one(anthropic_client(other).messages.create, [row["params"] for row in rows]))
    for number, alone in enumerate(replies):
        message = found[f"k-{number}"].message
        assert (message.content, message.stop_reason) == (alone.content, alone.stop_reason)
        assert message.usage.service_tier == "batch" and message.usage.output_tokens == alone.usage.output_tokens
    assert list(found) != sorted(found, key=lambda name: int(name[2:]))
    assert server.stats()["billed"] == server.stats()["batch_requests"] == 20


@pytest.mark.parametrize(("ending", "kind"), [("expired", "expired"), ("cancelled", "canceled")])
def test_a_batch_of_messages_that_ends_early_gives_what_was_finished(provider, ending, kind):
    server = provider(batch_ends=ending, batch_share=0.3)
    batch, found = asyncio.run(message_batch(server, [row(*item) for item in enumerate(PROMPTS)]))
    assert sorted(one.type for one in found.values()) == sorted(["succeeded"] * 6 + [kind] * 14)
    assert batch.request_counts.to_dict() | {"succeeded": 6, kind: 14} == batch.request_counts.to_dict()


def test_a_batch_of_messages_can_be_cancelled(provider):
    server = provider(batch_seconds=600)
    rows = [row(*item) for item in enumerate(PROMPTS)]
    batch, found = asyncio.run(message_batch(server, rows, lambda batches, name: batches.cancel(name)))
    assert batch.cancel_initiated_at and {one.type for one in found.values()} == {"canceled"}


def test_a_message_of_a_batch_can_fail_alone(provider):
    server = provider(models=["any"], faults={"overloaded": 0.5})
    rows = [row(20, "Go on.", model="other"), row(21, "Go on.", temperature=1)]
    _, found = asyncio.run(message_batch(server, [*(row(*item) for item in enumerate(PROMPTS)), *rows]))
    kinds = {name: one.error.error.type for name, one in found.items() if one.type == "errored"}
    assert kinds.pop("k-20") == "not_found_error" and kinds.pop("k-21") == "invalid_request_error"
    assert set(kinds.values()) == {"overloaded_error"} and len(kinds) < 20


def test_the_list_of_message_batches_goes_both_ways(provider):
    async def listing(batches):
        made = [(await batches.create(requests=[row(0, "Go on.")])).id for _ in range(5)]
        older = [one.id async for one in batches.list(limit=2)]
        return made, older, [one.id for one in (await batches.list(limit=2, before_id=made[2])).data]

    made, older, newer = asyncio.run(listing(anthropic_client(provider()).messages.batches))
    assert older == made[::-1] and newer == [made[4], made[3]]


def test_a_batch_of_messages_that_breaks_off_at_its_creation_is_there(provider):
    async def creation(batches):
        with pytest.raises(anthropic.APIConnectionError):
            await batches.create(requests=[row(0, "Go on.")])
        return [one.request_counts.processing async for one in batches.list()]

    server = provider(faults={"batch_reset": 1.0}, batch_seconds=600)
    assert asyncio.run(creation(anthropic_client(server).messages.batches)) == [1]


def test_a_batch_of_messages_needs_a_key_too(provider):
    server = provider(key="sk-right")
    with pytest.raises(anthropic.AuthenticationError):
        asyncio.run(message_batch(server, [row(0, "Go on.")]))
    assert server.stats()["batches"] == 0
