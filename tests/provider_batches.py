"""Batches in the tests' provider: what is the same for those of OpenAI and of Anthropic."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, Literal, get_args

import provider_openai
from aiohttp import web
from provider_answers import Endpoint

if TYPE_CHECKING:
    from provider import Provider

STEPS = 20  # in which a batch gets done
DESK = ("hang", "early_reset", "swallow", "reset")
Ending = Literal["completed", "expired", "cancelled"]


@dataclass
class Batch:
    """Requests by their ``custom_id``, and the status and body of each one that is done, in the order of doing."""

    id: str
    api: Any
    endpoint: Endpoint
    requests: Mapping[str, dict[str, Any]]
    details: dict[str, Any] = field(default_factory=dict)  # what else its protocol has to show
    created: float = field(default_factory=time.time)
    results: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled_at: float | None = None
    ended: Ending | Literal["failed", ""] = ""
    ended_at: float | None = None

    def end(self, ending: Ending | Literal["failed"]) -> None:
        self.ended, self.ended_at = ending, time.time()

    def cancel(self) -> None:
        self.cancelled.set()
        self.cancelled_at = self.cancelled_at or time.time()

    def without_result(self) -> list[str]:
        return [name for name in self.requests if name not in self.results]


class Batches:
    """All batches of a provider, in the order of their arrival.

    A batch takes ``seconds``. It ``ends`` completed; or else expired or cancelled, with a ``share`` of its requests
    done. ``desk`` names the faults of the first requests to batches and files, in order of arrival: one of the API's
    errors, ``hang`` and ``early_reset`` before the work, ``swallow`` (no answer) and ``reset`` after it.
    """

    def __init__(self, provider: Provider, seconds: float, ends: Ending, share: float, desk: Sequence[str]) -> None:
        if unknown := {ends, *desk} - {*get_args(Ending), *DESK, *provider_openai.ERRORS, ""}:
            raise ValueError(f"unknown endings or faults: {sorted(unknown)}")
        self.provider = provider
        self.seconds, self.ends, self.desk = seconds, ends, list(desk)
        self.share = 1.0 if ends == "completed" else share
        self.all: dict[str, Batch] = {}
        self.tasks: set[asyncio.Task[None]] = set()

    def start(self, batch: Batch) -> None:
        """Take ``batch`` and work on it in the background, unless it has failed already."""
        self.all[batch.id] = batch
        self.provider.counts["batches"] += 1
        if not batch.ended:
            self.provider.counts["batch_requests"] += len(batch.requests)
            task = asyncio.create_task(self._work(batch))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _work(self, batch: Batch) -> None:
        names = list(batch.requests)
        Random(f"{self.provider.seed}/{batch.id}").shuffle(names)
        del names[round(self.share * len(names)) :]
        for step in range(STEPS):
            try:
                async with asyncio.timeout(self.seconds / STEPS):
                    await batch.cancelled.wait()
                break
            except TimeoutError:
                pass
            for place in range(step * len(names) // STEPS, (step + 1) * len(names) // STEPS):
                name = names[place]
                batch.results[name] = self.provider.batched(batch.api, batch.endpoint, batch.requests[name])
                if place % 50 == 0:
                    await asyncio.sleep(0)  # others have their turn
        batch.end("cancelled" if batch.cancelled.is_set() else self.ends)

    # ---- requests to files and batches -------------------------------------------------------------

    def handler(self, api: Any, work: Callable[[web.Request], Awaitable[web.StreamResponse]], creates: bool = False):
        """``work`` with what goes wrong before and after it."""

        async def handle(request: web.Request) -> web.StreamResponse:
            provider = self.provider
            provider.counts["batch_calls"] += 1
            if refusal := provider.wrong_key(api, request):
                return provider.refuse(api, *refusal)
            fault = self.desk.pop(0) if self.desk else ""
            if fault == "hang":
                await asyncio.sleep(3600)
            if fault == "early_reset":
                return provider.abort(request)
            if fault in api.ERRORS:
                wait = provider.retry_after if fault == "rate_limit" else None
                return provider.refuse(api, *provider.error(api, fault, request), wait)
            response = await work(request)
            if fault == "swallow":
                await asyncio.sleep(3600)
            if fault == "reset" or (creates and self._breaks()):
                return provider.abort(request)
            return response

        return handle

    def _breaks(self) -> bool:
        place = f"{self.provider.seed}/batch/{self.provider.counts['batches']}"
        broken = Random(place).random() < self.provider.faults.get("batch_reset", 0.0)
        self.provider.counts["batch_reset"] += broken
        return broken

    def page(
        self, kind: str, *, after: str | None = None, before: str | None = None, limit: str | None = None
    ) -> tuple[list[Batch], bool]:
        """The batches whose names begin with ``kind``, the newest first, and whether there are more. Those ``after``
        one are older than it; ``before`` gives the ones that are just newer."""
        found = [batch for name, batch in reversed(self.all.items()) if name.startswith(kind)]
        names = [batch.id for batch in found]
        most = int(limit or 20)
        if before:
            newer = found[: names.index(before)]
            return newer[-most:], len(newer) > most
        older = found[names.index(after) + 1 :] if after else found
        return older[:most], len(older) > most
