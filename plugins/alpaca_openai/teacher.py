"""The teacher of all three protocols. The core paces, retries, times out and pays; here a Request becomes one call."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from alpaca_core import BatchStatus, Completion, ConfigError, Price, Request, TeacherError
from alpaca_openai import ChatOptions, CompletionOptions
from alpaca_openai.adaptation import Adaptation
from alpaca_openai.batches import BYTES, REQUESTS, Batches
from alpaca_openai.dialects import CHAT, COMPLETIONS, RESPONSES, nested
from alpaca_openai.failures import reading
from alpaca_openai.headers import limits_in
from alpaca_openai.prices import price_of
from alpaca_openai.server import Server


class OpenAITeacher:
    """Asks OpenAI, or a server that speaks one of its protocols. ``learnt``: see ``Adaptation``."""

    batch_requests = REQUESTS
    batch_bytes = BYTES

    def __init__(self, options: ChatOptions | CompletionOptions) -> None:
        self._options = options
        self._server = Server(options.base_url, options.model)
        if isinstance(options, CompletionOptions):
            self._dialect = COMPLETIONS
        else:
            self._dialect = RESPONSES if options.api == "responses" else CHAT
        self._adaptation = Adaptation()
        self._batches = Batches(self._server, self._dialect, options, self._adaptation)
        self.learnt = self._adaptation.learnt

    def check(self) -> None:
        """Raises ConfigError for a model that OpenAI has shut down or an address that is none, and MissingError without
        a key for OpenAI."""
        if self._server.is_own and self._options.model.startswith("text-"):
            raise ConfigError(
                f"OpenAI shut {self._options.model} down on 2024-01-04; it cannot be asked there any more.",
                hint="Use --teacher openai, or give the address of a server that speaks /v1/completions (vLLM, "
                "llama.cpp, ...): --set teacher.base_url=http://127.0.0.1:8000/v1 --model NAME",
            )
        self._server.check()

    def price(self) -> Price | None:
        """OpenAI's price for the model. None where it is unknown, as it is on any server but OpenAI's own."""
        return price_of(self._options.model) if self._server.is_own else None

    async def prepare(self) -> list[str]:
        """The day on which the model is shut down, if the provider has named one. Raises TeacherError for a bad key."""
        return await self._server.notices()

    async def complete(self, request: Request) -> Completion:
        """One answer. Raises TeacherError. Parameters that the model refuses are left out from then on."""
        body = self._dialect.body(self._options, request)
        return await self._adaptation.ask(request.k, body, partial(self._send, request))

    async def _send(self, request: Request, body: Mapping[str, Any]) -> Completion:
        raw = await self._server.post(self._dialect.path, nested(body))
        with reading(self._server.name):
            answer = self._dialect.read(json.loads(raw.content), () if "stop" in body else request.stop)
        return replace(answer, limits=limits_in(raw.headers))

    async def submit(self, key: str, requests: Sequence[Request]) -> str:
        """Hand in a batch. Raises TeacherError."""
        return await self._batches.submit(key, requests)

    async def find(self, key: str, since: float, total: int) -> str | None:
        """The batch with that key, if it arrived. Raises TeacherError."""
        return await self._batches.find(key, since)

    async def status(self, batch: str) -> BatchStatus:
        """Where a batch stands. Raises TeacherError."""
        return await self._batches.status(batch)

    def results(self, batch: str) -> AsyncIterator[tuple[int, Completion | TeacherError]]:
        """The results of a batch that has ended. Raises TeacherError."""
        return self._batches.results(batch)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._server.client.close()
