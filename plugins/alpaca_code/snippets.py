"""The Python code in an output: its fenced blocks, or the whole of it where it is code and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator

_FENCE = re.compile(r"\s*```\s*(\w*)")
_PYTHON = frozenset({"python", "python3", "py"})
_SESSION = re.compile(r"^\s*(?:>>> |In \[\d*\]:)", re.MULTILINE)
_MAGIC = re.compile(r"^[ \t]*[%!]\S.*$", re.MULTILINE)  # %matplotlib inline, !pip install

_ASKS_FOR_PYTHON = re.compile(r"\bpython\b", re.IGNORECASE)
_OTHER = re.compile(  # what is also asked for may be what the output is in
    r"\b(?:java|javascript|typescript|c\+\+|c#|ruby|rust|go|php|sql|html|pseudo-?code|perl|swift|kotlin|bash|shell)(?!\w)",
    re.IGNORECASE,
)
# What a line at the margin starts with in Python, and nowhere else in one output of nothing but such lines.
_STATEMENT = re.compile(
    r"(?:def|class|async def) \w+|(?:import|from) [\w.]+|@\w|#"
    r"|(?:for|while|if|elif|with) .*:\s*(?:#.*)?$|(?:else|try|finally)\s*:|except\b.*:"
    r"|(?:return|yield|raise|assert|del|global|nonlocal) ?\S*|pass$|break$|continue$"
    r"|print\b|[\w.\[\]'\", ()]+ [-+*/%|&]?= \S|\w[\w.]*\(.*|[\])}]+[,.:)\w(]*"
)
_PROSE = re.compile(r"[A-Z]?[a-z']+,?(?: [a-z']+){3,}|.*[a-z]{2,}\.$")


def python_code(instruction: str, input: str, output: str) -> list[str]:
    """The Python snippets of ``output``, as they are to be read. Other languages' code is left alone.

    A fenced block counts if it says that it is Python. Without fences the whole output counts if Python, and no other
    language, is asked for, and every line at the margin is a statement. Notebook commands (``%``, ``!``) are taken out;
    a transcript of a session (``>>>``) does not count.
    """
    fenced = [body for language, body in _blocks(output) if language in _PYTHON]
    asked = f"{instruction}\n{input}"
    if not fenced and "```" not in output and _ASKS_FOR_PYTHON.search(asked) and not _OTHER.search(asked):
        fenced = [output] if _is_code(output) else []
    return [_dedented(_MAGIC.sub("", body)) for body in fenced if not _SESSION.search(body)]


def _blocks(text: str) -> Iterator[tuple[str, str]]:
    """Each fenced block with its language in lower case. One that is never closed was cut off, and is none."""
    opened: tuple[str, list[str]] | None = None
    for line in text.split("\n"):
        fence = _FENCE.match(line)
        if opened is None:
            opened = (fence[1].lower(), []) if fence else None
        elif fence and not fence[1]:
            yield opened[0], "\n".join(opened[1])
            opened = None
        else:
            opened[1].append(line)


def _is_code(text: str) -> bool:
    lines = [line.rstrip() for line in text.strip().splitlines()]
    margin = [line for line in lines if line and not line[0].isspace()]
    if not margin or '"""' in text or "'''" in text:  # the lines of a long string may look like anything
        return False
    return all(_STATEMENT.match(line) and not _PROSE.fullmatch(line) for line in margin)


def _dedented(text: str) -> str:
    """``text`` without the margin that all its lines share, as a block inside a list has it. The lines stay where they
    are, so that a mistake's line number is the block's."""
    lines = text.split("\n")
    margins = [len(line) - len(line.lstrip()) for line in lines if line.strip()]
    margin = min(margins, default=0)
    return "\n".join(line[margin:] for line in lines) + "\n"
