"""What the tests of Anthropic's teacher share: asking it, and what its provider says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from alpaca_anthropic import MessagesOptions
from alpaca_anthropic.teacher import AnthropicTeacher
from openai_teachers import script

from alpaca_core import Request, TeacherError

KEY = "sk-ant-test-1234567890abcdef"
REQUEST = Request(
    k=0, prompt="Write tasks.\n", system="Be brief.", input="About bees.", prefix="1. Instruction:", max_tokens=3072
)


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.delenv("ANTHROPIC_BASE_URL", raising=False)


def with_teacher(server, work: Callable[[AnthropicTeacher], Any], **values):
    """What ``work``, a coroutine function, does with a teacher of ``server``."""
    teacher = AnthropicTeacher(MessagesOptions(base_url=server if isinstance(server, str) else server.url, **values))

    async def session():
        try:
            return await work(teacher)
        finally:
            await teacher.aclose()

    return asyncio.run(session())


def ask(server, request=REQUEST, **values):
    return with_teacher(server, lambda teacher: teacher.complete(request), **values)


def fail(server, **values):
    with pytest.raises(TeacherError) as caught:
        ask(server, **values)
    return caught.value


def hear(status, body):
    """What the teacher makes of this answer."""
    with script({"POST /v1/messages": (status, body)}) as server:
        return ask(server)


def message(text="1. Instruction: Count.", reason="end_turn", usage=None, **more):
    """An answer as a model gives it."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-5-5",
        "content": [{"type": "text", "text": text}],
        "stop_reason": reason,
        "usage": usage or {"input_tokens": 5, "output_tokens": 7},
        **more,
    }


def wrong(text, kind="invalid_request_error", status=400, code=None):
    """An error answer: its status and its body."""
    details = {"details": {"error_code": code}} if code else {}
    return status, {"type": "error", "error": {"type": kind, "message": text, **details}, "request_id": "req_1"}
