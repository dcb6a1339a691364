"""Reads a teacher's numbered list.

The form that both prompts ask for is the one published with Stanford Alpaca::

    1. Instruction: Name three planets.
    1. Input:
    <noinput>
    1. Output:
    Mars, Venus and Saturn.
    ###
    2. Instruction: ...

Real replies drift from it. Only lines that begin with a number and a field's name count as headers, and every item is
found on its own, so damage in one item never reaches the next. Where the text leaves two readings, the item is given
up and reported: a row that may be wrong is worse than a row less. Numbers may have the digits of other scripts, and a
reply that has the headers' words in another language throughout is read as well (see ``wording``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from alpaca_core import Candidate, Completion, Request, Unparsed, no_input
from alpaca_prompts.wording import DIGIT, in_english

# Every run of blanks or marks is bounded, so the time stays linear in the text.
_MARK = re.compile(
    r"^[ \t]{0,3}(?:"
    r"(?P<bar>\#{3,})[ \t]*$"
    r"|(?P<hash>\#{1,6}[ \t]{0,3})?(?P<bold>\*\*|__)?"
    rf"(?:(?P<number>{DIGIT}{{1,4}})[.)](?:\*\*|__)?[ \t]{{0,3}}(?:\*\*|__)?)?"
    r"(?P<field>Instruction|Input|Output)[ \t]{0,3}(?P<shut>\*\*|__)?[ \t]{0,3}[:\uff1a](?P<shut2>\*\*|__)?"
    r")",
    re.MULTILINE | re.IGNORECASE | re.ASCII,
)
_FENCED = re.compile(r"\A\s*```[^\n]{0,40}\n")
_RULE = re.compile(r"\n[ \t]{0,3}(?:[-*_=~/]{3,}|#{1,2})[ \t]*\Z")  # in the place of "###"
_HEADER_BEGUN = re.compile(r"[#*_ ]{0,9}\d{0,4}[.)]?[*_ ]{0,6}[A-Za-z]{0,11}[*_ ]{0,6}[:\uff1a]?\Z")


@dataclass(slots=True)
class _Mark:
    """A separator line (``bar``) or a field's header. ``number`` is -1 where the header has none."""

    kind: str
    number: int
    start: int
    end: int
    separated: bool  # the line itself begins with a separator: "### 3. Instruction:"
    bold: str  # markdown that the header opened and did not close


@dataclass(slots=True)
class _Piece:
    """A stretch of the reply from one item's first header to the next one's, as places in the list of marks."""

    first: int
    last: int
    doubtful: bool = False  # something in it reads like an item's header, and is none


def parse_list(request: Request, reply: Completion) -> Iterator[Candidate | Unparsed]:
    """The tasks in ``reply``, in the order of the text, and each piece that is none, once. Never raises.

    A candidate has an instruction and an output; its ``number`` is the one that the teacher wrote. A missing input
    line, like the many ways to say "no input", gives an empty input. The last item counts only if its end was seen:
    a separator or another header follows, or the teacher finished of its own accord and no stop string was sent.
    A reply without any item (empty, a refusal, small talk) gives nothing.

    Reasons of ``Unparsed``: ``cut off``, ``empty instruction``, ``no output``, ``damaged`` (two readings),
    ``outside any task``.
    """
    text, marks, lead = _list_in(request, reply)
    pieces = _pieces(text, marks)
    if not pieces:
        if text.strip() and reply.finish in ("length", "content_filter"):
            yield Unparsed(text.strip(), "cut off", request.first)
        return
    yield from stray(text[lead : marks[pieces[0].first].start])
    for piece in pieces:
        own = marks[piece.first : piece.last]
        is_last = piece.last == len(marks)
        whole = text[own[0].start : None if is_last else marks[piece.last].start]
        stop, ended = _end(whole, own, is_last, request, reply)
        item = _item(text, own, own[0].start + stop) if ended else "cut off"
        body = whole[:stop].strip()
        if isinstance(item, Candidate):
            yield Unparsed(body, "damaged", item.number) if piece.doubtful else item
        elif item:
            yield Unparsed(body, item, own[0].number)
        if not is_last or (ended and _of_its_own_accord(request, reply)):
            yield from stray(whole[stop:])


def _list_in(request: Request, reply: Completion) -> tuple[str, list[_Mark], int]:
    """The reply with its first header, the marks of the list in it, and the place from which talk is reported.

    A completion teacher goes on after ``request.prefix``; a chat teacher, and some completion teachers too, write the
    first header themselves, perhaps after a word of greeting.
    """
    text = re.sub(r"\r\n?", "\n", reply.text) if "\r" in reply.text else reply.text
    marks = _marks(text)
    if all(mark.kind != "output" for mark in marks) and (english := in_english(text)) != text:
        text, marks = english, _marks(english)
    first = next((place for place, mark in enumerate(marks) if mark.kind == "instruction" and mark.number >= 0), None)
    start = len(text) if first is None else marks[first].start
    fenced = _FENCED.match(text)
    if fenced and first is not None and not text[fenced.end() : start].strip():
        return re.sub(r"\n```\s*\Z", "", text), marks[first:], start  # the whole list inside a code block
    if request.prefix and text[:start].strip():
        continues = any(mark.kind == "output" for mark in marks[:first])
        if continues or (first is not None and marks[first].number == request.first + 1):
            text = request.prefix + text
            return text, _marks(text), 0
        if first is not None:
            return text, marks[first:], 0
    return text, marks[first or 0 :], start


