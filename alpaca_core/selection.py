"""The dataset filters at work: on the rows that the other filters of the chain kept, with a journal of their own.

A run keeps it in ``judging.db`` beside ``run.db``, which is of the same kind; ``alpacakit filter`` in
``OUT.judging.db``.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from alpaca_core.answers import Answers
from alpaca_core.config import Config
from alpaca_core.contact import Contact
from alpaca_core.errors import AlpacaError, TeacherError
from alpaca_core.generate import Plan
from alpaca_core.judging import Chain, Judgement
from alpaca_core.ledger import Ledger
from alpaca_core.locks import take_lock
from alpaca_core.progress import Inquiry
from alpaca_core.protocols import Ask, Teacher
from alpaca_core.records import Completion, Price, Request
from alpaca_core.runs import teacher_identity
from alpaca_core.store import Store

_MOST_VERDICTS = 20


def asks(config: Config) -> bool:
    """Whether a filter of the chain asks the teacher."""
    return any(getattr(chosen.spec, "asks", False) for chosen in config.filters)


async def nobody(_: Sequence[Request]) -> list[Completion | TeacherError]:
    """The ``Ask`` of a chain in which no filter says that it asks."""
    raise AlpacaError("A dataset filter asks the teacher, and its spec does not say so (asks=True): tell its author.")


@dataclass
class Selection:
    """One chain's dataset filters, what they made of the rows, and what they were told for it.

    ``journal`` is where answers are kept; None where no filter asks and none ever did.
    """

    chain: Chain
    journal: Store | None
    seconds: float = 0.0  # at work since this start
    complete: bool = field(init=False)
    _before: int = 0
    _after: list[Judgement] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.complete = not self.chain.selectors

    async def judge(self, rows: Sequence[Judgement], ask: Ask) -> list[Judgement]:
        """What becomes of ``rows``: see ``Chain.select``."""
        started, asked = time.monotonic(), self._attempts()
        self._before = sum(row.kept for row in rows)
        try:
            chosen = await self.chain.select(rows, ask)
        finally:
            self.seconds = time.monotonic() - started
            if self.journal is not None and self._attempts() > asked:  # reading answers again is not asking
                self.journal.set("seconds", str(float(self.journal.get("seconds") or 0) + self.seconds))
        self._after = [after for before, after in zip(rows, chosen, strict=True) if before.kept]
        self.complete = True
        return chosen

    async def judge_run(self, plan: Plan, identity: str, on_progress: Callable[[Inquiry], None]) -> None:
        """Judge the rows that the run of ``plan`` has kept, and store the verdicts. Whoever writes its data is asked:
        ``identity`` says who that is."""
        ask, store = nobody, plan.store
        if self.journal is not None:
            assert plan.contact is not None
            ask = Answers(
                self.journal,
                plan.teacher,
                plan.contact,
                plan.ledger,
                plan.settings,
                identity=identity,
                proven=store.answered_any(),
                on_progress=on_progress,
            ).ask
        before = store.kept_verdicts()
        after = await self.judge([Judgement(row.candidate, True, flags=row.flags) for row in before], ask)
        store.set("selectors", json.dumps([name for name, _ in self.chain.selectors]))
        store.judged(
            replace(old, candidate=new.candidate, kept=new.kept, filter=new.filter, reason=new.reason, flags=new.flags)
            for old, new in zip(before, after, strict=True)
        )

    def _attempts(self) -> int:
        return self.journal.totals().attempts if self.journal is not None else 0

    def summary(self) -> dict[str, Any]:
        """For JSON: ``complete``, and then ``rows`` judged, ``kept``, ``rejected`` by filter, and the commonest
        ``verdicts``. The rest is the journal's account, of all that was ever asked in it."""
        names = [name for name, _ in self.chain.selectors]
        said: dict[str, Any] = {"filters": names, "complete": self.complete}
        if self.complete:
            verdicts: Counter[tuple[bool, str]] = Counter()
            for row in self._after:
                flags = [flag for flag in row.flags if flag.partition(":")[0] in names]
                verdicts.update((True, flag) for flag in flags if row.kept)
                verdicts.update([] if row.kept else [(False, f"{row.filter}: {row.reason}")])
            said |= {
                "rows": self._before,
                "kept": sum(row.kept for row in self._after),
                "rejected": dict(Counter(row.filter for row in self._after if not row.kept).most_common()),
                "verdicts": [
                    {"rows": rows, "kept": kept, "verdict": verdict}
                    for (kept, verdict), rows in verdicts.most_common(_MOST_VERDICTS)
                ],
            }
        return said | (account(self.journal) if self.journal is not None else {})


def account(journal: Store) -> dict[str, Any]:
    """What was asked, what came back and what it cost, over all starts."""
    totals = journal.totals()
    return {
        "requests": totals.requests,
        "attempts": totals.attempts,
        "replies": totals.replies,
        "failed": totals.failed,
        "prompt_tokens": totals.prompt_tokens,
        "completion_tokens": totals.completion_tokens,
        "cached_tokens": totals.cached_tokens,
        "reasoning_tokens": totals.reasoning_tokens,
        "cost_usd": totals.cost,
        "seconds": round(float(journal.get("seconds") or 0), 2),
    }


@contextmanager
def journal_beside(file: Path) -> Iterator[Store]:
    """The journal of the dataset filters that make ``file``, held by this process alone."""
    path = file.with_name(f"{file.name}.judging.db")
    with take_lock(path.with_name(f".{path.name}.lock"), path):
        store = Store(path)
        try:
            yield store
        finally:
            store.close()


def select_rows(
    rows: Sequence[Judgement],
    selection: Selection,
    config: Config,
    judge: tuple[Teacher, Price | None] | None,
    *,
    on_progress: Callable[[Inquiry], None],
    on_note: Callable[[str], None],
) -> list[Judgement]:
    """Have the dataset filters judge ``rows``, asking ``judge``, a teacher with its price; None where nobody is asked.

    Raises what ``Chain.select`` and ``Answers.ask`` raise.
    """

    async def work() -> list[Judgement]:
        if judge is None or selection.journal is None:
            return await selection.judge(rows, nobody)
        async with asking(selection.journal, config, *judge, on_progress=on_progress, on_note=on_note) as answers:
            return await selection.judge(rows, answers.ask)

    return asyncio.run(work())


@asynccontextmanager
async def asking(
    journal: Store,
    config: Config,
    teacher: Teacher,
    price: Price | None,
    *,
    on_progress: Callable[[Inquiry], None],
    on_note: Callable[[str], None],
) -> AsyncIterator[Answers]:
    """``teacher``, with answers in a ``journal`` that nothing else is paid from. It is closed at the end."""
    try:
        ledger = Ledger(price, config.generation.budget, journal.totals().cost)
        ledger.settle_unpriced(journal)
        contact, identity = Contact(teacher, journal, config.generation, on_note), teacher_identity(config)
        yield Answers(journal, teacher, contact, ledger, config.generation, identity=identity, on_progress=on_progress)
    finally:
        await teacher.aclose()
