"""What the kit says: laws, how each was tried, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from alpaca_core.errors import AlpacaError, ConfigError, MissingError

Outcome = Literal["passed", "failed", "not applicable"]


class Failed(AssertionError):
    """A law does not hold: what was seen. ``todo`` says what was expected and what to do."""

    def __init__(self, seen: str, todo: str) -> None:
        super().__init__(f"{seen}\n{todo}")
        self.seen = seen
        self.todo = todo


class NotApplicable(Exception):
    """The law says nothing about this component, or cannot be tried here; the text says which and why."""


@dataclass(frozen=True)
class Check:
    """One law about one subject. ``probe`` tries it: it returns a remark, or raises Failed or NotApplicable. Whatever
    else it raises is the plugin's own error."""

    subject: str  # such as "filter rouge"
    law: str
    probe: Callable[[], str | None]

    def __str__(self) -> str:
        return f"{self.subject}: {self.law}"

    def try_it(self) -> str:
        """What the probe remarks. A component that says that it needs a setting, a key or a package cannot be tried
        here: NotApplicable."""
        try:
            return self.probe() or ""
        except (ConfigError, MissingError) as exc:
            raise NotApplicable(" ".join(filter(None, (exc.message, exc.hint)))) from exc


@dataclass(frozen=True)
class Finding:
    """What came of a check. ``detail`` is a remark, what was seen, or why it does not apply; ``todo`` what to do."""

    subject: str
    law: str
    outcome: Outcome
    detail: str = ""
    todo: str = ""


def tried(checks: Iterable[Check]) -> list[Finding]:
    """Every check, tried in its order. Nothing that a plugin raises ends it."""
    return [_tried(check) for check in checks]


def _tried(check: Check) -> Finding:
    try:
        return Finding(check.subject, check.law, "passed", check.try_it())
    except NotApplicable as exc:
        return Finding(check.subject, check.law, "not applicable", str(exc))
    except Failed as exc:
        return Finding(check.subject, check.law, "failed", exc.seen, exc.todo)
    except AlpacaError as exc:
        return Finding(check.subject, check.law, "failed", f"{type(exc).__name__}: {exc.message}", exc.hint)
    except (Exception, SystemExit) as exc:
        todo = "It must not raise this. A test with alpaca_core.testing.conformance shows where it comes from."
        return Finding(check.subject, check.law, "failed", _raised(exc), todo)


def _raised(exc: BaseException) -> str:
    step, frame = exc.__traceback__, ""
    while step is not None:
        code = step.tb_frame.f_code
        frame = f" ({code.co_filename}:{step.tb_lineno}, in {code.co_name})"
        step = step.tb_next
    return f"it raised {type(exc).__name__}: {exc}{frame}"
