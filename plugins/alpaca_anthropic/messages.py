"""A Request as a body of the Messages API, and its answer as a Completion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from alpaca_anthropic import MessagesOptions
from alpaca_core import Completion, Request, Usage

# A turn that was paused is unfinished, as one that was cut off.
FINISHES = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "length",
    "refusal": "refusal",
}


def body_of(options: MessagesOptions, request: Request) -> dict[str, Any]:
    """What to send, by dotted name where it nests; None means that it is not sent. ``prefix`` is left to the model."""
    schema = request.schema
    return {
        "model": options.model,
        "max_tokens": request.max_tokens,
        "system": request.system or None,
        "messages": [{"role": "user", "content": "\n\n".join(filter(None, (request.prompt, request.input)))}],
        "stop_sequences": list(request.stop) or None,
        "thinking.type": options.thinking,
        "output_config.effort": options.effort,
        "output_config.format": None if schema is None else {"type": "json_schema", "schema": dict(schema)},
    }


def nested(body: Mapping[str, Any]) -> dict[str, Any]:
    """``body`` as it is sent: without what is None, dotted names unfolded."""
    unfolded: dict[str, Any] = {}
    for name, value in body.items():
        parent, _, child = name.rpartition(".")
        if value is not None:
            (unfolded.setdefault(parent, {}) if parent else unfolded)[child] = value
    return unfolded


def completion_of(message: Mapping[str, Any]) -> Completion:
    """The answer without its thoughts. Raises LookupError, TypeError and the like where it does not follow the
    protocol."""
    text = "".join(block["text"] for block in message["content"] if block["type"] == "text")
    finish = FINISHES.get(message.get("stop_reason") or "", "stop")
    if finish == "refusal":
        text = text or (message.get("stop_details") or {}).get("explanation") or ""
    used = message.get("usage") or {}
    read, written = used.get("cache_read_input_tokens") or 0, used.get("cache_creation_input_tokens") or 0
    return Completion(
        text=text,
        finish=finish,
        usage=Usage(
            prompt_tokens=(used.get("input_tokens") or 0) + read + written,
            completion_tokens=used.get("output_tokens") or 0,
            cached_tokens=read,
            reasoning_tokens=(used.get("output_tokens_details") or {}).get("thinking_tokens") or 0,
            cache_write_tokens=written,
        ),
        model=message.get("model") or "",
        id=message.get("id") or "",
    )
