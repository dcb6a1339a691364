"""OpenAI's errors in alpacakit's words."""

# ruff: noqa: TID253 - loaded on first use only

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import openai

from alpaca_core import Limits, TeacherError
from alpaca_openai.dialects import QUESTION
from alpaca_openai.headers import limits_in, retry_after_in

_QUOTA = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"}
_NOT_TAKEN = re.compile(
    r"unsupported|not support|unrecogni[sz]ed|unknown|unexpected|not permitted|invalid[ _](json[ _])?schema", re.I
)
# Other words for it, taken at their word only where the parameter can be left out without harm.
_NOT_THIS = re.compile(r"input should be|must be one of|unavailable", re.IGNORECASE)
_DISPENSABLE = re.compile(r"effort$|format$")
_VALUES = re.compile(
    r"(?:supported values are|input should be|must be one of):?\s*"
    r"(['\"`]\w+['\"`](?:,?\s*(?:and|or)?\s*['\"`]\w+['\"`])*)",
    re.IGNORECASE,
)
# OpenAI's words, Groq's, DeepSeek's.
_LONGEST = re.compile(
    r"at most (\d+) completion tokens|max_(?:completion_)?tokens`? must be less than or equal to `?(\d+)"
    r"|valid range of max_tokens is \[\d+, ?(\d+)\]",
    re.IGNORECASE,
)
_CONTEXT = re.compile(r"(?:maximum context length is|context length is only) (\d+)", re.IGNORECASE)
_PROMPT = re.compile(r"(\d+) in (?:your|the) (?:prompt|messages)|(\d+) (?:input|prompt) tokens", re.IGNORECASE)
_ANSWER = re.compile(r"requested (\d+) output tokens", re.IGNORECASE)
_ALL_CONTEXT = re.compile(r"cannot be greater than max_model_len=(?:max_total_tokens=)?(\d+)", re.IGNORECASE)
LEAST_ROOM = 256  # tokens: less is not worth asking for
# Names of the HTTP libraries' exceptions. aiohttp's are looked at before httpx2's, since its transport calls every
# broken connection a ConnectTimeout.
_BROKEN = {"ClientConnectionError", "ClientPayloadError", "ClientHttpProxyError", "InvalidURL", "RequestError"}
_TIMEOUTS = {"ServerTimeoutError", "TimeoutException"}
# The request never left: nothing can have been billed.
_NOT_SENT = {"ClientConnectorError", "ConnectionTimeoutError", "ClientHttpProxyError", "ConnectError", "ConnectTimeout"}
_NOT_SENT |= {"InvalidURL", "PoolTimeout", "ProxyError", "UnsupportedProtocol", "LocalProtocolError"}
# Python's own, which come up where a request is put together: the libraries have others for a malformed answer.
_NOT_MADE = {ValueError, TypeError, UnicodeEncodeError}


@dataclass(frozen=True, slots=True)
class Problem:
    """An error answer: its status and the provider's own words."""

    status: int
    code: str = ""
    type: str = ""
    param: str = ""
    text: str = ""  # one line, short, without keys
    body: str = ""  # everything, for looking up names in

    @classmethod
    def of(cls, status: int, body: Any, text: str = "") -> Problem:
        """The problem that ``body`` speaks of: the error object, alone or as ``error``."""
        inner = body.get("error", body) if isinstance(body, Mapping) else {}
        inner = inner if isinstance(inner, Mapping) else {"message": inner}
        code, type, param = (str(inner.get(name) or "") for name in ("code", "type", "param"))
        return cls(status, code, type, param, _short(str(inner.get("message") or text)), str(body))

    @property
    def is_quota(self) -> bool:
        """Whether there is no money left. No waiting helps."""
        return self.status == 402 or self.code in _QUOTA or self.type in _QUOTA


