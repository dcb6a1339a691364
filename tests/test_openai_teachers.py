"""OpenAI's teachers, through the real SDK over HTTP, against the provider of the tests."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
import traceback
from email.utils import formatdate

import pytest
from alpaca_openai import ChatOptions, CompletionOptions, alpaca_teachers
from alpaca_openai.headers import limits_in, retry_after_in
from alpaca_openai.prices import PRICES, price_of
from alpaca_openai.teacher import ChatTeacher, CompletionTeacher

from alpaca_core import ConfigError, Limits, MissingError, Request, Teacher, TeacherError, Usage

KEY = "sk-test-1234567890abcdef"
BOTH = [(ChatTeacher, ChatOptions), (CompletionTeacher, CompletionOptions)]
REQUEST = Request(
    k=0, prompt="Write tasks.\n", system="Be brief.", input="About bees.", prefix="1. Instruction:", max_tokens=3072
)


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def ask(server, kind=ChatTeacher, options=None, *, request=REQUEST, times=1, **values):
    """The answers to the same question, asked ``times`` times of one teacher, one after the other."""
    teacher = kind((options or dict(BOTH)[kind])(base_url=server if isinstance(server, str) else server.url, **values))

    async def session():
        try:
            return [await teacher.complete(request) for _ in range(times)]
        finally:
            await teacher.aclose()

    return asyncio.run(session())


def fail(server, kind=ChatTeacher, **values):
    with pytest.raises(TeacherError) as caught:
        ask(server, kind, **values)
    return caught.value


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
        server, CompletionTeacher, request=Request(k=0, prompt="Go on.\n", prefix="4. Instruction:", stop=("\n20",))
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


@pytest.mark.parametrize("kind", [ChatTeacher, CompletionTeacher])
def test_usage_is_what_the_provider_billed(provider, kind):
    server = provider()
    (reply,) = ask(server, kind)
    stats = server.stats()
    assert reply.usage == Usage(stats["prompt_tokens"], stats["completion_tokens"])
    assert reply.usage.prompt_tokens > 0 and reply.usage.completion_tokens > 100


def test_thinking_is_off_unless_asked_for(provider):
    server = provider(reasoning=700)
    assert ask(server)[0].usage.reasoning_tokens == 0
    assert ask(server, reasoning_effort="high")[0].usage.reasoning_tokens == 700


@pytest.mark.parametrize("kind", [ChatTeacher, CompletionTeacher])
@pytest.mark.parametrize(
    ("fault", "finish"),
    [("", "stop"), ("truncated", "length"), ("content_filter", "content_filter"), ("empty", "stop")],
)
def test_finish_says_why_the_answer_ended(provider, kind, fault, finish):
    (reply,) = ask(provider(script=[fault]), kind)
    assert reply.finish == finish and (reply.text == "") == (fault == "empty")


def test_a_refusal_is_a_reply_of_its_own_kind(provider):
    (reply,) = ask(provider(script=["refusal"]))
    assert reply.finish == "refusal" and reply.text.startswith("I am sorry")


@pytest.mark.parametrize("kind", [ChatTeacher, CompletionTeacher])
def test_limits_are_read_from_every_reply(provider, kind):
    (reply,) = ask(provider(rpm=600), kind)
    assert (reply.limits.requests, reply.limits.requests_left) == (600, 599)
    assert reply.limits.requests_reset == pytest.approx(0.1, abs=0.01)
    assert (reply.limits.tokens, reply.limits.tokens_left, reply.limits.tokens_reset) == (
        150_000_000,
        149_999_000,
        0.006,
    )


# ---- errors ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [ChatTeacher, CompletionTeacher])
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
        ("early_reset", "connection", True),
        ("reset", "connection", True),
        ("garbage", "server", True),
    ],
)
def test_each_fault_has_its_kind_and_is_sent_once(provider, kind, fault, meaning, billed):
    """The SDK's own retries are off: exactly one request arrives. No text shows the key, nor does a traceback."""
    server = provider(script=[fault])
    error = fail(server, kind)
    assert (error.kind, error.billed) == (meaning, billed)
    assert server.stats()["requests"] == 1
    told = "".join(traceback.format_exception(error)) + error.message + error.hint
    assert KEY not in told and "sk-" not in told


