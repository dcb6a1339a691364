"""What the prompts can be told. Standard library only: read at start-up."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

LONGEST_TOPIC = 100  # characters

LANGUAGE = "Language of the tasks: an English name (Arabic) or a code (ar, pt-BR)."
FORM = "How the answer is laid out: list is the published form; json holds a chat model to a schema where it can be."


@dataclass(frozen=True)
class SelfInstructOptions:
    """What ``self-instruct`` asks for. The published mix of self-instruct is ``examples=6`` and ``kept_examples=2``."""

    items: int = field(default=20, metadata={"help": "New tasks asked for in one request."})
    examples: int = field(default=3, metadata={"help": "Seed tasks shown in one request, drawn at random."})
    kept_examples: int = field(
        default=0, metadata={"help": "Kept rows shown beside them; seed tasks in their place while there are none."}
    )
    language: str = field(default="English", metadata={"help": LANGUAGE})
    form: Literal["list", "json"] = field(default="list", metadata={"help": FORM})

    def __post_init__(self) -> None:
        _within("items", self.items, 1, 100)
        _within("examples", self.examples, 0, 20)
        _within("kept_examples", self.kept_examples, 0, 20)
        _language(self.language)

    @property
    def recommends(self) -> Mapping[str, str]:
        return _for_filters(self.language)


@dataclass(frozen=True)
class TopicsOptions:
    """What ``topics`` asks for. ``topics`` has to be given."""

    topics: Path | None = field(
        default=None,
        metadata={"help": "A text file with one topic a line; # begins a comment. Required.", "identity": False},
    )
    tasks_per_topic: int = field(default=5, metadata={"help": "Tasks asked for on one topic before the next."})
    items: int = field(default=20, metadata={"help": "New tasks asked for in one request."})
    examples: int = field(default=3, metadata={"help": "Seed tasks shown in one request, drawn at random."})
    language: str = field(default="English", metadata={"help": LANGUAGE})
    form: Literal["list", "json"] = field(default="list", metadata={"help": FORM})
    topics_hash: str = field(default="", init=False, metadata={"help": "A run is its topics, wherever the file lies."})

    def __post_init__(self) -> None:
        _within("tasks_per_topic", self.tasks_per_topic, 1, 100)
        _within("items", self.items, 1, 100)
        _within("examples", self.examples, 0, 20)
        _language(self.language)
        if self.topics is not None:
            text = "\n".join(read_topics(self.topics))
            object.__setattr__(self, "topics_hash", hashlib.sha256(text.encode()).hexdigest()[:16])

    @property
    def recommends(self) -> Mapping[str, str]:
        return _for_filters(self.language)


@dataclass(frozen=True)
class EvolOptions:
    """What ``evol`` asks for."""

    items: int = field(default=10, metadata={"help": "New tasks asked for in one request, each from another one."})
    widening: float = field(
        default=0.2, metadata={"help": "Share of new tasks on something rarer in the same field; the others go deeper."}
    )
    language: str = field(default="English", metadata={"help": LANGUAGE})
    form: Literal["list", "json"] = field(default="list", metadata={"help": FORM})

    def __post_init__(self) -> None:
        _within("items", self.items, 1, 100)
        _within("widening", self.widening, 0, 1)
        _language(self.language)

    @property
    def recommends(self) -> Mapping[str, str]:
        return _for_filters(self.language)


@dataclass(frozen=True)
class Alpaca2023Options:
    """What ``alpaca-2023`` asks for. The published procedure shows 3 tasks and asks for 20 in all."""

    items: int = field(default=20, metadata={"help": "Tasks in the whole list, the examples counted."})
    examples: int = field(default=3, metadata={"help": "Seed tasks that the list begins with."})
    header: str = field(
        default="", metadata={"help": "A text file to use for the words before the list (the published prompt.txt)."}
    )

    def __post_init__(self) -> None:
        _within("examples", self.examples, 1, 20)
        _within("items", self.items, self.examples + 1, 100)


def read_topics(path: Path) -> list[str]:
    """The topics in ``path``, in their order. Blank lines and what follows a ``#`` at a line's start are skipped.

    Raises ValueError with one line for each mistake: a file that cannot be read or has no topic, a topic of more than
    100 characters, the same topic twice.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise ValueError(
            f"topics names a file that cannot be read: {path}: {getattr(exc, 'strerror', None) or exc}"
        ) from exc
    first: dict[str, int] = {}
    topics, wrong = [], []
    for number, line in enumerate(lines, 1):
        topic = " ".join(line.split())
        if not topic or topic.startswith("#"):
            continue
        before = first.setdefault(topic.casefold(), number)
        if before != number:
            wrong.append(f"topics has a topic twice: {path}:{number} is line {before} again: {topic[:LONGEST_TOPIC]}")
        if len(topic) > LONGEST_TOPIC:
            wrong.append(
                f"topics has too long a topic: {path}:{number} has {len(topic)} characters, at most {LONGEST_TOPIC} fit"
            )
        topics.append(topic)
    if not topics:
        wrong.append(f"topics names a file without topics: {path}; expected one a line")
    if wrong:
        raise ValueError("\n".join(wrong))
    return topics


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} must be {low} to {high}, not {value}")


def _for_filters(language: str) -> Mapping[str, str]:
    """What the filters that look at the language are told of it, unless a user tells them otherwise."""
    return {f"filter.{name}.language": language for name in ("ascii-start", "language")}


def _language(value: str) -> None:
    if not re.fullmatch(r"[^\W\d_][\w '()-]{1,59}", value):
        raise ValueError(f"language must be a name such as Arabic or a code such as ar, not {value!r}")
