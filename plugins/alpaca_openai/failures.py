"""OpenAI's errors in alpacakit's words."""

# ruff: noqa: TID253 - loaded on first use only

from __future__ import annotations

import os
import re

import openai

from alpaca_core import TeacherError
from alpaca_openai.headers import limits_in, retry_after_in

_QUOTA = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"}
_NOT_TAKEN = re.compile(r"unsupported|not support|unrecogni[sz]ed|unknown|unexpected|not permitted", re.IGNORECASE)
_CONTEXT = re.compile(r"maximum context length is (\d+)", re.IGNORECASE)
_PROMPT = re.compile(r"(\d+) in (?:your|the) (?:prompt|messages)|(\d+) (?:input|prompt) tokens", re.IGNORECASE)
# The request never left: nothing can have been billed. Names of the HTTP library's exceptions.
_NOT_SENT = {"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol", "LocalProtocolError"}


def explain(error: openai.APIError, model: str, server: str) -> TeacherError:
    """``error`` as a TeacherError. ``server`` is what people call the one that was asked."""
    if isinstance(error, openai.APIStatusError):
        return _status(error, model, server)
    cause = error.__cause__
    sent = type(cause).__name__ not in _NOT_SENT
    if isinstance(error, openai.APITimeoutError):
        return TeacherError("timeout", f"{server} gave no answer in time.", billed=sent)
    if isinstance(error, openai.APIConnectionError):
        why = without_keys(str(cause)) or type(cause).__name__
        return TeacherError(
            "connection",
            f"The connection to {server} broke: {why}" if sent else f"There is no connection to {server}: {why}",
            billed=sent,
            hint="" if sent else "Check the network and the address (teacher.base_url, OPENAI_BASE_URL).",
        )
    return unreadable(server)


def unreadable(server: str) -> TeacherError:
    """The server answered something else than the protocol says."""
    return TeacherError(
        "server",
        f"{server} sent an answer that does not follow the protocol.",
        billed=True,
        hint="Check that the address ends where the protocol begins, mostly in /v1.",
    )


def _status(error: openai.APIStatusError, model: str, server: str) -> TeacherError:
    status, text = error.status_code, _text(error)
    limits, retry_after = limits_in(error.response.headers), retry_after_in(error.response.headers)
    if status == 401:
        return TeacherError(
            "auth",
            f"{server} refused the key in OPENAI_API_KEY (401).",
            limits=limits,
            hint="Set a valid key: export OPENAI_API_KEY=...",
        )
    if status == 404 or error.code == "model_not_found":
        return TeacherError(
            "not_found",
            f"{server} does not know the model {model!r} ({status}): {text}",
            limits=limits,
            hint="Choose another with --model NAME, or check the address (teacher.base_url).",
        )
    if status == 403:
        hint = "Use a key of a project that may use this model."
        return TeacherError("permission", f"{server} forbids this request (403): {text}", limits=limits, hint=hint)
    if status == 402 or error.code in _QUOTA or error.type in _QUOTA:
        hint = "Add credit to the account; the same command then goes on where it stopped."
        return TeacherError("quota", f"{server}: the quota is used up ({status}).", limits=limits, hint=hint)
    if status == 429:
        kind = "rate_limit"
    elif status in (503, 529):
        kind = "overloaded"
    elif status in (408, 409) or status >= 500:
        kind = "server"
    else:
        kind = "bad_request"
    return TeacherError(kind, f"{server} answered {status}: {text}", retry_after=retry_after, limits=limits)


def refused_parameter(error: openai.APIStatusError, sent: set[str]) -> str:
    """The one of the ``sent`` parameters that this model does not take at all, or "" if that is not the trouble."""
    if error.status_code not in (400, 422) or not _NOT_TAKEN.search(f"{error.code} {_text(error)} {error.body}"):
        return ""
    if error.param in sent:
        return error.param
    text = f"{_text(error)} {error.body}"
    return next((name for name in sorted(sent) if re.search(rf"\b{name}\b", text)), "")


def refuses_value(error: openai.APIStatusError) -> bool:
    """Whether the parameter is known and only its value is not."""
    return error.code == "unsupported_value" or "supported value" in _text(error).lower()


def room_for_answer(error: openai.APIStatusError) -> int:
    """Tokens that the model's context leaves for an answer, where the error says that prompt and answer exceed it.

    0 if it says nothing of the kind.
    """
    text = _text(error)
    context, prompt = _CONTEXT.search(text), _PROMPT.search(text)
    if error.status_code != 400 or not context or not prompt:
        return 0
    return max(0, int(context[1]) - int(prompt[1] or prompt[2]))


def _text(error: openai.APIStatusError) -> str:
    """The provider's own words: one line, short, without keys."""
    body = error.body if isinstance(error.body, dict) else {}
    text = without_keys(" ".join(str(body.get("message") or error.message).split()))
    return text if len(text) <= 300 else text[:299] + "…"


def without_keys(text: str) -> str:
    """``text`` with everything blotted out that is or looks like an API key."""
    key = os.environ.get("OPENAI_API_KEY", "").strip()
    if len(key) > 5:
        text = text.replace(key, "[key]")
    return re.sub(r"\bsk-[\w*.-]*[\w*-]", "[key]", text)
