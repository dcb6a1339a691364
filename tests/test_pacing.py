"""When a request may be sent. Time is a counter here: no test waits."""

from __future__ import annotations

import asyncio

import pytest

from alpaca_core.errors import ConfigError, Stopped, TeacherError
from alpaca_core.ledger import DEFAULT_BUDGET, Ledger
from alpaca_core.pacing import OPEN_AFTER, PATIENCE, Pacer
from alpaca_core.records import Limits, Price, Request, Usage


class Clock:
    """Seconds that pass only by sleeping, for the pacer and asyncio alike."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        real = asyncio.sleep

        async def sleep(seconds: float) -> None:
            self.now += seconds
            await real(0)

        monkeypatch.setattr(asyncio, "sleep", sleep)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def too_fast(retry_after=None, limits=None) -> TeacherError:
    return TeacherError("rate_limit", "slow down", retry_after=retry_after, limits=limits)


BROKEN = TeacherError("server", "500")


def proven(clock, concurrency=100, limits=None, **ceilings) -> Pacer:
    pacer = Pacer(concurrency, clock=clock, **ceilings)
    pacer.answered(limits)
    return pacer


async def send(pacer: Pacer, count: int, tokens: int = 0) -> None:
    for _ in range(count):
        await pacer.turn(tokens)
        pacer.done()


def test_the_first_request_goes_alone(clock):
    assert Pacer(64, clock=clock).slots == 1
    assert proven(clock, 64).slots == 64


def test_the_free_burst_is_used_and_then_the_rate_is_kept(clock):
    pacer = proven(clock, limits=Limits(requests=60, requests_left=59))
    asyncio.run(send(pacer, 59))
    assert clock.now == pytest.approx(1000, abs=0.1)
    asyncio.run(send(pacer, 60))
    assert clock.now == pytest.approx(1060, abs=1)


def test_tokens_per_minute_hold_as_requests_do(clock):
    pacer = proven(clock, limits=Limits(tokens=6000, tokens_left=6000))
    asyncio.run(send(pacer, 12, tokens=1000))
    assert clock.now == pytest.approx(1060, abs=1)


def test_the_users_ceiling_wins_over_a_higher_limit_of_the_provider(clock):
    pacer = proven(clock, max_rpm=60, limits=Limits(requests=10_000, requests_left=10_000))
    asyncio.run(send(pacer, 70))
    assert clock.now >= 1059


def test_a_429_pauses_everybody_for_as_long_as_the_provider_asked(clock):
    pacer = proven(clock)
    pacer.slow_down(too_fast(17), clock())
    asyncio.run(send(pacer, 1))
    assert clock.now == pytest.approx(1017)


def test_after_a_pause_requests_go_out_at_the_rate_and_not_all_at_once(clock):
    pacer = proven(clock, limits=Limits(requests=60, requests_left=60))
    pacer.slow_down(too_fast(1), clock())
    asyncio.run(send(pacer, 30))
    assert clock.now >= 1029


def test_without_limits_to_follow_a_burst_of_429s_halves_what_is_in_flight_once(clock):
    pacer = proven(clock, 64)
    sent = clock()
    for _ in range(5):
        clock.now += 0.01
        pacer.slow_down(too_fast(2), sent)
    assert pacer.slots == 32


def test_successes_open_the_window_again(clock):
    pacer = proven(clock, 64)
    pacer.slow_down(too_fast(2), clock())
    for _ in range(32 * 3):
        pacer.answered(None)
    assert 33 <= pacer.slots <= 36


def test_errors_alone_open_the_circuit_and_one_success_closes_it(clock):
    pacer = proven(clock, 64)
    for _ in range(OPEN_AFTER):
        pacer.failed(BROKEN, clock())
    assert pacer.slots == 1
    pacer.answered(None)
    assert pacer.slots == 64


def test_patience_with_a_dead_provider_ends(clock):
    pacer = proven(clock)
    pacer.failed(BROKEN, clock())
    clock.now += PATIENCE + 1
    with pytest.raises(Stopped, match="500"):
        pacer.failed(BROKEN, clock())


def test_a_burst_of_errors_pauses_once_and_shortly(clock):
    pacer = proven(clock, 64)
    sent = clock()
    for _ in range(2000):
        clock.now += 0.0001
        pacer.failed(BROKEN, sent)
    assert pacer.waiting <= 1


def test_probes_of_a_dead_provider_become_rarer(clock):
    pacer = proven(clock, 64)
    pauses = []
    for _ in range(OPEN_AFTER + 8):
        pacer.failed(BROKEN, clock())
        pauses.append(pacer.waiting)
        clock.now += pacer.waiting
    assert pauses[: OPEN_AFTER - 1] == [0] * (OPEN_AFTER - 1)
    assert pauses[OPEN_AFTER] < 2 < 40 < pauses[-1] <= 60


def test_a_429_halves_what_is_in_flight_unless_the_headers_say_that_the_minute_is_used_up(clock):
    limits = Limits(requests=10_000, requests_left=9_000)
    pacer = proven(clock, 64, limits=limits)
    pacer.slow_down(too_fast(1, limits), clock())
    assert pacer.slots == 32
    pacer = proven(clock, 64, limits=limits)
    pacer.slow_down(too_fast(1, Limits(requests=10_000, requests_left=0)), clock())
    assert pacer.slots == 64


def test_a_limit_of_zero_means_none(clock):
    pacer = proven(clock, limits=Limits(requests=0, tokens=0))
    asyncio.run(send(pacer, 3, tokens=100))


def test_a_provider_that_asks_to_wait_for_a_day_ends_the_run_instead(clock):
    with pytest.raises(Stopped, match="1440 minutes"):
        proven(clock).slow_down(too_fast(86_400), clock())


def test_an_address_where_nobody_answers_is_told_after_a_few_tries(clock):
    pacer = Pacer(64, clock=clock)
    refused = TeacherError("connection", "There is no connection to 127.0.0.1:9.")
    with pytest.raises(Stopped, match="127.0.0.1:9"):
        for _ in range(OPEN_AFTER):
            pacer.failed(refused, clock())


# ── money ─────────────────────────────────────────────────────────────────────────────────────────────────────────

PRICE = Price(input=1.0, output=10.0, cached=0.1)


def test_a_price_is_per_million_tokens_and_cached_ones_cost_less():
    assert PRICE.cost(Usage(prompt_tokens=1_000_000, completion_tokens=100_000)) == pytest.approx(2.0)
    assert PRICE.cost(Usage(prompt_tokens=1_000_000, cached_tokens=1_000_000)) == pytest.approx(0.1)


def test_the_worst_price_covers_a_token_for_every_byte_and_the_longest_answer():
    worst = Ledger(PRICE, 1.0, 0.0).worst(Request(0, "né" * 1000, max_tokens=100))
    assert worst >= PRICE.cost(Usage(prompt_tokens=3000, completion_tokens=100))


def test_what_is_reserved_counts_against_the_budget_until_it_is_settled():
    ledger = Ledger(PRICE, 1.0, 0.25)
    ledger.reserve(0.5)
    assert not ledger.affords(0.5)
    ledger.settle(0.5, 0.1)
    assert ledger.spent == pytest.approx(0.35)
    assert ledger.affords(0.5)


def test_a_budget_is_refused_where_the_price_is_unknown():
    with pytest.raises(ConfigError, match="unknown"):
        Ledger(None, 3.0, None)
    assert Ledger(None, None, None).affords(None)


def test_a_known_price_has_a_budget_even_if_none_was_given():
    assert Ledger(PRICE, None, 0.0).budget == DEFAULT_BUDGET
