"""When a request may be sent: one pace for all of them.

The first request goes alone: it proves key and model, and its reply's headers teach the limits. After that each
request takes its turn from the buckets of the minute's allowance. What comes back sets the pace:

* A 429 pauses everybody for as long as the provider asked, and then a moment longer, at the limit's pace. Unless the
  headers say that the minute's allowance is used up, which explains it, the number in flight halves too, and grows by
  one with each full round of successes (AIMD).
* A 429 whose own headers say that the allowance is *not* used up is not about the limits. A lone one (a proxy's, a busy
  machine's) holds back only the request that it refused: were everybody to wait each time, one refusal in sixteen would
  make a run five times slower, and the provider has not asked for that. Once they are no longer few, a limit that no
  header tells must be behind them, and the first rule holds.
* After any pause the requests go out by a ramp and not all at once.
* When nothing but errors come back the circuit opens: one probe at a time, more and more rarely, until the provider
  answers or patience ends.

What was sent before a pause belongs to the burst that caused it: its errors do not count again.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
from dataclasses import dataclass

from alpaca_core.buckets import Allowance, Taken
from alpaca_core.errors import Stopped, TeacherError
from alpaca_core.records import Completion, Request

PATIENCE = 600.0  # seconds without a single good reply, while errors come back, before the run stops
OPEN_AFTER = 8  # errors in a row, with no success between them, that open the circuit
RAMP = 2.0  # seconds after a pause in which the number in flight comes back to what it may be


@dataclass(frozen=True, slots=True)
class Turn:
    """Leave to send a request. ``pauses`` is how many there had been by then."""

    taken: Taken
    pauses: int


class Pacer:
    """Shared by all requests of a run. To be made in the event loop that they run in.

    ``first_alone`` is for a provider; a model in this process has nothing to prove.
    """

    def __init__(
        self, concurrency: int, *, max_rpm: int | None = None, max_tpm: int | None = None, first_alone: bool = True
    ) -> None:
        self._now = asyncio.get_running_loop().time
        self._allowance = Allowance(self._now, max_rpm, max_tpm)
        self._concurrency = concurrency
        self._window = float(concurrency)
        self._proven = not first_alone
        self._errors = 0  # in a row
        self._refusals = 0.0  # that no limit explains; eight successes make up for one
        self._failing_since: float | None = None
        self._pauses = 0
        self._resume_at = -math.inf  # from then on by a ramp
        self._queue = asyncio.Lock()  # turns are given in the order of asking
        self._news = asyncio.Event()
        self.in_flight = 0
        self._fresh = 0  # those in flight that were sent after the last pause
        self.successes = 0
        self.trouble: TeacherError | None = None  # the newest error since the last good reply

    @property
    def slots(self) -> int:
        """How many may be in flight now, a ramp aside."""
        return 1 if not self._proven or self._open else max(1, int(self._window))

    @property
    def waiting(self) -> float:
        """Seconds of the common pause that are left."""
        return max(0.0, self._resume_at - self._now())

    async def turn(self, request: Request) -> Turn:
        """Wait until ``request`` may be sent, and count it in flight."""
        async with self._queue:
            while (wait := self._wait(request)) > 1e-6:
                self._news.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(None if wait == math.inf else wait):
                        await self._news.wait()
            self.in_flight += 1
            self._fresh += 1
            return Turn(self._allowance.take(request), self._pauses)

    def done(self, turn: Turn) -> None:
        """A request is no longer in flight, however it ended."""
        self.in_flight -= 1
        self._fresh -= turn.pauses == self._pauses
        self._allowance.ended(turn.taken)
        self._news.set()

    def answered(self, turn: Turn, reply: Completion) -> None:
        """A good reply came back."""
        self._allowance.answered(turn.taken, reply, alone=not self._proven)
        self._proven = True
        self._failing_since = self.trouble = None
        self.successes += 1
        self._window = min(self._concurrency, self._window + 1 / max(1.0, self._window))
        self._refusals = max(0.0, self._refusals - 1 / 8)
        if turn.pauses == self._pauses:
            if self._open:
                self._resume_at = self._now()
            self._errors = 0
        self._news.set()

    def slow_down(self, turn: Turn, error: TeacherError) -> float:
        """The provider refused a request for now. Gives the seconds for which that one may not be sent again: it alone,
        for the common pause is seen to by ``turn``.

        Raises Stopped when the provider asks for more than PATIENCE, or has done nothing else for as long.
        """
        self._remember(error)
        explained = self._allowance.refused(turn.taken, error.limits)
        asked = error.retry_after or self._backoff()  # 0 is what some servers round to: no answer
        if asked > PATIENCE:
            raise Stopped(
                f"The provider asks to wait {asked / 60:.0f} minutes: {error.message}",
                hint="Nothing is lost: run the same command again after that.",
            )
        if explained is False and self._proven:
            self._refusals += 1
            if self._refusals <= max(1.0, self._window / 4):
                return asked
            self._refusals = 0.0
        if turn.pauses == self._pauses:
            if not explained and self._proven:
                self._window = max(1.0, self._window / 2)
            self._pause(asked)
            self._allowance.restart(self._resume_at, turn.taken)
        elif error.retry_after is not None and self.waiting < asked:
            self._resume_at = self._now() + asked
            self._allowance.restart(self._resume_at, turn.taken)
        return 0.0

    def failed(self, turn: Turn, error: TeacherError) -> None:
        """An error that is worth another try came back.

        Raises Stopped when patience is at an end, or when the very first requests find nobody to talk to.
        """
        self._remember(error)
        self._allowance.learn(turn.taken, error.limits)
        if turn.pauses < self._pauses:
            return
        self._errors += 1
        if not self._open:
            return
        if not self._proven and error.kind == "connection" and not error.billed:
            raise Stopped(f"The teacher cannot be reached: {error.message}", hint=error.hint)
        self._pause(self._backoff())

    @property
    def _open(self) -> bool:
        return self._errors >= OPEN_AFTER

    def _wait(self, request: Request) -> float:
        """Seconds until ``request`` may be sent if nothing happens before; infinite if something must."""
        if (self._fresh if self._open else self.in_flight) >= self.slots:
            return math.inf
        ramp = self._resume_at + RAMP * self._fresh / self._window - self._now()
        return max(ramp, self._allowance.wait(request))

    def _remember(self, error: TeacherError) -> None:
        self.trouble = error
        self._news.set()
        if self._failing_since is None:
            self._failing_since = self._now()
        if self._now() - self._failing_since > PATIENCE:
            raise Stopped(
                f"The provider has answered nothing but errors for {PATIENCE / 60:.0f} minutes: {error.message}",
                hint=error.hint or "Nothing is lost: run the same command again when it is back.",
            )

    def _backoff(self) -> float:
        """A tenth of the time without a success, a second at least: so a run is back soon after its provider."""
        since = self._now() if self._failing_since is None else self._failing_since
        return max(1.0, (self._now() - since) / 10) * random.uniform(0.75, 1.0)

    def _pause(self, seconds: float) -> None:
        self._pauses += 1
        self._fresh = 0
        self._resume_at = max(self._resume_at, self._now() + seconds)
