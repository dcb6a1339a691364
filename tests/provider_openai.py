"""OpenAI's protocols in the tests' provider: Completions, Chat Completions and Responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provider_answers import Answer, Asked, Endpoint
from provider_limits import Limits

REQUIRED: set[str] = set()  # headers
ERRORS = {
    "rate_limit": (429, "rate_limit_exceeded", "Rate limit reached for requests"),
    "server": (500, "server_error", "The server had an error while processing your request"),
    "overloaded": (503, "overloaded", "The engine is currently overloaded"),
    "auth": (401, "invalid_api_key", "Incorrect API key provided: {key}."),
    "permission": (403, "forbidden", "This project has no access to the model"),
    "not_found": (404, "model_not_found", "The model does not exist"),
    "bad_request": (400, "context_length_exceeded", "This model's maximum context length is 4097 tokens"),
    "quota": (429, "insufficient_quota", "You exceeded your current quota, please check your plan and billing details"),
    "credit": (429, "billing_not_active", "Your account is not active, please check your billing details"),
}


# ---- what is the same for all of them ------------------------------------------------------------


def key(headers: Mapping[str, str]) -> str:
    return headers.get("Authorization", "").removeprefix("Bearer ")


def problem(code: str, text: str, param: str = "") -> dict[str, Any]:
    """The body of an error."""
    return {"error": {"message": text, "type": "invalid_request_error", "param": param or None, "code": code}}


def unsupported(name: str, value: Any = None) -> tuple[str, str]:
    """The code and the text for a parameter that a model does not take, or not with this value."""
    if value is None:
        return "unsupported_parameter", f"Unsupported parameter: '{name}' is not supported with this model."
    return "unsupported_value", f"Unsupported value: '{name}' does not support '{value}' with this model."


def too_long(context: int, prompt: int, most: int) -> tuple[str, str]:
    return "context_length_exceeded", (
        f"This model's maximum context length is {context} tokens, however you requested {prompt + most} "
        f"tokens ({prompt} in your prompt; {most} for the completion). Please reduce your prompt."
    )


def too_long_at_vllm(context: int, prompt: int, most: int) -> tuple[str, str]:
    """As vLLM says it, which counts no more of a prompt than it must to know that it is too long."""
    if most > context:
        return "", f"max_tokens={most} cannot be greater than max_model_len=max_total_tokens={context}."
    return "", (
        f"You passed {min(prompt, context - most + 1)} input tokens and requested {most} output tokens. However, the "
        f"model's context length is only {context} tokens, resulting in a maximum input length of {context - most} "
        "tokens. Please reduce the length of the input prompt."
    )


def headers(limits: Limits) -> dict[str, str]:
    found = {}
    for name, bucket, unlimited in (("requests", limits.requests, 60_000), ("tokens", limits.tokens, 150_000_000)):
        limit, left, seconds = bucket.left(unlimited)
        found[f"x-ratelimit-limit-{name}"] = str(limit)
        found[f"x-ratelimit-remaining-{name}"] = str(left)
        found[f"x-ratelimit-reset-{name}"] = f"{seconds:.3f}s"
    return found


def usage(answer: Answer) -> dict[str, Any]:
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "total_tokens": answer.prompt_tokens + answer.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": answer.thought_tokens},
    }


def content(given: str | list[dict[str, Any]]) -> str:
    """A message's text, also where it comes in parts."""
    return given if isinstance(given, str) else "".join(part.get("text", "") for part in given)


def stops(body: dict[str, Any]) -> tuple[str, ...]:
    stop = body.get("stop") or ()
    return (stop,) if isinstance(stop, str) else tuple(stop)


# ---- POST /v1/completions ------------------------------------------------------------------------


def read_completion(body: dict[str, Any]) -> Asked:
    return Asked(body["model"], body["prompt"], body.get("max_tokens") or 16, stops(body), chat=False)


def shape_completion(answer: Answer) -> dict[str, Any]:
    finish = "stop" if answer.ending == "refusal" else answer.ending
    choice = {"index": 0, "finish_reason": finish, "text": answer.text}
    return envelope(answer, "text_completion", choice)


def envelope(answer: Answer, kind: str, choice: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"reply-{answer.name}",
        "object": kind,
        "created": 0,
        "model": answer.model,
        "choices": [choice],
        "usage": usage(answer),
    }


# ---- POST /v1/chat/completions -------------------------------------------------------------------


def read_chat(body: dict[str, Any]) -> Asked:
    prompt = "\n".join(content(message["content"]) for message in body["messages"])
    most = body.get("max_completion_tokens") or body.get("max_tokens")
    return Asked(body["model"], prompt, most, stops(body), thinks=body.get("reasoning_effort") != "none")


def shape_chat(answer: Answer) -> dict[str, Any]:
    refused = answer.ending == "refusal"
    message = {
        "role": "assistant",
        "content": None if refused else answer.text,
        "refusal": answer.text if refused else None,
    }
    finish = "stop" if refused else answer.ending
    return envelope(answer, "chat.completion", {"index": 0, "finish_reason": finish, "message": message})


# ---- POST /v1/responses --------------------------------------------------------------------------


def check_response(body: dict[str, Any]) -> str:
    if not body.get("input"):
        return "One of 'input' or 'prompt' must be provided."
    if unknown := {"stop", "n", "seed", "messages", "max_tokens", "max_completion_tokens"} & body.keys():
        return f"Unknown parameter: '{sorted(unknown)[0]}'."
    return ""


def read_response(body: dict[str, Any]) -> Asked:
    given = body["input"]
    parts = [given] if isinstance(given, str) else [content(item["content"]) for item in given]
    prompt = "\n".join(([body["instructions"]] if body.get("instructions") else []) + parts)
    effort = (body.get("reasoning") or {}).get("effort")
    return Asked(body["model"], prompt, body.get("max_output_tokens"), thinks=effort != "none")


def shape_response(answer: Answer) -> dict[str, Any]:
    reason = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(answer.ending)
    status = "incomplete" if reason else "completed"
    if answer.ending == "refusal":
        part: dict[str, Any] = {"type": "refusal", "refusal": answer.text}
    else:
        part = {"type": "output_text", "text": answer.text, "annotations": []}
    thought = {"id": f"rs_{answer.name}", "type": "reasoning", "summary": []}
    message = {"id": f"msg_{answer.name}", "type": "message", "role": "assistant", "status": status, "content": [part]}
    thought_only = not answer.text and answer.ending == "length"
    return {
        "id": f"resp_{answer.name}",
        "object": "response",
        "created_at": 0,
        "model": answer.model,
        "status": status,
        "incomplete_details": {"reason": reason} if reason else None,
        "error": None,
        "output": ([thought] if answer.thought_tokens else []) + ([] if thought_only else [message]),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": answer.prompt_tokens,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": answer.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": answer.thought_tokens},
            "total_tokens": answer.prompt_tokens + answer.completion_tokens,
        },
    }


# ---- GET /v1/models ------------------------------------------------------------------------------


def model(name: str, shutdown: str | None) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "tests", "shutdown_date": shutdown}


def models(shutdown: Mapping[str, str | None]) -> dict[str, Any]:
    return {"object": "list", "data": [model(*item) for item in shutdown.items()]}


ENDPOINTS = {
    "/v1/completions": Endpoint(read_completion, shape_completion),
    "/v1/chat/completions": Endpoint(read_chat, shape_chat),
    "/v1/responses": Endpoint(read_response, shape_response, check_response),
}
