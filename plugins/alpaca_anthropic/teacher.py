"""The teacher. The core paces, retries, times out and pays; here a Request becomes one call of Anthropic's SDK."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from alpaca_anthropic import MessagesOptions
from alpaca_anthropic.adaptation import Adaptation
from alpaca_anthropic.batches import BYTES, REQUESTS, Batches
from alpaca_anthropic.failures import reading
from alpaca_anthropic.headers import limits_in
from alpaca_anthropic.messages import body_of, completion_of, nested
from alpaca_anthropic.models import retirement
from alpaca_anthropic.prices import price_of
from alpaca_anthropic.server import Server
from alpaca_core import BatchStatus, Completion, Price, Request, TeacherError

LONGEST = 21_333  # tokens: about what is written in ten minutes, after which an idle connection may be cut


class AnthropicTeacher:
    """Asks Anthropic, or a server that speaks Messages. ``learnt``: see ``Adaptation``."""

    batch_requests = REQUESTS
    batch_bytes = BYTES

    def __init__(self, options: MessagesOptions) -> None:
        self._options = options
        self._server = Server(options.base_url, options.model)
        self._adaptation = Adaptation(options)
        self._batches = Batches(self._server, options, self._adaptation)
        self.learnt = self._adaptation.learnt

    def check(self) -> None:
        """Raises MissingError without a key for Anthropic itself, and ConfigError for an address that is none."""
        self._server.check()

    def price(self) -> Price | None:
        """Anthropic's price for the model. None where it is unknown, as it is on any server but Anthropic's own."""
        return price_of(self._options.model) if self._server.is_own else None

    async def prepare(self) -> list[str]:
        """The day on which the model is retired, if one is known. Also learns what the provider says that the model
        does not take. Raises TeacherError for a bad key or a model that Anthropic does not know."""
        found = await self._server.describe()
        try:
            self._adaptation.foresee(found["capabilities"])
        except (LookupError, TypeError):
            pass  # it does not say
        return retirement(self._options.model, found)

    async def complete(self, request: Request) -> Completion:
        """One answer. Raises TeacherError. Parameters that the model refuses are left out or replaced from then on."""
        body = body_of(self._options, replace(request, max_tokens=min(request.max_tokens, LONGEST)))
        return await self._adaptation.ask(body, self._send)

    async def _send(self, body: Mapping[str, Any]) -> Completion:
        raw = await self._server.post("/v1/messages", nested(body))
        with reading(self._server.name):
            answer = completion_of(json.loads(raw.content))
        return replace(answer, limits=limits_in(raw.headers))

    async def submit(self, key: str, requests: Sequence[Request]) -> str:
        """Hand in a batch. Raises TeacherError."""
        return await self._batches.submit(key, requests)

    async def find(self, key: str, since: float, total: int) -> str | None:
        """The batch with that key, if it arrived; takes as long as one that may be it. Raises TeacherError."""
        return await self._batches.find(key, since, total)

    async def status(self, batch: str) -> BatchStatus:
        """Where a batch stands. Raises TeacherError."""
        return await self._batches.status(batch)

    def results(self, batch: str) -> AsyncIterator[tuple[int, Completion | TeacherError]]:
        """The results of a batch that has ended. Raises TeacherError."""
        return self._batches.results(batch)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._server.client.close()
