"""What a model does not take, learnt from its own refusals: once, however many requests are in flight."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from alpaca_core import Completion
from alpaca_openai.dialects import QUESTION
from alpaca_openai.failures import (
    Problem,
    Refusal,
    longest_answer,
    refused_parameter,
    refuses_value,
    room_for_answer,
    values_taken,
)

OLDER = {"max_completion_tokens": "max_tokens"}  # the name that older servers know
LENGTHS = {"max_completion_tokens", "max_output_tokens", "max_tokens"}
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


class Adaptation:
    """Fits requests to what is known about the model.

    ``learnt`` holds it by the parameter's name: the value that is sent in its place, None where it is left out, the
    most that is sent of a length, ``max_tokens`` where it goes by that older name. It may be put back in at a later
    start.
    """

    def __init__(self) -> None:
        self.learnt: dict[str, Any] = {}
        self._rooms: dict[int, int] = {}  # tokens that the context leaves for an answer, by Request.k
        self._probing = asyncio.Lock()

    def fit(self, k: int, body: Mapping[str, Any], learnt: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What of ``body``, the one of request ``k``, the model takes, as far as is known; or was, by ``learnt``."""
        learnt = self.learnt if learnt is None else learnt
        fitting = {}
        for name, value in body.items():
            if learnt.get(name) == OLDER.get(name, ""):
                name = OLDER[name]
            if name in learnt:
                value = min(value, learnt[name] or value) if name in LENGTHS else learnt[name]
            if name in LENGTHS and value:
                value = min(value, self._rooms.get(k, value))
            if value not in (None, []):
                fitting[name] = value
        return fitting

    async def ask(
        self, k: int, body: Mapping[str, Any], send: Callable[[dict[str, Any]], Awaitable[Completion]]
    ) -> Completion:
        """``send`` what fits, and again what fits better whenever a Refusal teaches something.

        One refused request at a time finds out all that there is to learn about the model. The others wait for it, so
        that each of them is refused once, and not once for every parameter. How much room there is for an answer is a
        matter of the one request, for which none waits.
        """
        while True:
            sent = self.fit(k, body)
            try:
                return await send(sent)
            except Refusal as exc:
                refusal = exc
            if self._shorten(k, body, sent, refusal.problem):
                continue
            async with self._probing:
                while self.fit(k, body) == sent:  # nobody has learnt anything for this one meanwhile
                    if not self.heed(k, body, sent, refusal.problem):
                        raise refusal
                    sent = self.fit(k, body)
                    try:
                        return await send(sent)
                    except Refusal as exc:
                        refusal = exc
                    self._shorten(k, body, sent, refusal.problem)

    def heed(self, k: int, body: Mapping[str, Any], sent: Mapping[str, Any], problem: Problem) -> bool:
        """Learn from ``problem``, which ``sent`` met. Whether there is something else to send now."""
        name = _refused(sent, problem)
        longest = longest_answer(problem)
        if name.endswith("effort") and refuses_value(problem):
            self.learnt[name] = _next_effort(sent[name], values_taken(problem))
        elif name:
            self.learnt[name] = OLDER.get(name)
        elif longest:
            self.learnt.update(dict.fromkeys(LENGTHS & sent.keys(), longest))
        else:
            return self._shorten(k, body, sent, problem)
        return self.fit(k, body) != sent

    def _shorten(self, k: int, body: Mapping[str, Any], sent: Mapping[str, Any], problem: Problem) -> bool:
        """Learn how long the answer to request ``k`` may be, if that is the ``problem``. Whether it is, and less can be
        asked for now."""
        room = 0 if _refused(sent, problem) else room_for_answer(problem)
        if room:
            self._rooms[k] = min(room, self._rooms.get(k, room))
        return bool(room) and self.fit(k, body) != sent


def _refused(sent: Mapping[str, Any], problem: Problem) -> str:
    """The parameter of ``sent`` that the model does not take, if that is the ``problem``. The longest answer may go by
    an older name, but is never left out: it bounds what a request can cost."""
    return refused_parameter(problem, sent.keys() - QUESTION - (LENGTHS - OLDER.keys()))


def _next_effort(effort: str, taken: list[str]) -> str | None:
    """How long to think in place of ``effort``: the least that is more, or else the most, of what the model takes.

    Where it does not say what it takes: a little more, but never much, and at last whatever is its default.
    """
    known = [other for other in EFFORTS if other in taken]
    if known:
        return next((other for other in known if EFFORTS.index(other) > EFFORTS.index(effort)), known[-1])
    return {"none": "minimal", "minimal": "low"}.get(effort)
