"""The limits that a pacer keeps. The clock jumps from one event to the next: hours take moments; work is counted."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
from clockwork import Provider, ask, now, on_the_clock, run
from hypothesis import given, settings
from hypothesis import strategies as st
from pacers import REQUEST, fill, most_within, proven, reply, send

from alpaca_core.pacing import Pacer
from alpaca_core.records import Limits, Usage


@on_the_clock
async def test_the_first_request_goes_alone():
    pacer = Pacer(64)
    turn = await pacer.turn(REQUEST)
    waiting = asyncio.create_task(fill(pacer, 63))
    await asyncio.sleep(10)
    assert pacer.in_flight == 1
    pacer.answered(turn, reply())
    await waiting
    assert pacer.in_flight == 64
    assert now() == 10


@on_the_clock
async def test_a_model_in_this_process_has_nothing_to_prove():
    await fill(Pacer(64, first_alone=False), 64)
    assert now() == 0


@pytest.mark.parametrize("headers", ["arrival", "reply"])
@pytest.mark.parametrize("latency", [0.05, 0.5, 1, 3])
@on_the_clock
async def test_the_free_burst_is_used_and_then_the_rate_kept_without_a_single_429(latency, headers):
    provider = Provider(rpm=300, latency=lambda _: latency, headers=headers)
    took = await ask(provider, 560)
    assert len(provider.arrivals) == 560
    assert took <= 1.04 * ((560 - 300) / 5 + 2 * latency)


@pytest.mark.parametrize("limit", [{"tpm": 200_000}, {"itpm": 70_000}, {"otpm": 100_000}, {"rpm": 60, "tpm": 170_000}])
@pytest.mark.parametrize("headers", ["arrival", "reply"])
@pytest.mark.parametrize("counts", ["used", "held", "longest"])
@on_the_clock
async def test_tokens_are_kept_too_however_a_provider_counts_them(counts, headers, limit):
    rng = Random(f"{counts} {headers} {limit}")
    provider = Provider(
        **limit,
        counts=counts,
        headers=headers,
        latency=lambda _: rng.uniform(1, 3),
        usage=lambda _: Usage(rng.randint(500, 1000), rng.randint(1000, 2600)),
    )
    took = await ask(provider, 250)
    answer = 3072 if counts == "longest" else 1800
    needs = {"rpm": 250, "tpm": 250 * (750 + answer), "itpm": 250 * 750, "otpm": 250 * answer}
    assert len(provider.refused) <= 2  # where no header of the first reply tells that the longest answer counts
    assert took <= 1.12 * max((needs[name] - most) * 60 / most for name, most in limit.items()) + 6


@on_the_clock
async def test_a_limit_that_falls_while_requests_are_out_is_followed_and_one_that_rises_too():
    provider = Provider(rpm=600, latency=lambda _: 2.0)
    loop = asyncio.get_running_loop()
    loop.call_later(30, provider.buckets["requests"].change, 60)
    loop.call_later(90, provider.buckets["requests"].change, 1200)
    took = await ask(provider, 1500)
    assert len(provider.refused) <= 1
    assert took <= 90 + 45  # about 900 in 30 seconds, 60 in the next minute, then 20 a second


@on_the_clock
async def test_a_key_that_others_use_too_is_hit_less_and_less():
    rng, provider = Random(0), Provider(rpm=300)

    async def others() -> None:
        while True:
            await asyncio.sleep(rng.expovariate(2.5))
            if provider.buckets["requests"].level >= 1:
                provider.buckets["requests"].take(1)

    thief = asyncio.create_task(others())
    await ask(provider, 560)
    thief.cancel()
    assert len(provider.refused) <= 12


@on_the_clock
async def test_headers_are_followed_downward_at_once():
    pacer = await proven(limits=Limits(requests=600, requests_left=599))
    await send(pacer, 1, reply(Limits(requests=600, requests_left=0)))
    await send(pacer, 20)
    assert now() >= 1.8


@on_the_clock
async def test_a_limit_is_kept_also_where_no_header_tells_what_is_left_of_it():
    limits = Limits(requests=60)
    pacer = await proven(limits=limits)
    await send(pacer, 90, reply(limits))
    assert now() == pytest.approx(32, abs=1)


@on_the_clock
async def test_a_limit_of_zero_means_none():
    pacer = await proven(limits=Limits(requests=0, tokens=0))
    await send(pacer, 500)
    assert now() == 0


@on_the_clock
async def test_the_users_own_ceilings_hold_in_every_minute_also_the_first():
    provider = Provider(rpm=10_000, tpm=10_000_000)
    await ask(provider, 200, max_rpm=60)
    assert most_within(60, provider.arrivals) <= 61
    provider = Provider(headers="")
    await ask(provider, 200, max_tpm=100_000)
    assert most_within(60, provider.arrivals) <= 100_000 / 2500 + 1


@on_the_clock
async def test_sizes_are_learnt_from_replies():
    pacer = await proven(1000, limits=Limits(tokens=100_000, tokens_left=100_000))
    await send(pacer, 200, reply(usage=Usage(prompt_tokens=40, completion_tokens=10)))
    await fill(pacer, 1000)  # of 50 tokens each, and not of 200 as it seemed at first
    assert now() == 0


@on_the_clock
async def test_what_a_minute_is_billed_stays_below_the_users_ceiling_though_answers_grow():
    billed: list[tuple[float, int]] = []

    def usage(number: int) -> Usage:
        billed.append((now(), 700 + 50 * number))
        return Usage(700, 50 * number)

    await ask(Provider(headers="", usage=usage, latency=lambda _: 0.1), 60, max_tpm=50_000)
    for start, _ in billed:
        assert sum(tokens for time, tokens in billed if start <= time < start + 60) <= 1.1 * 50_000


@given(st.integers(1, 600), st.floats(0, 30), st.integers(1, 128), st.integers(1, 120), st.sampled_from(["", "x"]))
@settings(max_examples=60)
def test_no_limit_on_requests_is_ever_hit(rpm, latency, concurrency, count, arrival):
    async def go() -> None:
        provider = Provider(rpm=rpm, latency=lambda _: latency, headers="arrival" if arrival else "reply")
        await ask(provider, count, concurrency)
        assert not provider.refused

    run(go())
