"""The loop of a generation on a clock that jumps: what is asked next, given up, or waited for, over hours."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from alpaca_prompts import SelfInstructOptions
from alpaca_prompts.self_instruct import SelfInstruct
from clockwork import MEMORY, now, on_the_clock

from alpaca_core.errors import Stopped, TeacherError
from alpaca_core.generate import Plan, generate
from alpaca_core.judging import Chain
from alpaca_core.ledger import Ledger
from alpaca_core.records import BatchStatus, Candidate, Completion, Example, Keep, Reject, Request, Usage
from alpaca_core.seeds import read_seeds
from alpaca_core.settings import Generation
from alpaca_core.store import Store

BROKEN = TeacherError("server", "500 for this one")


class Teacher:
    """Answers each request after a second with as many tasks as were asked for. ``fault`` is called with the request's
    number and how often it was asked before. Takes batches too, which are done at once."""

    batch_requests, batch_bytes = 1000, 10**9

    def __init__(self, fault: Callable[[int, int], TeacherError | None] = lambda k, times: None) -> None:
        self.fault = fault
        self.asked: Counter[int] = Counter()
        self.batches: list[Sequence[Request]] = []

    def answer(self, request: Request) -> Completion | TeacherError:
        times, self.asked[request.k] = self.asked[request.k], self.asked[request.k] + 1
        tasks = (
            f"{n}. Instruction: Say {request.k} {n} aloud\n{n}. Output: {n}\n" for n in range(1, request.items + 1)
        )
        return self.fault(request.k, times) or Completion("###\n".join(tasks), usage=Usage(900, 1500))

    async def complete(self, request: Request) -> Completion:
        await asyncio.sleep(1)
        answer = self.answer(request)
        if isinstance(answer, TeacherError):
            raise answer
        return answer

    async def submit(self, key: str, requests: Sequence[Request]) -> str:
        self.batches.append(requests)
        return str(len(self.batches) - 1)

    async def find(self, key: str, since: float, total: int) -> str | None:
        return None

    async def status(self, batch: str) -> BatchStatus:
        total = len(self.batches[int(batch)])
        return BatchStatus(True, total, total)

    async def results(self, batch: str):
        for request in self.batches[int(batch)]:
            yield request.k, self.answer(request)

    async def aclose(self) -> None:
        pass


class Share:
    """Keeps so many of a hundred."""

    def __init__(self, percent: int) -> None:
        self.percent = percent

    def judge(self, candidate: Candidate) -> Keep | Reject:
        return Keep() if sum(map(ord, candidate.id)) * 37 % 100 < self.percent else Reject("")

    def kept(self, example: Example) -> None:
        pass


async def run(teacher: Teacher, store: Store, n: int, kept_examples: int = 0, percent: int = 100, **settings):
    plan = Plan(
        store=store,
        teacher=teacher,
        prompt=SelfInstruct(SelfInstructOptions(kept_examples=kept_examples)),
        chain=Chain([("share", Share(percent))]),
        seeds=read_seeds(None),
        settings=Generation(num_examples=n, **settings),
        ledger=Ledger(None, None),
        seed=0,
    )
    return await generate(plan)


@pytest.fixture
def store():
    with TemporaryDirectory(dir=MEMORY) as folder, closing(Store(Path(folder, "run.db"))) as store:
        yield store


@pytest.mark.parametrize("percent", [90, 50, 30])
@on_the_clock
async def test_a_batch_asks_for_all_that_is_missing_once_everything_here_is_judged(store, percent):
    teacher = Teacher()
    await run(teacher, store, 1000, percent=percent, batch=True)
    assert len(teacher.batches) <= 4


@pytest.mark.parametrize("poisoned", [0, 3])
@on_the_clock
async def test_a_request_that_always_fails_in_its_batches_is_given_up(store, poisoned):
    progress = await run(Teacher(lambda k, _: BROKEN if k == poisoned else None), store, 300, batch=True)
    assert (progress.kept, progress.failed) == (300, 1)


@pytest.mark.parametrize("batch", [False, True])
@on_the_clock
async def test_a_request_that_always_fails_is_given_up_also_where_no_other_may_be_asked_before_it(store, batch):
    """Requests that look at kept rows wait for it, so no success can tell it from an outage: patience has to."""
    teacher = Teacher(lambda k, _: BROKEN if k == 3 else None)
    progress = await run(teacher, store, 6000, kept_examples=2, batch=batch)
    assert (progress.kept, progress.failed) == (6000, 1)


@on_the_clock
async def test_an_outage_gives_no_request_up_where_one_waits_for_the_other(store):
    teacher = Teacher(lambda k, _: BROKEN if k >= 3 else None)
    with pytest.raises(Stopped):
        await run(teacher, store, 6000, kept_examples=2)
    assert len(store.rows("SELECT * FROM failures")) <= 1


@on_the_clock
async def test_an_error_that_asks_to_come_back_in_hours_stops_the_run_and_says_so(store):
    late = TeacherError("server", "504: gateway", retry_after=6 * 3600.0)
    with pytest.raises(Stopped, match="360 minutes"):
        await run(Teacher(lambda k, times: late if k == 3 and not times else None), store, 1000)
    assert now() < 60


@on_the_clock
async def test_a_retry_after_of_zero_is_no_leave_to_ask_without_a_pause(store):
    at_once = TeacherError("rate_limit", "429", retry_after=0.0)
    teacher = Teacher(lambda *_: at_once)
    with pytest.raises(Stopped):
        await run(teacher, store, 1000)
    assert teacher.asked.total() < 200
