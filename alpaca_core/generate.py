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
import json
import math
import signal
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from random import Random
from typing import Any

from alpaca_core.asking import Asker
from alpaca_core.batches import Batches
from alpaca_core.config import Generation
from alpaca_core.contact import Contact
from alpaca_core.errors import Stopped
from alpaca_core.judging import Chain
from alpaca_core.ledger import Ledger
from alpaca_core.progress import Progress
from alpaca_core.protocols import Prompt, Teacher
from alpaca_core.records import Example, Request, Seed
from alpaca_core.replies import LAST, Replies, Taken
from alpaca_core.signals import Signals
from alpaca_core.store import Store

PRIOR = 4  # the yield starts as if this many replies had given every row asked for: optimistic, so it asks for less
LEAST_YIELD = 0.02  # kept rows per row asked for; below this over the LAST replies the run stops


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
    taken: Sequence[Taken] = ()
    contact: Contact | None = None  # None: the generation's own
    elsewhere: float = 0.0  # dollars of those that the ledger has spent which went to something else
    on_progress: Callable[[Progress], None] = field(default=lambda _: None)
    on_note: Callable[[str], None] = field(default=lambda _: None)


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
        self.contact = plan.contact or Contact(plan.teacher, plan.store, settings, plan.on_note)
        self.pacer = self.contact.pacer
        self.asker = Asker(
            plan.teacher,
            plan.store,
            self.pacer,
            plan.ledger,
            attempts=settings.attempts,
            timeout=settings.timeout,
            proven=plan.store.answered_any(),
            alone=self.is_alone,
        )
        self.batches = Batches(
            plan.teacher,
            plan.store,
            plan.ledger,
            attempts=settings.attempts,
            on_change=self.show,
            on_note=plan.on_note,
        )
        self.batch: asyncio.Task[set[int]] | None = None
        self.tasks: dict[int, asyncio.Task[bool]] = {}  # by request: asked and not settled
        self.replies = Replies(plan.store, plan.prompt, plan.chain, settings.num_examples, plan.taken)
        self.left_behind = bool(plan.store.open_batches())  # by an earlier start
        self.wake = asyncio.Event()
        self.trouble: BaseException | None = None
        self.interrupted: int | None = None
        self.starved = False
        self.items = 1  # rows asked for by one request
        self.visible: tuple[int, Sequence[Example]] = (-1, ())  # the kept rows that a block of requests sees
        self.batched = 0  # requests that batches have settled since this start
        self.started = time.monotonic()

    # ── the loop ───────────────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> Progress:
        plan = self.plan
        plan.store.forget_verdicts()
        plan.chain.told(plan.seeds)
        self.items = max(1, self.request(0).items)
        with Signals(self.interrupt):
            async for _ in self.replies.judge_settled():
                pass
            self.replies.recent.clear()
            while True:
                try:
                    if self.need() and not self.asker.closing:
                        await self.contact.prepare()
                    self.send_due()
                    self.show()
                    if not self.tasks and self.batch is None:
                        break
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(0.5):
                            await self.wake.wait()
                    self.wake.clear()
                    self.contact.remember()
                    if self.trouble is None:
                        async for _ in self.replies.judge_settled():
                            # A batch takes hours: it is put together when all that is here is judged.
                            if not self.plan.settings.batch and not self.yields_nothing():
                                self.send_due()
                except Exception as exc:  # what is in flight is paid: it comes home before anything is said
                    self.trouble = self.trouble or exc
                    if not self.tasks and self.batch is None:
                        break
                    await asyncio.sleep(0.1)  # where nothing was awaited above, nothing would ever come home
                self.starved |= self.yields_nothing()
                if self.trouble or self.starved or self.replies.missing == 0:
                    self.close()
        if self.interrupted is not None or self.trouble is not None or self.replies.missing:
            self.explain()
        return self.progress()

    def send_due(self) -> None:
        """Ask what is due: one by one, or as one batch, for which an earlier start's batches are waited first."""
        if self.batch is not None or self.asker.closing:
            return
        if self.left_behind:
            self.left_behind = False
            self.start(self.batches.resume())
        elif not self.plan.settings.batch:
            self.send_singly()
        elif chosen := self.batchful():
            self.start(self.batches.ask(chosen))

    def send_singly(self) -> None:
        """Keep as many requests in flight as may be.

        While the request at the frontier fails, one request more is due after each failure: if that one succeeds it
        was no outage, and the failure counts.
        """
        settings = self.plan.settings
        extra = min(2 * settings.attempts, max(0, self.asker.failures.get(self.replies.frontier, 0) - 1))
        due = self.due(extra)
        while len(self.tasks) < settings.concurrency + extra and (request := next(due, None)):
            worst = self.plan.ledger.worst(request)
            # What is new leaves enough to try a lost one again, without whose reply no later one can be judged.
            if not self.plan.ledger.affords(worst if request.k == self.replies.frontier else 2 * (worst or 0.0)):
                return
            task = self.tasks[request.k] = asyncio.create_task(self.asker.ask(request))
            task.add_done_callback(partial(self.asked, request.k))

    def batchful(self) -> list[Request]:
        """What is due and fits into one batch and into the budget."""
        teacher, ledger = self.plan.teacher, self.plan.ledger
        chosen: list[Request] = []
        size, reserved = 0, 0.0
        # One beside a request that has erred, whatever is here already: it tells a poisoned request from an outage.
        beside = max(0, len(self.replies.settled) + 2 - self.need()) if self.batches.erred(self.replies.frontier) else 0
        for request in self.due(extra=beside):
            size += len(json.dumps(asdict(request))) + 1024  # what the provider's form adds is much less
            worst = ledger.worst(request, batch=True)
            full = len(chosen) == self.batches.most or size > teacher.batch_bytes
            if full or not ledger.affords(reserved + (worst or 0.0)):
                break
            reserved += worst or 0.0
            chosen.append(request)
        return chosen

    def due(self, extra: int = 0) -> Iterator[Request]:
        """The lowest requests without a reply: no more than the missing rows need, and ``extra``.

        The request at the frontier is always due, since every reply behind it waits for it.
        """
        settled, frontier, block = self.replies.settled, self.replies.frontier, self.plan.settings.block
        need, k, asked = self.need(), frontier, len(self.tasks) + len(settled)
        while need:
            while k in settled or k in self.tasks:
                k += 1
            if k != frontier and asked >= need + extra:
                return
            if self.plan.prompt.uses_kept and frontier < (k // block - 1) * block:
                return
            yield self.request(k)
            k += 1
            asked += 1

    def is_alone(self, request: Request) -> bool:
        """Whether no other request may be asked before ``request`` is settled: the prompt looks at kept rows."""
        return self.plan.prompt.uses_kept and request.k == self.replies.frontier and len(self.tasks) == 1

    def start(self, work: Coroutine[Any, Any, set[int]]) -> None:
        """Have a batch asked or waited for."""
        self.batch = asyncio.create_task(work)
        self.batch.add_done_callback(self.batch_ended)

    def batch_ended(self, task: asyncio.Task[set[int]]) -> None:
        self.batch = None
        self.wake.set()
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            self.trouble = self.trouble or error
            self.close()
        else:
            self.replies.settled |= task.result()
            self.batched += len(task.result())

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
            self.replies.settled.add(k)

    def close(self) -> None:
        """Send nothing more. What is with the teacher comes home; what waits for its turn need not, nor a batch, which
        goes on at the provider."""
        self.asker.closing = True
        self.batches.leave()
        if getattr(self.plan.teacher, "local", False):
            self.plan.teacher.leave()
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
        if seen != self.visible[0]:
            self.visible = (seen, self.replies.kept_before((seen + 1) * plan.settings.block))
        return plan.prompt.request(k, Random(f"{plan.seed}/{k}"), plan.seeds, self.visible[1])

    def need(self) -> int:
        """How many replies the missing rows need, at the measured yield and a tenth more."""
        own = self.replies.yields  # replies taken over say nothing of this teacher
        rows_per_reply = (own.rows + PRIOR * self.items) / (own.replies + PRIOR)
        return math.ceil(1.1 * self.replies.missing / rows_per_reply)

    # ── how it stands, how it ends ─────────────────────────────────────────────────────────────────────────────

    def yields_nothing(self) -> bool:
        """Whether the last replies since this start brought next to no rows."""
        recent = self.replies.recent
        return len(recent) == LAST and sum(recent) < LEAST_YIELD * LAST * self.items

    def show(self) -> None:
        self.plan.on_progress(self.progress())

    def progress(self) -> Progress:
        replies, trouble = self.replies, self.pacer.trouble or self.batches.trouble
        spent, budget = self.plan.ledger.spent - self.plan.elsewhere, self.plan.ledger.budget
        return Progress(
            target=self.plan.settings.num_examples,
            kept=replies.kept,
            candidates=replies.candidates,
            rejected=dict(replies.rejected),
            replies=replies.judged,
            failed=replies.failed,
            in_flight=self.pacer.in_flight,
            prompt_tokens=replies.prompt_tokens,
            completion_tokens=replies.completion_tokens,
            cost=None if self.plan.ledger.price is None else spent,
            seconds=time.monotonic() - self.started,
            arrived=self.pacer.successes + self.batched,
            waiting=self.pacer.waiting,
            trouble=trouble.message if trouble else "",
            closing=self.asker.closing,
            batch=self.batches.status if self.batch is not None else None,
            reasoning_tokens=replies.reasoning_tokens,
            doing=getattr(self.plan.teacher, "doing", ""),
            own=replies.own,
            total_cost=None if self.plan.ledger.price is None else replies.total_cost(spent),
            budget=budget,
            reach=None if budget is None else replies.reach(spent, budget - self.plan.elsewhere),
        )

    def explain(self) -> None:
        """Raise what ended the run before its target."""
        replies = self.replies
        target = self.plan.settings.num_examples
        have = f"{replies.kept:,}{'' if target is None else f' of {target:,}'} rows are kept"
        again = "Run the same command again to go on."
        if self.plan.store.open_batches() and not isinstance(self.trouble, Stopped):  # which says it better
            again = "The batch goes on at the provider: run the same command again to collect it."
            self.plan.on_note(again)
        if self.interrupted == signal.SIGINT:
            raise KeyboardInterrupt
        if self.interrupted is not None:
            raise Stopped(f"Stopped by a signal; {have}.", hint=again)
        if self.trouble is not None:
            raise self.trouble
        ledger = self.plan.ledger
        worst = ledger.worst(self.request(replies.frontier), batch=self.plan.settings.batch)
        if not ledger.affords(worst):
            raise Stopped(
                f"The budget of ${ledger.budget:g} leaves too little for another request, which may cost ${worst:.4f}"
                f" (${ledger.spent:.4f} spent); {have}.",
                hint="Go on with a larger one: --budget DOLLARS",
            )
        if not self.starved:
            raise Stopped(f"Nothing more could be asked; {have}.", hint=again)
        if replies.failed > replies.judged:
            raise Stopped(
                f"{replies.failed:,} requests were refused, the last one so: {self.plan.store.last_failure()}; {have}.",
                hint="Change what the provider refuses, and start over with --fresh.",
            )
        if not replies.candidates:
            raise Stopped(
                f"No reply held a single task; {have}.",
                hint="The replies are in run.db. Try another model or another prompt.",
            )
        top = max(replies.rejected, key=lambda name: replies.rejected[name], default="parse")
        raise Stopped(
            f"The last {LAST} replies brought {sum(replies.recent)} rows; {have}.",
            hint=f"Most candidates were rejected by '{top}' ({replies.rejected.get(top, 0):,}): see rejected.jsonl,"
            " and change the filter, the prompt or the seed tasks.",
        )
