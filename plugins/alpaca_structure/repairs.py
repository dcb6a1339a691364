"""Repairs: a text that carries something that does not belong to it gives the same task without it.

Each repair is whole: judging its result again repairs nothing. The classes of damage are those that people found in
the published Alpaca data (README of gururise/AlpacaDataCleaned).
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import replace

from alpaca_core import Candidate, Keep, Repair, no_input, unicode_tokens
from alpaca_structure.texts import Rule, is_code, short

_FIELDS = ("instruction", "input", "output")


class Clean(Rule):
    """Removes control characters; outside code, escaped line ends and HTML entities become what they stand for."""

    def judge(self, candidate: Candidate) -> Keep | Repair:
        texts = {name: getattr(candidate, name) for name in _FIELDS}
        literal = _IS_ABOUT_CODE.search(texts["instruction"]) or any(
            is_code(_ENTITY.sub(" ", text)) for text in texts.values()
        )
        repairs = [_controls] if literal else [_controls, _line_ends, _entities]
        found: dict[str, None] = {}
        cleaned = {name: _until_stable(text, repairs, name, found) for name, text in texts.items()}
        return Repair(replace(candidate, **cleaned), "; ".join(found)) if found else Keep()


_IS_ABOUT_CODE = re.compile(
    r"\b(?:code|html|xml|css|json|latex|regex|regular expression|escap\w+|entit\w+|encod\w+|decod\w+|string|markup"
    r"|characters?|backslash\w*|newlines?|program|python|java\w*|c\+\+|print\w*)\b",
    re.IGNORECASE,
)
_BREAKS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
# C0 without tab and line feed, DEL, C1, half surrogate pairs, byte order marks and noncharacters. Joiners and direction
# marks stay: Persian, Indic scripts, emoji and mixed text are wrong without them.
_CONTROL = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]|^\u200b+|\u200b+(?=\\s*\\Z)"
)
_LINE_END = re.compile(r"(?:\\r)?\\n(?![a-z])")
_ENTITY = re.compile(r"&(?:amp|lt|gt|quot|apos|nbsp|#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6});")


def _until_stable(text: str, repairs: list[Callable], field: str, found: dict[str, None]) -> str:
    """``text`` after all repairs, each again until none changes it: what one uncovers is work for another."""
    before = None
    while before != text:
        before = text
        for repair in repairs:
            text, what = repair(text)
            if what:
                found[f"{what} in the {field}"] = None
    return text


def _controls(text: str) -> tuple[str, str]:
    broken = _BREAKS.sub("\n", text)
    cleaned = _CONTROL.sub("", broken)
    what = next((match[0][0] for match in _CONTROL.finditer(broken)), "")
    what = what or next((match[0][0] for match in _BREAKS.finditer(text)), "")
    return cleaned, f"character U+{ord(what):04X}" if what else ""


def _line_ends(text: str) -> tuple[str, str]:
    if "\n" in text or not _LINE_END.search(text):
        return text, ""
    return _LINE_END.sub("\n", text), "escaped line ends"


def _entities(text: str) -> tuple[str, str]:
    first = _ENTITY.search(text)
    return (_ENTITY.sub(lambda match: html.unescape(match[0]), text), f"entity {first[0]}") if first else (text, "")


class Merged(Rule):
    """Cuts each text before the first header of another task in it, and before an end marker."""

    def judge(self, candidate: Candidate) -> Keep | Repair:
        found: list[str] = []
        cut = {}
        for name in _FIELDS:
            text = getattr(candidate, name)
            while (match := _header(text) or _END.search(text, text.rstrip().rfind("\n") + 1)) and (
                rest := _without_separators(text[: match.start()])
            ):
                text = cut[name] = rest
                found.append(f"{name} cut before {short(match[0].strip())}")
        return Repair(replace(candidate, **cut), "; ".join(found)) if found else Keep()


# The published form numbers every header. "1. Input" alone may be an item of a list of the answer's own.
_INSTRUCTION = re.compile(
    r"^[ \t]{0,3}(?:#{1,6}[ \t]{0,3})?[0-9]{1,4}[.)][ \t]{0,3}Instruction[ \t]{0,3}:", re.MULTILINE
)
_FIELD = re.compile(r"^[ \t]{0,3}([0-9]{1,4})[.)][ \t]{0,3}(Input|Output)[ \t]{0,3}:", re.MULTILINE)
_END = re.compile(
    r"//[ \t]{0,3}(?:EOM|end of (?:the )?output)[ \t.]{0,3}//\s*\Z|^[ \t]{0,3}#{2,6}\s*\Z", re.MULTILINE | re.IGNORECASE
)
_SEPARATOR = re.compile(r"#+|/{2,}|_{3,}|-{3,}|={3,}|\*{3,}|~{3,}")


def _header(text: str) -> re.Match[str] | None:
    """The first header of another task: an instruction's, or an input's and its output's under the same number."""
    instruction = _INSTRUCTION.search(text)
    inputs = {match[1]: match for match in reversed(list(_FIELD.finditer(text))) if match[2] == "Input"}
    outputs = {match[1] for match in _FIELD.finditer(text) if match[2] == "Output"}
    pairs = [match for number, match in inputs.items() if number in outputs]
    return min([*pairs, *([instruction] if instruction else [])], key=lambda match: match.start(), default=None)


