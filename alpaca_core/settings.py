"""The core's own settings: section by section, with their defaults, their ranges and their help.

Components bring options of their own in the same form: a frozen dataclass whose fields carry their help text. Nothing
heavy is imported here, so that help and listings stay quick.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, NewType, Union, get_args, get_origin, get_type_hints

#: Text that names a file: absolute once it is read, from the folder of the file that holds it.
FileName = NewType("FileName", str)


def setting(default: Any, text: str) -> Any:
    """A field with its default and its help text."""
    return field(default=default, metadata={"help": text})


def _check(settings: Any, ranges: Mapping[str, tuple[Callable[[Any], bool], str]]) -> None:
    """Raise ValueError with one line for each field out of its range. None, where a field allows it, is in range."""
    wrong = [
        f"{name} must be {expected}, not {value}"
        for name, (fits, expected) in ranges.items()
        if (value := getattr(settings, name)) is not None and not fits(value)
    ]
    if wrong:
        raise ValueError("\n".join(wrong))


_POSITIVE = (lambda value: value >= 1, "at least 1")
_NOT_NEGATIVE = (lambda value: value >= 0, "at least 0")


@dataclass(frozen=True)
class General:
    """Keys above all sections."""

    seed: int = setting(0, "All randomness of a run follows from this number.")

    def __post_init__(self) -> None:
        _check(self, {"seed": (lambda seed: 0 <= seed < 2**32, "from 0 to 4294967295")})


@dataclass(frozen=True)
class Generation:
    """How a dataset is made. ``filters`` are names as they were given; ``Config.filters`` has the chains unfolded."""

    num_examples: int | None = setting(
        1000, "Rows to keep; none: all that the stored replies hold, and nothing is asked."
    )
    sources: tuple[FileName, ...] = setting((), "Run folders whose replies are taken over before anything is asked.")
    seed_tasks: FileName = setting("", "File with the seed tasks (JSONL); empty: the bundled ones.")
    filters: tuple[str, ...] = setting(("alpaca",), "Filters and chains of filters, in order.")
    concurrency: int = setting(16, "Requests in flight at most.")
    batch: bool = setting(False, "Ask through the provider's batch API: half the price, answered within a day.")
    block: int = setting(64, "Requests per block; prompts see what was kept up to the block before last.")
    timeout: float = setting(120.0, "Seconds to wait for one reply.")
    attempts: int = setting(6, "Tries per request before it counts as failed.")
    budget: float | None = setting(None, "Dollars to spend at most (default: 5 where the price is known).")
    max_rpm: int | None = setting(None, "Requests per minute at most (default: what the provider allows).")
    max_tpm: int | None = setting(None, "Tokens per minute at most (default: what the provider allows).")

    def __post_init__(self) -> None:
        positive = ("num_examples", "concurrency", "block", "attempts", "max_rpm", "max_tpm")
        _check(
            self,
            dict.fromkeys(positive, _POSITIVE)
            | {"timeout": (lambda value: value > 0, "greater than 0"), "budget": _NOT_NEGATIVE},
        )


@dataclass(frozen=True)
class Evaluation:
    """How a model is measured."""

    heldout: int = setting(200, "Rows set aside and never trained on; at most a tenth of the kept ones.")
    max_new_tokens: int = setting(256, "Longest answer, in tokens.")
    batch_size: int = setting(64, "Prompts answered at once.")

    def __post_init__(self) -> None:
        _check(self, {"heldout": _NOT_NEGATIVE} | dict.fromkeys(("max_new_tokens", "batch_size"), _POSITIVE))


@dataclass(frozen=True)
class TeacherTable:
    """What [teacher] holds beside the chosen teacher's own options."""

    name: str = setting("procedural", "The teacher.")
    price_input: float | None = setting(None, "Dollars per million prompt tokens, over the price table's.")
    price_output: float | None = setting(None, "Dollars per million tokens of the answer.")

    def __post_init__(self) -> None:
        _check(self, {"price_input": _NOT_NEGATIVE, "price_output": _NOT_NEGATIVE})


@dataclass(frozen=True)
class PromptTable:
    """What [prompt] holds beside the chosen prompt's own options."""

    name: str = setting("self-instruct", "How the teacher is asked.")