class Refusal(TeacherError):
    """A request that the provider calls wrong; ``problem`` tells what about it."""

    def __init__(self, problem: Problem, server: str, limits: Limits | None) -> None:
        super().__init__("bad_request", f"{server} answered {problem.status}: {problem.text}", limits=limits)
        self.problem = problem


def explain(error: Exception, model: str, server: str) -> TeacherError:
    """``error``, of the SDK or of the HTTP library below it, as a TeacherError. ``server`` is what people call it."""
    if isinstance(error, openai.APIStatusError):
        problem = Problem.of(error.status_code, error.body, error.message)
        return explain_problem(problem, model, server, error.response.headers)
    cause = error.__cause__ or error if isinstance(error, openai.APIConnectionError) else error
    if type(cause.__cause__).__module__.startswith("aiohttp"):
        cause = cause.__cause__
    names = {cls.__name__ for cls in type(cause).__mro__}
    sent = not names & _NOT_SENT
    if names & _TIMEOUTS:
        return TeacherError("timeout", f"{server} gave no answer in time.", billed=sent)
    if type(cause) in _NOT_MADE:
        why = f"The request to {server} could not be put together: {_short(str(cause))}"
        return TeacherError(
            "bad_request", why, hint="Check the address (teacher.base_url, OPENAI_BASE_URL) and the key."
        )
    if not names & _BROKEN:
        return unreadable(server)
    why = _reason(cause) or _short(str(cause).partition("<")[0].rstrip(": "))  # aiohttp's objects say no more
    why = why or type(cause).__name__
    return TeacherError(
        "connection",
        f"The connection to {server} broke: {why}" if sent else f"There is no connection to {server}: {why}",
        billed=sent,
        hint="" if sent else "Check the network and the address (teacher.base_url, OPENAI_BASE_URL).",
    )


def _reason(cause: BaseException) -> str:
    """What the system said of a connection that aiohttp could not make: ``Connection refused``."""
    said = getattr(cause, "os_error", None)
    if not isinstance(said, OSError):
        return ""
    return os.strerror(said.errno) if (said.errno or 0) > 0 else str(said.strerror or "")  # names: below zero


def unreadable(server: str) -> TeacherError:
    """The server answered something else than the protocol says."""
    return TeacherError(
        "server",
        f"{server} sent an answer that does not follow the protocol.",
        billed=True,
        hint="Check that the address ends where the protocol begins, mostly in /v1.",
    )


@contextmanager
def reading(server: str) -> Iterator[None]:
    """For what takes an answer apart: it may trip over one that does not follow the protocol."""
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError):
        raise unreadable(server) from None


def explain_problem(
    problem: Problem, model: str, server: str, headers: Mapping[str, str] | None = None
) -> TeacherError:
    """``problem`` as a TeacherError; a Refusal where it is about the request itself."""
    status, text = problem.status, problem.text
    limits, retry_after = limits_in(headers or {}), retry_after_in(headers or {})
    if status == 401 and not lacks_scope(text):
        return TeacherError(
            "auth",
            f"{server} refused the key in OPENAI_API_KEY (401).",
            limits=limits,
            hint="Set a valid key: export OPENAI_API_KEY=...",
        )
    if status == 404 or problem.code == "model_not_found":
        return TeacherError(
            "not_found",
            f"{server} does not know the model {model!r} ({status}): {text}",
            limits=limits,
            hint="Choose another with --model NAME, or check the address (teacher.base_url) and the protocol there.",
        )
    if status in (401, 403):
        hint = "Use a key of a project that may use this model."
        return TeacherError("permission", f"{server} forbids this request ({status}): {text}", limits=limits, hint=hint)
    if problem.is_quota:
        hint = "Add credit to the account; the same command then goes on where it stopped."
        return TeacherError("quota", f"{server}: the quota is used up ({status}).", limits=limits, hint=hint)
    if status == 429:
        kind = "rate_limit"
    elif status in (503, 529):
        kind = "overloaded"
    elif status in (408, 409) or status >= 500:
        kind = "server"
    else:
        return Refusal(problem, server, limits)
    return TeacherError(kind, f"{server} answered {status}: {text}", retry_after=retry_after, limits=limits)


