"""Message Batches: many requests at once, answered within a day for half the price.

A batch has no place for a key of ours but the names of its requests, which can be read once it has ended.
"""

# ruff: noqa: TID253 - loaded on first use only

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from typing import Any

import anthropic
import httpx2

from alpaca_anthropic import MessagesOptions
from alpaca_anthropic.adaptation import Adaptation
from alpaca_anthropic.failures import Problem, Refusal, explain, explain_problem, reading
from alpaca_anthropic.headers import now_at_server
from alpaca_anthropic.messages import body_of, completion_of, nested
from alpaca_anthropic.server import Server
from alpaca_core import BatchStatus, Completion, Request, TeacherError

REQUESTS = 100_000  # in one batch, and
BYTES = 256_000_000  # in all of them: platform.claude.com/docs/en/build-with-claude/batch-processing
PATH = "/v1/messages/batches"
WAIT = anthropic.Timeout(600.0, connect=30.0)  # for each step of a call
FIRST_POLL, LAST_POLL = 1.0, 60.0  # seconds
# An error in a batch has a type alone; this is the status that it has elsewhere: platform.claude.com/docs/en/api/errors
STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "overloaded_error": 529,
}
MARGIN = 300.0  # seconds by which a clock may have been put back since a batch was handed in


class Batches:
    """The batches of one teacher: what its requests say, and how their answers read, is the same as one by one."""

    def __init__(self, server: Server, options: MessagesOptions, adaptation: Adaptation) -> None:
        self._server = server
        self._options = options
        self._adaptation = adaptation

    async def submit(self, key: str, requests: Sequence[Request]) -> str:
        """Start a batch of ``requests``, each named ``key-000012``."""
        rows = [
            {
                "custom_id": f"{key}-{request.k:06d}",
                "params": nested(self._adaptation.fit(body_of(self._options, request))),
            }
            for request in requests
        ]
        started = await self._json("post", PATH, content=json.dumps({"requests": rows}).encode())
        with reading(self._server.name):
            return str(started["id"])

    async def find(self, key: str, since: float, total: int) -> str | None:
        """The batch whose requests have names with ``key``. One of the right size that has not ended is waited for."""
        for _, name in sorted(await self._likely(since, total)):
            wait = FIRST_POLL
            while not (await self.status(name)).ended:
                await asyncio.sleep(wait)
                wait = min(LAST_POLL, 1.5 * wait)
            async with aclosing(self._rows(name)) as rows:
                first = await anext(rows, None)
            with reading(self._server.name):
                if first and first["custom_id"].rpartition("-")[0] == key:
                    return name
        return None

    async def _likely(self, since: float, total: int) -> list[tuple[bool, str]]:
        """The batches of ``total`` requests that were made after ``since``: whether one must be waited for, and its
        name. The provider lists the newest first."""
        likely: list[tuple[bool, str]] = []
        earliest, query = 0.0, "limit=100"
        while True:
            raw = await self._call("get", f"{PATH}?{query}")
            earliest = earliest or since - MARGIN + now_at_server(raw.headers) - time.time()
            with reading(self._server.name):
                page = json.loads(raw.content)
                for batch in page["data"]:
                    if datetime.fromisoformat(batch["created_at"]).timestamp() < earliest:
                        return likely
                    if _total(batch) == total:
                        likely.append((batch["processing_status"] != "ended", str(batch["id"])))
                if not page.get("has_more"):
                    return likely
                query = f"limit=100&after_id={page['last_id']}"

    async def status(self, batch: str) -> BatchStatus:
        """Where ``batch`` stands. The provider counts no request as done before all of them are."""
        found = await self._json("get", f"{PATH}/{batch}")
        with reading(self._server.name):
            state, total = found["processing_status"], _total(found)
            return BatchStatus(state == "ended", total - found["request_counts"]["processing"], total, state)

    async def results(self, batch: str) -> AsyncIterator[tuple[int, Completion | TeacherError]]:
        """What ``batch`` brought. Requests that expired or were cancelled are left out."""
        async with aclosing(self._rows(batch)) as rows:
            async for row in rows:
                with reading(self._server.name):
                    k = int(row["custom_id"].rpartition("-")[2])
                    result = self._result(row["result"])
                if result is not None:
                    yield k, result

    def _result(self, result: Mapping[str, Any]) -> Completion | TeacherError | None:
        if result["type"] == "succeeded":
            try:
                with reading(self._server.name):
                    return completion_of(result["message"])
            except TeacherError as failure:
                return failure
        if result["type"] != "errored":
            return None
        problem = Problem.of(0, result["error"])
        problem = replace(problem, status=STATUS.get(problem.type, 500))
        failure = explain_problem(problem, self._server.model, self._server.name)
        if isinstance(failure, Refusal) and self._adaptation.heed(problem.text):
            return TeacherError("server", failure.message)  # another try says what the model takes
        return failure

    async def _rows(self, batch: str) -> AsyncGenerator[dict[str, Any]]:
        """The results of a batch that has ended, as they come in: they may be many, and long."""
        response = await self._call("get", f"{PATH}/{batch}/results", stream=True)
        failure = None
        try:
            rest = b""
            async for chunk in response.aiter_bytes():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in filter(bytes.strip, lines):
                    yield json.loads(line)
            if rest.strip():
                yield json.loads(rest)
        except Exception as exc:
            failure = self._explain(exc)
        finally:
            await response.aclose()
        if failure is not None:
            raise failure

    async def _json(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        raw = await self._call(method, path, **more)
        with reading(self._server.name):
            return dict(json.loads(raw.content))

    async def _call(self, method: str, path: str, *, content: bytes | None = None, stream: bool = False) -> Any:
        options: dict[str, Any] = {"timeout": WAIT}
        more: dict[str, Any] = {"stream": True, "stream_cls": anthropic.AsyncStream[Any]} if stream else {}
        if content is not None:
            more["content"] = content
            options["headers"] = {"Content-Type": "application/json"}
        send = getattr(self._server.client, method)
        try:
            return await send(path, cast_to=httpx2.Response, options=options, **more)
        except Exception as exc:
            failure = self._explain(exc)
        raise failure  # out here, so that no traceback leads to the SDK's error, which may quote the key

    def _explain(self, error: Exception) -> TeacherError:
        """``error`` in alpacakit's words. Handing in costs nothing, so no lost answer is billed; and what is not found
        is a batch or the whole API, not the model."""
        failure = explain(error, self._server.model, self._server.name)
        failure.billed = False
        status = error.status_code if isinstance(error, anthropic.APIStatusError) else 0
        if status in (404, 405, 501):
            told = failure.message.partition(": ")[2]
            return TeacherError(
                "not_found",
                f"{self._server.name} has no such batch, or no batches at all ({status}): {told}",
                hint="Leave out --batch where a server has none.",
            )
        return failure


def _total(batch: Mapping[str, Any]) -> int:
    return sum(batch["request_counts"].values())