def test_a_wrong_key_gets_a_short_clear_text(provider):
    error = fail(provider(key="sk-another-one"))
    assert error.message.endswith("refused the key in OPENAI_API_KEY (401).") and error.exit_code == 3
    assert error.hint == "Set a valid key: export OPENAI_API_KEY=..."


def test_an_unknown_model_is_named(provider):
    error = fail(provider(models=["gpt-6-luna"]), model="gpt-6-lunar")
    assert "'gpt-6-lunar'" in error.message and "--model" in error.hint and error.exit_code == 2


def test_an_empty_wallet_stops_the_run_resumably(provider):
    error = fail(provider(script=["quota"]))
    assert error.exit_code == 4 and "credit" in error.hint


def test_a_rate_limit_says_how_long_to_wait(provider):
    error = fail(provider(script=["rate_limit"], retry_after=1.5, rpm=60))
    assert error.retry_after == 1.5 and error.limits.requests == 60


def test_a_server_that_is_not_there_has_billed_nothing():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        error = fail(url)
    assert (error.kind, error.billed) == ("connection", False) and url in error.message and "base_url" in error.hint


@pytest.mark.parametrize(("kind", "options"), BOTH)
def test_an_address_without_its_protocol_is_refused(monkeypatch, kind, options):
    with pytest.raises(ValueError, match="base_url must begin with http"):
        options(base_url="127.0.0.1/v1")
    monkeypatch.setenv("OPENAI_BASE_URL", "127.0.0.1/v1")
    error = fail("", kind)
    assert (error.kind, error.billed) == ("connection", False)


def test_a_question_can_be_cancelled_at_any_moment(provider):
    async def session():
        teacher = ChatTeacher(ChatOptions(base_url=provider(script=["hang"]).url))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await teacher.complete(REQUEST)
        reply = await teacher.complete(REQUEST)
        await teacher.aclose()
        return reply

    assert asyncio.run(session()).finish == "stop"


# ---- parameters that a model does not take ------------------------------------------------------------------


@pytest.mark.parametrize("kind", [ChatTeacher, CompletionTeacher])
def test_refused_parameters_are_learnt_once(provider, kind, caplog):
    server = provider(refuses=["temperature", "top_p"])
    first, second = ask(server, kind, times=2)
    assert first.text == second.text and server.stats()["requests"] == 2 + 2
    assert not {"temperature", "top_p"} & server.requests[-1]["body"].keys()
    assert [record.message for record in caplog.records if record.name == "alpaca_openai.teacher"] == [
        f"{first.model} does not take the parameter temperature: asking without it.",
        f"{first.model} does not take the parameter top_p: asking without it.",
    ]


def test_a_server_of_the_older_protocol_gets_max_tokens(provider):
    server = provider(refuses=["max_completion_tokens", "reasoning_effort"])
    ask(server)
    assert server.requests[-1]["body"]["max_tokens"] == 3072 and server.stats()["requests"] == 3


def test_a_model_that_must_think_thinks_the_least_it_can(provider):
    server = provider(refuses=["reasoning_effort=none"])
    ask(server, times=2)
    efforts = [request["body"].get("reasoning_effort") for request in server.requests]
    assert efforts == ["none", "minimal", "minimal"]


def test_stop_strings_are_left_out_where_they_are_refused(provider):
    server = provider(refuses=["stop"])
    ask(server, request=Request(k=0, prompt="Go on.", stop=("\n20",)))
    assert "stop" not in server.requests[-1]["body"] and server.stats()["billed"] == 1


@pytest.mark.parametrize("kind", [ChatTeacher, CompletionTeacher])
def test_an_answer_is_fitted_to_a_short_context(provider, kind):
    server = provider(context=2048)
    (reply,) = ask(server, kind)
    assert reply.usage.prompt_tokens + reply.usage.completion_tokens <= 2049 and server.stats()["billed"] == 1


