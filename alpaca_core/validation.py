"""Settings as they were found become an instance of their dataclass, or lines that say what is wrong with each."""

from __future__ import annotations

import dataclasses
import json
import re
import tomllib
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from alpaca_core.settings import FileName, is_secret, without_userinfo
from alpaca_core.sources import Setting, file_name

NONE = "none"  # how a file or a flag says None, which TOML does not know


def build(cls: type, settings: Mapping[str, Setting], table: str) -> tuple[Any, list[str]]:
    """An instance of the dataclass ``cls`` from ``settings`` by field name, and what is wrong with them.

    The instance is None where anything is wrong. Fields without a setting keep their default. ``table`` is what stands
    before the fields' names in what people read.
    """
    import pydantic

    hints = get_type_hints(cls)
    values = {name: _typed(setting, hints[name]) for name, setting in settings.items()}
    adapter: Any = pydantic.TypeAdapter(cls)
    problems: list[str] = []
    left = dict(values)
    while True:
        try:
            # As JSON, because strict JSON is what TOML means: no text for a number, but a list for a tuple and a name
            # for a path. That the fields exist was seen to by the caller, who knows what else to suggest.
            instance = adapter.validate_json(json.dumps(left, default=str), strict=True)
            return (None if problems else instance), problems
        except pydantic.ValidationError as exc:
            found = [pair for error in exc.errors() for pair in _mistakes(error, left)]
        for name, message in found:
            key = f"{table}.{name}".lstrip(".")
            place = f"{key} ({settings[name].source})" if name else f"[{table}]"
            problems.append(_redacted(f"{place}: {message}", values))
        wrong = {name for name, _ in found if name}
        if not wrong:
            return None, problems
        # A dataclass checks itself only when its types are right, and often stops at the first mistake.
        left = {name: value for name, value in left.items() if name not in wrong}


def files(cls: type) -> set[str]:
    """The fields of the dataclass ``cls`` that name files."""
    return {name for name, hint in get_type_hints(cls).items() if {Path, FileName} & set(_members(hint))}


def unsayable(instance: Any) -> set[str]:
    """The fields of the dataclass ``instance`` that are None, where "none" is a value of theirs: no text says None."""
    hints = get_type_hints(type(instance))
    return {name for name, hint in hints.items() if NONE in _members(hint) and getattr(instance, name) is None}


def _mistakes(error: Any, values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Pairs of field (empty: none in particular) and what is wrong."""
    message = re.sub(r"^(Value error|Assertion failed), |^Input (?=should)", "", error["msg"])
    name = str(error["loc"][0]) if error["loc"] else ""
    if name in values:
        return [(name, message if is_secret(name) else f"{message}, got {_short(values[name])}")]
    # A check of the dataclass's own: one line for each mistake, which begins with the field's name.
    lines = [(line.partition(" ")[0], line) for line in message.splitlines()]
    return [(first if first in values else "", line) for first, line in lines]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _redacted(line: str, values: Mapping[str, Any]) -> str:
    """``line`` without passwords: a plugin's own check may have quoted the value that it refused."""
    for name, value in values.items():
        if is_secret(name) and isinstance(value, str) and value:
            line = line.replace(value, "(hidden)")
    return without_userinfo(line)


def _typed(setting: Setting, hint: Any) -> Any:
    """The value of ``setting``, with words of a command line read as TOML where the field is not text anyway."""
    value = _parsed(setting.value, hint) if setting.text else setting.value
    if value == NONE and type(None) in _members(hint) and NONE not in _members(hint):
        return None
    if any(member in (Path, FileName) for member in _members(hint)) and isinstance(value, str):
        return file_name(dataclasses.replace(setting, value=value))
    if isinstance(value, list | tuple):
        files = any({FileName, Path} & set(get_args(member)) for member in _members(hint))
        return [
            file_name(dataclasses.replace(setting, value=item)) if files and isinstance(item, str) else item
            for item in value
        ]
    return value


def _parsed(text: str, hint: Any) -> Any:
    value = _toml(text)
    members = _members(hint)
    if any(get_origin(member) in (tuple, list) or member in (tuple, list) for member in members):
        if isinstance(value, list):
            return value
        item = next((get_args(member)[0] for member in members if get_args(member)), str)
        parts = text.split(",") if not isinstance(value, str) or value == text else [value]
        return [_parsed(part.strip(), item) for part in parts if part.strip()]
    if float in members and re.fullmatch(r"[+-]?(\.\d+|\d+\.)", text):
        return float(text)  # TOML wants a digit on both sides of the point; people who type .5 do not
    texts = (str, Path, FileName)
    if isinstance(value, str) or any(member in texts or isinstance(member, str) for member in members):
        # 2024 may be the name of a model, but "2024" in quotes need not keep them.
        return value if isinstance(value, str) else text
    return value


def _toml(text: str) -> Any:
    try:
        values = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return values["value"] if len(values) == 1 else text


def _members(hint: Any) -> tuple[Any, ...]:
    """The types that a field allows; for literals, their values."""
    if get_origin(hint) in (Union, types.UnionType):
        return tuple(member for part in get_args(hint) for member in _members(part))
    if get_origin(hint) is Literal:
        return get_args(hint)
    return (hint,)
