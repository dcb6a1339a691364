"""A run's replies, judged in the order of their requests: parsed, filtered, stored with their verdicts."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from alpaca_core.entries import Judged
from alpaca_core.judging import Chain
from alpaca_core.protocols import Prompt
from alpaca_core.records import Candidate, Example, Unparsed
from alpaca_core.store import Store
from alpaca_core.yields import Yield

LAST = 50  # replies that tell whether a run still yields anything


@dataclass(frozen=True, slots=True)
class Taken:
    """Replies taken over from another run (``--from``): request k, from ``first`` to below ``until``, is request
    k - ``shift`` there. ``prompt`` reads them, and ``name`` stands before the ids of their rows."""

    first: int
    until: int
    shift: int
    name: str
    prompt: Prompt


class Replies:
    """Judges what is settled, and keeps the counts. ``target`` rows are kept; None: every row that passes."""

    def __init__(
        self, store: Store, prompt: Prompt, chain: Chain, target: int | None, taken: Sequence[Taken] = ()
    ) -> None:
        self._store = store
        self._prompt = prompt
        self._chain = chain
        self._target = target
        self._taken = taken
        self.settled = store.settled()  # answered or given up, and not judged yet
        for source in taken:  # what has no reply there is not asked here
            self.settled.update(range(source.first, source.until))
        self.frontier = 0  # every request below is judged
        self.kept = self.candidates = self.judged = self.failed = 0
        self.prompt_tokens = self.completion_tokens = self.reasoning_tokens = 0
        self.own = 0  # judged replies that this run has asked for itself
        self.yields = Yield()  # of these
        self.rejected: dict[str, int] = {}
        self.recent: deque[int] = deque(maxlen=LAST)  # rows kept of each of the last replies
        self._rows: list[Example] = []  # kept ones, only for prompts that look at them
        self._from: list[int] = []  # the request of each

    @property
    def missing(self) -> int:
        """Rows still to keep. Without a target nothing is ever missing."""
        return 0 if self._target is None else max(0, self._target - self.kept)

    def total_cost(self, spent: float) -> float | None:
        """Dollars that the run will have cost at its target, where ``spent`` paid for this run's own replies so far.
        None before the first row is kept."""
        rows = self.yields.ahead(self.missing)
        if not rows:
            return None
        return max(spent, self._reply_cost(spent) * (self.own + self.missing / rows))

    def reach(self, spent: float, budget: float) -> int | None:
        """Rows that ``budget`` dollars suffice for, at most the target. None before the first row is kept."""
        more: float = self.missing
        if not self._reply_cost(spent) or not self.yields.rows:
            return None
        replies = budget / self._reply_cost(spent) - self.own
        for _ in range(4):  # the fewer rows, the better their yield
            more = min(self.missing, max(0.0, replies * self.yields.ahead(more)))
        return self.kept + int(more)

    def _reply_cost(self, spent: float) -> float:
        return spent / max(1, self.own + len(self.settled))

    def kept_before(self, k: int) -> Sequence[Example]:
        """The rows kept of requests below ``k``, in their order, for a prompt that looks at kept rows."""
        return tuple(self._rows[: bisect_left(self._from, k)])

    async def judge_settled(self) -> AsyncIterator[None]:
        """Judge every reply whose predecessors are all judged. Gives way after each: replies that have come in
        meanwhile are received, and the next requests can be sent."""
        while self.frontier in self.settled:
            self._judge(self.frontier)
            self.settled.discard(self.frontier)
            self.frontier += 1
            await asyncio.sleep(0)
            yield

    def _judge(self, k: int) -> None:
        source = next((source for source in self._taken if source.first <= k < source.until), None)
        found = self._store.reply(k)
        if found is None:
            if source is None:
                self.failed += 1
                self.recent.append(0)
            return
        request, reply = found
        prompt = source.prompt if source else self._prompt
        origin = f"{source.name}:{k - source.shift:06d}" if source else f"{k:06d}"
        before = self.kept
        rows = []
        for place, item in enumerate(prompt.parse(request, reply)):
            row = self._verdict(f"{origin}.{place:02d}", k, place, item, reply.labels.get(item.number, ""))
            rows.append(row)
            if row.kept is not None:
                self.candidates += 1
            if row.kept is False:
                self.rejected[row.filter] = self.rejected.get(row.filter, 0) + 1
        self._store.judged(rows, k)
        self.judged += 1
        self.prompt_tokens += reply.usage.prompt_tokens
        self.completion_tokens += reply.usage.completion_tokens
        self.reasoning_tokens += reply.usage.reasoning_tokens
        if source is None:
            self.own += 1
            if self.missing or self._target is None:
                self.yields.add(self.kept - before)
        self.recent.append(self.kept - before)

    def _verdict(self, id: str, k: int, place: int, item: Candidate | Unparsed, label: str) -> Judged:
        full = self._target is not None and self.kept >= self._target
        if isinstance(item, Unparsed):
            candidate = Candidate("", "", item.text, number=item.number, id=id, label=label)
            return Judged(candidate, k, place, None if full else False, "parse", item.reason)
        candidate = Candidate(item.instruction, item.input, item.output, item.number, id, label or item.label)
        if full:
            return Judged(candidate, k, place, None)
        judgement = self._chain.judge(candidate)
        candidate = judgement.candidate
        if judgement.kept:
            example = Example(candidate.instruction, candidate.input, candidate.output, candidate.id, candidate.label)
            self._chain.kept(example)
            self.kept += 1
            if self._prompt.uses_kept:
                self._rows.append(example)
                self._from.append(k)
        return Judged(candidate, k, place, judgement.kept, judgement.filter, judgement.reason, judgement.flags)
