"""The two teachers. The core paces, retries, times out and pays; here a Request becomes one call of OpenAI's SDK."""

# ruff: noqa: TID253 - loaded on first use only

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import openai

from alpaca_core import Completion, ConfigError, MissingError, Price, Request, Usage
from alpaca_openai import ChatOptions, CompletionOptions
from alpaca_openai.failures import explain, refused_parameter, refuses_value, room_for_answer, unreadable
from alpaca_openai.headers import limits_in
from alpaca_openai.prices import price_of

OWN_HOST = "api.openai.com"
FINISHES = {"length": "length", "content_filter": "content_filter"}
EFFORTS = ("none", "minimal", "low")  # from the one that is never billed upwards

log = logging.getLogger(__name__)


class ChatTeacher:
    """Chat Completions: the prompt is one user message, and ``prefix`` is left to the model."""

    def __init__(self, options: ChatOptions) -> None:
        self._options = options
        self._server = _Server(options.base_url)
        self._parameters = {
            "temperature": options.temperature,
            "top_p": options.top_p,
            "reasoning_effort": options.reasoning_effort,
        }
        self._adaptation = _Adaptation(options.model)

    def check(self) -> None:
        """Raises MissingError when there is no key for OpenAI itself. A server of one's own may need none."""
        self._server.check_key()

    def price(self) -> Price | None:
        """OpenAI's price for the model. None where it is unknown, as it is on any server but OpenAI's own."""
        return price_of(self._options.model) if self._server.is_own else None

    async def complete(self, request: Request) -> Completion:
        """One answer. Raises TeacherError. Parameters that the model refuses are left out from then on."""
        messages = [{"role": "user", "content": _joined(request.prompt, request.input)}]
        if request.system:
            messages.insert(0, {"role": "system", "content": request.system})
        parameters = {**self._parameters, "stop": list(request.stop), "max_completion_tokens": request.max_tokens}
        create = self._server.client.chat.completions.with_raw_response.create
        return await self._adaptation.call(
            self._server.name, create, {"model": self._options.model, "messages": messages}, parameters
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._server.client.close()


class CompletionTeacher:
    """Completions: the model goes on with the prompt and ``prefix``."""

    def __init__(self, options: CompletionOptions) -> None:
        self._options = options
        self._server = _Server(options.base_url)
        self._parameters = {"temperature": options.temperature, "top_p": options.top_p}
        self._adaptation = _Adaptation(options.model)

    def check(self) -> None:
        """Raises ConfigError for a model that OpenAI has shut down, and MissingError without a key for OpenAI."""
        if self._server.is_own and self._options.model.startswith("text-"):
            raise ConfigError(
                f"OpenAI shut {self._options.model} down on 2024-01-04; it cannot be asked there any more.",
                hint="Use --teacher openai, or give the address of a server that speaks /v1/completions (vLLM, "
                "llama.cpp, ...): --set teacher.base_url=http://127.0.0.1:8000/v1 --model NAME",
            )
        self._server.check_key()

    def price(self) -> Price | None:
        """OpenAI's price for the model. None where it is unknown, as it is on any server but OpenAI's own."""
        return price_of(self._options.model) if self._server.is_own else None

    async def complete(self, request: Request) -> Completion:
        """One answer. Raises TeacherError. Parameters that the model refuses are left out from then on."""
        prompt = _joined(request.system, request.prompt, request.input) + request.prefix
        parameters = {**self._parameters, "stop": list(request.stop), "max_tokens": request.max_tokens}
        create = self._server.client.completions.with_raw_response.create
        return await self._adaptation.call(
            self._server.name, create, {"model": self._options.model, "prompt": prompt}, parameters
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._server.client.close()


class _Server:
    """Where requests go: ``base_url``, or else OPENAI_BASE_URL, or else OpenAI itself."""

    def __init__(self, base_url: str) -> None:
        self.url = base_url or os.environ.get("OPENAI_BASE_URL", "").strip()
        host = urlsplit(self.url).hostname
        self.is_own = not self.url or host == OWN_HOST
        self.name = "OpenAI" if self.is_own else self.url
        self.key = os.environ.get("OPENAI_API_KEY", "").strip()
        self.client = openai.AsyncOpenAI(
            api_key=self.key or "no-key",
            base_url=self.url or None,
            max_retries=0,
            timeout=openai.Timeout(None, connect=30.0),
        )

    def check_key(self) -> None:
        if self.is_own and not self.key:
            raise MissingError(
                "The teacher needs an OpenAI key, and OPENAI_API_KEY is not set.",
                hint="Set it with: export OPENAI_API_KEY=...",
            )


class _Adaptation:
    """What has been learnt about the model's parameters: which it does not take, and what it takes in their place."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._refused: set[str] = set()
        self._replaced: dict[str, Any] = {}

    async def call(
        self, server: str, create: Any, question: Mapping[str, Any], parameters: dict[str, Any]
    ) -> Completion:
        """Ask with those ``parameters`` that the model takes. One call, and one more for each thing newly learnt."""
        room = 0
        while True:
            sent = self._fit(parameters, room)
            try:
                raw = await create(**question, **sent)
                return _completion(raw)
            except openai.APIError as exc:
                failure = explain(exc, self._model, server)
                learnt = isinstance(exc, openai.APIStatusError) and self._learn(exc, sent)
                longer = room_for_answer(exc) if not learnt and isinstance(exc, openai.APIStatusError) else 0
            except (ValueError, LookupError, TypeError, AttributeError):
                failure, learnt, longer = unreadable(server), False, 0
            # Raised out here, so that no traceback leads to the SDK's error, which may quote the key.
            if longer and not room:
                room = longer
            elif not learnt:
                raise failure

    def _fit(self, parameters: Mapping[str, Any], room: int) -> dict[str, Any]:
        fitting = {}
        for name, value in parameters.items():
            value = self._replaced.get(name, value)
            if name == "max_completion_tokens" and name in self._refused:
                name = "max_tokens"  # its older name
            if room and name in ("max_completion_tokens", "max_tokens"):
                value = min(value, room)
            if value not in (None, []) and name not in self._refused:
                fitting[name] = value
        return fitting

    def _learn(self, error: openai.APIStatusError, sent: Mapping[str, Any]) -> bool:
        """Whether the error tells something that another try can heed."""
        name = refused_parameter(error, {*sent} - {"max_tokens"})
        if not name:
            return False
        value = sent[name]
        if name == "reasoning_effort" and refuses_value(error) and value in EFFORTS[:-1]:
            self._replaced[name] = EFFORTS[EFFORTS.index(value) + 1]
            log.warning("%s does not take %s=%s: asking with %s.", self._model, name, value, self._replaced[name])
        else:
            self._refused.add(name)
            log.warning("%s does not take the parameter %s: asking without it.", self._model, name)
        return True


def _joined(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)


def _completion(raw: Any) -> Completion:
    """The SDK's reply in alpacakit's words. Raises ValueError and the like where it does not follow the protocol."""
    reply = raw.parse()
    choice, used = reply.choices[0], reply.usage
    message = getattr(choice, "message", None)
    refusal = getattr(message, "refusal", None)
    text = (message.content if message else choice.text) or refusal or ""
    prompt_details = getattr(used, "prompt_tokens_details", None)
    completion_details = getattr(used, "completion_tokens_details", None)
    usage = Usage(
        prompt_tokens=getattr(used, "prompt_tokens", 0) or 0,
        completion_tokens=getattr(used, "completion_tokens", 0) or 0,
        cached_tokens=getattr(prompt_details, "cached_tokens", 0) or 0,
        reasoning_tokens=getattr(completion_details, "reasoning_tokens", 0) or 0,
    )
    return Completion(
        text=text,
        finish="refusal" if refusal else FINISHES.get(choice.finish_reason, "stop"),
        usage=usage,
        model=reply.model or "",
        id=reply.id or "",
        limits=limits_in(raw.headers),
    )
