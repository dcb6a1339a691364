"""OpenAI's Chat Completions and Completions, as this side of the wire sees them: bodies to questions, answers to JSON.

The shapes are those of OpenAI's API reference. Beyond them, a user's message may have the key ``input``, the Alpaca
input field, or a part ``{"type": "input", "text": "..."}`` among its content.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any

from alpaca_core.records import Question, Usage

MOST = 16  # answers to one prompt, and stop strings
COMPLETION_TOKENS = 16  # of a completion without max_tokens, as at OpenAI

_BOTH = {"model", "stream", "stream_options", "max_tokens", "temperature", "top_p", "n", "stop", "seed"}
TAKEN = {
    "chat": _BOTH | {"messages", "max_completion_tokens", "input"},
    "completion": _BOTH | {"prompt"},
}

#: Means nothing to a model that runs here.
IGNORED = {
    *("user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"),
    "parallel_tool_calls",
}

#: What is not there, with the values that ask for nothing.
REFUSED: dict[str, tuple[Any, ...]] = {
    **{"tools": ([],), "tool_choice": ("none", "auto"), "functions": ([],), "function_call": ("none", "auto")},
    **{"response_format": ({"type": "text"},), "modalities": (["text"],), "audio": (), "prediction": ()},
    **{"logprobs": (False,), "top_logprobs": (0,), "logit_bias": ({},), "echo": (False,), "suffix": ("",)},
    **{"presence_penalty": (0,), "frequency_penalty": (0,), "best_of": (1,)},
    **{"reasoning_effort": ("none",), "verbosity": (), "web_search_options": ()},
}


class Refused(Exception):
    """A request that is not answered: the HTTP status, and what OpenAI's error shape holds."""

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        kind = "invalid_request_error" if status < 500 else "server_error"
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}


@dataclass(frozen=True)
class Call:
    """A body that was understood: ``n`` questions for each prompt, one for each choice of the reply."""

    kind: str  # chat, completion
    model: str
    questions: tuple[Question, ...]
    n: int = 1
    stream: bool = False
    stream_usage: bool = False
    id: str = field(default_factory=lambda: secrets.token_hex(12))
    created: int = field(default_factory=lambda: int(time.time()))

    def head(self, *, chunk: bool = False) -> dict[str, Any]:
        """What every reply and every chunk begins with."""
        prefix, name = ("chatcmpl", "chat.completion") if self.kind == "chat" else ("cmpl", "text_completion")
        name += ".chunk" if chunk and self.kind == "chat" else ""
        return {"id": f"{prefix}-{self.id}", "object": name, "created": self.created, "model": self.model}

    def choice(self, index: int, text: str, finish: str | None) -> dict[str, Any]:
        """An answer."""
        message = {"role": "assistant", "content": text, "refusal": None}
        said = {"message": message} if self.kind == "chat" else {"text": text}
        return {"index": index, **said, "logprobs": None, "finish_reason": finish}

    def piece(self, index: int, text: str, finish: str | None, *, first: bool) -> dict[str, Any]:
        """A piece of an answer."""
        delta = {**({"role": "assistant"} if first else {}), **({"content": text} if text or first else {})}
        said = {"delta": delta} if self.kind == "chat" else {"text": text}
        return {"index": index, **said, "logprobs": None, "finish_reason": finish}

    def usage(self, usages: Sequence[Usage]) -> dict[str, int]:
        """The tokens of all answers. A prompt counts once, however many answers it got."""
        prompt = sum(usage.prompt_tokens for usage in usages[:: self.n])
        written = sum(usage.completion_tokens for usage in usages)
        return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}


def read_call(kind: str, body: Any) -> Call:
    """What ``body``, read from JSON, asks for. Raises Refused, naming the field."""
    if not isinstance(body, dict):
        raise Refused(400, "The body must be a JSON object.")
    body = {name: value for name, value in body.items() if value is not None}
    _check_names(kind, body)
    n = _integer(body, "n", 1, MOST) or 1
    limit = _integer(body, "max_tokens", 1)
    if kind == "chat":
        limit = _integer(body, "max_completion_tokens", 1) or limit
        prompts = [Question(messages=tuple(_messages(body)))]
    else:
        limit = limit or COMPLETION_TOKENS
        prompts = [Question(text=text) for text in _prompts(body)]
    how: dict[str, Any] = {
        "max_tokens": limit,
        "temperature": _number(body, "temperature", 0, 2),
        "top_p": _number(body, "top_p", 0, 1, above=True),
        "stop": _stops(body),
    }
    seed = _integer(body, "seed")
    questions = [
        replace(prompt, **how, seed="" if seed is None else f"{seed}/{choice}")
        for prompt in prompts
        for choice in range(n)
    ]
    stream, options = _boolean(body, "stream"), body.get("stream_options", {})
    if not isinstance(options, dict) or (options and not stream):
        raise Refused(400, "'stream_options' is an object that goes with \"stream\": true.", param="stream_options")
    usage = _boolean(options, "include_usage")
    return Call(kind, _text(body.get("model", ""), "model"), tuple(questions), n, stream, usage)


