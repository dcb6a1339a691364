"""The tests' own provider: what it promises to the tests that rely on it."""

# ruff: noqa: TID253 - a test may load anything

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta

import anthropic
import openai
import provider as module
import pytest
from provider_clients import anthropic_client, by_chat, by_messages, by_response, openai_client

FAULTS = {"rate_limit": 0.2, "server": 0.1, "truncated": 0.2, "malformed": 0.2}


def post(url, prompt):
    """The status and the text of one answer."""
    body = json.dumps({"model": "any", "prompt": prompt, "max_tokens": 3072}).encode()
    request = urllib.request.Request(f"{url}/completions", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, json.load(response)["choices"][0]["text"]
    except urllib.error.HTTPError as error:
        return error.code, ""


def test_answers_and_faults_depend_on_the_prompt_alone(provider):
    """So the order of requests changes nothing, and a repeated one gets the same text."""
    one, two = provider(faults=FAULTS), provider(faults=FAULTS)
    prompts = [f"prompt {number}" for number in range(60)] * 2
    forwards = [post(one.url, prompt) for prompt in prompts]
    backwards = [post(two.url, prompt) for prompt in reversed(prompts)]
    assert sorted(forwards) == sorted(backwards)
    texts = {prompt: {text for text in answers if text} for prompt, answers in pairs(prompts, forwards).items()}
    assert all(len(answers) <= 1 for answers in texts.values())
    assert set(one.stats()["faults"]) == set(FAULTS) and one.stats()["faults"] == two.stats()["faults"]


def pairs(prompts, answers):
    found = {prompt: [] for prompt in prompts}
    for prompt, (_, text) in zip(prompts, answers, strict=True):
        found[prompt].append(text)
    return found


def test_what_is_paid_twice_or_asked_too_early_is_counted(provider):
    server = provider(script=["rate_limit"], retry_after=60)
    assert [post(server.url, "the same")[0] for _ in range(3)] == [429, 200, 200]
    stats = server.stats()
    assert (stats["requests"], stats["distinct"], stats["billed"], stats["paid_twice"]) == (3, 1, 2, 1)
    assert stats["early_retries"] == 1 and stats["delivered"] == 2


def test_requests_over_the_limit_are_refused(provider):
    server = provider(rpm=3)
    assert [post(server.url, f"prompt {number}")[0] for number in range(5)] == [200, 200, 200, 429, 429]


def test_it_runs_as_a_process_of_its_own():
    command = [sys.executable, module.__file__, "--latency", "0.01", "--fault", "rate_limit=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            url = process.stdout.readline().strip()
            assert post(url, "Go on.\n4. Instruction:")[1].count("Output:") == 17
            with urllib.request.urlopen(url.removesuffix("/v1") + "/stats") as response:
                assert json.load(response)["billed"] == 1
        finally:
            process.kill()


# ---- the protocols, through their own clients ----------------------------------------------------------------


def test_every_protocol_gives_the_same_answer_to_a_prompt(provider):
    server = provider()
    texts = [
        by_chat(server, "Be short.\nGo on.").choices[0].message.content,
        by_response(server, "Go on.", instructions="Be short.").output_text,
        by_messages(server, "Go on.", system="Be short.").content[0].text,
    ]
    assert len(set(texts)) == 1 and server.stats()["paid_twice"] == 2


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("", "end_turn"), ("truncated", "max_tokens"), ("refusal", "refusal"), ("content_filter", "refusal")],
)
def test_messages_tell_why_they_ended(provider, fault, reason):
    assert by_messages(provider(script=[fault]), "Go on.").stop_reason == reason


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        ("", "completed", None),
        ("truncated", "incomplete", "max_output_tokens"),
        ("content_filter", "incomplete", "content_filter"),
    ],
)
def test_responses_tell_why_they_are_incomplete(provider, fault, status, reason):
    reply = by_response(provider(script=[fault]), [{"role": "user", "content": "Go on."}])
    assert (reply.status, reply.incomplete_details and reply.incomplete_details.reason) == (status, reason)


def test_a_response_refuses_in_a_part_of_its_own_and_thinks_in_an_item_of_its_own(provider):
    reply = by_response(provider(script=["refusal"], reasoning=30), "Go on.")
    assert [item.type for item in reply.output] == ["reasoning", "message"]
    assert reply.output[1].content[0].refusal and not reply.output_text
    assert reply.usage.output_tokens > reply.usage.output_tokens_details.reasoning_tokens == 30


def test_thinking_goes_off_the_most_tokens_of_an_answer(provider):
    server = provider(reasoning=500)
    reply = by_response(server, "Go on.", max_output_tokens=300)
    assert (reply.status, reply.output_text, reply.usage.output_tokens) == ("incomplete", "", 300)
    assert by_response(server, "Go on.", max_output_tokens=300, reasoning={"effort": "none"}).output_text


