"""Many requests as one batch of the provider's: answered within a day, for a lower price.

    journal ─► hand in, with our key ─► journal its name ─► poll ─► journal the results

A batch may hold a whole run's money, so it is never handed in twice: whenever it is not known to have arrived (the
answer was lost, or the process was killed in between), the provider is asked for a batch with our key first. A batch
that a killed or interrupted run left behind is waited for at the next start.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from alpaca_core.asking import FATAL
from alpaca_core.entries import OpenBatch
from alpaca_core.errors import Stopped, TeacherError
from alpaca_core.ledger import Ledger
from alpaca_core.pacing import PATIENCE
from alpaca_core.protocols import BatchTeacher
from alpaca_core.records import BatchStatus, Completion, Request
from alpaca_core.store import Store

FIRST_POLL = 0.5  # seconds; each wait is half as long again
LAST_POLL = 60.0
AT_ONCE = 500  # results that are committed together

# How often each request has come back from a batch with an error while others in it were answered.
_TRIES = """SELECT k, count(*) FROM attempts WHERE outcome NOT IN ('answered', 'expired')
AND batch IN (SELECT batch FROM attempts WHERE outcome = 'answered') GROUP BY k"""

T = TypeVar("T")


@dataclass(frozen=True)
class _Results:
    """What has come of a batch: requests still ``waiting``, as in OpenBatch; those ``settled``; and ``errors``."""

    waiting: dict[int, tuple[int, float | None]]
    settled: set[int] = field(default_factory=set)
    errors: dict[int, TeacherError] = field(default_factory=dict)


class Batches:
    """Asks requests in batches, and journals whatever happens before anything else is done with it."""

    def __init__(
        self,
        teacher: BatchTeacher,
        store: Store,
        ledger: Ledger,
        *,
        attempts: int,
        on_change: Callable[[], None] = lambda: None,
        on_note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._teacher = teacher
        self._store = store
        self._ledger = ledger
        self._attempts = attempts
        self._on_change = on_change
        self._on_note = on_note
        self._leaving = asyncio.Event()
        self._fruitless = 0  # batches in a row that brought nothing but errors
        self._erred: set[int] = set()  # requests to which the last batch brought an error
        self.most = teacher.batch_requests if isinstance(teacher, BatchTeacher) else 0  # requests in one batch
        self.status: BatchStatus | None = None  # of the batch at hand
        self.trouble: TeacherError | None = None  # the newest error since the provider last answered

    def erred(self, k: int) -> bool:
        """Whether the last batch brought an error to request ``k``: it should not be alone in the next one, which then
        tells a poisoned request from an outage."""
        return k in self._erred

    def leave(self) -> None:
        """Stop waiting. What was handed in goes on at the provider, and is collected at the next start."""
        self._leaving.set()

    async def ask(self, requests: Sequence[Request]) -> set[int]:
        """Hand ``requests`` in as one batch and wait for it. Gives those that are settled: answered, or given up.

        Raises TeacherError when the provider refuses the batch, or what concerns the whole run (key, quota), and
        Stopped when it cannot tell whether a batch has arrived.
        """
        key = secrets.token_hex(8)
        worst = [self._ledger.worst(request, batch=True) for request in requests]
        for one in worst:
            self._ledger.reserve(one)
        self._store.batch_sent(key, zip(requests, worst, strict=True))
        (batch,) = (batch for batch in self._store.open_batches() if batch.key == key)
        return await self._through(batch, requests)

    async def resume(self) -> set[int]:
        """Wait for the batches that an earlier start left behind. Gives the requests that are settled. Raises as
        ``ask`` does. One that has never arrived is not handed in again: what of it is due now is not known here."""
        settled = set()
        for batch in self._store.open_batches():
            for _, reserved in batch.waiting.values():  # counted as spent so far, as is all that was in flight
                self._ledger.settle(None, -(reserved or 0.0))
                self._ledger.reserve(reserved)
            settled |= await self._through(batch)
        return settled

    async def _through(self, batch: OpenBatch, requests: Sequence[Request] = ()) -> set[int]:
        self.status = BatchStatus(False, 0, batch.total)
        taken = _Results(dict(batch.waiting))
        name = batch.name or await self._hand_in(batch, requests)
        try:
            if name is None or not await self._ended(name):
                return set()
            if self.status.refused is None and not await self._collect(name, taken):
                return taken.settled
        except TeacherError as error:
            if error.kind != "not_found":
                raise
            raise self._gone(f"The provider does not find the batch {name} any more", batch, error) from error
        if self.status.refused is not None:
            self._not_taken(batch, self.status.refused.kind, self.status.refused.message)
            raise self.status.refused
        await self._close(batch, taken)
        return taken.settled

    async def _hand_in(self, batch: OpenBatch, requests: Sequence[Request]) -> str | None:
        """The provider's name for the batch; None when it is time to leave. Without ``requests``, because an earlier
        start handed it in, also None if it never arrived."""
        wait = FIRST_POLL
        since = time.monotonic()
        arrived = not requests  # perhaps
        while not self._leaving.is_set():
            try:
                name = await self._look_for(batch) if arrived else None
                if self._leaving.is_set():
                    return None
                if name is None and not requests:
                    self._not_taken(batch, "not arrived", "")
                    return None
                name = name or await self._submit(batch, requests)
                self._store.batch_named(batch.key, name)
                return name
            except TeacherError as error:
                if error.kind in FATAL or error.kind == "bad_request":
                    raise
                if time.monotonic() - since > PATIENCE:
                    raise Stopped(
                        f"The provider has not taken the batch for {PATIENCE / 60:.0f} minutes: {error.message}",
                        hint=error.hint or "Nothing is lost: run the same command again when it is back.",
                    ) from error
                self.trouble = error
                arrived |= error.kind != "rate_limit"
                await self._pause(max(wait, error.retry_after or 0.0))
                wait = min(LAST_POLL, 2 * wait)
        return None

    async def _submit(self, batch: OpenBatch, requests: Sequence[Request]) -> str:
        try:
            return await self._teacher.submit(batch.key, requests)
        except TeacherError as error:
            if error.kind in FATAL or error.kind == "bad_request":
                self._not_taken(batch, error.kind, error.message)
            raise

    async def _look_for(self, batch: OpenBatch) -> str | None:
        """Where the provider lists batches without their keys, this waits for those that may be ours to end."""
        try:
            return await self._unless_leaving(self._teacher.find(batch.key, batch.submitted, batch.total))
        except TeacherError as error:
            if error.kind != "not_found":
                raise
            told = "A batch was being handed in when the run ended, and the provider cannot say whether it arrived"
            raise self._gone(told, batch, error) from error

    async def _ended(self, name: str) -> bool:
        """Poll until the batch has ended; False when it is time to leave."""
        wait = FIRST_POLL
        while not self._leaving.is_set():
            try:
                found = await self._unless_leaving(self._teacher.status(name))
                if found is None:
                    return False
                self.status, self.trouble = found, None
                if found.ended:
                    return True
            except TeacherError as error:
                if error.kind in FATAL or error.kind == "bad_request":
                    raise
                self.trouble = error
            await self._pause(wait)
            wait = min(LAST_POLL, 1.5 * wait)
        return False

    async def _collect(self, name: str, taken: _Results) -> bool:
        """Journal what an ended batch brought; False when it is time to leave before that is all here."""
        wait = FIRST_POLL
        since = time.monotonic()
        while not self._leaving.is_set():
            try:
                return bool(await self._unless_leaving(self._read(name, taken)))
            except TeacherError as error:
                if error.kind in FATAL or error.kind == "bad_request":
                    raise
                if time.monotonic() - since > PATIENCE:
                    raise Stopped(
                        f"The results of batch {name} cannot be read to their end: {error.message}",
                        hint="Nothing is lost: run the same command again later.",
                    ) from error
                self.trouble = error
                await self._pause(wait)
                wait = min(LAST_POLL, 2 * wait)
        return False

    async def _read(self, name: str, taken: _Results) -> bool:
        """Journal the results that have not been taken yet. True, when that is all of them."""
        results: list[tuple[int, Completion | TeacherError]] = []
        try:
            async for result in self._teacher.results(name):
                results.append(result)
                if len(results) == AT_ONCE:
                    self._take(results, taken)
                    results = []
        finally:
            self._take(results, taken)
        return True

    def _take(self, results: Sequence[tuple[int, Completion | TeacherError]], taken: _Results) -> None:
        """Journal ``results``, and settle the money."""
        answers, lost = [], []
        for k, result in results:
            if k not in taken.waiting:
                continue  # it was taken before a kill, or is not ours
            attempt, reserved = taken.waiting.pop(k)
            if isinstance(result, Completion):
                cost = self._ledger.bill(result, reserved, batch=True)
                answers.append((attempt, k, result, cost))
                self._ledger.settle(reserved, cost)
                taken.settled.add(k)
            else:
                lost.append((attempt, result.kind, result.message))
                self._ledger.settle(reserved, 0.0)
                taken.errors[k] = result
        self._store.batch_answers(answers, lost)
        self._on_change()

    async def _close(self, batch: OpenBatch, taken: _Results) -> None:
        """All results of ``batch`` are journalled. Give up requests that are refused for good, or have come back with
        an error as often as they may while others were answered; the rest may be asked again.

        Raises TeacherError for what concerns the whole run, and Stopped when there is nothing but errors.
        """
        said = self.status.note if self.status else ""
        self._erred = set(taken.errors)
        answered, tries = self._store.answered_any(), dict(self._store.rows(_TRIES))
        # No other may be asked beside a request that is alone in its batches: they have to do.
        alone = batch.total == 1 and answered and self._fruitless + 1 >= self._attempts
        failed = [
            (k, f"{error.kind}: {error.message}")
            for k, error in taken.errors.items()
            if (error.kind == "bad_request" and answered)
            or (error.kind not in FATAL and (alone or tries.get(k, 0) >= self._attempts))
        ]
        self._not_taken(replace(batch, waiting=taken.waiting), "expired", said, failed)
        taken.settled.update(k for k, _ in failed)
        for error in taken.errors.values():
            if error.kind in FATAL or (error.kind == "bad_request" and not answered):
                raise error
        if len(taken.waiting) == batch.total:
            self._halve(batch, f": {said}" if said else "")
        self._fruitless = 0 if taken.settled or not taken.errors else self._fruitless + 1
        if self._fruitless:
            last = [*taken.errors.values()][-1]
            if self._fruitless >= self._attempts:
                raise Stopped(
                    f"The last {self._fruitless} batches brought nothing but errors: {last.message}",
                    hint="Nothing is lost: run the same command again later, or without --batch.",
                )
            await self._pause(FIRST_POLL * 2**self._fruitless)

    def _halve(self, batch: OpenBatch, said: str) -> None:
        """A batch that brought nothing at all may have been too large for the account: go on with smaller ones."""
        if batch.total == 1:
            raise Stopped(
                f"The provider gives nothing back, even for a batch of one request{said}",
                hint="Nothing is lost: run the same command again later, or without --batch.",
            )
        self.most = (batch.total + 1) // 2
        self._on_note(
            f"A batch of {batch.total:,} requests brought nothing{said}. The next have {self.most:,} at most."
        )

    def _not_taken(self, batch: OpenBatch, why: str, said: str, failed: Sequence[tuple[int, str]] = ()) -> None:
        """``batch`` is over. What still waits in it the provider did not work on: that costs nothing, and may be asked
        again."""
        lost = [(attempt, why, said) for attempt, _ in batch.waiting.values()]
        self._store.batch_answers([], lost, failed, ended=batch.key)
        for _, reserved in batch.waiting.values():
            self._ledger.settle(reserved, 0.0)

    def _gone(self, told: str, batch: OpenBatch, error: TeacherError) -> Stopped:
        """What to say of a batch that cannot be found, and may have cost something."""
        way = "in a new folder: --from THIS_FOLDER" if self._store.answered_any() else "from the start: --fresh"
        return Stopped(
            f"{told} ({batch.total:,} requests): {error.message}",
            hint=f"See there what became of it, and check the address. To give it up and ask again, go on {way}",
        )

    async def _unless_leaving(self, work: Coroutine[Any, Any, T]) -> T | None:
        """What ``work`` gives; None, without waiting for it, when it is time to leave."""
        task, leaving = asyncio.ensure_future(work), asyncio.ensure_future(self._leaving.wait())
        try:
            await asyncio.wait((task, leaving), return_when=asyncio.FIRST_COMPLETED)
            return await task if task.done() else None
        finally:
            task.cancel()
            leaving.cancel()

    async def _pause(self, seconds: float) -> None:
        self._on_change()
        try:
            async with asyncio.timeout(seconds):
                await self._leaving.wait()
        except TimeoutError:
            pass