def lacks_scope(text: str) -> bool:
    """Whether a key is refused for this only: one with restricted permissions, which may be good for all the rest."""
    return "missing scopes" in text.lower()


def refused_parameter(problem: Problem, sent: Iterable[str]) -> str:
    """The one of the ``sent`` parameters that this model does not take at all, or "" if that is not the trouble.

    Names are dotted where parameters nest. A provider may name a part (``text.format.schema``), the whole
    (``reasoning``), or blot a piece out (``***.effort``).
    """
    names, param = sorted(sent), problem.param
    words = f"{problem.code} {problem.text} {problem.body}"
    if not _NOT_TAKEN.search(words):
        names = [name for name in names if _DISPENSABLE.search(name) and _NOT_THIS.search(words)]
    if problem.status not in (400, 422):
        return ""
    if re.split(r"[.\[]", param)[0] in QUESTION:
        return ""
    for name in names if param else ():
        if f"{name}.".startswith(f"{param}.") or param.startswith((f"{name}.", f"{name}[")):
            return name
        if "." in param and param.rpartition(".")[2] == name.rpartition(".")[2]:
            return name
    for name in names:
        parts = "|".join(set(name.split(".")) - {"text"})  # which is also a kind of content
        if re.search(rf"\b{re.escape(name)}\b|['\"`]({parts})['\"`]", words):
            return name
    return ""


def refuses_value(problem: Problem) -> bool:
    """Whether the parameter is known and only its value is not."""
    said_so = problem.code == "unsupported_value" or "supported value" in problem.text.lower()
    return said_so or bool(values_taken(problem))


def values_taken(problem: Problem) -> list[str]:
    """The values that the provider offers instead, if it names them."""
    offered = _VALUES.search(problem.text) or _VALUES.search(problem.body)
    return re.findall(r"['\"`](\w+)['\"`]", offered[1]) if offered else []


def longest_answer(problem: Problem) -> int:
    """The most tokens that this model ever writes, where the error says that more were asked for; else 0."""
    longest = _LONGEST.search(problem.text) if problem.status in (400, 422) else None
    return int(longest[1] or longest[2] or longest[3]) if longest else 0


def room_for_answer(problem: Problem) -> int:
    """Tokens that the model's context leaves for an answer, where the error says that prompt and answer exceed it.

    0 if it says nothing of the kind. vLLM counts no more of a prompt than the first token too many, and none
    where the answer alone exceeds the context (its renderers/params.py). There half as long an answer is tried, down to
    LEAST_ROOM.
    """
    if problem.status != 400:
        return 0
    context, answer = _CONTEXT.search(problem.text), _ANSWER.search(problem.text)
    prompt = _PROMPT.search(problem.text)
    if alone := _ALL_CONTEXT.search(problem.text):
        return _half(int(alone[1]))
    if not context or not (prompt or answer):
        return 0
    room = max(0, int(context[1]) - int(prompt[1] or prompt[2])) if prompt else 0
    return _half(int(answer[1])) if answer and (not prompt or room >= int(answer[1]) - 1) else room


def _half(answer: int) -> int:
    return answer // 2 if answer // 2 >= LEAST_ROOM else 0


def without_keys(text: str) -> str:
    """``text`` with everything blotted out that is or looks like an API key."""
    key = os.environ.get("OPENAI_API_KEY", "").strip()
    if len(key) > 5:
        text = text.replace(key, "[key]")
    return re.sub(r"\bsk-[\w*.-]*[\w*-]", "[key]", text)


def _short(text: str) -> str:
    """The provider's own words: one line, short, without keys."""
    text = without_keys(" ".join(text.split()))
    return text if len(text) <= 300 else text[:299] + "…"
