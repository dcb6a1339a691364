"""OpenAI's teachers, through the real SDK over HTTP, against the provider of the tests."""

from __future__ import annotations

import subprocess
import sys
import time
from email.utils import formatdate

import pytest
from alpaca_openai import ChatOptions, CompletionOptions, alpaca_teachers
from alpaca_openai.headers import limits_in, retry_after_in
from alpaca_openai.prices import PRICES, price_of
from alpaca_openai.teacher import OpenAITeacher
from openai_teachers import KEY, ask, environment, every_dialect, fails, script  # noqa: F401

from alpaca_core import BatchTeacher, ConfigError, Limits, MissingError, Request, Teacher, Usage

# ---- what is sent, and what comes back ------------------------------------------------------------------


def test_chat_sends_one_user_message_without_the_prefix(provider):
    server = provider()
    (reply,) = ask(server)
    (sent,) = server.requests
    assert sent["path"] == "/v1/chat/completions" and sent["headers"]["Authorization"] == f"Bearer {KEY}"
    assert sent["body"] == {
        "model": "gpt-6-luna",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Write tasks.\n\n\nAbout bees."},
        ],
        "temperature": 1.0,
        "top_p": 1.0,
        "reasoning_effort": "none",
        "max_completion_tokens": 3072,
    }
    assert reply.text.startswith("1. Instruction: ") and reply.model == "gpt-6-luna" and reply.id.startswith("reply-")


def test_completions_continue_the_prefix(provider):
    server = provider()
    (reply,) = ask(
        server, CompletionOptions, request=Request(k=0, prompt="Go on.\n", prefix="4. Instruction:", stop=("\n20",))
    )
    (sent,) = server.requests
    assert sent["path"] == "/v1/completions"
    assert sent["body"] == {
        "model": "text-davinci-003",
        "prompt": "Go on.\n4. Instruction:",
        "temperature": 1.0,
        "top_p": 1.0,
        "stop": ["\n20"],
        "max_tokens": 3072,
    }
    assert not reply.text.startswith("4.") and "\n5. Instruction: " in reply.text and reply.text.endswith("###")


def test_no_temperature_means_that_none_is_sent(provider):
    server = provider()
    ask(server, temperature=None, top_p=None)
    assert not {"temperature", "top_p"} & server.requests[0]["body"].keys()


@every_dialect
def test_usage_is_what_the_provider_billed(provider, options):
    server = provider()
    (reply,) = ask(server, options)
    stats = server.stats()
    assert reply.usage == Usage(stats["prompt_tokens"], stats["completion_tokens"])
    assert reply.usage.prompt_tokens > 0 and reply.usage.completion_tokens > 100


def test_thinking_is_off_unless_asked_for(provider):
    server = provider(reasoning=700)
    assert ask(server)[0].usage.reasoning_tokens == 0
    assert ask(server, reasoning_effort="high")[0].usage.reasoning_tokens == 700


@every_dialect
@pytest.mark.parametrize(
    ("fault", "finish"),
    [("", "stop"), ("truncated", "length"), ("content_filter", "content_filter"), ("empty", "stop")],
)
def test_finish_says_why_the_answer_ended(provider, options, fault, finish):
    (reply,) = ask(provider(script=[fault]), options)
    assert reply.finish == finish and (reply.text == "") == (fault == "empty")


def hear(options=ChatOptions, **choice):
    """What the teacher makes of an answer with this choice."""
    path = "/v1/completions" if options is CompletionOptions else "/v1/chat/completions"
    with script({f"POST {path}": (200, {"choices": [choice]})}) as server:
        return ask(server, options)[0]


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        *((reason, "stop") for reason in ("stop", "tool_calls", "eos", None)),
        *((reason, "length") for reason in ("length", "abort", "error", "repetition")),
    ],
)
def test_an_answer_that_the_server_gave_up_counts_as_cut_off(reason, finish):
    assert hear(message={"content": "half an ans"}, finish_reason=reason).finish == finish
    assert hear(CompletionOptions, text="half an ans", finish_reason=reason).finish == finish


def test_an_answer_in_parts_is_one_text_without_its_thoughts():
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "Let me see."}]}
    parts = [thought, {"type": "text", "text": "1. "}, {"type": "text", "text": "Instruction:"}]
    assert hear(message={"content": parts}).text == "1. Instruction:"
    assert hear(message={"content": []}).text == ""


@pytest.mark.parametrize("content", [{"text": "x"}, 3, [3], [{"type": "text"}], [{"type": "text", "text": 3}]])
def test_an_answer_that_is_no_text_is_the_servers_trouble_and_may_have_been_paid(content):
    for options, choice in ((ChatOptions, {"message": {"content": content}}), (CompletionOptions, {"text": content})):
        error = fails(hear, options, **choice)
        assert (error.kind, error.billed) == ("server", True)


