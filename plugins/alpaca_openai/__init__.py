"""OpenAI's protocols: Chat Completions, Responses, and the legacy Completions of text-davinci-003."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from alpaca_core import TeacherSpec, hookimpl


def _option(default: Any, help: str, **metadata: Any) -> Any:
    return field(default=default, metadata={"help": help, **metadata})


TEMPERATURE = "Sampling temperature, 0 to 2; none: the server's own."
TOP_P = "Nucleus sampling, above 0 to 1; none: the server's own."
TERMS = (
    "OpenAI gives its answers to whoever asked for them, and its terms have forbidden to develop models with them that"
    " compete with OpenAI's. Read the terms that hold for you (https://openai.com/policies)."
)
BASE_URL = "Address of another server that speaks this protocol; wins over OPENAI_BASE_URL."


@dataclass(frozen=True)
class ChatOptions:
    """Options of the teacher ``openai``."""

    model: str = _option("gpt-6-luna", "The model to ask.")
    api: Literal["chat", "responses"] = _option("chat", "Protocol: Chat Completions, or Responses.")
    temperature: float | None = _option(1.0, TEMPERATURE)
    top_p: float | None = _option(1.0, TOP_P)
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] = _option(
        "none", "How long the model thinks before it answers. Thinking is billed like the answer."
    )
    base_url: str = _option("", BASE_URL, identity=False)

    def __post_init__(self) -> None:
        _check(self.temperature, self.top_p, self.base_url)


@dataclass(frozen=True)
class CompletionOptions:
    """Options of the teacher ``text-davinci-003``."""

    model: str = _option("text-davinci-003", "The model to ask, by the name that the server at base_url gives it.")
    temperature: float | None = _option(1.0, TEMPERATURE)
    top_p: float | None = _option(1.0, TOP_P)
    base_url: str = _option("", BASE_URL, identity=False)

    def __post_init__(self) -> None:
        _check(self.temperature, self.top_p, self.base_url)


def _check(temperature: float | None, top_p: float | None, base_url: str) -> None:
    if temperature is not None and not 0 <= temperature <= 2:
        raise ValueError(f"temperature must be 0 to 2, not {temperature}")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p must be above 0 and at most 1, not {top_p}")
    if base_url and (wrong := wrong_address(base_url)):
        raise ValueError(f"base_url {wrong}")


def wrong_address(url: str) -> str:
    """What is wrong with ``url`` as the address of a server, "" if nothing is. What may be secret in it is not told."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "is no address"
    if "@" in (parts.netloc or url) or parts.query:
        return "must hold no name, password or query, which would be seen: a key belongs into OPENAI_API_KEY"
    return "" if parts.scheme in ("http", "https") else f"must begin with http:// or https://, not {url!r}"


@hookimpl
def alpaca_teachers() -> list[TeacherSpec]:
    return [
        TeacherSpec(
            name="openai",
            target="alpaca_openai.teacher:OpenAITeacher",
            summary="OpenAI's chat models, or any server that speaks Chat Completions or Responses.",
            extra="alpacakit[openai]",
            requires=("openai",),
            options=ChatOptions,
            keys=("OPENAI_API_KEY",),
            terms=TERMS,
        ),
        TeacherSpec(
            name="text-davinci-003",
            target="alpaca_openai.teacher:OpenAITeacher",
            summary="The legacy Completions protocol, for servers that still speak it (teacher.base_url).",
            extra="alpacakit[openai]",
            requires=("openai",),
            options=CompletionOptions,
            keys=("OPENAI_API_KEY",),
            terms=TERMS,
        ),
    ]
