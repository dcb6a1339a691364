"""Rows as conversations, in the two forms that trainers read, and back.

    ShareGPT   {"conversations": [{"from": "human", "value": ...}, {"from": "gpt", "value": ...}], "input": ...}
    messages   {"messages": [{"role": "user", "content": ...}, {"role": "assistant", "content": ...}], "input": ...}

The user's turn is the instruction, a blank line and the input; just the instruction where there is no input. The key
``input`` beside it says where the instruction ends, so the way back loses nothing. Whatever else a row has stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

BETWEEN = "\n\n"  # instruction and input, in one turn

_TEXTS = ("instruction", "input", "output")
_USER, _ASSISTANT, _SYSTEM = "user", "assistant", "system"
_ROLES = {
    **dict.fromkeys(("human", "user", "prompter"), _USER),
    **dict.fromkeys(("gpt", "assistant", "model", "bot", "chatgpt", "bing", "bard"), _ASSISTANT),
    "system": _SYSTEM,
}
_LISTS = ("conversations", "messages", "conversation")


class Untaken(ValueError):
    """Why a row cannot become a row of instruction, input and output. ``kind`` has nothing of the row's own."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind = kind


def sharegpt(record: Mapping[str, Any]) -> dict[str, Any]:
    """A row of instruction, input and output in ShareGPT's form."""
    turns = [{"from": "human", "value": _joined(record)}, {"from": "gpt", "value": record["output"]}]
    return {"conversations": turns, **_beside(record)}


def messages(record: Mapping[str, Any]) -> dict[str, Any]:
    """A row of instruction, input and output as messages."""
    turns = [{"role": _USER, "content": _joined(record)}, {"role": _ASSISTANT, "content": record["output"]}]
    return {"messages": turns, **_beside(record)}


def prompt_completion(record: Mapping[str, Any]) -> dict[str, Any]:
    """A row as the prompt and its completion, each a list of messages. The input is a key of the user's message, for
    chat templates that know it."""
    user = {"role": _USER, "content": record["instruction"], "input": record["input"]}
    return {"prompt": [user], "completion": [{"role": _ASSISTANT, "content": record["output"]}]}


def form(record: Mapping[str, Any]) -> str:
    """What a row looks like: ``alpaca``, ``sharegpt``, ``messages``, ``prompt-completion``, or nothing known."""
    if "instruction" in record and "output" in record:
        return "alpaca"
    for name in _LISTS:
        if isinstance(record.get(name), list):
            return "sharegpt" if any(isinstance(t, dict) and "from" in t for t in record[name]) else "messages"
    return "prompt-completion" if "prompt" in record and "completion" in record else ""


def row(record: Mapping[str, Any], *, first_turn: bool = False, drop_system: bool = False) -> dict[str, Any]:
    """The row of instruction, input and output that ``record`` stands for, with its other keys. Texts are not checked.

    ``first_turn`` takes the first question and answer of several, ``drop_system`` leaves a system message out. Raises
    Untaken for what has no such row.
    """
    kind = form(record)
    if kind == "alpaca":
        return {**record, "input": "" if record.get("input") is None else record["input"]}
    if kind == "prompt-completion":
        taken = ("prompt", "completion")
        turns = [
            turn for name, role in zip(taken, (_USER, _ASSISTANT), strict=True) for turn in _side(record, name, role)
        ]
    elif kind:
        taken = tuple(name for name in _LISTS if isinstance(record.get(name), list))[:1]
        turns = record[taken[0]]
    else:
        raise Untaken("no known form", "its keys are " + (", ".join(map(repr, record)) or "none"))
    question, answer = _exchange(turns, first_turn, drop_system)
    instruction, given = _parted(question, record.get("input"))
    beside = {name: value for name, value in record.items() if name not in (*taken, "input")}
    return {"instruction": instruction, "input": given, "output": answer["text"], **beside}


def _joined(record: Mapping[str, Any]) -> str:
    given = record["input"]
    return f"{record['instruction']}{BETWEEN}{given}" if given else record["instruction"]


def _beside(record: Mapping[str, Any]) -> dict[str, Any]:
    return {"input": record["input"], **{name: value for name, value in record.items() if name not in _TEXTS}}


def _side(record: Mapping[str, Any], name: str, role: str) -> Sequence[Any]:
    """The turns of a prompt or a completion, which may be a text as well."""
    value = record[name]
    return value if isinstance(value, list) else [{"role": role, "content": value}]


def _exchange(turns: Sequence[Any], first_turn: bool, drop_system: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """The question and its answer."""
    told = [_turn(turn) for turn in turns]
    if told and told[0]["role"] == _SYSTEM and not drop_system:
        raise Untaken("a system message, for which a row has no place")
    told = told[1:] if told and told[0]["role"] == _SYSTEM else told
    if not told:
        raise Untaken("a conversation without turns")
    if told[0]["role"] != _USER:
        raise Untaken("does not begin with the user's turn")
    if len(told) == 1 or told[1]["role"] != _ASSISTANT:
        raise Untaken("the user's first turn is not answered")
    if len(told) > 2 and not first_turn:
        raise Untaken("several turns", f"{len(told)} of them")
    return told[0], told[1]


def _turn(turn: Any) -> dict[str, Any]:
    if not isinstance(turn, Mapping):
        raise Untaken("a turn that is no object")
    name = turn.get("from") or turn.get("role")
    role = _ROLES.get(name) if isinstance(name, str) else None
    if role is None:
        raise Untaken("a turn of neither user, assistant nor system", repr(name))
    text = turn["value"] if turn.get("value") is not None else turn.get("content")
    return {"role": role, "text": text, "input": turn.get("input")}


def _parted(question: Mapping[str, Any], beside: Any) -> tuple[Any, Any]:
    """Instruction and input: the latter is a key of the message, or the end of its text that stands beside it too."""
    text, given = question["text"], question["input"] or beside
    if question["input"] or not given:
        return text, given or ""
    if isinstance(text, str) and isinstance(given, str) and text.endswith(BETWEEN + given):
        return text[: -len(BETWEEN + given)], given
    raise Untaken("its key 'input' is not what the user's turn ends in")