def test_messages_end_at_a_stop_sequence_and_count_what_was_thought(provider):
    server = provider(reasoning=70)
    reply = by_messages(server, "Go on.", stop_sequences=["4. Input"])
    assert (reply.stop_reason, reply.stop_sequence) == ("stop_sequence", "4. Input")
    assert [block.type for block in reply.content] == ["thinking", "text"]
    assert reply.usage.output_tokens_details.thinking_tokens == 70 < reply.usage.output_tokens
    other = by_messages(server, "Go on.", thinking={"type": "disabled"}, max_tokens=100)
    assert other.stop_reason == "max_tokens" and other.usage.output_tokens == 100
    assert server.stats()["completion_tokens"] == 100 + reply.usage.output_tokens


@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        ("bad_request", 400, "invalid_request_error"),
        ("auth", 401, "authentication_error"),
        ("quota", 402, "billing_error"),
        ("credit", 400, "invalid_request_error"),
        ("permission", 403, "permission_error"),
        ("not_found", 404, "not_found_error"),
        ("rate_limit", 429, "rate_limit_error"),
        ("server", 500, "api_error"),
        ("overloaded", 529, "overloaded_error"),
    ],
)
def test_anthropic_has_its_own_errors(provider, fault, status, kind):
    with pytest.raises(anthropic.APIStatusError) as caught:
        by_messages(provider(script=[fault]), "Go on.")
    assert (caught.value.status_code, caught.value.type) == (status, kind)
    assert ("retry-after" in caught.value.response.headers) == (fault == "rate_limit")


@pytest.mark.parametrize("name", ["temperature", "top_p", "top_k"])
def test_anthropic_takes_no_sampling_parameters(provider, name):
    with pytest.raises(anthropic.BadRequestError, match=name):
        by_messages(provider(), "Go on.", extra_body={name: 1})


def test_a_nested_parameter_can_be_refused_as_a_whole_or_with_one_value(provider):
    server = provider(refuses=["output_config.effort", "thinking=disabled"])
    assert by_messages(server, "Go on.", thinking={"type": "adaptive"})
    with pytest.raises(anthropic.BadRequestError, match="thinking.type.disabled"):
        by_messages(server, "Go on.", thinking={"type": "disabled"})
    with pytest.raises(anthropic.BadRequestError, match="effort"):
        by_messages(server, "Go on.", output_config={"effort": "low"})
    server = provider(refuses=["reasoning.effort=none", "text.format"])
    assert by_response(server, "Go on.", reasoning={"effort": "low"})
    for name, given in (("reasoning.effort", {"effort": "none"}), ("text.format", {"format": {"type": "json_object"}})):
        with pytest.raises(openai.BadRequestError) as caught:
            by_response(server, "Go on.", **{name.split(".")[0]: given})
        assert caught.value.param == name


def test_anthropic_tells_what_is_left_of_each_limit_and_when_it_is_whole_again(provider):
    create = anthropic_client(provider(rpm=60, otpm=100_000)).messages.with_raw_response.create
    messages = [{"role": "user", "content": "Go on."}]
    headers = asyncio.run(create(model="any", max_tokens=9000, messages=messages)).headers
    assert headers["anthropic-ratelimit-requests-remaining"] == "59"
    assert 95_000 < int(headers["anthropic-ratelimit-output-tokens-remaining"]) < 100_000
    whole = datetime.fromisoformat(headers["anthropic-ratelimit-requests-reset"])
    assert timedelta(0) <= whole - datetime.now(UTC) <= timedelta(seconds=2)


def test_written_tokens_count_against_the_next_request(provider):
    server = provider(otpm=600)
    assert by_messages(server, "Go on.", max_tokens=1200).usage.output_tokens == 1200
    with pytest.raises(anthropic.RateLimitError) as caught:
        by_messages(server, "Go on.", max_tokens=1)
    assert 55 < float(caught.value.response.headers["retry-after"]) < 61


def test_tokens_over_the_limit_are_refused(provider):
    server = provider(tpm=1000)
    assert by_chat(server, "Go on.", max_completion_tokens=900)
    with pytest.raises(openai.RateLimitError) as caught:
        by_chat(server, "Go on.", max_completion_tokens=900)
    assert 45 < float(caught.value.response.headers["retry-after"]) < 60


# ---- the list of models --------------------------------------------------------------------------------------


async def listed(client):
    return {one.id: one async for one in client.models.list()}


def test_models_are_listed_with_the_day_on_which_they_end(provider):
    server = provider(models=["new", "old"], shutdown={"old": "2027-01-31"})
    models = asyncio.run(listed(openai_client(server)))
    assert {name: one.shutdown_date for name, one in models.items()} == {"new": None, "old": "2027-01-31"}
    models = asyncio.run(listed(anthropic_client(server)))
    assert models["new"].retires_at is None and models["old"].retires_at.isoformat().startswith("2027-01-31")
    assert asyncio.run(openai_client(server).models.retrieve("old")).shutdown_date == "2027-01-31"
    assert (server.stats()["model_lists"], server.stats()["requests"]) == (3, 0)


@pytest.mark.parametrize("client", [openai_client, anthropic_client])
def test_a_key_is_needed_for_the_list_of_models(provider, client):
    server = provider(key="sk-right")
    assert asyncio.run(listed(client(server, "sk-right")))
    with pytest.raises((openai.AuthenticationError, anthropic.AuthenticationError)):
        asyncio.run(listed(client(server, "sk-wrong")))
