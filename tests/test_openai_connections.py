"""OpenAI's teacher and the network: each trouble has its kind, shows no key, and is counted as paid or as not paid."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace

import pytest
from alpaca_openai import ChatOptions, CompletionOptions
from alpaca_openai.server import Server
from alpaca_openai.teacher import OpenAITeacher
from openai_teachers import (  # noqa: F401
    DIALECTS,
    REQUEST,
    ask,
    environment,
    every_dialect,
    fail,
    fails,
    with_teacher,
    without_aiohttp,
)

from alpaca_core import ConfigError, MissingError


@pytest.fixture(params=["aiohttp", "httpx2"])
def transport(request, monkeypatch):
    """The SDK's two ways to speak HTTP."""
    if request.param == "httpx2":
        without_aiohttp(monkeypatch)


@pytest.mark.parametrize(
    ("options", "transport"),
    [*((options, "aiohttp") for options in DIALECTS.values()), (DIALECTS["chat"], "httpx2")],
    indirect=["transport"],
)
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
def test_each_fault_has_its_kind_and_is_sent_once(provider, transport, options, fault, meaning, billed):
    """The SDK's own retries are off: exactly one request arrives. ``fail`` looks for the key in all that is told."""
    server = provider(script=[fault])
    error = fail(server, options)
    assert (error.kind, error.billed) == (meaning, billed)
    assert server.stats()["requests"] == 1


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


def test_a_server_that_is_not_there_has_billed_nothing(transport):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        error = fail(url)
    assert (error.kind, error.billed) == ("connection", False) and url in error.message and "base_url" in error.hint


@pytest.mark.parametrize("options", [ChatOptions, CompletionOptions])
@pytest.mark.parametrize("url", ["127.0.0.1/v1", "localhost:9/v1", "ftp://127.0.0.1/v1"])
def test_an_address_without_its_protocol_is_refused(monkeypatch, options, url):
    with pytest.raises(ValueError, match="base_url must begin with http"):
        options(base_url=url)
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    with pytest.raises(ConfigError, match="OPENAI_BASE_URL must begin with http"):
        OpenAITeacher(options()).check()


@pytest.mark.parametrize("url", ["", "  "])
def test_an_address_that_is_set_and_empty_is_openais_own(monkeypatch, url):
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    server = Server("", "m")
    server.check()
    assert server.is_own and str(server.client.base_url) == "https://api.openai.com/v1/"


SECRETS = ["http://me:hunter2@127.0.0.1:9/v1", "https://hunter2@api.openai.com/v1", "me:hunter2@127.0.0.1/v1"]


@pytest.mark.parametrize("url", [*SECRETS, "http://127.0.0.1:9/v1?api-key=hunter2", "http://[::1/hunter2"])
def test_an_address_that_holds_a_secret_or_is_none_is_refused_and_not_shown(monkeypatch, url):
    with pytest.raises(ValueError, match="base_url (must hold no|is no address)") as caught:
        ChatOptions(base_url=url)
    assert "hunter2" not in str(caught.value)
    if "[" not in url:
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        with pytest.raises(ConfigError, match="OPENAI_BASE_URL must hold no") as caught:
            OpenAITeacher(ChatOptions()).check()
        assert "hunter2" not in caught.value.message


@pytest.mark.parametrize("place", ["me:hunter2@127.0.0.1:9/v1", "127.0.0.1:9/v1?key=hunter2"])
def test_no_error_shows_what_is_secret_in_an_address(monkeypatch, transport, place):
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://{place}")
    error = fail("")
    assert "127.0.0.1:9/v1" in error.message and "hunter2" not in error.message and not error.billed


@every_dialect
def test_a_request_that_cannot_be_put_together_is_refused_and_has_cost_nothing(provider, transport, options):
    server = provider()
    error = fails(ask, server, options, request=replace(REQUEST, prompt="half a pair: \ud800"))
    assert (error.kind, error.billed) == ("bad_request", False) and "surrogates not allowed" in error.message
    assert server.stats()["requests"] == 0


def test_a_question_can_be_cancelled_at_any_moment(provider, transport):
    async def session(teacher):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await teacher.complete(REQUEST)
        return await teacher.complete(REQUEST)

    assert with_teacher(provider(script=["hang"]), session).finish == "stop"


@contextmanager
def raw(reply: bytes):
    """A server that answers one request with these bytes, whatever they are, and hangs up."""

    def serve():
        connection, _ = listener.accept()
        with connection:
            while b"\r\n\r\n" not in connection.recv(65536):
                pass
            connection.sendall(reply)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        thread.join(10)


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"HELLO\r\n\r\n",
        HEAD + b"Content-Le",
        HEAD + b"Content-Length: many\r\n\r\n{}",
        HEAD + b"Content-Length: 90\r\n\r\n{",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}",
        HEAD + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
        HEAD + b"Content-Length: 3\r\n\r\n\xff\xfe\x00",
    ],
)
def test_an_answer_that_breaks_off_or_is_no_http_may_have_been_paid(transport, reply):
    with raw(reply) as url:
        error = fail(url)
    assert error.kind in ("connection", "server") and error.billed and "\n" not in error.message


def test_connections_are_closed_without_a_word(provider):
    """Also those that were in use when the end came. Python in its development mode tells of each that is not."""
    server = provider(script=["", "reset", "server", "hang", "hang"])
    code = f"""
import asyncio
from alpaca_core import Request, TeacherError
from alpaca_openai import ChatOptions
from alpaca_openai.teacher import OpenAITeacher

async def main():
    teacher = OpenAITeacher(ChatOptions(base_url={server.url!r}))
    asked = [asyncio.create_task(teacher.complete(Request(k=k, prompt=str(k)))) for k in range(5)]
    await asyncio.wait(asked, timeout=0.5)
    asked[-1].cancel()
    await teacher.aclose()
    print(sum(task.done() for task in asked))

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-X", "dev", "-c", code], capture_output=True, text=True, timeout=60)
    assert "Unclosed" not in done.stderr and "ResourceWarning" not in done.stderr, done.stderr


def test_where_the_way_out_is_a_socks_proxy_the_sdks_own_transport_is_taken(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "socks5://127.0.0.1:1")
    monkeypatch.setattr("openai.DefaultAioHttpClient", lambda **_: pytest.fail("aiohttp would speak HTTP to it"))
    try:
        Server("https://127.0.0.1:1/v1", "m")
    except ImportError as exc:  # it needs a package for that
        assert "socksio" in str(exc)


@pytest.mark.parametrize("key", ["sk-abc def", "sk-abc\ndef", "“sk-abcdef”"])
def test_a_key_that_cannot_be_one_is_told_before_anything_is_sent(monkeypatch, key):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(MissingError) as caught:
        Server("", "m").check()
    assert key not in caught.value.message
