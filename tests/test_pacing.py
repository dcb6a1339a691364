"""What comes back sets the pace. The clock jumps from one event to the next: hours take moments; work is counted."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
from clockwork import Provider, ask, now, on_the_clock, run
from hypothesis import given, settings
from hypothesis import strategies as st
from pacers import BROKEN, PLENTY, REQUEST, fail, fill, proven, refuse, reply, send, too_fast

from alpaca_core.errors import Stopped, TeacherError
from alpaca_core.pacing import OPEN_AFTER, PATIENCE, RAMP, Pacer
from alpaca_core.records import Limits

# ── 429s ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@on_the_clock
async def test_a_429_pauses_everybody_for_as_long_as_the_provider_asked():
    pacer = await proven()
    await refuse(pacer, too_fast(17))
    await send(pacer, 1)
    assert now() == pytest.approx(17)


@on_the_clock
async def test_the_longest_of_several_pauses_counts():
    pacer = await proven()
    turns = await fill(pacer, 3)
    for turn, seconds in zip(turns, (5, 20, 2), strict=True):
        pacer.slow_down(turn, too_fast(seconds))
        pacer.done(turn)
    await send(pacer, 1)
    assert now() == pytest.approx(20)


@on_the_clock
async def test_after_a_pause_requests_go_out_at_the_limits_pace():
    pacer = await proven(limits=Limits(requests=60, requests_left=60))
    await refuse(pacer, too_fast(10))
    await send(pacer, 30)
    assert now() >= 10 + 29


@on_the_clock
async def test_after_a_pause_without_known_limits_requests_go_out_by_a_ramp():
    pacer = await proven(64)
    await refuse(pacer, too_fast(10))
    await fill(pacer, pacer.slots // 2)
    assert now() == pytest.approx(10 + RAMP / 2, abs=0.1)


@on_the_clock
async def test_without_headers_a_burst_of_429s_halves_what_is_in_flight_once_and_successes_open_it_again():
    pacer = await proven(64)
    for turn in await fill(pacer, 5):
        pacer.slow_down(turn, too_fast(2))
        pacer.done(turn)
    assert pacer.slots == 32
    await send(pacer, 32 * 3)
    assert 34 <= pacer.slots <= 36


@on_the_clock
async def test_a_429_that_the_headers_explain_does_not_halve_what_is_in_flight():
    pacer = await proven(64, limits=PLENTY)
    await refuse(pacer, too_fast(1, Limits(requests=10_000, requests_left=0)))
    assert pacer.slots == 64
    await send(pacer, 1)
    assert now() >= 1


@on_the_clock
async def test_a_lone_429_with_plenty_left_holds_back_its_own_request_only():
    pacer = await proven(64, limits=PLENTY)
    (turn,) = await fill(pacer, 1)
    assert pacer.slow_down(turn, too_fast(20, PLENTY)) == 20
    await fill(pacer, 63)
    assert now() == 0


@on_the_clock
async def test_a_429_for_the_very_first_request_holds_back_all_that_wait_for_it():
    pacer = Pacer(64)
    turn = await pacer.turn(REQUEST)
    pacer.slow_down(turn, too_fast(20, PLENTY))
    pacer.done(turn)
    await pacer.turn(REQUEST)
    assert now() == pytest.approx(20, abs=0.1)
    assert pacer.slots == 1


@on_the_clock
async def test_many_429s_with_plenty_left_tell_of_a_limit_without_a_header():
    pacer = await proven(64, limits=PLENTY)
    for turn in await fill(pacer, 30):
        pacer.slow_down(turn, too_fast(20, PLENTY))
        pacer.done(turn)
    assert pacer.slots == 32
    assert pacer.waiting == 20


@pytest.mark.parametrize(("chance", "most"), [(0.06, 1.3), (0.02, 1.15)])
@on_the_clock
async def test_random_429s_with_plenty_left_cost_little_time(chance, most):
    rng = Random(1)
    provider = Provider(
        rpm=100_000, fault=lambda number: too_fast(1, PLENTY) if number and rng.random() < chance else None
    )
    assert await ask(provider, 2000) <= most * 2000 / 64


@on_the_clock
async def test_a_limit_on_what_is_in_flight_that_no_header_tells_is_found():
    provider = Provider(fault=lambda _: too_fast(1, PLENTY) if provider.open > 16 else None)
    took = await ask(provider, 1000)
    assert took <= 1.5 * 1000 / 16
    assert len(provider.arrivals) <= 1.1 * 1000


@pytest.mark.parametrize("retry_after", [True, False])
@on_the_clock
async def test_where_no_header_tells_429s_alone_teach_the_limit(retry_after):
    provider = Provider(rpm=300, headers="", retry_after=retry_after)
    took = await ask(provider, 560)
    assert took <= 1.12 * ((560 - 300) / 5 + 1)
    assert len(provider.refused) <= 0.05 * 560


@on_the_clock
async def test_a_provider_that_asks_to_wait_for_a_day_ends_the_run_instead():
    with pytest.raises(Stopped, match="1440 minutes"):
        await refuse(await proven(), too_fast(86_400))


@given(st.floats(0, 0.5), st.floats(0, 90), st.floats(0, 5), st.integers(1, 64), st.integers(0, 10_000))
@settings(max_examples=60)
def test_nothing_is_ever_sent_during_a_pause_and_everything_in_the_end(chance, longest, latency, concurrency, seed):
    rng = Random(seed)
    pauses: list[tuple[float, float]] = []

    def fault(number: int) -> TeacherError | None:
        if rng.random() >= chance:
            return None
        seconds = rng.uniform(0, longest)
        pauses.append((now(), now() + seconds))
        return too_fast(seconds)

    async def go() -> None:
        provider = Provider(fault=fault, headers="", latency=lambda _: rng.uniform(0, latency))
        await ask(provider, 60, concurrency)
        for start, end in pauses:
            assert not [time for time in provider.arrivals if start < time < end - 1e-6]

    run(go())


# ── errors ────────────────────────────────────────────────────────────────────────────────────────────────────────


@on_the_clock
async def test_errors_alone_open_the_circuit_and_a_success_closes_it():
    pacer = await proven(64)
    for _ in range(OPEN_AFTER):
        await fail(pacer)
    assert pacer.slots == 1
    await send(pacer, 1)
    assert pacer.slots == 64


@on_the_clock
async def test_a_burst_of_errors_pauses_once_and_shortly():
    pacer = await proven(100)
    turns = await fill(pacer, 100)
    for turn in turns[:OPEN_AFTER]:
        pacer.failed(turn, BROKEN)
    probe = asyncio.create_task(pacer.turn(REQUEST))
    for turn in turns[OPEN_AFTER:]:
        await asyncio.sleep(0.1)
        pacer.failed(turn, BROKEN)
        assert probe.done() or now() <= 1


@on_the_clock
async def test_probes_go_out_one_by_one_also_while_older_requests_still_hang():
    pacer = await proven(64)
    turns = await fill(pacer, 64)
    for turn in turns[:OPEN_AFTER]:
        pacer.done(turn)
        pacer.failed(turn, BROKEN)
    probe = await pacer.turn(REQUEST)
    second = asyncio.create_task(pacer.turn(REQUEST))
    await asyncio.sleep(20)
    assert not second.done()
    pacer.answered(probe, reply())
    await second


@pytest.mark.parametrize("length", [5, 60, 400])
@on_the_clock
async def test_after_an_outage_a_run_is_back_within_a_tenth_of_its_length_and_a_few_seconds(length):
    end = 5 + length
    provider = Provider(fault=lambda _: BROKEN if 5 <= now() < end else None)
    await ask(provider, 1000)
    probes = [time for time in provider.arrivals if 7 <= time < end]
    after = [time - end for time in provider.arrivals if time >= end]
    assert len(probes) <= 60
    assert after[63] <= 1 + length / 10 + RAMP + 1
    assert after[32] - after[1] >= 0.9 * RAMP / 2  # a ramp from the good probe on


@on_the_clock
async def test_a_request_that_ended_in_any_way_makes_room_for_another():
    pacer = await proven(1)
    (turn,) = await fill(pacer, 1)
    waiting = asyncio.create_task(pacer.turn(REQUEST))
    await asyncio.sleep(1)
    assert not waiting.done()
    pacer.done(turn)
    await waiting


@pytest.mark.parametrize("limits", [None, PLENTY])
@pytest.mark.parametrize("kind", ["server", "overloaded", "rate_limit"])
@on_the_clock
async def test_whatever_the_error_its_request_is_not_repeated_before_its_retry_after(kind, limits):
    busy = TeacherError(kind, "busy", retry_after=20, limits=limits)
    provider = Provider(fault=lambda number: busy if number == 1 else None)
    await ask(provider, 2, concurrency=1)
    assert provider.arrivals[2] - provider.arrivals[1] >= 20


@on_the_clock
async def test_patience_with_a_dead_provider_ends():
    pacer = await proven()
    with pytest.raises(Stopped, match="500"):
        while now() < 2 * PATIENCE:
            await fail(pacer)
    assert PATIENCE <= now() <= 1.2 * PATIENCE


@on_the_clock
async def test_an_address_where_nobody_answers_is_told_after_a_few_tries():
    pacer = Pacer(64)
    with pytest.raises(Stopped, match="127.0.0.1:9"):
        for _ in range(OPEN_AFTER):
            await fail(pacer, TeacherError("connection", "There is no connection to 127.0.0.1:9."))
    assert now() == 0


ERRORS = [BROKEN, too_fast(), too_fast(3), too_fast(2, PLENTY), TeacherError("timeout", "late", billed=True)]


@given(st.floats(0, 0.4), st.integers(1, 64), st.integers(0, 10_000))
@settings(max_examples=60)
def test_whatever_goes_wrong_every_request_is_settled(chance, concurrency, seed):
    rng = Random(seed)

    async def go() -> None:
        fault = lambda _: rng.choice(ERRORS) if rng.random() < chance else None  # noqa: E731
        await ask(Provider(rpm=600, fault=fault), 80, concurrency)

    run(go())
