"""A provider on loopback for tests of teachers: it answers, fails, stalls or hangs up as it is told.

It speaks the forms that most servers speak, by the end of the path: ``/chat/completions``, ``/completions`` and
``/responses`` as OpenAI has them, ``/messages`` as Anthropic has it.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

TEXT = "1. Instruction: Say yes.\n1. Input:\n<noinput>\n1. Output:\nYes."
STALL = 1.2  # seconds that a stalled answer takes at most


class FakeProvider:
    """A server to give a teacher as its ``base_url``; a context manager.

        with FakeProvider() as provider:
            provider.status = 429
            provider.headers = {"Retry-After": "7"}
            ...  # ask the teacher, whose base_url is provider.url

    ``status`` is that of the next answers. ``trouble`` is "" or one of ``stall`` (the answer comes late), ``hangup``
    (the connection ends before it) and ``garbage`` (it is no JSON). ``paths`` are those that were asked.
    """

    def __init__(self) -> None:
        self.status = 200
        self.headers: dict[str, str] = {}
        self.trouble = ""
        self.paths: list[str] = []
        self.unknown: set[str] = set()  # paths of no form that it speaks
        self._released = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> FakeProvider:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
        self._server.shutdown()
        self._server.server_close()

    def wait(self) -> None:
        """Keep an answer back until ``release``, at most ``STALL`` seconds."""
        self._released.wait(STALL)

    def release(self) -> None:
        """End the trouble, and let go of what is kept back."""
        self.trouble = ""
        self._released.set()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is what is tried here."""


def _handler(provider: FakeProvider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
            path = self.path.partition("?")[0]
            provider.paths.append(path)
            trouble = provider.trouble
            if trouble == "stall":
                provider.wait()
            if trouble in ("hangup", "stall"):
                self.close_connection = True
                return
            status, body = provider.status, _failure(provider.status)
            if status == 200:
                body = _answer(path, asked)
                if not body:
                    provider.unknown.add(path)
                    status, body = 404, _failure(404)
            self._send(status, b"<html>busy</html>" if trouble == "garbage" else json.dumps(body).encode())

        def do_GET(self) -> None:
            self._send(404, json.dumps(_failure(404)).encode())

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **provider.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


_KINDS = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error"}


def _failure(status: int) -> dict[str, Any]:
    kind = _KINDS.get(status, "rate_limit_error" if status == 429 else "api_error")
    return {"type": "error", "error": {"type": kind, "message": f"The kit's answer of status {status}.", "code": None}}


def _answer(path: str, asked: dict[str, Any]) -> dict[str, Any]:
    """An answer in the form that goes with ``path``; {} where there is none."""
    about = {"id": "fake-1", "model": asked.get("model") or "fake", "created": 0}
    usage = {"prompt_tokens": 11, "completion_tokens": 17, "total_tokens": 28}
    if path.endswith("/chat/completions"):
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": TEXT}}
        return {**about, "object": "chat.completion", "choices": [choice], "usage": usage}
    if path.endswith("/completions"):
        choice = {"index": 0, "finish_reason": "stop", "text": TEXT, "logprobs": None}
        return {**about, "object": "text_completion", "choices": [choice], "usage": usage}
    counted = {"input_tokens": 11, "output_tokens": 17, "total_tokens": 28}
    if path.endswith("/responses"):
        content = [{"type": "output_text", "text": TEXT, "annotations": []}]
        said = {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": content}
        return {**about, "object": "response", "status": "completed", "output": [said], "usage": counted}
    if path.endswith("/messages"):
        content = [{"type": "text", "text": TEXT}]
        ends = {"stop_reason": "end_turn", "stop_sequence": None}
        return {**about, "type": "message", "role": "assistant", "content": content, **ends, "usage": counted}
    return {}