@dataclass(frozen=True)
class ChatTemplateTable:
    """What [chat_template] holds beside the chosen template's own options."""

    name: str = setting("alpaca", "How the student sees an example.")


@dataclass(frozen=True)
class TrainerTable:
    """What [trainer] holds beside the chosen trainer's own options."""

    name: str = setting("local", "The trainer; none: no training.")
    student: str = setting("new:small", "A folder or hub id of a model, or new:tiny or new:small.")


@dataclass(frozen=True)
class JudgeTable:
    """What [judge] holds beside the chosen judge's own options."""

    name: str = setting("none", "The judge that compares two models' answers; none: name one where it is needed.")


#: The tables of the configuration, "" for the keys above all of them. ``filter`` holds a table for each filter.
TABLES: Mapping[str, type] = {
    "": General,
    "generation": Generation,
    "teacher": TeacherTable,
    "prompt": PromptTable,
    "chat_template": ChatTemplateTable,
    "trainer": TrainerTable,
    "evaluation": Evaluation,
    "judge": JudgeTable,
}

#: Flags with a name of their own, which are also environment variables (``--num-examples``: ALPACAKIT_NUM_EXAMPLES).
FLAGS: Mapping[str, str] = {
    "teacher": "teacher.name",
    "model": "teacher.model",
    "prompt": "prompt.name",
    "filter": "generation.filters",
    "seed_tasks": "generation.seed_tasks",
    "num_examples": "generation.num_examples",
    "from": "generation.sources",
    "seed": "seed",
    "batch": "generation.batch",
    "concurrency": "generation.concurrency",
    "budget": "generation.budget",
    "max_rpm": "generation.max_rpm",
    "max_tpm": "generation.max_tpm",
    "chat_template": "chat_template.name",
    "trainer": "trainer.name",
    "student": "trainer.student",
    "judge": "judge.name",
}


@dataclass(frozen=True)
class Option:
    """One key as people read about it."""

    name: str
    type: str
    default: Any
    help: str


def options_of(cls: type | None) -> list[Option]:
    """The fields of an options dataclass, in their order; none for None."""
    if cls is None:
        return []
    hints = get_type_hints(cls)
    return [
        Option(item.name, type_text(hints[item.name]), default_of(item), str(item.metadata.get("help", "")).strip())
        for item in fields(cls)
        if item.init
    ]


def default_of(item: Any) -> Any:
    """The default of a dataclass field."""
    return item.default if item.default_factory is MISSING else item.default_factory()


def type_text(hint: Any) -> str:
    """A type as people read it: ``int or none``, ``'auto' or 'cpu'``, ``list of str``."""
    parts = get_args(hint)
    if get_origin(hint) is Literal:
        return " or ".join(repr(part) for part in parts)
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(type_text(part) for part in parts)
    if get_origin(hint) in (tuple, list):
        return f"list of {type_text(parts[0])}" if parts else "list"
    if hint in (Path, FileName):
        return "path"
    return "none" if hint is type(None) else getattr(hint, "__name__", str(hint))


_SECRET = re.compile(r"(^|_)(keys?|token|passwd|credentials?)$|secret|password|api_?key")
_USERINFO = re.compile(r"(?<=://)[^/\s@'\"]+@")


def is_secret(key: str) -> bool:
    """Whether the last word of a dotted key says that its value must not be shown (``api_key``, ``auth_token``)."""
    return bool(_SECRET.search(key.rpartition(".")[2].lower().replace("-", "_")))


def without_userinfo(text: str) -> str:
    """``text`` without the ``user:password@`` of the addresses in it."""
    return _USERINFO.sub("", text)


def shown(key: str, value: Any) -> Any:
    """``value`` as it may appear on a screen or in a file."""
    if is_secret(key) and value is not None:
        return "(hidden)"
    if isinstance(value, list | tuple):
        return [shown("", item) for item in value]
    return without_userinfo(value) if isinstance(value, str) else value


def known_keys(tables: Iterable[str] = TABLES) -> list[str]:
    """The dotted names of the core's own keys."""
    return [f"{table}.{item.name}".lstrip(".") for table in tables for item in fields(TABLES[table])]
