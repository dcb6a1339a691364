"""Seeds to judged rows: ask the teacher, parse, filter, until N rows are kept.

The laws that this loop keeps (they make a run repeatable, whatever happens on the way):

* Request k is a pure function of (seed, k, seed tasks, prompt) and, for prompts that look at kept rows, of what the
  blocks up to the one before last kept. Requests form blocks of ``generation.block``.
* Replies are judged in the order of k, candidates in their order in the reply, whatever order replies came in.
* In flight is bounded by need: never more than the missing rows ask for at the measured yield, plus a tenth.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import Any

from alpaca_core.asking import Asker
from alpaca_core.config import Generation
from alpaca_core.errors import Stopped
from alpaca_core.judging import Chain
from alpaca_core.ledger import Ledger
from alpaca_core.pacing import Pacer
from alpaca_core.protocols import Prompt, Teacher
from alpaca_core.records import Candidate, Example, Request, Seed, Unparsed
from alpaca_core.store import Judged, Store

PRIOR = 4  # the yield starts as if this many replies had given every row asked for: optimistic, so it asks for less
LEAST_YIELD = 0.02  # kept rows per row asked for; below this over LAST replies the run stops
LAST = 50


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a generation stands. ``seconds`` and ``arrived`` count from this start on; the rest, the whole run."""

    target: int
    kept: int
    candidates: int
    rejected: dict[str, int]
    replies: int
    failed: int
    in_flight: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None
    seconds: float
    arrived: int
    waiting: float  # seconds of a common pause that are left
    trouble: str = ""  # the newest error since the last good reply
    closing: bool = False  # nothing more is asked; what is in flight comes home

    @property
    def eta(self) -> float | None:
        """Seconds still to go at the pace since this start."""
        if not self.arrived or not self.seconds or not self.replies:
            return None
        per_reply = max(self.kept, 1) / self.replies
        return (self.target - self.kept) / per_reply * self.seconds / self.arrived


@dataclass
class Plan:
    """What ``generate`` works with: all of it built and checked before the first request."""

    store: Store
    teacher: Teacher
    prompt: Prompt
    chain: Chain
    seeds: Sequence[Seed]
    settings: Generation
    ledger: Ledger
    seed: int
    on_progress: Callable[[Progress], None] = field(default=lambda _: None)


async def generate(plan: Plan) -> Progress:
    """Bring the run to ``num_examples`` kept rows; gives where it ended.

    Raises Stopped when it ends on purpose before (budget, yield, a provider that is gone, SIGTERM), TeacherError for a
    wrong key, model or empty wallet, KeyboardInterrupt for SIGINT. In every case what was in flight came home first.
    """
    return await _Generation(plan).run()


