"""A teacher that asks a command: the prompt goes to its standard input, its standard output is the answer.

So any program that talks to a model is a teacher: ``--set teacher.run="ollama run llama3"``. A command that ends with
another code than 0 is asked again, like a server with an error of its own.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
from collections.abc import Iterable
from dataclasses import dataclass, field

from alpaca_core import Completion, ConfigError, Request, TeacherError, TeacherSpec, Usage, hookimpl


@dataclass(frozen=True)
class CommandOptions:
    run: str = field(default="", metadata={"help": "The command, as in a shell but without pipes: ollama run llama3."})

    def __post_init__(self) -> None:
        try:
            shlex.split(self.run)
        except ValueError as exc:
            raise ValueError(f"run cannot be read: {exc}") from exc


class Command:
    def __init__(self, options: CommandOptions) -> None:
        self.argv = shlex.split(options.run)
        if not self.argv:
            raise ConfigError(
                "The teacher 'command' needs a command.", hint="Name it: --set teacher.run='ollama run llama3'"
            )

    async def complete(self, request: Request) -> Completion:
        asked = "\n\n".join(filter(None, (request.system, request.prompt, request.input)))
        asked += request.prefix
        try:
            process = await asyncio.create_subprocess_exec(
                *self.argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,  # so that what the command starts ends with it
            )
        except OSError as exc:
            kind = "permission" if isinstance(exc, PermissionError) else "not_found"
            raise TeacherError(kind, f"{self.argv[0]} cannot be run: {exc.strerror}") from exc
        try:
            out, err = await process.communicate(asked.encode())
        finally:
            if process.returncode is None:  # cancelled
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if process.returncode:
            said = err.decode(errors="replace").strip().splitlines() or ["nothing"]
            raise TeacherError("server", f"{self.argv[0]} ended with code {process.returncode}: {said[-1]}")
        text = out.decode(errors="replace").strip()
        # Nobody counts tokens here: words stand for them.
        return Completion(text, "stop", Usage(len(asked.split()), len(text.split())), model=self.argv[0])

    async def aclose(self) -> None:
        pass


@hookimpl
def alpaca_teachers() -> Iterable[TeacherSpec]:
    return [
        TeacherSpec(
            name="command",
            target="alpacakit_command:Command",
            summary="Asks a command, by its standard input and output.",
            options=CommandOptions,
        )
    ]
