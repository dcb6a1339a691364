"""Thoughts that a server leaves standing before the answer, as ``<think>...</think>``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from alpaca_core import Candidate, Completion, Request, Unparsed

OPENING, CLOSING = "<think>", "</think>"


def after_thoughts(
    read: Callable[[Request, Completion], Iterator[Candidate | Unparsed]], request: Request, reply: Completion
) -> Iterator[Candidate | Unparsed]:
    """What ``read`` finds in ``reply`` after its thoughts, whose drafts are no tasks. Thoughts that never end are an
    answer that was cut off before it began.

    Some chat templates write the opening mark into the prompt. Then a line that begins with the closing one tells.
    """
    thoughts, closing, answer = reply.text.partition(CLOSING)
    opened = thoughts.lstrip().startswith(OPENING)
    if opened and not closing:
        return iter([Unparsed(reply.text.strip(), "cut off", request.first)])
    if closing and (opened or (OPENING not in thoughts and thoughts.endswith("\n"))):
        reply = replace(reply, text=answer)
    return read(request, reply)
