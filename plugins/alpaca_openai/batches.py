"""OpenAI's Batch API: a file of requests, answered within a day for half the price."""

# ruff: noqa: TID253 - loaded on first use only

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from typing import Any, TypeVar

import openai
from openai.types import Batch

from alpaca_core import BatchStatus, Completion, Request, TeacherError
from alpaca_openai.adaptation import Adaptation
from alpaca_openai.dialects import Dialect, nested
from alpaca_openai.failures import Problem, Refusal, explain, explain_problem, reading
from alpaca_openai.server import Server

REQUESTS = 50_000  # in one batch, and
BYTES = 200_000_000  # in its file: developers.openai.com/api/docs/guides/batch
ENDED = ("completed", "expired", "cancelled")
NOT_RUN = ("batch_expired", "batch_cancelled")
DAY = 86_400.0  # seconds: by how much two clocks may differ
WAIT = openai.Timeout(120.0, connect=30.0)  # for each step of a call

T = TypeVar("T")


class Batches:
    """The batches of one teacher: what its requests say, and how their answers read, is the same as one by one."""

    def __init__(self, server: Server, dialect: Dialect, options: Any, adaptation: Adaptation) -> None:
        self._server = server
        self._dialect = dialect
        self._options = options
        self._adaptation = adaptation

    async def submit(self, key: str, requests: Sequence[Request]) -> str:
        """Upload the requests and start the batch."""
        stops = set()
        with tempfile.TemporaryFile() as file:
            for request in requests:
                body = self._adaptation.fit(request.k, self._dialect.body(self._options, request))
                if "stop" not in body:
                    stops.add(request.stop)
                line = {
                    "custom_id": f"{key}-{request.k:06d}",
                    "method": "POST",
                    "url": f"/v1{self._dialect.path}",
                    "body": nested(body),
                }
                file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
            file.seek(0)
            metadata = {"alpacakit": key, **_stop_note(stops), **_learnt_note(self._adaptation.learnt)}
            files, batches = self._server.client.files, self._server.client.batches
            uploaded = await self._call(files.create(file=(f"{key}.jsonl", file), purpose="batch", timeout=WAIT))
        with reading(self._server.name):
            started = batches.create(
                input_file_id=uploaded.id,
                endpoint=f"/v1{self._dialect.path}",  # type: ignore[arg-type]
                completion_window="24h",
                metadata=metadata,
                timeout=WAIT,
            )
            return (await self._call(started)).id

    async def find(self, key: str, since: float) -> str | None:
        """The batch whose metadata hold ``key``. The list is the newest first, but that is not relied on."""
        page = await self._call(self._server.client.batches.list(limit=100, timeout=WAIT))
        with reading(self._server.name):
            while True:
                for batch in page.data:
                    if (batch.metadata or {}).get("alpacakit") == key:
                        return batch.id
                times = [batch.created_at for batch in page.data]
                if not page.has_next_page() or times[0] >= times[-1] < since - DAY:
                    return None
                page = await self._call(page.get_next_page())

    async def status(self, batch: str) -> BatchStatus:
        """Where the batch stands. One that the provider's validation refused says why. One that only was
        too large for what the account may have waiting has ended, with nothing done: smaller ones may go through."""
        found = await self._retrieve(batch)
        with reading(self._server.name):
            if not found.status:
                raise LookupError("no status")
            counts = found.request_counts
            done, total = (counts.completed + counts.failed, counts.total) if counts else (0, 0)
            if found.status != "failed":
                return BatchStatus(found.status in ENDED, done, total, found.status)
            errors = (found.errors and found.errors.data) or []
            code, text = (errors[0].code or "", errors[0].message or "") if errors else ("", "")
            problem = Problem.of(400, {"code": code, "message": text or code or "it does not say why"})
            if code == "token_limit_exceeded" or "enqueued token" in text.lower():
                return BatchStatus(True, 0, total, f"failed: {problem.text}")
            where = f" (line {errors[0].line})" if errors and errors[0].line else ""
            more = f", and {len(errors) - 1:,} more errors" if len(errors) > 1 else ""
        failure = explain_problem(problem, self._server.model, self._server.name)
        if failure.kind == "bad_request":
            told = f"{self._server.name} refused the batch: {problem.text}{where}{more}"
            failure = TeacherError("bad_request", told)
        return BatchStatus(True, 0, total, "failed", failure)

    async def results(self, batch: str) -> AsyncIterator[tuple[int, Completion | TeacherError]]:
        """What the batch's two files hold: answers in one, errors in the other. What was not run is left out."""
        found = await self._retrieve(batch)
        with reading(self._server.name):
            own = found.metadata or {}
            stop = json.loads(own.get("stop") or "[]")
            files = [file for file in (found.output_file_id, found.error_file_id) if file]
            learnt = json.loads(own["learnt"]) if "learnt" in own else self._adaptation.learnt
            sent = self._adaptation.fit(-1, self._example(-1), learnt)
        for file in files:
            async for line in self._lines(file):
                with reading(self._server.name):
                    row = json.loads(line)
                    key, _, k = row["custom_id"].rpartition("-")
                    is_own = key == own.get("alpacakit", key)  # not every server gives the metadata back
                    result = self._result(int(k), row, stop, sent) if is_own else None
                if result is not None:
                    yield int(k), result

    def _result(
        self, k: int, row: Mapping[str, Any], stop: Sequence[str], sent: Mapping[str, Any]
    ) -> Completion | TeacherError | None:
        """What one line brought; None where the provider did not get to the request."""
        response, error = row.get("response"), row.get("error") or {}
        if not response:
            if error.get("code") in NOT_RUN:
                return None
            return TeacherError("server", f"{self._server.name}: {error.get('message') or 'no answer'}")
        if response["status_code"] != 200:
            problem = Problem.of(response["status_code"], response["body"])
            failure = explain_problem(problem, self._server.model, self._server.name)
            if isinstance(failure, Refusal) and self._adaptation.heed(k, self._example(k), sent, problem):
                return TeacherError("server", failure.message)  # another try says what the model takes
            return failure
        try:
            with reading(self._server.name):
                return self._dialect.read(response["body"], stop)
        except TeacherError as failure:
            return failure

    def _example(self, k: int) -> dict[str, Any]:
        """A body with all the parameters that this teacher ever sends, since a batch's own are not at hand any more. It
        asks for more than any of those, so that whatever shortens an answer shortens this one."""
        return self._dialect.body(self._options, Request(k=k, prompt="", stop=("",), schema={}, max_tokens=sys.maxsize))

    async def _lines(self, file: str) -> AsyncIterator[bytes]:
        """The lines of a file, as they come in: they may be many, and long. Only a newline ends one."""
        failure = None
        try:
            reader = self._server.client.files.with_streaming_response.content(file, timeout=WAIT)
            async with reader as response:
                rest = b""
                async for chunk in response.iter_bytes():
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in lines:
                        if line.strip():
                            yield line
            if rest.strip():
                yield rest
        except Exception as exc:
            failure = self._explain(exc)
        if failure is not None:
            raise failure

    async def _retrieve(self, batch: str) -> Batch:
        return await self._call(self._server.client.batches.retrieve(batch, timeout=WAIT))

    async def _call(self, work: Awaitable[T]) -> T:
        try:
            return await work
        except Exception as exc:
            failure = self._explain(exc)
        raise failure  # out here, so that no traceback leads to the SDK's error, which may quote the key

    def _explain(self, error: Exception) -> TeacherError:
        """``error`` in alpacakit's words. Handing in costs nothing, so no lost answer is billed; and what is not found
        is a batch or the whole API, not the model."""
        failure = explain(error, self._server.model, self._server.name)
        failure.billed = False
        if failure.kind == "not_found":
            return TeacherError(
                "not_found",
                f"{self._server.name} has no such batch, or no batches at all: {failure.message.partition(': ')[2]}",
                hint="Leave out --batch where a server has none.",
            )
        return failure


def _learnt_note(learnt: Mapping[str, Any]) -> dict[str, str]:
    """What was known of the model when the batch was sent: its refusals may be read more than once, and must mean the
    same each time."""
    note = json.dumps(learnt)
    return {"learnt": note} if len(note) <= 512 else {}


def _stop_note(stops: set[tuple[str, ...]]) -> dict[str, str]:
    """What the batch's metadata must hold for its answers to be ended at the stop strings that the model was not told
    of. Raises TeacherError where they have no place there."""
    if stops <= {()}:
        return {}
    note = json.dumps(min(stops), ensure_ascii=False)
    if len(stops) > 1 or len(note) > 512:
        raise TeacherError(
            "bad_request",
            "The requests of a batch differ in their stop strings, or those are very long, and this model takes none.",
            hint="Use another prompt, or leave out --batch.",
        )
    return {"stop": note}