class _Generation:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        settings = plan.settings
        self.pacer = Pacer(settings.concurrency, max_rpm=settings.max_rpm, max_tpm=settings.max_tpm)
        self.asker = Asker(
            plan.teacher,
            plan.store,
            self.pacer,
            plan.ledger,
            attempts=settings.attempts,
            timeout=settings.timeout,
            proven=bool(plan.store.settled()),
        )
        self.tasks: dict[int, asyncio.Task[bool]] = {}  # by request: asked and not settled
        self.settled = plan.store.settled()  # answered or given up, and not judged yet
        self.frontier = 0  # every request below is judged
        self.wake = asyncio.Event()
        self.trouble: BaseException | None = None
        self.interrupted: int | None = None
        self.starved = False
        self.items = 1  # rows asked for by one request
        self.kept = self.candidates = self.judged_replies = self.failed = 0
        self.prompt_tokens = self.completion_tokens = 0
        self.rejected: dict[str, int] = {}
        self.recent: deque[int] = deque(maxlen=LAST)  # rows kept of each of the last replies since this start
        self.kept_rows: list[tuple[int, Example]] = []  # (k, row), only for prompts that look at them
        self.started = time.monotonic()

    # ── the loop ───────────────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> Progress:
        plan = self.plan
        plan.store.forget_verdicts()
        plan.chain.told(plan.seeds)
        self.items = max(1, self.request(0).items)
        with _signals(self.interrupt):
            await self.judge_settled()
            self.recent.clear()
            while True:
                try:
                    self.send_due()
                    plan.on_progress(self.progress())
                    if not self.tasks:
                        break
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(0.5):
                            await self.wake.wait()
                    self.wake.clear()
                    if self.trouble is None:
                        await self.judge_settled()
                except Exception as exc:  # what is in flight is paid: it comes home before anything is said
                    self.trouble = self.trouble or exc
                self.starved |= self.yields_nothing()
                if self.trouble or self.starved or self.kept >= plan.settings.num_examples:
                    self.close()
        if self.interrupted is not None or self.kept < plan.settings.num_examples:
            self.explain()
        return self.progress()

    def send_due(self) -> None:
        """Ask the lowest requests without a reply: no more than the missing rows need and the budget allows.

        The request at the frontier is always due, since every reply behind it waits for it. While it fails, one
        request more is due after each failure: if that one succeeds it was no outage, and the failure counts.
        """
        settings = self.plan.settings
        need = self.need()
        extra = min(2 * settings.attempts, max(0, self.asker.failures.get(self.frontier, 0) - 1))
        k = self.frontier
        while need and not self.asker.closing and len(self.tasks) < settings.concurrency + extra:
            while k in self.settled or k in self.tasks:
                k += 1
            if k != self.frontier and len(self.tasks) + len(self.settled) >= need + extra:
                return
            if self.plan.prompt.uses_kept and self.frontier < (k // settings.block - 1) * settings.block:
                return
            request = self.request(k)
            if not self.plan.ledger.affords(self.plan.ledger.worst(request)):
                return
            task = self.tasks[k] = asyncio.create_task(self.asker.ask(request))
            task.add_done_callback(partial(self.asked, k))

    def asked(self, k: int, task: asyncio.Task[bool]) -> None:
        """A request's task has ended: settled, given back, cancelled or in trouble."""
        del self.tasks[k]
        self.wake.set()
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            self.trouble = self.trouble or error
            self.close()
        elif task.result():
            self.settled.add(k)

    def close(self) -> None:
        """Send nothing more. What is with the teacher comes home; what waits for its turn need not."""
        self.asker.closing = True
        for k, task in self.tasks.items():
            if k not in self.asker.calling:
                task.cancel()

    def interrupt(self, signum: int) -> None:
        self.interrupted = signum
        self.close()
        self.wake.set()

    def request(self, k: int) -> Request:
        plan = self.plan
        seen = k // plan.settings.block - 2
        kept = [row for at, row in self.kept_rows if at // plan.settings.block <= seen]
        return plan.prompt.request(k, Random(f"{plan.seed}/{k}"), plan.seeds, kept)

    def need(self) -> int:
        """How many replies the missing rows need, at the measured yield and a tenth more."""
        missing = self.plan.settings.num_examples - self.kept
        if missing <= 0:
            return 0
        rows_per_reply = (self.kept + PRIOR * self.items) / (self.judged_replies + PRIOR)
        return math.ceil(1.1 * missing / rows_per_reply)

    # ── judging ────────────────────────────────────────────────────────────────────────────────────────────────

    async def judge_settled(self) -> None:
        """Judge every reply whose predecessors are all judged. Lets replies that come in meanwhile be received."""
        while self.frontier in self.settled:
            self.judge(self.frontier)
            self.settled.discard(self.frontier)
            self.frontier += 1
            await asyncio.sleep(0)

    def judge(self, k: int) -> None:
        found = self.plan.store.reply(k)
        if found is None:
            self.failed += 1
            self.recent.append(0)
            return
        request, reply = found
        before = self.kept
        rows = []
        for place, item in enumerate(self.plan.prompt.parse(request, reply)):
            row = self.verdict(f"{k:06d}.{place:02d}", k, place, item, reply.labels.get(item.number, ""))
            rows.append(row)
            if row.kept is not None:
                self.candidates += 1
            if row.kept is False:
                self.rejected[row.filter] = self.rejected.get(row.filter, 0) + 1
        self.plan.store.judged(rows)
        self.judged_replies += 1
        self.prompt_tokens += reply.usage.prompt_tokens
        self.completion_tokens += reply.usage.completion_tokens
        self.recent.append(self.kept - before)

    def verdict(self, id: str, k: int, place: int, item: Candidate | Unparsed, label: str) -> Judged:
        if isinstance(item, Unparsed):
            candidate = Candidate("", "", item.text, number=item.number, id=id, label=label)
            kept = False if self.kept < self.plan.settings.num_examples else None
            return Judged(candidate, k, place, kept, "parse", item.reason)
        candidate = replace(item, id=id, label=label)
        if self.kept >= self.plan.settings.num_examples:
            return Judged(candidate, k, place, None)
        judgement = self.plan.chain.judge(candidate)
        candidate = judgement.candidate
        if judgement.kept:
            example = Example(candidate.instruction, candidate.input, candidate.output, candidate.id, label)
            self.plan.chain.kept(example)
            self.kept += 1
            if self.plan.prompt.uses_kept:
                self.kept_rows.append((k, example))
        return Judged(candidate, k, place, judgement.kept, judgement.filter, judgement.reason, judgement.flags)

    # ── how it stands, how it ends ─────────────────────────────────────────────────────────────────────────────

    def yields_nothing(self) -> bool:
        """Whether the last replies since this start brought next to no rows."""
        return len(self.recent) == LAST and sum(self.recent) < LEAST_YIELD * LAST * self.items

    def progress(self) -> Progress:
        return Progress(
            target=self.plan.settings.num_examples,
            kept=self.kept,
            candidates=self.candidates,
            rejected=dict(self.rejected),
            replies=self.judged_replies,
            failed=self.failed,
            in_flight=self.pacer.in_flight,
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            cost=None if self.plan.ledger.price is None else self.plan.ledger.spent,
            seconds=time.monotonic() - self.started,
            arrived=self.pacer.successes,
            waiting=self.pacer.waiting,
            trouble=self.pacer.trouble.message if self.pacer.trouble else "",
            closing=self.asker.closing,
        )

    def explain(self) -> None:
        """Raise what ended the run before its target."""
        have = f"{self.kept:,} of {self.plan.settings.num_examples:,} rows are kept"
        again = "Run the same command again to go on."
        if self.interrupted == signal.SIGINT:
            raise KeyboardInterrupt
        if self.interrupted is not None:
            raise Stopped(f"Stopped by a signal; {have}.", hint=again)
        if self.trouble is not None:
            raise self.trouble
        ledger = self.plan.ledger
        if not ledger.affords(ledger.worst(self.request(self.frontier))):
            raise Stopped(
                f"The budget of ${ledger.budget:g} is used up (${ledger.spent:.4f} spent); {have}.",
                hint="Go on with a larger one: --budget DOLLARS",
            )
        if not self.starved:
            raise Stopped(f"Nothing more could be asked; {have}.", hint=again)
        if self.failed > self.judged_replies:
            raise Stopped(
                f"{self.failed:,} requests were refused, the last one so: {self.plan.store.last_failure()}; {have}.",
                hint="Change what the provider refuses, and start over with --fresh.",
            )
        if not self.candidates:
            raise Stopped(
                f"No reply held a single task; {have}.",
                hint="The replies are in run.db. Try another model or another prompt.",
            )
        top = max(self.rejected, key=lambda name: self.rejected[name], default="parse")
        raise Stopped(
            f"The last {LAST} replies brought {sum(self.recent)} rows; {have}.",
            hint=f"Most candidates were rejected by '{top}' ({self.rejected.get(top, 0):,}): see rejected.jsonl,"
            " and change the filter, the prompt or the seed tasks.",
        )


class _signals:
    """SIGINT and SIGTERM end the asking politely while this is entered; a second SIGINT interrupts at once."""

    def __init__(self, interrupt: Callable[[int], None]) -> None:
        self._interrupt = interrupt
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return  # whoever runs us there deals with signals
        loop = asyncio.get_running_loop()
        self._before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        loop.add_signal_handler(signal.SIGINT, self._first)
        loop.add_signal_handler(signal.SIGTERM, self._interrupt, signal.SIGTERM)

    def _first(self) -> None:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, self._before[signal.SIGINT])
        self._interrupt(signal.SIGINT)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            asyncio.get_running_loop().remove_signal_handler(number)
            signal.signal(number, handler)
