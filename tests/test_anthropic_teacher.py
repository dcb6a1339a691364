"""The teacher of Anthropic's Messages, through the real SDK over HTTP."""

from __future__ import annotations

import asyncio
import socket
import time
import traceback
from dataclasses import replace
from email.utils import formatdate

import pytest
from alpaca_anthropic.headers import limits_in, retry_after_in
from anthropic_teachers import KEY, REQUEST, ask, environment, fail, hear, message, with_teacher, wrong  # noqa: F401

from alpaca_core import Limits, Request, TeacherError, Usage

# ---- what is sent, and what comes back ------------------------------------------------------------------


def test_a_request_is_one_user_message_without_the_prefix_and_without_thinking(provider):
    server = provider()
    reply = ask(server)
    (sent,) = server.requests
    assert sent["path"] == "/v1/messages" and sent["headers"]["Authorization"] == f"Bearer {KEY}"
    assert sent["body"] == {
        "model": "claude-haiku-5-5",
        "max_tokens": 3072,
        "system": "Be brief.",
        "messages": [{"role": "user", "content": "Write tasks.\n\n\nAbout bees."}],
        "thinking": {"type": "disabled"},
    }
    assert reply.text.startswith("1. Instruction: ") and reply.model == "claude-haiku-5-5"
    assert reply.id.startswith("msg_") and reply.finish == "stop"


def test_all_that_can_be_set_is_sent_and_a_temperature_never(provider):
    server = provider()
    schema = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    request = Request(k=0, prompt="Write tasks.", stop=("\n20",), max_tokens=50_000, schema=schema)
    ask(server, request, model="claude-opus-5-5", thinking="adaptive", effort="low")
    assert server.requests[0]["body"] == {
        "model": "claude-opus-5-5",
        "max_tokens": 21_333,
        "messages": [{"role": "user", "content": "Write tasks."}],
        "stop_sequences": ["\n20"],
        "thinking": {"type": "adaptive"},
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": schema}},
    }


def test_usage_is_what_the_provider_billed(provider):
    server = provider()
    reply = ask(server)
    stats = server.stats()
    assert reply.usage == Usage(stats["prompt_tokens"], stats["completion_tokens"])
    assert reply.usage.prompt_tokens > 0 and reply.usage.completion_tokens > 100


def test_tokens_of_a_cache_are_part_of_the_prompt():
    used = {
        "input_tokens": 5,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 30,
        "output_tokens": 90,
        "output_tokens_details": {"thinking_tokens": 60},
    }
    reply = hear(200, message(usage=used))
    assert reply.usage == Usage(135, 90, cached_tokens=100, reasoning_tokens=60, cache_write_tokens=30)
    nothing = dict.fromkeys(used)
    assert hear(200, message(usage=nothing)).usage == Usage()


def test_thoughts_are_billed_and_not_part_of_the_answer(provider):
    quiet = ask(provider(reasoning=700))
    loud = ask(provider(reasoning=700), thinking="adaptive")
    assert (quiet.usage.reasoning_tokens, loud.usage.reasoning_tokens) == (0, 700)
    assert quiet.text == loud.text


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("tool_use", "stop"),
        ("something new", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("pause_turn", "length"),
        ("refusal", "refusal"),
    ],
)
def test_finish_says_why_the_answer_ended(reason, finish):
    assert hear(200, message(reason=reason)).finish == finish


def test_a_refusal_is_a_reply_of_its_own_kind(provider):
    reply = ask(provider(script=["refusal"]))
    assert reply.finish == "refusal" and reply.text.startswith("I am sorry")
    reply = hear(200, message(reason="refusal", content=[], stop_details=None))
    assert (reply.finish, reply.text) == ("refusal", "")


def test_several_texts_are_one():
    parts = [{"type": "text", "text": "1. "}, {"type": "redacted_thinking"}, {"type": "text", "text": "Instruction:"}]
    assert hear(200, message(content=parts)).text == "1. Instruction:"


# ---- errors ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "meaning", "billed"),
    [
        ("rate_limit", "rate_limit", False),
        ("server", "server", False),
        ("overloaded", "overloaded", False),
        ("auth", "auth", False),
        ("permission", "permission", False),
        ("not_found", "not_found", False),
        ("bad_request", "bad_request", False),
        ("quota", "quota", False),
        ("credit", "quota", False),
        ("early_reset", "connection", True),
        ("reset", "connection", True),
        ("garbage", "server", True),
    ],
)
def test_each_fault_has_its_kind_and_is_sent_once(provider, fault, meaning, billed):
    """The SDK's own retries are off: exactly one request arrives. No text shows the key, nor does a traceback."""
    server = provider(script=[fault])
    error = fail(server)
    assert (error.kind, error.billed) == (meaning, billed)
    assert server.stats()["requests"] == 1
    told = "".join(traceback.format_exception(error)) + error.message + error.hint
    assert KEY not in told and "sk-" not in told


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (wrong("request too large", "request_too_large", 413), "bad_request"),
        (wrong("unprocessable", status=422), "bad_request"),
        (wrong("timed out", "timeout_error", 408), "server"),
        (wrong("conflict", "conflict_error", 409), "server"),
        (wrong("gateway", "timeout_error", 504), "server"),
        (wrong("unavailable", "api_error", 503), "overloaded"),
        (wrong("Your credit balance is too low to access the Anthropic API."), "quota"),
        (wrong("You have reached your specified API usage limits. You will regain access on 2026-12-01."), "quota"),
        (
            wrong("You have reached your API usage limits", "rate_limit_error", 429, "enforced_spend_limit_reached"),
            "quota",
        ),
        (wrong("grows too fast", "rate_limit_error", 429, "ramp_limit_exceeded"), "rate_limit"),
        (wrong("This organization has been disabled."), "permission"),
        (wrong("Disabled.", code="organization_on_hold"), "permission"),
        ((418, ["not", "an", "error"]), "bad_request"),
        ((200, ["not", "a", "message"]), "server"),
    ],
)
def test_errors_have_the_kind_that_their_words_say(answer, kind):
    with pytest.raises(TeacherError) as caught:
        hear(*answer)
    assert caught.value.kind == kind


