"""What a model of the tests' provider is asked and what it writes, whatever the protocol."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from provider_tasks import DAMAGES, answer

# Faults of the answer: the same each time that a prompt is seen. All of them are billed.
CONTENT = ("truncated", "malformed", "empty", "refusal", "content_filter")
TOKEN = 4  # characters in a token, about
REFUSAL = "I am sorry, but I cannot help with that."


def tokens(text: str) -> int:
    return -(-len(text) // TOKEN)


@dataclass(frozen=True)
class Asked:
    """A request: its ``prompt`` with all that stands before it, and the ``most`` tokens that the answer may have."""

    model: str
    prompt: str
    most: int | None = None
    stops: tuple[str, ...] = ()
    thinks: bool = False
    chat: bool = True

    @property
    def name(self) -> str:
        """The same for the same prompt, by whatever protocol it came."""
        return hashlib.sha256(self.prompt.encode(errors="surrogatepass")).hexdigest()[:16]


@dataclass(frozen=True)
class Answer:
    """What the model wrote. ``mark`` is the stop string that ended it; of its ``completion_tokens`` it only thought
    some."""

    name: str
    model: str
    text: str
    ending: Literal["stop", "length", "content_filter", "refusal"]
    mark: str
    prompt_tokens: int
    completion_tokens: int
    thought_tokens: int


@dataclass(frozen=True)
class Endpoint:
    """A protocol: how it puts a request and an answer. ``check`` says what is wrong with a body, or nothing."""

    read: Callable[[dict[str, Any]], Asked]
    shape: Callable[[Answer], dict[str, Any]]
    check: Callable[[dict[str, Any]], str] = lambda body: ""


def write(asked: Asked, fault: str, *, seed: int, items: int, reasoning: int) -> Answer:
    """The answer, which depends on the seed, the prompt and a fault of CONTENT. Thinking goes off the most tokens."""
    text, ending = _text(asked, fault, random.Random(f"{seed}/{asked.name}/text"), items)
    mark = ""
    for stop in asked.stops:
        text, found, _ = text.partition(stop)
        mark = found or mark
    thought = reasoning if asked.thinks else 0
    if asked.most is not None:
        thought = min(thought, asked.most)
        if tokens(text) > (room := asked.most - thought):
            text, ending, mark = text[: room * TOKEN], "length", ""
    spent = max(1, tokens(text) + thought)
    return Answer(asked.name, asked.model, text, ending, mark, tokens(asked.prompt) + 1, spent, thought)


def _text(asked: Asked, fault: str, rng: random.Random, items: int) -> tuple[str, Any]:
    if fault == "empty":
        return "", "stop"
    if fault == "refusal":
        return REFUSAL, "refusal"
    damage = rng.choice(DAMAGES) if fault == "malformed" else ""
    text = answer(asked.prompt, rng, items, asked.chat, damage)
    if fault in ("truncated", "content_filter"):
        cut = int(len(text) * rng.uniform(0.1, 0.95))
        return text[:cut], "length" if fault == "truncated" else "content_filter"
    return text, "stop"
