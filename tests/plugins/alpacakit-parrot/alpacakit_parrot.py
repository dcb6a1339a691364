"""A teacher that repeats recorded replies: the same text for the same request, without a provider.

The record has one JSON object per line, with the ``text`` of a reply and, if you like, its ``finish``. Request k gets
line k, so the replies of an earlier run give its dataset again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from alpaca_core import Completion, ConfigError, Request, TeacherError, TeacherSpec, Usage, hookimpl


@dataclass(frozen=True)
class ParrotOptions:
    replies: Path = field(default=Path("replies.jsonl"), metadata={"help": "The record: one reply per line."})


class Parrot:
    def __init__(self, options: ParrotOptions) -> None:
        try:
            lines = options.replies.read_text(encoding="utf-8").splitlines()
        except OSError as exc:
            raise ConfigError(
                f"the parrot cannot read {options.replies}: {exc.strerror}",
                hint="Name its record: --set teacher.replies=FILE",
            ) from exc
        self.replies = [json.loads(line) for line in lines if line.strip()]

    async def complete(self, request: Request) -> Completion:
        if request.k >= len(self.replies):
            raise TeacherError("bad_request", f"the record has {len(self.replies)} replies, and no reply {request.k}")
        reply = self.replies[request.k]
        words = len(reply["text"].split())
        return Completion(
            text=reply["text"],
            finish=reply.get("finish", "stop"),
            usage=Usage(prompt_tokens=len(request.prompt.split()), completion_tokens=words),
            model="parrot",
        )

    async def aclose(self) -> None:
        pass


@hookimpl
def alpaca_teachers() -> Iterable[TeacherSpec]:
    return [
        TeacherSpec(
            name="parrot",
            target="alpacakit_parrot:Parrot",
            summary="Repeats recorded replies.",
            options=ParrotOptions,
        )
    ]
