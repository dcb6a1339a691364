"""When a request may be sent: one pace for all of them.

The first request goes alone: it proves key and model, and its reply's headers teach the limits. After that each
request takes its turn from two buckets (requests and tokens per minute) that follow the provider's headers on every
reply. A 429 pauses everybody, for as long as the provider asked; without limits to follow, the number in flight halves
on a 429 and grows by one with each full round of successes (AIMD). When nothing but errors come back the circuit
opens: one probe at a time, more and more rarely, until the provider answers or patience ends.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from alpaca_core.errors import Stopped
from alpaca_core.records import Limits

PATIENCE = 600.0  # seconds without a single good reply, while errors come back, before the run stops
OPEN_AFTER = 8  # errors in a row, with no success between them, that open the circuit


class Bucket:
    """A per-minute allowance that refills continuously. No limit: always open."""

    def __init__(self, most: int | None, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._most = most  # the user's own ceiling
        self.limit: float | None = most
        self.level = (most or 0) / 6  # ten seconds' worth, so that the first minute stays near the ceiling
        self._at = clock()

    def learn(self, limit: int | None, left: int | None) -> None:
        """Follow what the provider says; never above the user's own ceiling."""
        if limit is None:
            return
        self._refill()
        limit = min(limit, self._most or limit)
        if self.limit is None:
            self.level = float(limit)
        self.limit = limit
        self.level = min(self.level, limit, limit if left is None else left)

    def drain(self) -> None:
        """Start from nothing, so that what waited through a pause does not go out all at once."""
        self._refill()
        self.level = min(self.level, 0.0)

    def wait(self, amount: float) -> float:
        """Seconds until ``amount`` may be taken."""
        if self.limit is None:
            return 0.0
        self._refill()
        missing = min(amount, self.limit) - self.level
        return max(0.0, missing * 60 / self.limit)

    def take(self, amount: float) -> None:
        if self.limit is not None:
            self.level -= amount

    def _refill(self) -> None:
        now = self._clock()
        if self.limit is not None:
            self.level = min(self.limit, self.level + (now - self._at) * self.limit / 60)
        self._at = now


class Pacer:
    """Shared by all requests of a run."""

    def __init__(
        self,
        concurrency: int,
        max_rpm: int | None = None,
        max_tpm: int | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._clock = clock or asyncio.get_running_loop().time
        self._requests = Bucket(max_rpm, self._clock)
        self._tokens = Bucket(max_tpm, self._clock)
        self._concurrency = concurrency
        self._window = float(concurrency)
        self._proven = False
        self._errors = 0  # in a row
        self._failing_since: float | None = None
        self._resume_at = 0.0
        self._queue = asyncio.Lock()  # the buckets are taken from in the order of asking
        self._freed = asyncio.Event()
        self.in_flight = 0
        self.successes = 0

    @property
    def slots(self) -> int:
        """How many may be in flight now."""
        if not self._proven or self._errors >= OPEN_AFTER:
            return 1
        return max(1, int(self._window))

    @property
    def waiting(self) -> float:
        """Seconds of the common pause that are left."""
        return max(0.0, self._resume_at - self._clock())

    async def turn(self, tokens: int) -> None:
        """Wait until a request of ``tokens`` (prompt and answer, estimated) may be sent, and count it in flight."""
        async with self._queue:
            while True:
                if self.in_flight >= self.slots:
                    self._freed.clear()
                    await self._freed.wait()
                    continue
                wait = max(self.waiting, self._requests.wait(1), self._tokens.wait(tokens))
                if wait <= 0:
                    break
                await asyncio.sleep(wait)
            self._requests.take(1)
            self._tokens.take(tokens)
            self.in_flight += 1

    def done(self) -> None:
        """A request is no longer in flight, however it ended."""
        self.in_flight -= 1
        self._freed.set()

    def answered(self, limits: Limits | None) -> None:
        """A good reply came back."""
        self._proven = True
        self._errors = 0
        self._failing_since = None
        self.successes += 1
        self._window = min(self._concurrency, self._window + 1 / max(1.0, self._window))
        self._learn(limits)
        self._freed.set()

    def slow_down(self, retry_after: float | None, limits: Limits | None) -> None:
        """The provider asked to slow down: everybody waits."""
        fresh = self.waiting == 0  # several 429s of one burst count once
        self._learn(limits)
        if retry_after is None:
            retry_after = min(60.0, 2.0 ** min(self._errors, 5)) * random.uniform(0.75, 1.25)
        if fresh and self._requests.limit is None:
            self._window = max(1.0, self._window / 2)
        self._requests.drain()
        self._tokens.drain()
        self._pause(retry_after)
        self.failed()

    def failed(self) -> None:
        """An error that is worth another try came back. Raises Stopped when patience is at an end."""
        now = self._clock()
        self._errors += 1
        self._failing_since = self._failing_since or now
        if now - self._failing_since > PATIENCE:
            raise Stopped(
                f"The provider has answered nothing but errors for {PATIENCE / 60:.0f} minutes.",
                hint="Nothing is lost: run the same command again when it is back.",
            )
        if self._errors >= OPEN_AFTER:
            self._pause(min(60.0, 2.0 ** (self._errors - OPEN_AFTER)))

    def _pause(self, seconds: float) -> None:
        self._resume_at = max(self._resume_at, self._clock() + seconds)

    def _learn(self, limits: Limits | None) -> None:
        if limits is not None:
            self._requests.learn(limits.requests, limits.requests_left)
            self._tokens.learn(limits.tokens, limits.tokens_left)
