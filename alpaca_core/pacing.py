"""When a request may be sent: one pace for all of them.

The first request goes alone: it proves key and model, and its reply's headers teach the limits. After that each
request takes its turn from two buckets (requests and tokens per minute) that follow the provider's headers on every
reply. A 429 pauses everybody, for as long as the provider asked; unless the headers say that the minute's allowance is
used up, the number in flight halves too, and grows by one with each full round of successes (AIMD). When nothing but
errors come back the circuit opens: one probe at a time, more and more rarely, until the provider answers or patience
ends. Errors of requests that were sent before a pause began belong to the burst that caused it, and count once.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from alpaca_core.errors import Stopped, TeacherError
from alpaca_core.records import Limits

PATIENCE = 600.0  # seconds without a single good reply, while errors come back, before the run stops
OPEN_AFTER = 8  # errors in a row, with no success between them, that open the circuit
LONGEST = 60.0  # seconds between two probes, at most


class Bucket:
    """A per-minute allowance that refills continuously. No limit: always open."""

    def __init__(self, most: int | None, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._most = most  # the user's own ceiling
        self.limit: float | None = most
        self.level = (most or 0) / 6  # ten seconds' worth, so that the first minute stays near the ceiling
        self._at = clock()

    def learn(self, limit: int | None, left: int | None) -> None:
        """Follow what the provider says; never above the user's own ceiling. Some servers say 0 for no limit."""
        if not limit:
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
        self.clock = clock or asyncio.get_running_loop().time
        self._requests = Bucket(max_rpm, self.clock)
        self._tokens = Bucket(max_tpm, self.clock)
        self._concurrency = concurrency
        self._window = float(concurrency)
        self._proven = False
        self._errors = 0  # in a row
        self._pauses = 0  # in a row: each is twice as long
        self._failing_since: float | None = None
        self._paused_at = 0.0
        self._resume_at = 0.0
        self._queue = asyncio.Lock()  # the buckets are taken from in the order of asking
        self._freed = asyncio.Event()
        self.in_flight = 0
        self.successes = 0
        self.trouble: TeacherError | None = None  # the newest error since the last good reply

    @property
    def slots(self) -> int:
        """How many may be in flight now."""
        if not self._proven or self._errors >= OPEN_AFTER:
            return 1
        return max(1, int(self._window))

    @property
    def waiting(self) -> float:
        """Seconds of the common pause that are left."""
        return max(0.0, self._resume_at - self.clock())

    async def turn(self, tokens: int) -> float:
        """Wait until a request of ``tokens`` (prompt and answer, estimated) may be sent, and count it in flight.
        Gives the time of its sending."""
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
        return self.clock()

    def done(self) -> None:
        """A request is no longer in flight, however it ended."""
        self.in_flight -= 1
        self._freed.set()

    def answered(self, limits: Limits | None) -> None:
        """A good reply came back."""
        self._proven = True
        self._errors = self._pauses = 0
        self._failing_since = self.trouble = None
        self.successes += 1
        self._window = min(self._concurrency, self._window + 1 / max(1.0, self._window))
        self._learn(limits)
        self._freed.set()

    def slow_down(self, error: TeacherError, sent: float) -> None:
        """The provider asked the request that was sent at ``sent`` to slow down: everybody waits.

        Raises Stopped when it asks for more than PATIENCE, or has done nothing else for as long.
        """
        self._remember(error)
        self._learn(error.limits)
        asked = error.retry_after
        if asked is not None and asked > PATIENCE:
            raise Stopped(
                f"The provider asks to wait {asked / 60:.0f} minutes: {error.message}",
                hint="Nothing is lost: run the same command again after that.",
            )
        self._requests.drain()
        self._tokens.drain()
        if sent >= self._paused_at:
            spent = error.limits is not None and 0 in (error.limits.requests_left, error.limits.tokens_left)
            if not spent:
                self._window = max(1.0, self._window / 2)
            self._pause(self._backoff() if asked is None else asked)
        elif asked is not None:
            self._resume_at = max(self._resume_at, self.clock() + asked)

    def failed(self, error: TeacherError, sent: float) -> None:
        """An error that is worth another try came back for the request sent at ``sent``.

        Raises Stopped when patience is at an end, or when the very first requests find nobody to talk to.
        """
        self._remember(error)
        if sent < self._paused_at:
            return
        self._errors += 1
        if self._errors < OPEN_AFTER:
            return
        if not self._proven and error.kind == "connection" and not error.billed:
            raise Stopped(f"The teacher cannot be reached: {error.message}", hint=error.hint)
        self._pause(self._backoff())

    def _remember(self, error: TeacherError) -> None:
        self.trouble = error
        now = self.clock()
        if self._failing_since is None:
            self._failing_since = now
        if now - self._failing_since > PATIENCE:
            raise Stopped(
                f"The provider has answered nothing but errors for {PATIENCE / 60:.0f} minutes: {error.message}",
                hint=error.hint or "Nothing is lost: run the same command again when it is back.",
            )

    def _backoff(self) -> float:
        return min(LONGEST, 2.0 ** min(self._pauses, 6)) * random.uniform(0.75, 1.0)

    def _pause(self, seconds: float) -> None:
        self._pauses += 1
        self._paused_at = self.clock()
        self._resume_at = max(self._resume_at, self._paused_at + seconds)

    def _learn(self, limits: Limits | None) -> None:
        if limits is not None:
            self._requests.learn(limits.requests, limits.requests_left)
            self._tokens.learn(limits.tokens, limits.tokens_left)
