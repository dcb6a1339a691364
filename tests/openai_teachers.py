"""What the tests of OpenAI's teachers share: asking one, and a server that says exactly what a test tells it to."""

from __future__ import annotations

import asyncio
import json
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from alpaca_openai import ChatOptions, CompletionOptions
from alpaca_openai.teacher import OpenAITeacher

from alpaca_core import Request, TeacherError

KEY = "sk-test-1234567890abcdef"
DIALECTS = {"chat": ChatOptions, "responses": partial(ChatOptions, api="responses"), "completions": CompletionOptions}
every_dialect = pytest.mark.parametrize("options", DIALECTS.values(), ids=DIALECTS.keys())
REQUEST = Request(
    k=0, prompt="Write tasks.\n", system="Be brief.", input="About bees.", prefix="1. Instruction:", max_tokens=3072
)


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def without_aiohttp(monkeypatch):
    """As where it is not installed: the SDK then says so."""

    def missing(**_):
        raise RuntimeError("the aiohttp extra is missing")

    monkeypatch.setattr("openai.DefaultAioHttpClient", missing)


def with_teacher(server, work: Callable[[OpenAITeacher], Any], options=ChatOptions, **values):
    """What ``work``, a coroutine function, does with a teacher of ``server``."""
    teacher = OpenAITeacher(options(base_url=server if isinstance(server, str) else server.url, **values))

    async def session():
        try:
            return await work(teacher)
        finally:
            await teacher.aclose()

    return asyncio.run(session())


def ask(server, options=ChatOptions, *, request=REQUEST, times=1, **values):
    """The answers to the same question, asked ``times`` times of one teacher, one after the other."""

    async def asking(teacher):
        return [await teacher.complete(request) for _ in range(times)]

    return with_teacher(server, asking, options, **values)


def fails(work: Callable[..., Any], *args: Any, **more: Any) -> TeacherError:
    """The error that ``work`` ends with. No text of it shows the key, nor does its traceback."""
    with pytest.raises(TeacherError) as caught:
        work(*args, **more)
    told = "".join(traceback.format_exception(caught.value)) + caught.value.message + caught.value.hint
    assert KEY not in told and "sk-" not in told
    return caught.value


def fail(server, options=ChatOptions, **values):
    return fails(ask, server, options, **values)


class Script:
    """A server on loopback. ``says`` gives the answer to ``GET /v1/models`` and the like: a status and a body (text as
    it is, anything else as JSON), or a list of such answers, the last of which holds from then on. What arrives is in
    ``requests``, and in ``bodies`` if it is JSON; what is not in ``says`` is a 404."""

    def __init__(self, says: Mapping[str, Any], wait: float = 0.0) -> None:
        self.says, self.wait = says, wait
        self.requests: list[str] = []
        self.bodies: list[Any] = []
        self.leaving = threading.Event()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = f"{handler.command} {handler.path.partition('?')[0]}"
        self.requests.append(path)
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        if handler.headers.get("Content-Type") == "application/json":
            self.bodies.append(json.loads(body))
        self.leaving.wait(self.wait)
        said = self.says.get(path) or (404, {"error": {"message": "no such thing"}})
        if isinstance(said, list):
            said = said.pop(0) if len(said) > 1 else said[0]
        status, body = said
        text = body if isinstance(body, str) else json.dumps(body)
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(text.encode())))
        handler.end_headers()
        handler.wfile.write(text.encode())


@contextmanager
def script(says: Mapping[str, Any], wait: float = 0.0) -> Iterator[Script]:
    """A Script that runs while it is entered."""
    told = Script(says, wait)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        do_GET = do_POST = lambda self: told.answer(self)
        log_message = lambda *_: None  # noqa: E731

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        told.url = f"http://127.0.0.1:{server.server_port}/v1"
        try:
            yield told
        finally:
            told.leaving.set()
            server.shutdown()
