"""A model in this process asked like any other teacher: requests that come one by one are answered many at once."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterable
from typing import Any

from alpaca_core.errors import TeacherError
from alpaca_core.protocols import LocalTeacher
from alpaca_core.records import Completion, Request

QUIET = 0.05  # seconds without a new request, after which a batch that is not full begins


class Gathered:
    """A ``LocalTeacher`` as a ``Teacher``.

    Concurrent calls of ``complete`` are gathered, at most ``batch_size``, and answered by one ``complete_many`` in a
    thread. Those that come while it runs wait for the next one. An error of ``complete_many`` is the error of the
    requests of that batch. A request that is cancelled while it waits is not asked; one that is cancelled later loses
    its own answer only. Whatever else the teacher offers (``price``, ``prepare``, ...) is offered here too.

    ``local`` says that there is no provider: nothing to prove with a first request alone, and nothing to pay.
    """

    local = True

    def __init__(self, teacher: LocalTeacher) -> None:
        self._teacher = teacher
        self._waiting: dict[asyncio.Future[Completion], Request] = {}  # in the order of asking
        self._work: asyncio.Task[None] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._teacher, name)

    async def complete(self, request: Request) -> Completion:
        """The answer to ``request``, from the next batch with room for it.

        Raises what ``complete_many`` raises, and TeacherError for a prompt that leaves no room for an answer.
        """
        answer = asyncio.get_running_loop().create_future()
        self._waiting[answer] = request
        if self._work is None:
            self._work = asyncio.create_task(self._answer_all())
        try:
            reply: Completion = await answer
        finally:
            self._waiting.pop(answer, None)
        if reply.finish == "length" and not reply.usage.completion_tokens:
            raise TeacherError(
                "bad_request",
                f"The prompt of {reply.usage.prompt_tokens:,} tokens fills the model's context: no room for an answer.",
                hint="Take a model with a longer context, or a shorter prompt, as in --set prompt.examples=1",
            )
        return reply

    def leave(self) -> None:
        """Give up the requests that wait for a batch. The batch that is being answered comes home."""
        _fail(self._waiting, TeacherError("connection", "not asked: the run is ending"))
        self._waiting.clear()

    async def aclose(self) -> None:
        """Close the teacher, where it can be closed, and wait for the end of the batch at hand."""
        self.leave()
        close = getattr(self._teacher, "aclose", None)
        if close is not None and inspect.isawaitable(closing := close()):
            await closing
        if self._work is not None:
            await self._work

    async def _answer_all(self) -> None:
        """Answer batch after batch until nobody waits."""
        try:
            while self._waiting:
                batch = await self._gather()
                if not batch:
                    continue
                try:
                    replies = await asyncio.to_thread(self._teacher.complete_many, list(batch.values()))
                    if len(replies) != len(batch):
                        raise ValueError(f"complete_many gave {len(replies)} completions for {len(batch)} requests")
                except Exception as exc:
                    _fail(batch, exc)
                else:
                    for answer, reply in zip(batch, replies, strict=True):
                        if not answer.done():
                            answer.set_result(reply)
        except Exception as exc:
            _fail(self._waiting, exc)
        finally:
            self._work = None

    async def _gather(self) -> dict[asyncio.Future[Completion], Request]:
        """The next batch, full, or with all that came within moments: a run sends its requests so. Empty if all of
        them were cancelled meanwhile."""
        size = await asyncio.to_thread(getattr, self._teacher, "batch_size")  # may have to load the model
        before = 0
        while before < len(self._waiting) < size:
            before = len(self._waiting)
            await asyncio.sleep(QUIET)
        return {answer: self._waiting.pop(answer) for answer in list(self._waiting)[:size]}


def _fail(batch: Iterable[asyncio.Future[Completion]], error: Exception) -> None:
    for answer in list(batch):
        if not answer.done():
            answer.set_exception(error)
