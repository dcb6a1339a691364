"""What the tests of the pacer share: pacers, requests that take their turn, and what comes back."""

from __future__ import annotations

import asyncio

from alpaca_core.errors import TeacherError
from alpaca_core.pacing import Pacer, Turn
from alpaca_core.records import Completion, Limits, Request, Usage

BROKEN = TeacherError("server", "500")
PLENTY = Limits(requests=10_000, requests_left=9_000, tokens=10_000_000, tokens_left=9_000_000)
REQUEST = Request(0, "x" * 400, max_tokens=100)  # 200 tokens before anything is learnt


def too_fast(retry_after: float | None = None, limits: Limits | None = None) -> TeacherError:
    return TeacherError("rate_limit", "slow down", retry_after=retry_after, limits=limits)


def reply(limits: Limits | None = None, usage: Usage = Usage()) -> Completion:  # noqa: B008 - frozen
    return Completion("", limits=limits, usage=usage)


async def proven(concurrency: int = 100, limits: Limits | None = None, **ceilings: int) -> Pacer:
    """A pacer whose first request has come back."""
    pacer = Pacer(concurrency, **ceilings)
    await send(pacer, 1, reply(limits))
    return pacer


async def send(pacer: Pacer, count: int, answer: Completion | None = None) -> None:
    """Requests one after the other, each answered at once."""
    for _ in range(count):
        turn = await pacer.turn(REQUEST)
        pacer.answered(turn, answer or reply())
        pacer.done(turn)


async def fill(pacer: Pacer, count: int) -> list[Turn]:
    """So many requests in flight."""
    return [await pacer.turn(REQUEST) for _ in range(count)]


async def refuse(pacer: Pacer, error: TeacherError) -> None:
    """One request that is turned down, and waits as long as it has to."""
    turn = await pacer.turn(REQUEST)
    pacer.done(turn)
    await asyncio.sleep(pacer.slow_down(turn, error))


async def fail(pacer: Pacer, error: TeacherError = BROKEN) -> None:
    turn = await pacer.turn(REQUEST)
    pacer.done(turn)
    pacer.failed(turn, error)


def most_within(seconds: float, times: list[float]) -> int:
    return max(sum(start <= time < start + seconds for time in times) for start in times)