def test_a_refusal_is_a_reply_of_its_own_kind(provider):
    (reply,) = ask(provider(script=["refusal"]))
    assert reply.finish == "refusal" and reply.text.startswith("I am sorry")


@every_dialect
def test_limits_are_read_from_every_reply(provider, options):
    (reply,) = ask(provider(rpm=600), options)
    assert (reply.limits.requests, reply.limits.requests_left) == (600, 599)
    assert (reply.limits.tokens, reply.limits.tokens_left) == (150_000_000, 149_999_000)


# ---- before the first request ---------------------------------------------------------------------------------


@every_dialect
def test_a_key_is_needed_for_openai_itself_only(monkeypatch, provider, options):
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(MissingError, match="OPENAI_API_KEY is not set") as caught:
        OpenAITeacher(options(model="gpt-3.5-turbo-instruct")).check()
    assert "export OPENAI_API_KEY" in caught.value.hint
    server = provider()
    OpenAITeacher(options(base_url=server.url)).check()
    assert ask(server, options)


def test_the_hosted_davinci_is_refused_before_anything_is_sent(monkeypatch):
    with pytest.raises(ConfigError, match="2024-01-04") as caught:
        OpenAITeacher(CompletionOptions()).check()
    assert "--teacher openai" in caught.value.hint and "teacher.base_url" in caught.value.hint
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    OpenAITeacher(CompletionOptions()).check()


def test_the_option_wins_over_the_environment(monkeypatch, provider):
    chosen, other = provider(), provider()
    monkeypatch.setenv("OPENAI_BASE_URL", other.url)
    ask(chosen)
    ask("")
    assert len(chosen.requests) == len(other.requests) == 1


def test_prices_hold_on_openais_own_address_only(monkeypatch):
    price = OpenAITeacher(ChatOptions()).price()
    assert price is PRICES["gpt-6-luna"] and price.cost(Usage(1_000_000, 1_000_000)) == pytest.approx(0.60)
    assert OpenAITeacher(ChatOptions(base_url="https://api.openai.com/v1")).price() is price
    assert OpenAITeacher(ChatOptions(model="gpt-unheard-of")).price() is None
    assert OpenAITeacher(ChatOptions(base_url="http://127.0.0.1:1/v1")).price() is None
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    assert OpenAITeacher(ChatOptions()).price() is None


def test_every_price_has_a_day_and_a_source():
    assert all(price.date and price.source and 0 < price.input <= price.output for price in PRICES.values())
    assert price_of("gpt-6-luna-2026-09-01") is PRICES["gpt-6-luna"] and price_of("gpt-6") is None


@pytest.mark.parametrize("options", [ChatOptions, CompletionOptions])
@pytest.mark.parametrize("values", [{"temperature": 2.5}, {"temperature": -1}, {"top_p": 0.0}, {"top_p": 1.1}])
def test_sampling_out_of_range_is_refused(options, values):
    with pytest.raises(ValueError, match=f"{next(iter(values))} must be"):
        options(**values)


def test_the_plugin_is_light_until_a_teacher_is_used():
    code = (
        "import sys, alpaca_openai; print([s.name for s in alpaca_openai.alpaca_teachers()], 'openai' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "['openai', 'text-davinci-003'] False"


def test_both_teachers_keep_the_protocols():
    for spec in alpaca_teachers():
        teacher = spec.load()(spec.options())
        assert isinstance(teacher, Teacher) and isinstance(teacher, BatchTeacher) and spec.keys == ("OPENAI_API_KEY",)


# ---- headers -----------------------------------------------------------------------------------------------------


def test_headers_that_say_nothing_of_limits_are_no_limits():
    assert limits_in({"x-ratelimit-limit-tokens": "9", "x-ratelimit-remaining-tokens": "soon"}) == Limits(tokens=9)
    assert limits_in({"content-type": "text/plain"}) is None


def test_retry_after_is_read_in_all_its_forms():
    assert retry_after_in({"retry-after-ms": "1500", "retry-after": "9"}) == 1.5
    assert retry_after_in({"retry-after": "0.25"}) == 0.25
    assert retry_after_in({"retry-after": formatdate(time.time() + 30, usegmt=True)}) == pytest.approx(30, abs=2)
    assert retry_after_in({"retry-after": formatdate(time.time() - 30, usegmt=True)}) == 0
    assert retry_after_in({"retry-after": "later"}) is None is retry_after_in({})
