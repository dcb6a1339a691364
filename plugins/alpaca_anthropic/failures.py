"""Anthropic's errors in alpacakit's words."""

# ruff: noqa: TID253 - loaded on first use only

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import anthropic

from alpaca_anthropic.headers import limits_in, retry_after_in
from alpaca_core import Limits, TeacherError

# An empty wallet and a spend limit of one's own come as 400, the tier's spend limit as 429.
_QUOTA = re.compile(r"credit balance|spend(ing)? limit|usage limits?\b.*regain access", re.IGNORECASE)
_SPEND_CODES = re.compile(r"spend_limit_reached|billing")
_ON_HOLD = re.compile(r"organization_on_hold|organization has been disabled", re.IGNORECASE)
# Names of the HTTP libraries' exceptions. aiohttp's are looked at before httpx2's, since its transport calls every
# broken connection a ConnectError.
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
    type: str = ""
    code: str = ""
    text: str = ""  # one line, short, without keys

    @classmethod
    def of(cls, status: int, body: Any, text: str = "") -> Problem:
        """The problem that ``body`` speaks of, which holds it as ``error``."""
        error = body.get("error") if isinstance(body, Mapping) else None
        error = error if isinstance(error, Mapping) else {}
        details = error.get("details")
        code = details.get("error_code") if isinstance(details, Mapping) else ""
        return cls(status, str(error.get("type") or ""), str(code or ""), _short(str(error.get("message") or text)))

    @property
    def is_quota(self) -> bool:
        """Whether there is no money left, or may be no more spent. No short waiting helps."""
        # Gateways that speak this protocol for other providers say insufficient_quota.
        if self.status == 402 or self.type in ("billing_error", "insufficient_quota") or _SPEND_CODES.search(self.code):
            return True
        return self.status in (400, 429) and bool(_QUOTA.search(self.text))


class Refusal(TeacherError):
    """A request that the provider calls wrong; ``problem`` tells what about it."""

    def __init__(self, problem: Problem, server: str, limits: Limits | None) -> None:
        super().__init__("bad_request", f"{server} answered {problem.status}: {problem.text}", limits=limits)
        self.problem = problem


def explain(error: Exception, model: str, server: str) -> TeacherError:
    """``error``, of the SDK or of the HTTP library below it, as a TeacherError. ``server`` is what people call it."""
    if isinstance(error, anthropic.APIStatusError):
        problem = Problem.of(error.status_code, error.body, error.message)
        return explain_problem(problem, model, server, error.response.headers)
    cause = error.__cause__ or error if isinstance(error, anthropic.APIConnectionError) else error
    if type(cause.__cause__).__module__.startswith("aiohttp"):
        cause = cause.__cause__
    names = {cls.__name__ for cls in type(cause).__mro__}
    sent = not names & _NOT_SENT
    if names & _TIMEOUTS:
        return TeacherError("timeout", f"{server} gave no answer in time.", billed=sent)
    if type(cause) in _NOT_MADE:
        why = f"The request to {server} could not be put together: {_short(str(cause))}"
        return TeacherError(
            "bad_request", why, hint="Check the address (teacher.base_url, ANTHROPIC_BASE_URL) and the key."
        )
    if not names & _BROKEN:
        return unreadable(server)
    why = _reason(cause) or _short(str(cause)) or type(cause).__name__
    return TeacherError(
        "connection",
        f"The connection to {server} broke: {why}" if sent else f"There is no connection to {server}: {why}",
        billed=sent,
        hint="" if sent else "Check the network and the address (teacher.base_url, ANTHROPIC_BASE_URL).",
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
        hint="Check that the address is the one that stands before /v1/messages.",
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
    if status == 401:
        return TeacherError(
            "auth",
            f"{server} refused the key in ANTHROPIC_API_KEY (401).",
            limits=limits,
            hint="Set a valid key: export ANTHROPIC_API_KEY=...",
        )
    if problem.is_quota:
        hint = "Add credit to the account or raise its limit; the same command then goes on where it stopped."
        return TeacherError("quota", f"{server}: the quota is used up ({status}): {text}", limits=limits, hint=hint)
    if status == 403 or _ON_HOLD.search(f"{problem.code} {text}"):
        hint = "Use a key of a workspace that may use this model."
        return TeacherError("permission", f"{server} forbids this request ({status}): {text}", limits=limits, hint=hint)
    if status == 404:
        return TeacherError(
            "not_found",
            f"{server} does not know the model {model!r} (404): {text}",
            limits=limits,
            hint="Choose another with --model NAME, or check the address (teacher.base_url).",
        )
    if status == 429:
        kind = "rate_limit"
    elif status in (503, 529):
        kind = "overloaded"
    elif status in (408, 409) or status >= 500:
        kind = "server"
    else:
        return Refusal(problem, server, limits)
    return TeacherError(kind, f"{server} answered {status}: {text}", retry_after=retry_after, limits=limits)


def without_keys(text: str) -> str:
    """``text`` with everything blotted out that is or looks like an API key."""
    key = os.environ.get("ANTHROPIC_API_KEY", "").strip()
    if len(key) > 5:
        text = text.replace(key, "[key]")
    return re.sub(r"\bsk-[\w*.-]*[\w*-]", "[key]", text)


def _short(text: str) -> str:
    """The provider's own words: one line, short, without keys."""
    text = without_keys(" ".join(text.split()))
    return text if len(text) <= 300 else text[:299] + "…"