def test_a_prompt_longer_than_the_context_is_a_bad_request(provider):
    error = fail(provider(context=5))
    assert error.kind == "bad_request" and "maximum context length is 5" in error.message


# ---- before the first request ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "options"), BOTH)
def test_a_key_is_needed_for_openai_itself_only(monkeypatch, provider, kind, options):
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(MissingError, match="OPENAI_API_KEY is not set") as caught:
        kind(options(model="gpt-3.5-turbo-instruct")).check()
    assert "export OPENAI_API_KEY" in caught.value.hint
    server = provider()
    kind(options(base_url=server.url)).check()
    assert ask(server, kind)


def test_the_hosted_davinci_is_refused_before_anything_is_sent(monkeypatch):
    with pytest.raises(ConfigError, match="2024-01-04") as caught:
        CompletionTeacher(CompletionOptions()).check()
    assert "--teacher openai" in caught.value.hint and "teacher.base_url" in caught.value.hint
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    CompletionTeacher(CompletionOptions()).check()


def test_the_option_wins_over_the_environment(monkeypatch, provider):
    chosen, other = provider(), provider()
    monkeypatch.setenv("OPENAI_BASE_URL", other.url)
    ask(chosen)
    ask("")
    assert len(chosen.requests) == len(other.requests) == 1


def test_prices_hold_on_openais_own_address_only(monkeypatch):
    price = ChatTeacher(ChatOptions()).price()
    assert price is PRICES["gpt-6-luna"] and price.cost(Usage(1_000_000, 1_000_000)) == pytest.approx(0.60)
    assert ChatTeacher(ChatOptions(base_url="https://api.openai.com/v1")).price() is price
    assert ChatTeacher(ChatOptions(model="gpt-unheard-of")).price() is None
    assert ChatTeacher(ChatOptions(base_url="http://127.0.0.1:1/v1")).price() is None
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    assert ChatTeacher(ChatOptions()).price() is None


def test_every_price_has_a_day_and_a_source():
    assert all(price.date and price.source and 0 < price.input <= price.output for price in PRICES.values())
    assert price_of("gpt-6-luna-2026-09-01") is PRICES["gpt-6-luna"] and price_of("gpt-6") is None


@pytest.mark.parametrize(("kind", "options"), BOTH)
@pytest.mark.parametrize("values", [{"temperature": 2.5}, {"temperature": -1}, {"top_p": 0.0}, {"top_p": 1.1}])
def test_sampling_out_of_range_is_refused(kind, options, values):
    with pytest.raises(ValueError, match=f"{next(iter(values))} must be"):
        options(**values)


def test_the_plugin_is_light_until_a_teacher_is_used():
    code = (
        "import sys, alpaca_openai; print([s.name for s in alpaca_openai.alpaca_teachers()], 'openai' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "['openai', 'text-davinci-003'] False"


def test_both_teachers_keep_the_protocol():
    for spec in alpaca_teachers():
        assert isinstance(spec.load()(spec.options()), Teacher) and spec.keys == ("OPENAI_API_KEY",)


# ---- headers -----------------------------------------------------------------------------------------------------


def test_durations_in_headers_are_read():
    for text, seconds in (("6m0s", 360), ("1h2m3.5s", 3723.5), ("120ms", 0.12), ("0s", 0), ("soon", None), ("5", None)):
        limits = limits_in({"x-ratelimit-reset-tokens": text, "x-ratelimit-limit-tokens": "9"})
        assert limits == Limits(tokens=9, tokens_reset=seconds)
    assert limits_in({"content-type": "text/plain"}) is None


def test_retry_after_is_read_in_all_its_forms():
    assert retry_after_in({"retry-after-ms": "1500", "retry-after": "9"}) == 1.5
    assert retry_after_in({"retry-after": "0.25"}) == 0.25
    assert retry_after_in({"retry-after": formatdate(time.time() + 30, usegmt=True)}) == pytest.approx(30, abs=2)
    assert retry_after_in({"retry-after": formatdate(time.time() - 30, usegmt=True)}) == 0
    assert retry_after_in({"retry-after": "later"}) is None is retry_after_in({})
