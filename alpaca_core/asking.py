"""One request's life: its turn, its reserve, the call, the journal, another try or the end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from alpaca_core.errors import AlpacaError, Stopped, TeacherError
from alpaca_core.ledger import Ledger
from alpaca_core.pacing import PATIENCE, Pacer, Turn
from alpaca_core.protocols import Teacher
from alpaca_core.records import Request
from alpaca_core.store import Store

# What no other try can mend: the run stops at once and says so.
FATAL = frozenset({"auth", "permission", "not_found", "quota"})


class Asker:
    """Asks requests of one teacher, and journals whatever happens before anything else is done with it.

    ``timeout`` is in seconds, None for a teacher that may take its time. ``proven`` says that the teacher has answered
    this run before; ``alone`` that no other request may be asked before this one is settled.
    """

    def __init__(
        self,
        teacher: Teacher,
        store: Store,
        pacer: Pacer,
        ledger: Ledger,
        *,
        attempts: int,
        timeout: float | None,
        proven: bool = False,
        alone: Callable[[Request], bool] = lambda _: False,
    ) -> None:
        self._teacher = teacher
        self._store = store
        self._pacer = pacer
        self._ledger = ledger
        self._attempts = attempts
        self._timeout = timeout
        self._proven = proven
        self._alone = alone
        self._passed = -1 if proven else 0  # the successes there were when a request that was alone was given up
        self._syncing = asyncio.Lock()
        self._journalled = self._synced = 0  # replies, and those of them that the disk has
        self.closing = False  # send nothing more; what is in flight may come home
        self.calling: set[int] = set()  # the requests that are with the teacher now
        self.failures: dict[int, int] = {}  # errors so far of the requests that are being tried again

    async def ask(self, request: Request) -> bool:
        """Ask until the request is settled: there is a reply, or it is given up. False: nothing more may be sent now,
        because the run is closing or the budget does not allow another try.

        Raises TeacherError for what concerns the whole run (``FATAL``) and Stopped when the pacer's patience ends.
        """
        try:
            return await self._ask(request)
        finally:
            self.failures.pop(request.k, None)

    async def _ask(self, request: Request) -> bool:
        worst = self._ledger.worst(request)
        tries = 0
        others = self._pacer.successes
        while not self.closing:
            if not self._ledger.affords(worst):
                return False
            self._ledger.reserve(worst)
            error, turn = await self._send(request, worst)
            if error is None:
                return True
            if error.kind in FATAL or (error.kind == "bad_request" and not self._proven):
                self.closing = True  # now, and not when somebody hears of it: the next in line has its turn already
                raise error
            if self.closing:
                return False
            if error.kind == "bad_request":
                return self._give_up(request, error)
            if _is_busy(error):  # that is nobody's fault, and uses up no try
                await self._wait(self._pacer.slow_down(turn, error), worst)
                continue
            try:
                self._pacer.failed(turn, error)
            except Stopped:
                if not self._alone(request) or self._pacer.successes == self._passed:
                    raise
                # Nothing else may be asked whose success would tell this from an outage: patience has to.
                self._passed = self._pacer.successes
                return self._give_up(request, error)
            self.failures[request.k] = self.failures.get(request.k, 0) + 1
            # While nothing at all succeeds it is an outage, which must not use up a request's tries.
            if self._pacer.successes > others:
                tries += 1
                others = self._pacer.successes
            if tries >= self._attempts:
                return self._give_up(request, error)
            backoff = min(30.0, 0.5 * 2.0**tries) * random.uniform(0.5, 1.0)
            await self._wait(max(backoff, error.retry_after or 0.0), worst)
        return False

    async def _wait(self, seconds: float, worst: float | None) -> None:
        """Wait before another try. It goes before what is new: the money for it, if it is there, is set aside."""
        held = worst if self._ledger.affords(worst) else None
        self._ledger.reserve(held)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._ledger.settle(held, 0.0)

    async def _on_disk(self) -> None:
        """Return once the disk has what is journalled now. Replies that come at the same time share one sync, which a
        thread waits for."""
        self._journalled += 1
        mine = self._journalled
        async with self._syncing:
            if self._synced < mine:
                synced = self._journalled
                await asyncio.to_thread(self._store.sync)
                self._synced = synced

    def _give_up(self, request: Request, error: TeacherError) -> bool:
        self._store.failed(request.k, f"{error.kind}: {error.message}")
        return True

    async def _send(self, request: Request, worst: float | None) -> tuple[TeacherError | None, Turn]:
        """One attempt: its error, or None, and the turn that it had. Settles ``worst`` in every case."""
        spent: float | None = 0.0
        journalled = False
        try:
            turn = await self._pacer.turn(request)
            try:
                if self.closing:
                    return TeacherError("connection", "not sent: the run is ending"), turn
                attempt = self._store.sent(request, worst)
                journalled, spent = True, worst  # whatever happens now may be billed in full
                self.calling.add(request.k)
                try:
                    async with asyncio.timeout(self._timeout):
                        reply = await self._teacher.complete(request)
                except TimeoutError:
                    seconds = "time" if self._timeout is None else f"{self._timeout:g} seconds"
                    error = TeacherError("timeout", f"no answer in {seconds}", billed=True)
                except TeacherError as exc:
                    error = exc
                except asyncio.CancelledError:
                    self._store.lost(attempt, "cancelled", "", worst)
                    raise
                except Exception as exc:
                    self._store.lost(attempt, "broken", f"{type(exc).__name__}: {exc}", worst)
                    raise AlpacaError(
                        f"The teacher failed on request {request.k}: {type(exc).__name__}: {exc}",
                        hint="This is a fault of the teacher's plugin: --debug shows where.",
                    ) from exc
                else:
                    spent = self._ledger.bill(reply, worst)
                    self._store.answered(attempt, request.k, reply, spent)
                    await self._on_disk()
                    self._proven = True
                    self._pacer.answered(turn, reply)
                    return None, turn
                spent = worst if error.billed else 0.0
                self._store.lost(attempt, error.kind, error.message, spent)
                return error, turn
            finally:
                self.calling.discard(request.k)
                self._pacer.done(turn)
        finally:
            self._ledger.settle(worst, spent if journalled else 0.0)


def _is_busy(error: TeacherError) -> bool:
    """Whether the provider asks to come back later."""
    wait = error.retry_after
    return error.kind == "rate_limit" or (wait is not None and (error.kind == "overloaded" or wait > PATIENCE))
