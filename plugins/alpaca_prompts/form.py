"""The end of every prompt, which says in what form to answer, and the reading of answers in either form."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Protocol

from alpaca_core import Candidate, Completion, Request, Unparsed
from alpaca_prompts.json_form import SCHEMA, first_object, parse_json
from alpaca_prompts.parse import first_header, parse_list
from alpaca_prompts.thoughts import after_thoughts

LIST = """
Use exactly this form for every task, with a line of ### between tasks and nothing before or after the list:

N. Instruction: the instruction
N. Input:
the input, or <noinput>
N. Output:
the output

The {items} new tasks:
"""
LIST_PREFIX = "1. Instruction:"

JSON = """
Answer with one JSON object that holds the {items} tasks in their order, and with nothing before or after it. Every \
value is a text:

{{"tasks": [{{"instruction": "the instruction", "input": "the input, or an empty text", "output": "the output"}}, ...]}}

The JSON object with the {items} new tasks:
"""
JSON_PREFIX = '{"tasks": ['

ENGLISH = "Write in English, unless a task is about another language."
OTHER = """\
Write every instruction, input and output in {language}, whatever the language of the examples, unless a task is about \
another language. Only the names of the fields stay as they are below."""


class Options(Protocol):
    """What all prompts that end on a form can be told."""

    @property
    def items(self) -> int: ...
    @property
    def language(self) -> str: ...
    @property
    def form(self) -> str: ...


def words(options: Options) -> dict[str, Any]:
    """What the options put into the text of a prompt, by the names that stand there in braces."""
    in_list = options.form == "list"
    language = options.language
    if re.fullmatch(r"[a-z]{2}|[a-z]{3}|[A-Za-z]{2,3}([-_]\w{2,8})+", language):
        language = f"the language with the code {language}"
    return {
        "items": options.items,
        "numbered": f", numbered from 1 to {options.items}" if in_list else "",
        "no_input": "<noinput>" if in_list else "an empty text",
        "language": ENGLISH if is_english(options.language) else OTHER.format(language=language),
    }


def ask(k: int, options: Options, prompt: str, max_tokens: int = 3072) -> Request:
    """Request ``k``: ``prompt`` and the form of the answer after it.

    ``max_tokens`` is the room for an answer in English; other scripts take up to twice the tokens, so they get twice
    the room.
    """
    in_list = options.form == "list"
    return Request(
        k=k,
        prompt=prompt + (LIST if in_list else JSON).format(items=options.items),
        prefix=LIST_PREFIX if in_list else JSON_PREFIX,
        items=options.items,
        first=1,
        max_tokens=max_tokens if is_english(options.language) else 2 * max_tokens,
        schema=None if in_list else SCHEMA,
    )


def parse(request: Request, reply: Completion) -> Iterator[Candidate | Unparsed]:
    """The tasks in ``reply``, in the form that it has, whichever was asked for. Never raises.

    See ``parse.parse_list``, ``json_form.parse_json`` and ``thoughts.after_thoughts``. What begins first tells the
    form; a reply that goes on with a numbered list begins with no header, so there any numbered header makes it a list.
    """
    return after_thoughts(_parse, request, reply)


def _parse(request: Request, reply: Completion) -> Iterator[Candidate | Unparsed]:
    begin = first_object(reply.text)
    if request.schema is None:
        is_list = begin < 0 or first_header(reply.text) >= 0
        return parse_list(request, reply) if is_list else parse_json(request, reply)
    header = first_header(reply.text, "instruction")
    if header >= 0 and (begin < 0 or header < begin):
        return parse_list(replace(request, prefix=LIST_PREFIX), reply)
    return parse_json(request, reply)


def is_english(language: str) -> bool:
    """Whether ``language`` is English, by its name or a code."""
    return bool(re.fullmatch(r"english|en([-_].*)?", language.casefold()))
