"""Where requests go, and how."""

# ruff: noqa: TID253 - loaded on first use only

from __future__ import annotations

import asyncio
import datetime
import json
import os
import re
from collections.abc import Awaitable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies

import httpx2
import openai

from alpaca_core import ConfigError, MissingError, TeacherError
from alpaca_openai import wrong_address
from alpaca_openai.failures import explain, lacks_scope

OWN_HOST = "api.openai.com"
CONNECTIONS = 2000  # more than anybody keeps in flight
PATIENCE = 5.0  # seconds for what is only good to know

T = TypeVar("T")


class Server:
    """Where requests for ``model`` go: ``base_url``, or else OPENAI_BASE_URL, or else OpenAI itself."""

    def __init__(self, base_url: str, model: str) -> None:
        self.model = model
        self.url = base_url or os.environ.get("OPENAI_BASE_URL", "").strip()
        host = urlsplit(self.url).hostname
        self.is_own = not self.url or host == OWN_HOST
        self.name = "OpenAI" if self.is_own else re.sub(r"(?<=//)[^/]*@|[?#].*", "", self.url)  # nothing secret
        self.key = os.environ.get("OPENAI_API_KEY", "").strip()
        self.client = openai.AsyncOpenAI(
            api_key=self.key or "no-key",
            base_url=self.url or f"https://{OWN_HOST}/v1",  # the SDK would take an empty OPENAI_BASE_URL
            max_retries=0,
            timeout=openai.Timeout(None, connect=30.0),
            http_client=_http_client(),
        )

    def check(self) -> None:
        """Raises ConfigError for an address that is none, and MissingError when there is no key for OpenAI itself. A
        server of one's own may need none."""
        if self.url and (wrong := wrong_address(self.url)):
            raise ConfigError(f"OPENAI_BASE_URL {wrong}.")
        if self.is_own and not self.key:
            raise MissingError(
                "The teacher needs an OpenAI key, and OPENAI_API_KEY is not set.",
                hint="Set it with: export OPENAI_API_KEY=...",
            )
        if not self.key.isascii() or not self.key.isprintable() or " " in self.key:
            raise MissingError(
                "OPENAI_API_KEY holds a character that no key has, such as a space or a quotation mark from a text.",
                hint="Copy the key again: export OPENAI_API_KEY=...",
            )

    async def notices(self) -> list[str]:
        """What people should know of the model before it is asked: the day on which it is shut down, where the provider
        has named one. [] where the server does not say, or not at once.

        Raises TeacherError when the key is refused altogether. A key may be barred from the list of models alone.
        """
        try:
            async with asyncio.timeout(PATIENCE):
                reply = await self.call(self.client.get("/models", cast_to=httpx2.Response))
            models = json.loads(reply.content)["data"]
            day = next(model["shutdown_date"] for model in models if model["id"] == self.model)
            left = (datetime.date.fromisoformat(day) - datetime.datetime.now(datetime.UTC).date()).days
        except TeacherError as error:
            if error.kind == "auth" or (error.kind == "permission" and not lacks_scope(error.message)):
                raise
            return []
        except (TimeoutError, StopIteration, ValueError, LookupError, TypeError):
            return []
        if left > 0:
            days = "one day" if left == 1 else f"{left:,} days"
            return [
                f"{self.name} shuts {self.model} down on {day}, in {days}: finish this run before then, or choose"
                " another model now with --model NAME."
            ]
        return [
            f"{self.name} was to shut {self.model} down on {day}: it may refuse everything that is asked. Choose"
            " another model with --model NAME."
        ]

    async def post(self, path: str, body: Mapping[str, Any]) -> httpx2.Response:
        """The answer to ``body``. Raises TeacherError.

        The SDK's typed methods send the same in half as much processor time again: they rebuild each body and answer.
        """
        return await self.call(self.client.post(path, body=body, cast_to=httpx2.Response))

    async def call(self, work: Awaitable[T]) -> T:
        """What ``work``, a call of the client, gives. Raises TeacherError."""
        try:
            return await work
        except Exception as exc:  # what aiohttp raises at a malformed answer comes through as it is
            failure = explain(exc, self.model, self.name)
        raise failure  # out here, so that no traceback leads to the SDK's error, which may quote the key


def _http_client() -> httpx2.AsyncClient | None:
    """aiohttp's transport, at a third of the processor time of the SDK's own (None), which stands in where aiohttp is
    not installed, or where the way out is a SOCKS proxy, which aiohttp does not know."""
    if any(proxy.startswith("socks") for proxy in getproxies().values()):
        return None
    try:
        return openai.DefaultAioHttpClient(limits=httpx2.Limits(max_connections=CONNECTIONS))
    except RuntimeError:  # the SDK's way to say that aiohttp is missing
        return None
