"""Anthropic's Messages, one by one and as Message Batches."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from alpaca_core import TeacherSpec, hookimpl


def _option(default: Any, help: str, **metadata: Any) -> Any:
    return field(default=default, metadata={"help": help, **metadata})


@dataclass(frozen=True)
class MessagesOptions:
    """Options of the teacher ``anthropic``. Its models take no temperature: variety comes from the prompts."""

    model: str = _option("claude-haiku-5-5", "The model to ask.")
    thinking: Literal["disabled", "adaptive"] = _option(
        "disabled",
        "Whether the model thinks before it answers. Thoughts are billed like the answer, and take room from it.",
    )
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = _option(
        None, "How much work the model puts into an answer; none: its own default."
    )
    base_url: str = _option(
        "", "Address of another server that speaks this protocol; wins over ANTHROPIC_BASE_URL.", identity=False
    )

    def __post_init__(self) -> None:
        if self.base_url and (wrong := wrong_address(self.base_url)):
            raise ValueError(f"base_url {wrong}")


def wrong_address(url: str) -> str:
    """What is wrong with ``url`` as the address of a server, "" if nothing is. What may be secret in it is not told."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "is no address"
    if "@" in (parts.netloc or url) or parts.query:
        return "must hold no name, password or query, which would be seen: a key belongs into ANTHROPIC_API_KEY"
    return "" if parts.scheme in ("http", "https") else f"must begin with http:// or https://, not {url!r}"


TERMS = (
    "Anthropic gives its answers to whoever asked for them, and its commercial terms have forbidden to train competing"
    " models with them. Read the terms that hold for you (https://www.anthropic.com/legal/commercial-terms)."
)


@hookimpl
def alpaca_teachers() -> list[TeacherSpec]:
    return [
        TeacherSpec(
            name="anthropic",
            target="alpaca_anthropic.teacher:AnthropicTeacher",
            summary="Anthropic's Claude models, or any server that speaks Messages.",
            extra="alpacakit[anthropic]",
            requires=("anthropic",),
            options=MessagesOptions,
            keys=("ANTHROPIC_API_KEY",),
            terms=TERMS,
        )
    ]
