"""Stand-ins for the other stages, so that a plugin can be tested alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from alpaca_core.errors import TeacherError
from alpaca_core.records import Completion, Request, Usage

Reply = str | Completion | TeacherError


class FakeTeacher:
    """A teacher that says what it was told to say, in the order of asking, or what a function makes of the request.

        teacher = FakeTeacher(["yes", TeacherError("rate_limit", "slow down"), "no"])
        answers = await my_filter.select(examples(3), teacher.ask)

    ``requests`` holds what it was asked. Past its last reply it raises TeacherError ``bad_request``.
    """

    def __init__(self, replies: Iterable[Reply] | Callable[[Request], Reply]) -> None:
        self._next: Callable[[Request], Reply]
        if callable(replies):
            self._next = replies
        else:
            left = iter(replies)
            done = TeacherError("bad_request", "the fake teacher has no more replies")
            self._next = lambda request: next(left, done)
        self.requests: list[Request] = []

    async def complete(self, request: Request) -> Completion:
        """The next reply; a TeacherError among them is raised. Words are counted for tokens."""
        self.requests.append(request)
        reply = self._next(request)
        if isinstance(reply, TeacherError):
            raise reply
        if isinstance(reply, Completion):
            return reply
        return Completion(reply, "stop", Usage(len(request.prompt.split()), len(reply.split())), model="fake")

    async def ask(self, requests: Sequence[Request]) -> list[Completion | TeacherError]:
        """The ``ask`` that a dataset filter and a judge are given."""
        answers: list[Completion | TeacherError] = []
        for request in requests:
            try:
                answers.append(await self.complete(request))
            except TeacherError as exc:
                answers.append(exc)
        return answers

    async def aclose(self) -> None:
        """Nothing to give back."""


@dataclass(frozen=True)
class TinyRun:
    """What ``tiny_run`` left: the exit code, the kept and the rejected rows, ``summary.json``, and what it said."""

    code: int
    rows: list[dict[str, str]]
    rejected: list[dict[str, Any]]
    summary: dict[str, Any]
    said: str


def tiny_run(
    folder: Path, *flags: str, n: int = 12, command: Literal["run", "generate"] = "generate", timeout: float = 300
) -> TinyRun:
    """``alpacakit generate`` (or ``run``) in ``folder``, with the practice teacher unless ``flags`` name another.

        made = tiny_run(tmp_path, "--filter", "polite", "--set", "filter.polite.longest=50")
        assert made.code == 0 and made.rows

    A process of its own, which sees the plugins that this one sees, and no ALPACAKIT_ variable.
    """
    argv = [sys.executable, "-m", "alpaca_core", command, "--out", "tiny", "-n", str(n), "--json", *flags]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ALPACAKIT_")}
    environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        argv, cwd=folder, env=environ, timeout=timeout, capture_output=True, text=True, encoding="utf-8"
    )
    out = folder / "tiny"
    data, refused = out / "alpaca_data.json", out / "rejected.jsonl"
    rejected = refused.read_text(encoding="utf-8").splitlines() if refused.is_file() else []
    return TinyRun(
        code=done.returncode,
        rows=json.loads(data.read_text(encoding="utf-8")) if data.is_file() else [],
        rejected=[json.loads(line) for line in rejected],
        summary=json.loads(done.stdout) if done.stdout.startswith("{") else {},
        said=done.stderr,
    )
