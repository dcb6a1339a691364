"""Answers to what dataset filters ask: each question is asked once, however often and in whatever order it comes.

A question is known by its content and by who is asked, not by its number: a request whose body was answered before, by
the same teacher with the same options, is answered from the journal. So a stopped run pays nothing twice, and another
threshold, order or size of the dataset asks only what is new.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any, cast

from alpaca_core.asking import Asker
from alpaca_core.contact import Contact
from alpaca_core.errors import Stopped, TeacherError, TeacherErrorKind
from alpaca_core.ledger import Ledger
from alpaca_core.progress import Inquiry
from alpaca_core.protocols import Teacher
from alpaca_core.records import Completion, Request
from alpaca_core.settings import Generation
from alpaca_core.signals import Signals
from alpaca_core.store import Store


class Answers:
    """To be made in the event loop that the requests run in.

    ``store`` is a journal of its own. ``identity`` is what the teacher is: its answers are used again for the same one
    only. ``proven`` says that the teacher has answered elsewhere, so that a refused question speaks against that
    question alone.
    """

    def __init__(
        self,
        store: Store,
        teacher: Teacher,
        contact: Contact,
        ledger: Ledger,
        settings: Generation,
        *,
        identity: str,
        proven: bool = False,
        on_progress: Callable[[Inquiry], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._teacher = teacher
        self._contact = contact
        self._ledger = ledger
        self._settings = settings
        self._on_progress = on_progress
        self._proven = proven or store.answered_any()
        self._asker = Asker(
            teacher,
            store,
            contact.pacer,
            ledger,
            attempts=settings.attempts,
            timeout=settings.timeout,
            proven=self._proven,
            alone=self._is_alone,
        )
        self._known, self._next = _known(store, identity)
        self._settled = store.settled()
        self._spent_elsewhere = ledger.spent - (store.totals().cost or 0.0)
        self._waiting: deque[Request] = deque()
        self._tasks: dict[int, asyncio.Task[bool]] = {}
        self._turn = asyncio.Lock()
        self._wake = asyncio.Event()
        self._trouble: BaseException | None = None
        self._interrupted: int | None = None
        self._target = self._arrived = 0
        self._started = time.monotonic()

    async def ask(self, requests: Sequence[Request]) -> list[Completion | TeacherError]:
        """One answer for each of ``requests``, or the error for which it was given up.

        Raises as ``generate`` does: Stopped where it ends on purpose before (budget, a provider that is gone, SIGTERM),
        TeacherError for a wrong key, model or empty wallet, KeyboardInterrupt for SIGINT. In every case what was in
        flight came home first.
        """
        async with self._turn:
            numbered = [self._numbered(request) for request in requests]
            todo = {request.k: request for request in numbered if request.k not in self._settled}
            self._target = len({request.k for request in numbered})
            if todo:
                self._waiting.extend(todo.values())
                await self._settle()
            return [self._answer(request.k) for request in numbered]

    def _numbered(self, request: Request) -> Request:
        """``request`` with the number under which it was asked before, or a new one."""
        content = _content(request)
        if content not in self._known:
            self._known[content] = self._next
            self._next += 1
        return replace(request, k=self._known[content])

    def _answer(self, k: int) -> Completion | TeacherError:
        if found := self._store.reply(k):
            return found[1]
        ((reason,),) = self._store.rows("SELECT reason FROM failures WHERE k = ?", k)
        kind, _, message = reason.partition(": ")
        return TeacherError(cast(TeacherErrorKind, kind), message)

    # ── the loop ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _settle(self) -> None:
        """Ask what waits, as many at a time as may be, until all of it is settled or nothing more may be sent."""
        if not self._proven:  # the first one goes alone, and one that is too long would speak against the teacher
            first = min(self._waiting, key=lambda request: len(request.prompt))
            self._waiting.remove(first)
            self._waiting.appendleft(first)
        with Signals(self._interrupt):
            while True:
                try:
                    if self._waiting and not self._asker.closing:
                        await self._contact.prepare()
                        self._send()
                    self._show()
                    if not self._tasks:
                        break
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(0.5):
                            await self._wake.wait()
                    self._wake.clear()
                    self._contact.remember()
                except Exception as exc:  # what is in flight is paid: it comes home before anything is said
                    self._trouble = self._trouble or exc
                    if not self._tasks:
                        break
                    await asyncio.sleep(0.1)  # where nothing was awaited above, nothing would ever come home
                if self._trouble:
                    self._close()
        self._explain()

    def _send(self) -> None:
        while self._waiting and len(self._tasks) < self._settings.concurrency:
            request = self._waiting[0]
            if not self._ledger.affords(self._ledger.worst(request)):
                return
            self._waiting.popleft()
            task = self._tasks[request.k] = asyncio.create_task(self._asker.ask(request))
            task.add_done_callback(partial(self._asked, request))

    def _asked(self, request: Request, task: asyncio.Task[bool]) -> None:
        """A request's task has ended: settled, given back, cancelled or in trouble."""
        del self._tasks[request.k]
        self._wake.set()
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._trouble = self._trouble or error
            self._close()
        elif task.cancelled() or not task.result():
            self._waiting.appendleft(request)
        else:
            self._settled.add(request.k)
            self._arrived += 1

    def _is_alone(self, request: Request) -> bool:
        """Whether nothing else may be asked whose success would tell the failure of ``request`` from an outage."""
        others_fail = len(self._tasks) == len(self._asker.failures)
        return not self._waiting and others_fail and self._contact.pacer.successes > 0

    def _close(self) -> None:
        """Send nothing more. What is with the teacher comes home; what waits for its turn need not."""
        self._asker.closing = True
        if getattr(self._teacher, "local", False):
            cast(Any, self._teacher).leave()
        for k, task in self._tasks.items():
            if k not in self._asker.calling:
                task.cancel()

    def _interrupt(self, signum: int) -> None:
        self._interrupted = signum
        self._close()
        self._wake.set()

    # ── how it stands, how it ends ─────────────────────────────────────────────────────────────────────────────

    def _show(self) -> None:
        pacer, ledger = self._contact.pacer, self._ledger
        self._on_progress(
            Inquiry(
                target=self._target,
                answered=self._target - len(self._waiting) - len(self._tasks),
                arrived=self._arrived,
                in_flight=pacer.in_flight,
                cost=None if ledger.price is None else ledger.spent - self._spent_elsewhere,
                seconds=time.monotonic() - self._started,
                waiting=pacer.waiting,
                trouble=pacer.trouble.message if pacer.trouble else "",
                closing=self._asker.closing,
                doing=getattr(self._teacher, "doing", ""),
            )
        )

    def _explain(self) -> None:
        """Raise what ended the asking before all was answered."""
        have = f"{self._target - len(self._waiting):,} of {self._target:,} questions about the rows are answered"
        again = "Run the same command again to go on."
        if self._interrupted == signal.SIGINT:
            raise KeyboardInterrupt
        if self._interrupted is not None:
            raise Stopped(f"Stopped by a signal; {have}.", hint=again)
        if self._trouble is not None:
            raise self._trouble
        if self._waiting:
            worst, ledger = self._ledger.worst(self._waiting[0]), self._ledger
            raise Stopped(
                f"The budget of ${ledger.budget:g} leaves too little for another question, which may cost"
                f" ${worst:.4f} (${ledger.spent:.4f} spent); {have}.",
                hint="Go on with a larger one: --budget DOLLARS",
            )


def _content(request: Request) -> str:
    body = json.dumps(asdict(replace(request, k=0)), sort_keys=True)
    return hashlib.sha256(body.encode()).hexdigest()


def _known(store: Store, identity: str) -> tuple[dict[str, int], int]:
    """The numbers of the questions that the teacher of this ``identity`` was asked, by content; and the next number.

    The journal notes from which number on who was asked: [[0, "..."], [120, "..."]].
    """
    asked = list(store.requests())
    following = asked[-1].k + 1 if asked else 0
    teachers: list[list[Any]] = json.loads(store.get("teachers") or "[]")
    if not teachers or teachers[-1][1] != identity:
        teachers.append([following, identity])
        store.set("teachers", json.dumps(teachers))
    known: dict[str, int] = {}
    for request in asked:
        if next(name for first, name in reversed(teachers) if first <= request.k) == identity:
            known[_content(request)] = request.k
    return known, following
