"""Reads tasks that a teacher wrote as JSON.

What is asked for is one object, ``{"tasks": [{"instruction": ..., "input": ..., "output": ...}, ...]}``. Real replies
stand in a code fence, have talk around them, are cut off, or have a quotation mark too many. So each task is found and
read on its own, whatever is around it: an object that begins with one of the three names. Within a text of valid JSON
a quotation mark is escaped, so no such object can begin there.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any

from alpaca_core import Candidate, Completion, Request, Unparsed, no_input
from alpaca_prompts.parse import stray

_NAMES = ("instruction", "input", "output")

#: What a teacher that can be is held to. Strict as OpenAI and Anthropic mean it: no other names, none left out.
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "tasks": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {name: {"type": "string"} for name in _NAMES},
                "required": list(_NAMES),
                "additionalProperties": False,
            },
        }
    },
    "required": ["tasks"],
    "additionalProperties": False,
}

# Up to three other short fields may stand first, such as a number. All runs are bounded: linear in the text.
_OBJECT = re.compile(
    r'\{\s{0,40}(?:"\w{1,40}"\s{0,9}:\s{0,9}(?:"[^"\\\n]{0,80}"|[\w.+-]{1,40})\s{0,9},\s{0,40}){0,3}'
    r'"(?:instruction|input|output)"\s{0,9}:',
    re.IGNORECASE,
)
_IN_A_FIELD = re.compile(r'"(?:instruction|input|output)"\s*:\s*\[?\s*\Z', re.IGNORECASE)
_FENCE = re.compile(r"```\w{0,20}")
_KEY = re.compile(r'"\w{1,40}"\s{0,9}:\s{0,9}(?:\[\s{0,40}\][\s}]{0,40}|[\[{]?\s{0,40})\Z')
_ESCAPED = re.compile(r"\\.")
_MARKS = " \t\r\n,[]{}"

# Numbers are not turned into numbers: a row has texts only, and one of 5,000 digits would raise.
_DECODER = json.JSONDecoder(object_pairs_hook=list, parse_int=lambda _: 0, parse_float=lambda _: 0, strict=False)


def first_object(text: str) -> int:
    """Where the first task begins; -1 if there is none."""
    return next(_beginnings(text), -1)


def parse_json(request: Request, reply: Completion) -> Iterator[Candidate | Unparsed]:
    """The tasks in ``reply``, in the order of the text, and each piece that is none, once. Never raises.

    A candidate has an instruction and an output; its ``number`` is its place, counted from ``request.first``. An input
    that is missing, null or says that there is none gives an empty input. A reply that was cut off gives its whole
    tasks. A reply without any (empty, a refusal, small talk) gives nothing.

    Reasons of ``Unparsed``: ``cut off``, ``empty instruction``, ``no output``, ``instruction is no text`` (and so for
    the other two), ``damaged`` (no valid JSON, or a name twice), ``outside any task``.
    """
    text = reply.text
    cut = reply.finish in ("length", "content_filter")
    begins = list(_beginnings(text))
    if not begins and not cut and not _FENCE.sub("", text).lstrip().startswith(("{", "[")):
        return
    number, end = request.first, 0
    for place, begin in enumerate(begins):
        if begin < end:
            continue
        yield from stray(_bare(text[end:begin]))
        fields, end, reason = _decoded(text, begins, place, cut)
        if fields is not None:
            item = _task(fields, number)
        else:
            item = "cut off" if cut and end == len(text) else reason
        yield Unparsed(text[begin:end].strip(" \t\r\n,"), item, number) if isinstance(item, str) else item
        number += 1
    rest = _bare(text[end:])
    if cut and rest and (not begins or "{" in text[end:]):
        yield Unparsed(rest, "cut off", number)
    else:
        yield from stray(rest)


def _bare(text: str) -> str:
    """What stands around tasks, without the marks and names that belong there."""
    return _KEY.sub("", _FENCE.sub("", text)).strip(_MARKS)


def _beginnings(text: str) -> Iterator[int]:
    """Where tasks may begin: after the marks that part values, or on a new line. What is a task's own value is none."""
    for match in _OBJECT.finditer(text):
        before = text[max(0, match.start() - 60) : match.start()]
        parted = before.rstrip()
        if (not parted or parted[-1] in "[,:{}" or "\n" in before[len(parted) :]) and not _IN_A_FIELD.search(before):
            yield match.start()


def _decoded(text: str, begins: Sequence[int], place: int, cut: bool) -> tuple[list[tuple[str, Any]] | None, int, str]:
    """The names and values of the object at ``begins[place]``, or None; where it ends; and what is wrong with it.

    What is valid as far as a later beginning has that one as a part of itself, so no stretch is looked at again: the
    time stays linear in the text.
    """
    begin = begins[place]
    size = 4096  # an error takes time for each character before it, so it is looked for in as few as will do
    while True:
        part = text[begin : begin + size]
        try:
            fields, length = _DECODER.raw_decode(part)
            end = begin + length
            behind = _behind(text, begins, end)
            odd = _ESCAPED.sub("", behind).count('"') % 2  # a mark too many: a brace in a text was taken for the end
            if odd and not (cut and end + len(behind) == len(text)):
                return None, end + len(behind), "damaged"
            return fields, end, ""
        except RecursionError:
            return None, len(text), "damaged"
        except json.JSONDecodeError as exc:
            wrong = begin + exc.pos
            at_the_end = exc.pos >= len(part.rstrip()) - 12 or exc.msg.startswith("Unterminated")
        if not at_the_end or begin + size >= len(text):
            break
        size *= 4
    following = bisect_left(begins, wrong, place + 1)
    # A quotation mark that was left out makes the next task's first one the end of a text.
    if following > place + 1 and text.index('"', begins[following - 1]) + 1 >= wrong:
        following -= 1
    end = begins[following] if following < len(begins) else len(text)
    return None, end, "cut off" if wrong >= len(text.rstrip()) else "damaged"


def _behind(text: str, begins: Sequence[int], end: int) -> str:
    """What follows ``end`` on its line, before the next task."""
    following = bisect_left(begins, end)
    rest = text[end : begins[following] if following < len(begins) else len(text)]
    return rest.partition("\n")[0]


def _task(fields: list[tuple[str, Any]], number: int) -> Candidate | str:
    """The task that an object holds, or what is wrong with it."""
    named = {name.lower(): value for name, value in fields}
    if len(named) < len(fields):
        return "damaged"
    for name in _NAMES:
        if not isinstance(named.get(name), str | None):
            return f"{name} is no text"
    instruction, given, output = (_text(named.get(name) or "") for name in _NAMES)
    if not instruction:
        return "empty instruction"
    if not output:
        return "no output"
    return Candidate(instruction, "" if no_input(given) else given, output, number=number)


def _text(value: str) -> str:
    """``value`` as a list would have it: without outer white space, and without half surrogate pairs, which JSON can
    spell and UTF-8 cannot hold."""
    return re.sub(r"\r\n?", "\n", value).strip().encode("utf-8", "replace").decode()
