"""The three ways to ask: Chat Completions, Responses, and the legacy Completions of text-davinci-003."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from alpaca_core import Completion, Request, TeacherError, Usage
from alpaca_openai import ChatOptions, CompletionOptions

FINISHES = {"length": "length", "content_filter": "content_filter", "max_output_tokens": "length"}
# What vLLM (v1/engine) and OpenRouter say of an answer that is unfinished, as one that was cut off.
FINISHES |= {"abort": "length", "error": "length", "repetition": "length"}
QUESTION = frozenset({"model", "messages", "instructions", "input", "prompt"})  # what every request must say


@dataclass(frozen=True)
class Dialect:
    """One of OpenAI's protocols.

    ``path`` is below the base URL. ``body`` gives what to send, by dotted name where it nests (``reasoning.effort``);
    None and [] mean that it is not sent. ``completion`` reads an answer's JSON. It raises TeacherError where the model
    failed, and LookupError, TypeError and the like where the answer does not follow the protocol.
    """

    path: str
    body: Callable[[Any, Request], dict[str, Any]]
    completion: Callable[[Mapping[str, Any]], Completion]

    def read(self, reply: Mapping[str, Any], stop: Sequence[str] = ()) -> Completion:
        """The answer in ``reply``, ended before the first ``stop`` string, as a server does that was told of them."""
        answer = self.completion(reply)
        ends = [answer.text.find(mark) for mark in stop if mark and mark in answer.text]
        if not ends or answer.finish == "refusal":
            return answer
        return replace(answer, text=answer.text[: min(ends)], finish="stop")


def nested(body: Mapping[str, Any]) -> dict[str, Any]:
    """``body`` as it is sent: dotted names unfolded."""
    unfolded: dict[str, Any] = {}
    for name, value in body.items():
        inner = unfolded
        *parents, name = name.split(".")
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[name] = value
    return unfolded


# ── Chat Completions ───────────────────────────────────────────────────────────────────────────────────────────────


def _chat_body(options: ChatOptions, request: Request) -> dict[str, Any]:
    """The prompt is one user message, and ``prefix`` is left to the model."""
    messages = [{"role": "user", "content": _joined(request.prompt, request.input)}]
    if request.system:
        messages.insert(0, {"role": "system", "content": request.system})
    schema = _schema(request)
    return {
        "model": options.model,
        "messages": messages,
        "temperature": options.temperature,
        "top_p": options.top_p,
        "reasoning_effort": options.reasoning_effort,
        "stop": list(request.stop),
        "response_format": schema and {"type": "json_schema", "json_schema": schema},
        "max_completion_tokens": request.max_tokens,
    }


def _chat_completion(reply: Mapping[str, Any]) -> Completion:
    message = reply["choices"][0]["message"]
    content, refusal = message.get("content"), message.get("refusal")
    if isinstance(content, list):  # as Mistral has it, whose thoughts are parts too
        content = "".join(part["text"] for part in content if part["type"] == "text")
    return _completion(reply, content or refusal or "", "refusal" if refusal else None)


# ── Completions ────────────────────────────────────────────────────────────────────────────────────────────────────


def _completions_body(options: CompletionOptions, request: Request) -> dict[str, Any]:
    """The model goes on with the prompt and ``prefix``."""
    return {
        "model": options.model,
        "prompt": _joined(request.system, request.prompt, request.input) + request.prefix,
        "temperature": options.temperature,
        "top_p": options.top_p,
        "stop": list(request.stop),
        "max_tokens": request.max_tokens,
    }


def _completions_completion(reply: Mapping[str, Any]) -> Completion:
    return _completion(reply, reply["choices"][0]["text"] or "")


def _completion(reply: Mapping[str, Any], text: Any, finish: Any = None) -> Completion:
    if not isinstance(text, str):
        raise TypeError(f"an answer that is a {type(text).__name__}")
    return Completion(
        text=text,
        finish=finish or FINISHES.get(reply["choices"][0].get("finish_reason"), "stop"),
        usage=_usage(reply, "prompt", "completion"),
        model=reply.get("model") or "",
        id=reply.get("id") or "",
    )


# ── Responses ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _responses_body(options: ChatOptions, request: Request) -> dict[str, Any]:
    """As on Chat Completions, but that this protocol knows no stop strings. Nothing is stored at the provider."""
    schema = _schema(request)
    return {
        "model": options.model,
        "instructions": request.system or None,
        "input": _joined(request.prompt, request.input),
        "temperature": options.temperature,
        "top_p": options.top_p,
        "reasoning.effort": options.reasoning_effort,
        "text.format": schema and {"type": "json_schema", **schema},
        "max_output_tokens": request.max_tokens,
        "store": False,
    }


def _responses_completion(reply: Mapping[str, Any]) -> Completion:
    status = reply["status"]
    if status == "failed":
        raise _failure(reply)
    if status not in ("completed", "incomplete"):
        raise ValueError(f"an answer that is {status}")
    said = [part for item in reply["output"] if _is_answer(item) for part in item["content"]]
    text = "".join(part["text"] for part in said if part["type"] == "output_text")
    refusal = "".join(part["refusal"] for part in said if part["type"] == "refusal")
    why = (reply.get("incomplete_details") or {}).get("reason") if status == "incomplete" else None
    return Completion(
        text=text or refusal,
        finish="refusal" if refusal else FINISHES.get(why, "length") if why else "stop",
        usage=_usage(reply, "input", "output"),
        model=reply.get("model") or "",
        id=reply.get("id") or "",
    )


def _is_answer(item: Mapping[str, Any]) -> bool:
    """Whether ``item`` is meant for the reader: not a thought, nor a remark on the way to the answer."""
    return item["type"] == "message" and item.get("phase") != "commentary"


def _failure(reply: Mapping[str, Any]) -> TeacherError:
    error = reply.get("error") or {}
    code, billed = error.get("code"), bool(reply.get("usage"))
    text = f"The model failed: {error.get('message') or code or 'it is not said why'}"
    if code == "rate_limit_exceeded":
        return TeacherError("rate_limit", text, billed=billed)
    refused = code in ("invalid_prompt", "bio_policy", "misalignment_policy_violation", "data_residency_mismatch")
    return TeacherError("bad_request" if refused else "server", text, billed=billed)


# ── what they share ────────────────────────────────────────────────────────────────────────────────────────────────


def _joined(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)


def _schema(request: Request) -> dict[str, Any] | None:
    if request.schema is None:
        return None
    return {"name": "answer", "schema": dict(request.schema), "strict": True}


def _usage(reply: Mapping[str, Any], prompt: str, answer: str) -> Usage:
    """The tokens as they were counted, under the names that this protocol has for prompt and answer."""
    used = reply.get("usage") or {}
    read, written = (used.get(f"{name}_tokens_details") or {} for name in (prompt, answer))
    return Usage(
        prompt_tokens=used.get(f"{prompt}_tokens") or 0,
        completion_tokens=used.get(f"{answer}_tokens") or 0,
        cached_tokens=read.get("cached_tokens") or 0,
        reasoning_tokens=written.get("reasoning_tokens") or 0,
        cache_write_tokens=read.get("cache_write_tokens") or 0,
    )


CHAT = Dialect("/chat/completions", _chat_body, _chat_completion)
RESPONSES = Dialect("/responses", _responses_body, _responses_completion)
COMPLETIONS = Dialect("/completions", _completions_body, _completions_completion)
