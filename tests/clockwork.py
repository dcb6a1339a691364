"""Hours in moments: an event loop whose clock jumps to whatever is due next, and a provider that lives in it."""

from __future__ import annotations

import asyncio
import os
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from alpaca_core.asking import Asker
from alpaca_core.errors import TeacherError
from alpaca_core.ledger import Ledger
from alpaca_core.pacing import Pacer
from alpaca_core.protocols import Teacher
from alpaca_core.records import Completion, Limits, Request, Usage
from alpaca_core.store import Store

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # for journals that nobody needs on a disk


class _Jump(selectors.DefaultSelector):
    """Waits for nothing that is due later: the time is put forward instead."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is not None:
            self.now += max(0.0, timeout)
            return super().select(0)
        events = super().select(10)  # real seconds, for a thread that ends
        if not events:
            raise RuntimeError("everybody sleeps for good")
        return events


class _AtOnce(ThreadPoolExecutor):
    """Threads' work is done while the clock stands still."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as exc:
            future.set_exception(exc)
        return future


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)
        self.set_default_executor(_AtOnce())

    def time(self) -> float:
        return self._jump.now


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """What ``work`` gives, with all its waiting done in no time. The clock starts at 0."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(work)


def on_the_clock(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """The test as a plain function, all of whose waiting is done in no time."""

    @wraps(test)
    def plain(*args: object, **kwargs: object) -> None:
        run(test(*args, **kwargs))

    return plain


def now() -> float:
    return asyncio.get_running_loop().time()


async def ask(teacher: Teacher, count: int, concurrency: int = 64, **ceilings: int) -> float:
    """Have ``count`` requests asked, as a run asks them: with journal, ledger and retries. Gives the time it took."""
    requests = (Request(k, f"{k:2800}", max_tokens=3072) for k in range(count))

    async def one_by_one() -> None:
        for request in requests:
            await asker.ask(request)

    start = now()
    with TemporaryDirectory(dir=MEMORY) as folder, closing(Store(Path(folder, "run.db"))) as store:
        pacer = Pacer(concurrency, **ceilings)
        asker = Asker(teacher, store, pacer, Ledger(None, None), attempts=6, timeout=120.0)
        await asyncio.gather(*(one_by_one() for _ in range(concurrency)))
        assert store.settled() == set(range(count))
    return now() - start


class Bucket:
    """One limit of the provider."""

    def __init__(self, limit: int) -> None:
        self.limit, self._level, self._at = limit, float(limit), now()

    @property
    def level(self) -> float:
        self._level = min(self.limit, self._level + (now() - self._at) * self.limit / 60)
        self._at = now()
        return self._level

    def wait(self, amount: float) -> float:
        """Seconds until ``amount`` is there, or a full bucket if that is less."""
        return max(0.0, (min(amount, self.limit) - self.level) * 60 / self.limit) if self.limit else 0.0

    def take(self, amount: float) -> None:
        self._level = self.level - amount

    def change(self, limit: int) -> None:
        self._level = min(self.level, limit)
        self.limit = limit


@dataclass
class Provider:
    """A teacher that keeps real limits, and remembers when requests came and when they were turned down.

    ``counts``: how it counts tokens. "longest" takes off the prompt and the longest answer when a request comes; "held"
    does too, and gives back later what the answer did not need; "used" takes off the answer when it is written.
    ``headers``: they tell how things stood at the request's "arrival" or at its "reply"; "" sends none. ``fault`` is
    called with each request's number, from 0, and gives the error for it, if any. To be made inside ``run``.
    """

    rpm: int = 0
    tpm: int = 0
    itpm: int = 0
    otpm: int = 0
    latency: Callable[[int], float] = lambda number: 1.0
    usage: Callable[[int], Usage] = lambda number: Usage(700, 1800)
    counts: str = "used"
    headers: str = "reply"
    retry_after: bool = True
    fault: Callable[[int], TeacherError | None] = lambda number: None
    arrivals: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    open: int = 0
    peak: int = 0

    def __post_init__(self) -> None:
        limits = {"requests": self.rpm, "tokens": self.tpm, "input_tokens": self.itpm, "output_tokens": self.otpm}
        self.buckets = {name: Bucket(limit) for name, limit in limits.items()}

    async def complete(self, request: Request) -> Completion:
        self.arrivals.append(now())
        self.open += 1
        self.peak = max(self.peak, self.open)
        try:
            return await self._complete(request, len(self.arrivals) - 1)
        finally:
            self.open -= 1

    async def _complete(self, request: Request, number: int) -> Completion:
        if error := self.fault(number):
            raise error
        usage = self.usage(number)
        ahead = 0 if self.counts == "used" else request.max_tokens
        amounts = {
            "requests": 1,
            "tokens": usage.prompt_tokens + ahead,
            "input_tokens": usage.prompt_tokens,
            "output_tokens": ahead,
        }
        wait = max(self.buckets[name].wait(amount) for name, amount in amounts.items())
        if wait > 1e-6:
            self.refused.append(now())
            after = wait if self.retry_after else None
            raise TeacherError("rate_limit", "too many", retry_after=after, limits=self.limits())
        for name, amount in amounts.items():
            self.buckets[name].take(amount)
        limits = self.limits()
        await asyncio.sleep(self.latency(number))
        late = 0 if self.counts == "longest" else usage.completion_tokens - ahead
        for name in ("tokens", "output_tokens"):
            self.buckets[name].take(late)
        return Completion(text="", usage=usage, limits=self.limits() if self.headers == "reply" else limits)

    def limits(self) -> Limits | None:
        if not self.headers:
            return None
        known = {name: bucket for name, bucket in self.buckets.items() if bucket.limit}
        lefts = {f"{name}_left": max(0, int(bucket.level)) for name, bucket in known.items()}
        return Limits(**{name: bucket.limit for name, bucket in known.items()}, **lefts)

    async def aclose(self) -> None:
        pass