def test_a_wrong_key_gets_a_short_clear_text(provider):
    error = fail(provider(key="sk-ant-another-one"))
    assert error.message.endswith("refused the key in ANTHROPIC_API_KEY (401).") and error.exit_code == 3
    assert error.hint == "Set a valid key: export ANTHROPIC_API_KEY=..."


def test_keys_are_blotted_out_of_the_providers_words():
    with pytest.raises(TeacherError) as caught:
        hear(*wrong(f"x-api-key {KEY} and sk-ant-api03-Other_Key* are odd"))
    assert caught.value.message.endswith("x-api-key [key] and [key] are odd")


def test_an_unknown_model_is_named(provider):
    error = fail(provider(models=["claude-haiku-5-5"]), model="claude-haiku-9")
    assert "'claude-haiku-9'" in error.message and "--model" in error.hint and error.exit_code == 2


def test_an_empty_wallet_stops_the_run_resumably(provider):
    error = fail(provider(script=["credit"]))
    assert error.exit_code == 4 and "credit" in error.hint


def test_a_rate_limit_says_how_long_to_wait(provider):
    error = fail(provider(script=["rate_limit"], retry_after=1.5, rpm=60))
    assert error.retry_after == 1.5 and error.limits.requests == 60


def test_a_server_that_is_not_there_has_billed_nothing():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        error = fail(url)
    assert (error.kind, error.billed) == ("connection", False) and url in error.message and "base_url" in error.hint


@pytest.mark.parametrize("place", ["me:hunter2@127.0.0.1:9", "127.0.0.1:9?key=hunter2"])
def test_no_error_shows_what_is_secret_in_an_address(monkeypatch, place):
    monkeypatch.setenv("ANTHROPIC_BASE_URL", f"http://{place}")
    error = fail("")
    assert "127.0.0.1:9" in error.message and "hunter2" not in "".join(traceback.format_exception(error))
    assert not error.billed


def test_a_request_that_cannot_be_put_together_is_refused_and_has_cost_nothing(provider):
    server = provider()
    with pytest.raises(TeacherError, match="surrogates not allowed") as caught:
        ask(server, replace(REQUEST, prompt="half a pair: \ud800"))
    assert (caught.value.kind, caught.value.billed) == ("bad_request", False) and not server.requests


def test_a_question_can_be_cancelled_at_any_moment(provider):
    async def session(teacher):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await teacher.complete(REQUEST)
        return await teacher.complete(REQUEST)

    assert with_teacher(provider(script=["hang"]), session).finish == "stop"


def test_hundreds_of_requests_are_in_flight_at_once(provider):
    server = provider(latency=1.0)

    async def session(teacher):
        return await asyncio.gather(
            *(teacher.complete(Request(k=k, prompt=f"Write {k} tasks.", max_tokens=20)) for k in range(300))
        )

    assert len(with_teacher(server, session)) == 300 and server.stats()["peak_parallel"] > 200


# ---- headers -----------------------------------------------------------------------------------------------------


def test_limits_are_read_from_every_reply(provider):
    reply = ask(provider(rpm=600, itpm=50_000, otpm=10_000))
    assert (reply.limits.requests, reply.limits.requests_left) == (600, 599)
    assert (reply.limits.input_tokens, reply.limits.output_tokens, reply.limits.tokens) == (50_000, 10_000, 60_000)


def test_times_are_by_the_clock_of_the_server():
    then = time.time() + 5000  # that clock is fast
    headers = {
        "date": formatdate(then, usegmt=True),
        "anthropic-ratelimit-input-tokens-remaining": "7000",
    }
    assert limits_in(headers) == Limits(input_tokens_left=7000)
    assert retry_after_in({**headers, "retry-after": formatdate(then + 9, usegmt=True)}) == 9
    assert limits_in({"content-type": "text/plain"}) is None


def test_retry_after_is_read_in_all_its_forms():
    assert retry_after_in({"retry-after": "12"}) == 12 and retry_after_in({"retry-after": "0.25"}) == 0.25
    assert retry_after_in({"retry-after": formatdate(time.time() + 30, usegmt=True)}) == pytest.approx(30, abs=2)
    assert retry_after_in({"retry-after": formatdate(time.time() - 30, usegmt=True)}) == 0
    assert retry_after_in({"retry-after": "later"}) is None is retry_after_in({})
