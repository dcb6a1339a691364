"""Anthropic's protocol in the tests' provider: Messages."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

from provider_answers import Answer, Asked, Endpoint
from provider_limits import Bucket, Limits

ERRORS = {
    "rate_limit": (429, "rate_limit_error", "This request would exceed your organization's rate limit"),
    "server": (500, "api_error", "Internal server error"),
    "overloaded": (529, "overloaded_error", "Overloaded"),
    "auth": (401, "authentication_error", "invalid x-api-key: {key}"),
    "permission": (403, "permission_error", "Your API key does not have permission to use this model"),
    "not_found": (404, "not_found_error", "model: not known here"),
    "bad_request": (400, "invalid_request_error", "prompt is too long: 201000 tokens > 200000 maximum"),
    "quota": (402, "billing_error", "There is an issue with your organization's billing"),
    "credit": (400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API."),
}
REQUIRED = {"anthropic-version"}  # headers
# The parameters that the version 2026-10-21 of the API takes. Any other is refused.
KNOWN = set(
    "max_tokens messages model cache_control container diagnostics inference_geo metadata output_config service_tier "
    "speed stop_sequences stream system thinking tool_choice tools".split()
)
SAMPLING = {"temperature", "top_p", "top_k"}


# ---- what the real one does with every request ---------------------------------------------------


def key(headers: Mapping[str, str]) -> str:
    """The SDK sends it as a bearer token since version 2, other clients in a header of its own."""
    return headers.get("x-api-key") or headers.get("Authorization", "").removeprefix("Bearer ")


def problem(kind: str, text: str, param: str = "") -> dict[str, Any]:
    """The body of an error."""
    return {"type": "error", "error": {"type": kind, "message": text}, "request_id": "req_test"}


def unsupported(name: str, value: Any = None) -> tuple[str, str]:
    """The kind and the text for a parameter that a model does not take, or not with this value."""
    if name == "output_config.effort" and value is None:
        return "invalid_request_error", "This model does not support the effort parameter."
    if value is None:
        return "invalid_request_error", f"{name}: Extra inputs are not permitted"
    name = "thinking.type" if name == "thinking" else name
    return "invalid_request_error", f'"{name}.{value}" is not supported for this model.'


def too_long(context: int, prompt: int, most: int) -> tuple[str, str]:
    if prompt > context:
        return "invalid_request_error", f"prompt is too long: {prompt} tokens > {context} maximum"
    return "invalid_request_error", (
        f"input length and `max_tokens` exceed context limit: {prompt} + {most} > {context}, decrease input length or "
        "`max_tokens` and try again"
    )


def headers(limits: Limits) -> dict[str, str]:
    """Times are those when a limit is whole again; tokens are rounded to thousands, as the real ones are."""
    found = {"request-id": "req_test"}
    buckets = {"requests": limits.requests, "input-tokens": limits.input, "output-tokens": limits.output}
    counts = {name: _left(name, bucket) for name, bucket in buckets.items()}
    inward, outward = counts["input-tokens"], counts["output-tokens"]
    together = (inward[0] + outward[0], inward[1] + outward[1], max(inward[2], outward[2]))
    counts["tokens"] = _left("tokens", limits.tokens) if limits.tokens.per_minute else together
    for name, (limit, left, seconds) in counts.items():
        found[f"anthropic-ratelimit-{name}-limit"] = str(limit)
        found[f"anthropic-ratelimit-{name}-remaining"] = str(left)
        found[f"anthropic-ratelimit-{name}-reset"] = moment(math.ceil(time.time() + seconds))
    return found


def _left(name: str, bucket: Bucket) -> tuple[int, int, float]:
    limit, left, seconds = bucket.left(4_000 if name == "requests" else 400_000_000)
    return limit, left if name == "requests" else min(limit, round(left, -3)), seconds


def moment(seconds: float) -> str:
    """A time as RFC 3339 has it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


# ---- POST /v1/messages ---------------------------------------------------------------------------


def check(body: dict[str, Any]) -> str:
    """What is wrong with a request whatever the model, or ""."""
    for name in body:
        if name in SAMPLING:
            return f"`{name}` is deprecated for this model."
        if name not in KNOWN:
            return f"{name}: Extra inputs are not permitted"
    for name in ("max_tokens", "messages", "model"):
        if name not in body:
            return f"{name}: Field required"
    if not body["messages"]:
        return "messages: at least one message is required"
    if body["messages"][-1]["role"] != "user":
        return "This model does not support assistant message prefill. The conversation must end with a user message."
    if any(not stop.strip() for stop in body.get("stop_sequences", ())):
        return "stop_sequences: each stop sequence must contain non-whitespace"
    return ""


def content(given: str | list[dict[str, Any]]) -> str:
    return given if isinstance(given, str) else "".join(block.get("text", "") for block in given)


def read(body: dict[str, Any]) -> Asked:
    parts = [content(body[name]) for name in ("system",) if body.get(name)]
    prompt = "\n".join(parts + [content(message["content"]) for message in body["messages"]])
    thinks = (body.get("thinking") or {}).get("type") not in ("disabled", "between_tools")
    return Asked(body["model"], prompt, body["max_tokens"], tuple(body.get("stop_sequences", ())), thinks)


def shape(answer: Answer) -> dict[str, Any]:
    refused = answer.ending == "refusal"
    thought = [{"type": "thinking", "thinking": "", "signature": "c2lnbmVk"}] if answer.thought_tokens else []
    text = [{"type": "text", "text": answer.text}] if answer.text and not refused else []
    reasons = {"length": "max_tokens", "content_filter": "refusal", "refusal": "refusal"}
    reason = reasons.get(answer.ending) or ("stop_sequence" if answer.mark else "end_turn")
    details = {"type": "refusal", "category": None, "explanation": answer.text if refused else None}
    return {
        "id": f"msg_{answer.name}",
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": thought + text,
        "stop_reason": reason,
        "stop_sequence": answer.mark or None,
        "stop_details": details if reason == "refusal" else None,
        "usage": {
            "input_tokens": answer.prompt_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": answer.completion_tokens,
            "output_tokens_details": {"thinking_tokens": answer.thought_tokens},
            "service_tier": "standard",
        },
    }


# ---- GET /v1/models ------------------------------------------------------------------------------


def model(name: str, shutdown: str | None) -> dict[str, Any]:
    return {
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": moment(0),
        "lifecycle": "deprecated" if shutdown else "active",
        "deprecated_at": moment(0) if shutdown else None,
        "retires_at": f"{shutdown}T00:00:00Z" if shutdown else None,
    }


def models(shutdown: Mapping[str, str | None]) -> dict[str, Any]:
    return page([model(*item) for item in shutdown.items()])


def page(data: list[dict[str, Any]], more: bool = False) -> dict[str, Any]:
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
    return {"data": data, "has_more": more, **ends}


ENDPOINTS = {"/v1/messages": Endpoint(read, shape, check)}
