"""A provider's limits over HTTP: the real SDKs, and real buckets that turn down what comes too early."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import time

import pytest
from alpaca_anthropic import MessagesOptions
from alpaca_anthropic.teacher import AnthropicTeacher
from alpaca_openai import ChatOptions, CompletionOptions
from alpaca_openai.teacher import OpenAITeacher
from clockwork import ask
from provider import Provider
from running import command, data, environment, generate

TEACHERS = {
    "openai": lambda server: OpenAITeacher(ChatOptions(base_url=server.url)),
    "text-davinci-003": lambda server: OpenAITeacher(CompletionOptions(base_url=server.url)),
    "anthropic": lambda server: AnthropicTeacher(MessagesOptions(base_url=server.root)),
}


def refused(server: Provider) -> int:
    return server.stats()["requests"] - server.stats()["delivered"]


async def ask_over_http(server: Provider, teacher: str, count: int, concurrency: int = 32, **ceilings: int) -> float:
    asked = TEACHERS[teacher](server)
    try:
        return await ask(asked, count, concurrency, **ceilings)
    finally:
        await asked.aclose()


@pytest.mark.parametrize(
    ("teacher", "limit", "burst", "rate"),  # the requests that go out freely, and those a second after them
    [
        ("openai", {"rpm": 120}, 120, 2.0),
        ("text-davinci-003", {"rpm": 120}, 120, 2.0),
        ("anthropic", {"rpm": 120}, 120, 2.0),
        ("openai", {"tpm": 300_000}, 79, 1.3),  # 701 tokens of the prompt and 3,072 for the longest answer
        ("anthropic", {"itpm": 60_000}, 85, 1.4),
    ],
)
def test_a_limit_is_used_in_full_and_never_hit(provider, teacher, limit, burst, rate):
    server = provider(latency=0.1, **limit)
    took = asyncio.run(ask_over_http(server, teacher, burst + 3))
    assert refused(server) == 0
    assert took <= 1 + (3 + 3) / rate  # one in reserve, one for the rounding of the headers, one for the road


def test_a_limit_that_falls_during_the_run_is_followed(provider):
    server = provider(latency=0.1, rpm=3000)

    async def fall() -> None:
        while server.stats()["requests"] < 40:
            await asyncio.sleep(0.01)
        server.limits.requests.per_minute = 240
        server.limits.requests.take(220)

    async def both() -> None:
        await asyncio.gather(fall(), ask_over_http(server, "openai", 70, concurrency=8))

    asyncio.run(both())
    assert refused(server) <= 1


def test_a_ceiling_of_ones_own_needs_no_limit_of_the_provider(provider):
    server = provider()
    assert asyncio.run(ask_over_http(server, "openai", 20, max_rpm=600)) >= 0.9


@pytest.mark.parametrize(("chance", "count"), [(0.1, 60), (0.4, 15)])
def test_nothing_is_asked_again_before_its_retry_after(provider, chance, count):
    server = provider(latency=0.05, faults={"rate_limit": chance}, retry_after=0.4)
    asyncio.run(ask_over_http(server, "openai", count))
    assert server.stats()["faults"]["rate_limit"]
    assert server.stats()["early_retries"] == 0
    assert server.stats()["paid_twice"] == 0


def test_a_run_outlives_an_outage_of_its_provider(provider, tmp_path):
    generate(provider(), tmp_path / "undisturbed")
    with Provider(latency=0.3) as server:
        process = subprocess.Popen(command(tmp_path / "run"), env=environment(server), stderr=subprocess.DEVNULL)
        while not server.stats()["delivered"]:
            time.sleep(0.01)
    gc.collect()  # a dead process keeps no connection: nor one that was being accepted as the server closed
    time.sleep(2)
    provider(port=server.port)
    assert process.wait(60) == 0
    assert data(tmp_path / "run") == data(tmp_path / "undisturbed")
