"""Everything that alpacakit raises on purpose.

    AlpacaError                 the work failed                                         exit 1
    ├── ConfigError             a flag, a file or a value is wrong                      exit 2
    ├── MissingError            a plugin, package, key or permission is missing         exit 3
    ├── Stopped                 stopped on purpose; the same command goes on            exit 4
    └── TeacherError            a provider did not answer; see its ``kind``             by kind

A message says what happened and what was expected; ``hint`` says what to type next. Neither ever holds a key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from alpaca_core.records import Limits


class AlpacaError(Exception):
    """The root of the tree: the command line prints ``message`` and ``hint`` and ends with ``exit_code``."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(AlpacaError):
    """Wrong usage or configuration. ``problems`` holds every mistake that was found, one line each."""

    exit_code = 2

    def __init__(self, message: str, *, problems: Sequence[str] = (), hint: str = "") -> None:
        super().__init__("\n".join([message, *(f"  {problem}" for problem in problems)]), hint=hint)
        self.problems = tuple(problems)


class MissingError(AlpacaError):
    """A plugin, a package, a key or a permission is missing or refused."""

    exit_code = 3


class Stopped(AlpacaError):
    """The run stopped on purpose (budget, quota, yield, signal). Nothing is lost: the same command goes on."""

    exit_code = 4


TeacherErrorKind = Literal[
    "rate_limit",  # asked to slow down: retried, everybody waits
    "overloaded",  # the provider's trouble: retried
    "server",  # 5xx: retried
    "timeout",  # no answer in time: retried, counted as paid
    "connection",  # refused or broken before an answer: retried, counted as paid when it broke after sending
    "auth",  # wrong key: stops the run at once
    "permission",  # key without the right: stops the run at once
    "not_found",  # unknown model or address: stops the run at once
    "quota",  # the wallet is empty: stops the run, resumable
    "bad_request",  # this request is refused for good: journalled as failed, the others go on
]


class TeacherError(AlpacaError):
    """A teacher could not answer. Plugins translate their provider's errors to one of ``kind``.

    ``retry_after`` is in seconds, as the provider asked. ``limits`` are those seen on the failed reply. ``billed``
    says that the provider may have charged for the lost answer, so the ledger counts it as spent.
    """

    def __init__(
        self,
        kind: TeacherErrorKind,
        message: str,
        *,
        retry_after: float | None = None,
        limits: Limits | None = None,
        billed: bool = False,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.kind: TeacherErrorKind = kind
        self.retry_after = retry_after
        self.limits = limits
        self.billed = billed

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        return {"auth": 3, "permission": 3, "not_found": 2, "bad_request": 2, "quota": 4}.get(self.kind, 1)
