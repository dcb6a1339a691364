"""The filter: Python code that does not compile is rejected."""

from __future__ import annotations

import ast
import warnings

from alpaca_code.snippets import python_code
from alpaca_core import Candidate, Example, Keep, Reject

_LONGEST = 50_000  # characters of a snippet; the compiler's stack bounds what a longer one could nest
_LIMITS = ("too many", "Exceeds the limit")  # of the parser's own: nesting, indentation, digits


class Code:
    """Rejects a candidate whose output holds Python code with a syntax error, as the running Python reads it.

    The code is parsed and never executed.
    """

    def judge(self, candidate: Candidate) -> Keep | Reject:
        for snippet in python_code(candidate.instruction, candidate.input, candidate.output):
            if len(snippet) <= _LONGEST and (reason := syntax_error(snippet)):
                return Reject(reason)
        return Keep()

    def kept(self, example: Example) -> None:
        pass


def syntax_error(code: str) -> str:
    """What is wrong with ``code`` and where; empty for code that compiles, and for what the parser cannot take in."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an invalid escape is a warning, and no mistake here
            ast.parse(code)
    except SyntaxError as exc:
        return "" if exc.msg.startswith(_LIMITS) else _told(exc, code)
    except ValueError as exc:  # null bytes, half a surrogate pair
        return f"Python, code that cannot be read: {exc}"
    except (RecursionError, MemoryError):
        return ""  # nested too deep to tell
    return ""


def _told(exc: SyntaxError, code: str) -> str:
    lines = code.splitlines()
    line = lines[exc.lineno - 1].strip() if exc.lineno and 0 < exc.lineno <= len(lines) else ""
    where = f"line {exc.lineno}: {exc.msg}" if exc.lineno else exc.msg
    shown = line if len(line) <= 60 else line[:59] + "…"
    if exc.msg.startswith(("Missing parentheses in call to 'print'", "Missing parentheses in call to 'exec'")):
        return f"Python 2, line {exc.lineno}: “{shown}”"
    return f"Python, {where}" + (f": “{shown}”" if shown else "")