def _marks(text: str) -> list[_Mark]:
    marks = []
    for match in _MARK.finditer(text):
        bar, hashes, bold, number, name, shut, shut2 = match.groups()
        start, end = match.span()
        marks.append(
            _Mark(
                "bar" if bar else name.lower(),
                int(number) if number else -1,
                start,
                end,
                hashes is not None and hashes.startswith("###"),
                "" if bold is None or shut or shut2 else bold,
            )
        )
    return marks


def _pieces(text: str, marks: Sequence[_Mark]) -> list[_Piece]:
    """Where items begin. A header quoted inside an answer begins none, but casts doubt on the item it is in."""
    complete, last = _complete(marks)
    starts: list[int] = []
    doubtful: set[int] = set()
    answered = False  # the item at hand has its output, under its own number
    for place, mark in enumerate(marks):
        before = marks[place - 1] if place else None
        barred = mark.separated or (
            before is not None and before.kind == "bar" and not text[before.end : mark.start].strip()
        )
        current = marks[starts[-1]].number if starts else None
        if mark.kind == "instruction" and mark.number >= 0:
            follows = current is not None and mark.number == current + 1 and place == last
            if current is None or barred or place in complete or follows:
                starts.append(place)
                answered = False
            else:
                doubtful.add(len(starts) - 1)
        elif mark.kind in ("input", "output") and mark.number >= 0 and starts:
            if barred and answered and mark.number != current:  # an item that lost its first line
                starts.append(place)
                answered = False
            elif answered and mark.kind == "output" and mark.number in (current, current + 1):
                doubtful.add(len(starts) - 1)
            answered = answered or (mark.kind == "output" and mark.number == marks[starts[-1]].number)
    bounds = pairwise([*starts, len(marks)])
    return [_Piece(first, end, place in doubtful) for place, (first, end) in enumerate(bounds)]


def _complete(marks: Sequence[_Mark]) -> tuple[set[int], int]:
    """The instruction headers that have an output of their own before the next one, and the place of the last one."""
    complete, outputs, last = set(), set(), -1
    for place in reversed(range(len(marks))):
        mark = marks[place]
        if mark.kind == "output":
            outputs.add(mark.number)
        elif mark.kind == "instruction" and mark.number >= 0:
            last = max(last, place)
            if mark.number in outputs:
                complete.add(place)
            outputs = set()
    return complete, last


def _of_its_own_accord(request: Request, reply: Completion) -> bool:
    return reply.finish == "stop" and not request.stop


def _end(whole: str, own: Sequence[_Mark], is_last: bool, request: Request, reply: Completion) -> tuple[int, bool]:
    """Where the item ends in the text up to the next one, and whether its end was really seen."""
    start = own[0].start
    output = _field("output", own, own[0].number)
    bars = [mark for mark in own if mark.kind == "bar" and (output is None or mark.start > output.start)]
    if not is_last:
        if bars:
            return bars[-1].start - start, True
        rule = _RULE.search(whole.rstrip())
        return rule.start() if rule else len(whole), True
    if _of_its_own_accord(request, reply):
        return bars[-1].start - start if bars else len(whole), True
    if bars:
        separator, tail = whole[bars[-1].start - start : bars[-1].end - start], whole[bars[-1].end - start :]
        # At the very end "###" may be the beginning of a heading, except where a stop string took the rest.
        complete = tail or (reply.finish == "stop" and separator.endswith("#"))
        if complete and len(tail) <= 40 and _HEADER_BEGUN.match(tail.strip()):
            return bars[-1].start - start, True
    return len(whole), False


def _item(text: str, own: Sequence[_Mark], stop: int) -> Candidate | str:
    """The item that ``own`` headers and the text up to ``stop`` make, or what is wrong with it ("" if it is blank)."""
    head = own[0]
    fields = [mark for mark in own[1:] if mark.kind in ("input", "output") and mark.start < stop]
    if head.kind != "instruction":
        return "empty instruction"
    if not text[head.end : stop].strip():
        return ""  # a header written twice
    output = _field("output", fields, head.number)
    ahead = [mark for mark in fields if output is None or mark.start < output.start]
    source = _field("input", ahead, head.number)
    instruction = _text(text, head, (source or output).start if source or output else stop)
    if not instruction:
        return "empty instruction"
    answer = _text(text, output, stop) if output else ""
    if output is None or not answer:
        return "no output"
    given = _text(text, source, output.start) if source else ""
    return Candidate(instruction, "" if no_input(given) else given, answer, number=head.number)


def _field(kind: str, fields: Sequence[_Mark], number: int) -> _Mark | None:
    """The header of a field: the first with the item's own number, or else the only one there is."""
    same = [mark for mark in fields if mark.kind == kind]
    own = [mark for mark in same if mark.number == number]
    return own[0] if own else same[0] if len(same) == 1 else None


def _text(text: str, mark: _Mark, stop: int) -> str:
    value = text[mark.end : stop].strip()
    if mark.bold:
        line, newline, others = value.partition("\n")
        value = (line.rstrip().removesuffix(mark.bold) + newline + others).strip()
    return value


def first_header(text: str, kind: str = "") -> int:
    """Where the first numbered header (of that ``kind``) begins; -1 if there is none."""
    return next((mark.start for mark in _marks(text) if mark.number >= 0 and kind in ("", mark.kind)), -1)


def stray(text: str) -> Iterator[Unparsed]:
    """Reports a text between the items, if there is one."""
    if any(character.isalnum() for character in text):
        yield Unparsed(text.strip(" \t\n#"), "outside any task")
