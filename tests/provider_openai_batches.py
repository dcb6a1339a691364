"""OpenAI's files and batches in the tests' provider."""

from __future__ import annotations

import json
import time
from typing import Any

import provider_openai as api
from aiohttp import web
from provider_batches import Batch, Batches

NOT_RUN = {
    "expired": ("batch_expired", "This request could not be executed before the completion window expired."),
    "cancelled": ("batch_cancelled", "This request was not executed, as its batch was cancelled."),
}


class OpenAIBatches:
    """``models`` are the only ones known, if there are any."""

    def __init__(self, batches: Batches, models: set[str]) -> None:
        self.batches, self.models = batches, models
        self.files: dict[str, tuple[dict[str, Any], bytes]] = {}

    def routes(self) -> list[web.RouteDef]:
        def handler(work: Any, creates: bool = False) -> Any:
            return self.batches.handler(api, work, creates)

        return [
            web.post("/v1/files", handler(self.upload)),
            web.get("/v1/files/{id}", handler(self.show_file)),
            web.get("/v1/files/{id}/content", handler(self.read_file)),
            web.post("/v1/batches", handler(self.create, creates=True)),
            web.get("/v1/batches", handler(self.show_list)),
            web.get("/v1/batches/{id}", handler(self.show_one)),
            web.post("/v1/batches/{id}/cancel", handler(self.cancel)),
        ]

    # ---- files -----------------------------------------------------------------------------------

    async def upload(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        file = form.get("file")
        if not isinstance(file, web.FileField) or form.get("purpose") != "batch":
            return self.problem("Only files with the purpose 'batch' are taken here.", "purpose")
        return web.json_response(self.add_file(file.filename, "batch", file.file.read()))

    def add_file(self, filename: str, purpose: str, content: bytes) -> dict[str, Any]:
        file = {
            "id": f"file-{len(self.files) + 1:06d}",
            "object": "file",
            "bytes": len(content),
            "created_at": int(time.time()),
            "filename": filename,
            "purpose": purpose,
            "status": "processed",
        }
        self.files[file["id"]] = file, content
        return file

    async def show_file(self, request: web.Request) -> web.StreamResponse:
        found = self.files.get(request.match_info["id"])
        return web.json_response(found[0]) if found else self.missing("File")

    async def read_file(self, request: web.Request) -> web.StreamResponse:
        found = self.files.get(request.match_info["id"])
        return web.Response(body=found[1], content_type="application/jsonl") if found else self.missing("File")

    # ---- batches ---------------------------------------------------------------------------------

    async def create(self, request: web.Request) -> web.StreamResponse:
        """A batch is taken first and looked through later, as the real one does: what is wrong with its file comes
        with the status ``failed``."""
        asked = await request.json()
        metadata = asked.get("metadata") or {}
        if asked.get("endpoint") not in api.ENDPOINTS:
            return self.problem(f"Invalid value: '{asked.get('endpoint')}'.", "endpoint")
        if asked.get("completion_window") != "24h":
            return self.problem("Invalid value: the window must be '24h'.", "completion_window")
        if len(metadata) > 16 or any(len(name) > 64 or len(value) > 512 for name, value in metadata.items()):
            return self.problem("Invalid 'metadata': at most 16 pairs of 64 and 512 characters.", "metadata")
        if asked.get("input_file_id") not in self.files:
            return self.problem("Invalid 'input_file_id': no such file.", "input_file_id")
        requests, errors = self.read_input(self.files[asked["input_file_id"]][1], asked["endpoint"])
        name = f"batch_{len(self.batches.all) + 1:06d}"
        batch = Batch(name, api, api.ENDPOINTS[asked["endpoint"]], requests, {**asked, "errors": errors})
        if errors:
            batch.end("failed")
        self.batches.start(batch)
        return web.json_response(self.show(batch) | {"status": "validating", "errors": None})

    def read_input(self, content: bytes, endpoint: str) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
        """The requests of an input file by their names, and what is wrong with it."""
        requests: dict[str, dict[str, Any]] = {}
        errors, models = [], set()
        for number, line in enumerate(content.splitlines(), 1):
            try:
                row = json.loads(line)
                name, body, model = row["custom_id"], row["body"], row["body"]["model"]
            except (ValueError, LookupError, TypeError):
                errors.append(error("invalid_json_line", "This line is not a request.", number))
                continue
            models.add(model)
            if name in requests:
                errors.append(error("duplicate_custom_id", f"The custom_id {name} was used before.", number))
            if row.get("url") != endpoint or row.get("method") != "POST":
                errors.append(error("url_mismatch", f"The url must be {endpoint}, with the method POST.", number))
            if self.models and model not in self.models:
                errors.append(error("model_not_found", f"The provided model '{model}' does not exist.", number))
            requests[name] = body
        if len(models) > 1:
            errors.append(error("model_mismatch", "All requests of a batch must be for one model."))
        if not content.strip():
            errors.append(error("empty_file", "The input file is empty."))
        return requests, errors

    def show(self, batch: Batch) -> dict[str, Any]:
        if batch.ended in NOT_RUN or batch.ended == "completed":
            self.write_results(batch)
        given, end = batch.details, batch.ended_at and int(batch.ended_at)
        counts = [status == 200 for status, _ in batch.results.values()]
        return {
            "id": batch.id,
            "object": "batch",
            "endpoint": given["endpoint"],
            "input_file_id": given["input_file_id"],
            "completion_window": given["completion_window"],
            "metadata": given.get("metadata"),
            "status": batch.ended or ("cancelling" if batch.cancelled_at else "in_progress"),
            "errors": {"object": "list", "data": given["errors"]} if given["errors"] else None,
            "output_file_id": given.get("output_file_id"),
            "error_file_id": given.get("error_file_id"),
            "created_at": int(batch.created),
            "in_progress_at": int(batch.created),
            "expires_at": int(batch.created) + 24 * 3600,
            "cancelling_at": batch.cancelled_at and int(batch.cancelled_at),
            **{
                f"{ending}_at": end
                for ending in ("completed", "expired", "cancelled", "failed")
                if ending == batch.ended
            },
            "request_counts": {"total": len(batch.requests), "completed": sum(counts), "failed": counts.count(False)},
        }

    def write_results(self, batch: Batch) -> None:
        """The two files of a batch that has ended, once."""
        if "output_file_id" in batch.details:
            return
        answers, errors = [], []
        for name, (status, body) in batch.results.items():
            response = {"status_code": status, "request_id": f"req_{name}", "body": body}
            (answers if status == 200 else errors).append(result(name, response, None))
        if batch.ended in NOT_RUN:
            code, text = NOT_RUN[batch.ended]
            errors += [result(name, None, {"code": code, "message": text}) for name in batch.without_result()]
        for kind, rows in (("output", answers), ("error", errors)):
            content = "".join(json.dumps(row) + "\n" for row in rows).encode()
            file = self.add_file(f"{batch.id}_{kind}.jsonl", "batch_output", content) if rows else None
            batch.details[f"{kind}_file_id"] = file and file["id"]

    async def show_list(self, request: web.Request) -> web.StreamResponse:
        found, more = self.batches.page("batch_", after=request.query.get("after"), limit=request.query.get("limit"))
        ends = {"first_id": found[0].id, "last_id": found[-1].id} if found else {}
        data = [self.show(batch) for batch in found]
        return web.json_response({"object": "list", "data": data, "has_more": more, **ends})

    async def show_one(self, request: web.Request) -> web.StreamResponse:
        batch = self.batches.all.get(request.match_info["id"])
        return web.json_response(self.show(batch)) if batch else self.missing("Batch")

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        batch = self.batches.all.get(request.match_info["id"])
        if not batch:
            return self.missing("Batch")
        if batch.ended not in ("", "cancelled"):
            return self.problem(f"Cannot cancel a batch with status '{batch.ended}'.", status=409)
        batch.cancel()
        return web.json_response(self.show(batch))

    def missing(self, what: str) -> web.Response:
        return self.problem(f"No such {what} object.", "id", status=404)

    def problem(self, text: str, param: str = "", status: int = 400) -> web.Response:
        return web.json_response(api.problem("invalid_value", text, param), status=status)


def error(code: str, text: str, line: int | None = None) -> dict[str, Any]:
    return {"code": code, "message": text, "line": line, "param": None}


def result(name: str, response: dict[str, Any] | None, error: dict[str, Any] | None) -> dict[str, Any]:
    """A line of a file of results."""
    return {"id": f"batch_req_{name}", "custom_id": name, "response": response, "error": error}