def _check_names(kind: str, body: Mapping[str, Any]) -> None:
    for name, value in body.items():
        if name in TAKEN[kind] or name in IGNORED or any(value == harmless for harmless in REFUSED.get(name, ())):
            continue
        if name in REFUSED:
            raise Refused(400, f"'{name}' is not supported by this server.", param=name, code="unsupported_parameter")
        close = get_close_matches(name, TAKEN[kind], n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        raise Refused(400, f"Unknown parameter: '{name}'.{hint}", param=name, code="unknown_parameter")


def _messages(body: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """The messages, their content as text. ``input`` beside them is that of the last one."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Refused(400, "'messages' must be a list of at least one message.", param="messages")
    for i, message in enumerate(messages):
        where = f"messages[{i}]"
        if not isinstance(message, dict):
            raise Refused(400, f"'{where}' must be an object.", param=where)
        role = message.get("role")
        if role not in ("system", "developer", "user", "assistant"):
            raise Refused(400, f"'{where}.role' must be system, user or assistant.", param=f"{where}.role")
        content, given = _content(message.get("content"), f"{where}.content")
        given = given or _text(message.get("input") or "", f"{where}.input")
        if i == len(messages) - 1:
            given = given or _text(body.get("input", ""), "input")
        if given and role != "user":
            raise Refused(400, f"'{where}' has an input, which only a user's message can have.", param=where)
        yield {
            "role": "system" if role == "developer" else role,
            "content": content,
            **({"input": given} if given else {}),
        }


def _content(content: Any, where: str) -> tuple[str, str]:
    """The text and the input of a message's content."""
    if not isinstance(content, list):
        return _text(content, where), ""
    said: dict[str, list[str]] = {"text": [], "input": []}
    for i, part in enumerate(content):
        kind = part.get("type") if isinstance(part, dict) else None
        if not isinstance(kind, str) or kind not in said:
            raise Refused(400, f"'{where}[{i}]' must be of type text (or input): this model reads text.", param=where)
        said[kind].append(_text(part.get("text"), f"{where}[{i}].text"))
    return "".join(said["text"]), "".join(said["input"])


def _prompts(body: Mapping[str, Any]) -> list[str]:
    prompt = body.get("prompt")
    prompts = prompt if isinstance(prompt, list) else [prompt]
    if not 0 < len(prompts) <= MOST or not all(isinstance(text, str) for text in prompts):
        raise Refused(400, f"'prompt' must be a string or a list of up to {MOST} strings.", param="prompt")
    return [_text(text, "prompt") for text in prompts]


def _stops(body: Mapping[str, Any]) -> tuple[str, ...]:
    stop = body.get("stop", [])
    stops = stop if isinstance(stop, list) else [stop]
    if len(stops) > MOST or not all(isinstance(text, str) and text for text in stops):
        raise Refused(400, f"'stop' must be a string or a list of up to {MOST} strings, none empty.", param="stop")
    return tuple(_text(text, "stop") for text in stops)


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise Refused(400, f"'{where}' must be a string.", param=where)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Refused(400, f"'{where}' holds half a character (a lone surrogate).", param=where) from None
    return value


def _boolean(body: Mapping[str, Any], name: str) -> bool:
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise Refused(400, f"'{name}' must be true or false.", param=name)
    return value


def _integer(body: Mapping[str, Any], name: str, least: int | None = None, most: int | None = None) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or (least is not None and value < least) or (most is not None and value > most):
        limits = "" if least is None else f" of at least {least}" if most is None else f" from {least} to {most}"
        raise Refused(400, f"'{name}' must be a whole number{limits}.", param=name)
    return int(value)


def _number(body: Mapping[str, Any], name: str, least: int, most: int, *, above: bool = False) -> float | None:
    value = body.get(name)
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not least <= value <= most or (above and value == least):
        raise Refused(400, f"'{name}' must be {'above' if above else 'from'} {least} up to {most}.", param=name)
    return float(value)
