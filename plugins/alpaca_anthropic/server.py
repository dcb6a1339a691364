"""Where requests go, and how."""

# ruff: noqa: TID253 - loaded on first use only

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Awaitable, Mapping
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit
from urllib.request import getproxies

import anthropic
import httpx2

from alpaca_anthropic import wrong_address
from alpaca_anthropic.failures import explain
from alpaca_core import ConfigError, MissingError, TeacherError

OWN_HOST = "api.anthropic.com"
CONNECTIONS = 2000  # more than anybody keeps in flight
PATIENCE = 5.0  # seconds for what is only good to know

T = TypeVar("T")


class Server:
    """Where requests for ``model`` go: ``base_url``, or else ANTHROPIC_BASE_URL, or else Anthropic itself."""

    def __init__(self, base_url: str, model: str) -> None:
        self.model = model
        # Some give the address with the /v1 that OpenAI's clients want; this one writes it itself.
        self.url = (base_url or os.environ.get("ANTHROPIC_BASE_URL", "")).strip().rstrip("/").removesuffix("/v1")
        host = urlsplit(self.url).hostname
        self.is_own = not self.url or host == OWN_HOST
        self.name = "Anthropic" if self.is_own else re.sub(r"(?<=//)[^/]*@|[?#].*", "", self.url)  # nothing secret
        self.key = os.environ.get("ANTHROPIC_API_KEY", "").strip()
        self.client = anthropic.AsyncAnthropic(
            api_key=self.key or "no-key",
            base_url=self.url or f"https://{OWN_HOST}",
            max_retries=0,
            timeout=anthropic.Timeout(None, connect=30.0),
            http_client=_http_client(),
            open_telemetry=False,
        )

    def check(self) -> None:
        """Raises ConfigError for an address that is none, and MissingError when there is no key for Anthropic itself.
        A server of one's own may need none."""
        if self.url and (wrong := wrong_address(self.url)):
            raise ConfigError(f"ANTHROPIC_BASE_URL {wrong}.")
        if self.is_own and not self.key:
            raise MissingError(
                "The teacher needs an Anthropic key, and ANTHROPIC_API_KEY is not set.",
                hint="Set it with: export ANTHROPIC_API_KEY=...",
            )
        if not self.key.isascii() or not self.key.isprintable() or " " in self.key:
            raise MissingError(
                "ANTHROPIC_API_KEY holds a character that no key has, such as a space or a quotation mark from a text.",
                hint="Copy the key again: export ANTHROPIC_API_KEY=...",
            )

    async def describe(self) -> dict[str, Any]:
        """What the server says of the model; {} where it says nothing, or not at once.

        Raises TeacherError when the key is refused, or Anthropic itself does not know the model.
        """
        path = f"/v1/models/{quote(self.model, safe='')}"
        try:
            async with asyncio.timeout(PATIENCE):
                found = json.loads((await self.call(self.client.get(path, cast_to=httpx2.Response))).content)
        except TeacherError as error:
            if error.kind == "auth" or (error.kind == "not_found" and self.is_own):
                raise
            return {}
        except (TimeoutError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    async def post(self, path: str, body: Mapping[str, Any]) -> httpx2.Response:
        """The answer to ``body``. Raises TeacherError.

        The SDK's typed methods send the same in a third as much processor time again: they rebuild body and answer.
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
    """aiohttp's transport, at six tenths of the processor time of the SDK's own (None), which stands in where aiohttp
    is not installed, or where the way out is a SOCKS proxy, which aiohttp does not know."""
    if any(proxy.startswith("socks") for proxy in getproxies().values()):
        return None
    try:
        return anthropic.DefaultAioHttpClient(limits=httpx2.Limits(max_connections=CONNECTIONS))
    except RuntimeError:  # the SDK's way to say that aiohttp is missing
        return None
