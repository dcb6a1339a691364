"""Anthropic's Message Batches in the tests' provider."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import provider_anthropic as api
from aiohttp import web
from provider_batches import Batch, Batches

ENDPOINT = api.ENDPOINTS["/v1/messages"]
NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class MessageBatches:
    def __init__(self, batches: Batches) -> None:
        self.batches = batches

    def routes(self) -> list[web.RouteDef]:
        def handler(work: Any, creates: bool = False) -> Any:
            return self.batches.handler(api, work, creates)

        return [
            web.post("/v1/messages/batches", handler(self.create, creates=True)),
            web.get("/v1/messages/batches", handler(self.show_list)),
            web.get("/v1/messages/batches/{id}", handler(self.show_one)),
            web.get("/v1/messages/batches/{id}/results", handler(self.read_results)),
            web.post("/v1/messages/batches/{id}/cancel", handler(self.cancel)),
        ]

    async def create(self, request: web.Request) -> web.StreamResponse:
        """Only the names are looked at here, as in the real one: what is wrong with a request is its result."""
        rows = (await request.json()).get("requests") or []
        names = [row["custom_id"] for row in rows]
        if not rows:
            return self.problem("requests: at least one request is required")
        for place, name in enumerate(names):
            if not NAME.fullmatch(name):
                return self.problem(f"requests.{place}.custom_id: must match ^[a-zA-Z0-9_-]{{1,64}}$")
        if len(set(names)) < len(names):
            return self.problem("requests: each custom_id must be unique")
        batch = Batch(
            f"msgbatch_{len(self.batches.all) + 1:06d}",
            api,
            ENDPOINT,
            {row["custom_id"]: row["params"] for row in rows},
        )
        self.batches.start(batch)
        return self.show(request, batch)

    def show(self, request: web.Request, batch: Batch) -> web.Response:
        return web.json_response(self.batch(request, batch))

    def batch(self, request: web.Request, batch: Batch) -> dict[str, Any]:
        """No request counts as anything but processing before the batch has ended."""
        counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
        if batch.ended:
            done = [status == 200 for status, _ in batch.results.values()]
            counts |= {"succeeded": sum(done), "errored": done.count(False), rest(batch): len(batch.without_result())}
        else:
            counts["processing"] = len(batch.requests)
        status = "ended" if batch.ended else "canceling" if batch.cancelled_at else "in_progress"
        return {
            "id": batch.id,
            "type": "message_batch",
            "processing_status": status,
            "request_counts": counts,
            "created_at": moment(batch.created),
            "expires_at": moment(batch.created + 24 * 3600),
            "ended_at": moment(batch.ended_at),
            "cancel_initiated_at": moment(batch.cancelled_at),
            "archived_at": None,
            "results_url": f"{request.url.origin()}/v1/messages/batches/{batch.id}/results" if batch.ended else None,
        }

    async def show_list(self, request: web.Request) -> web.StreamResponse:
        asked = request.query
        found, more = self.batches.page(
            "msgbatch_", after=asked.get("after_id"), before=asked.get("before_id"), limit=asked.get("limit")
        )
        return web.json_response(api.page([self.batch(request, batch) for batch in found], more))

    async def show_one(self, request: web.Request) -> web.StreamResponse:
        batch = self.batches.all.get(request.match_info["id"])
        return self.show(request, batch) if batch else self.missing()

    async def read_results(self, request: web.Request) -> web.StreamResponse:
        batch = self.batches.all.get(request.match_info["id"])
        if not batch:
            return self.missing()
        if not batch.ended:
            return self.problem("The batch has no results before it has ended.")
        rows = "".join(json.dumps(row) + "\n" for row in results(batch))
        return web.Response(body=rows.encode(), content_type="application/x-jsonl")

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        batch = self.batches.all.get(request.match_info["id"])
        if not batch:
            return self.missing()
        if batch.ended and not batch.cancelled_at:
            return self.problem("The batch has ended and cannot be canceled any more.")
        batch.cancel()
        return self.show(request, batch)

    def missing(self) -> web.Response:
        return web.json_response(api.problem("not_found_error", "No such batch."), status=404)

    def problem(self, text: str) -> web.Response:
        return web.json_response(api.problem("invalid_request_error", text), status=400)


def results(batch: Batch) -> list[dict[str, Any]]:
    """The rows of the results of a batch that has ended, in the order in which they were done."""
    rows = []
    for name, (status, body) in batch.results.items():
        if status == 200:
            message = body | {"usage": body["usage"] and body["usage"] | {"service_tier": "batch"}}
            rows.append({"custom_id": name, "result": {"type": "succeeded", "message": message}})
        else:
            rows.append({"custom_id": name, "result": {"type": "errored", "error": body}})
    return rows + [{"custom_id": name, "result": {"type": rest(batch)}} for name in batch.without_result()]


def rest(batch: Batch) -> str:
    """What became of the requests that were not got to."""
    return "expired" if batch.ended == "expired" else "canceled"


def moment(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