def _without_separators(text: str) -> str:
    """``text`` without the separators and blank lines at its end."""
    lines = text.rstrip().split("\n")
    while lines and (not lines[-1].strip() or _SEPARATOR.fullmatch(lines[-1].strip())):
        lines.pop()
    return "\n".join(lines).rstrip()


class NoInput(Rule):
    """Blanks an input that only says that there is none, or that stands word for word in the instruction."""

    def judge(self, candidate: Candidate) -> Keep | Repair:
        given, output = candidate.input, candidate.output
        found: list[str] = []
        while given.strip():
            if no_input(given):
                given, what = "", f"the input {short(given)} says that there is none"
            elif marker := _MARKER.search(given):
                given, what = _without_markers(given), f"{short(marker[0])} in the input"
            elif _is_in(given, candidate.instruction):
                given, what = "", f"the instruction holds the input already: {short(given)}"
            else:
                break
            found.append(what)
        lead = _LEAD.match(output)
        if lead and (rest := output[lead.end() :]).strip():
            output = rest
            found.append(f"{short(lead[0].strip())} before the output")
        return Repair(replace(candidate, input=given, output=output), "; ".join(found)) if found else Keep()


_MARKER = re.compile(
    r"`?\\?[<\[]\s{0,3}no[ _-]?inputs?\s{0,3}\\?[>\]]`?[.,]?|^[ \t]*no[ _-]?inputs?[.]?\s*\Z", re.I | re.M
)
_LEAD = re.compile(r"\s*(?:[<\[]\s{0,3}no[ _-]?inputs?\s{0,3}[>\]][ \t]*\n\s*)+", re.I)
_QUOTES = str.maketrans("“”„‟«»‘’‚`", '""""""\'\'\'\'')
_OUTER = " \t\n\"'.,:;!?()[]{}<>。、，！？؟،"
_POINTS_BACK = re.compile(r"\b(?:a|an|the|this|that|these|those|given|following|each|one|any) \Z")
_OF_THE_INPUT = re.compile(r"\binputs?\b")


def _without_markers(given: str) -> str:
    """``given`` without its markers, and without a crumb behind the last that holds no word."""
    *before, after = _MARKER.split(given)
    words = any(char.isalpha() for char in after)
    return "".join([*before, after if words else ""]).strip()


def _is_in(given: str, instruction: str) -> bool:
    """Whether the instruction holds the input word for word, so that nothing is lost without it.

    A single word may be there by chance ("Find a rhyme for the word", input "word"): it counts only in quotes, or at
    the end of the instruction and not after an article or the like. An instruction that speaks of "the input" keeps it.
    """
    wanted = _flat(given).strip(_OUTER)
    text = _flat(instruction)
    if not wanted or len(wanted) > len(text):
        return False
    several = len(unicode_tokens(wanted)) > 1
    for match in re.finditer(rf"(?<!\w){re.escape(wanted)}(?!\w)", text):
        before, after = text[: match.start()], text[match.end() :]
        if _OF_THE_INPUT.search(before) or _OF_THE_INPUT.search(after):
            return False
        quoted = before[-1:] in ('"', "'") and after[:1] in ('"', "'", ".", ",")
        ends = not after.strip(_OUTER) and bool(before.strip()) and not _POINTS_BACK.search(before)
        if several or quoted or ends:
            return True
    return False


def _flat(text: str) -> str:
    return " ".join(text.translate(_QUOTES).casefold().split())
