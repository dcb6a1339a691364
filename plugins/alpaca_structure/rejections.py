"""Rejections: an output that is none, and tasks about the content of a link.

Nothing is rejected for being short: "28" is a right answer.
"""

from __future__ import annotations

import re

from alpaca_core import Candidate, Keep, Reject, no_input
from alpaca_structure.texts import Rule, any_of, is_code, short


class NoOutput(Rule):
    """Rejects an empty output, and one that says that there is none. "None" and "nothing" may be answers: they stay."""

    def judge(self, candidate: Candidate) -> Keep | Reject:
        output = candidate.output.strip()
        if not _VISIBLE.search(output):
            return Reject("the output is empty")
        about_output = _ABOUT_OUTPUT.search(candidate.instruction) or is_code(candidate.input)
        if _NOTHING.fullmatch(output) or (_NO_OUTPUT.match(output) and not about_output):
            return Reject(f"the output says that there is none: {short(output)}")
        return Keep()


_VISIBLE = re.compile("[^\\s\u200b-\u200f\u2060\ufeff\x00-\x1f]")
_NOTHING = re.compile(
    r"[<\[({]\s{0,3}"
    + any_of("no[\\s-]?(?:out|in)puts? n\\s?/\\s?a none null nil empty blank nothing output response")
    + r"\s{0,3}[>\])}]\W{0,3}|\W{0,3}(?:n\s?/\s?a|no[ -]?inputs?)\W{0,3}|\W{0,3}"
    + any_of(
        r"""لا_(?:يوجد|توجد)_(?:مخرج|مخرجات|إخراج) 无输出 没有输出 無輸出 出力(?:は)?なし 출력(?:이)?_?없음
        sin_salida sem_saída aucune_sortie keine_ausgabe nessun_output нет_вывода çıktı_yok"""
    )
    + r"\W{0,3}",
    re.IGNORECASE,
)
_NO_OUTPUT = re.compile(
    r"\W{0,3}no[ -]?outputs?(?:\W{0,3}\Z|[.,:;]| +"
    + any_of("because since as is can could was available possible required needed")
    + r"\b)",
    re.IGNORECASE,
)
_ABOUT_OUTPUT = re.compile(
    rf"\b{any_of('outputs? prints? returns? displays? runs? executes? code programs? script')}\b", re.I
)


class Links(Rule):
    """Rejects tasks (English) whose only material is a link, unless they are about the address itself."""

    def judge(self, candidate: Candidate) -> Keep | Reject:
        instruction, given = candidate.instruction, candidate.input
        if given.strip() and not no_input(given):
            link, beside = _split(given)
            only = len(_WORD.findall(_NAMES.sub(" ", beside))) <= _MOST_WORDS
            task = instruction
        else:
            link, task = _split(instruction)
            # A link inside an instruction may be a footnote: it is the material where the task is to read it.
            only = _READS.search(task) is not None and not _MARKDOWN.search(instruction)
        reads = _READS.search(task) or (_ENGLISH.search(task) and not _ADDRESS.search(task))
        if not link or not only or not reads:
            return Keep()
        return Reject(f"there is nothing but the link {short(link)} to work on")


_MOST_WORDS = 3  # beside the links and what names them
_LINK = re.compile(r"\b(?:https?|ftp)://[^\s<>\"']{1,2000}|\bwww\.[\w-]{1,63}\.[^\s<>\"']{1,2000}", re.IGNORECASE)
_MARKDOWN = re.compile(r"\[[^\]\n]{1,200}\]\(\s*(?:https?|www)")
_WORD = re.compile(r"\w+")
_NAMES = any_of(
    r"""the an? this here is at for links? urls? uri website site web page webpage homepage article source news image
    picture photo video audio song spreadsheet document blog post address wikipedia title alt text"""
)
_NAMES = re.compile(rf"\b{_NAMES}\b", re.IGNORECASE)
_ENGLISH = re.compile(r"\b(?:the|an?|this|that|of|and|to)\b", re.IGNORECASE)
# What can be done with an address alone …
_ADDRESS = re.compile(
    r"\b"
    + any_of(
        r"""ur[il]s? hyperlinks? domains? sub-?domains? host_?names? slugs? protocols? query_string endpoints? apis?
        http requests? regex\w* regular_expression pars(?:e|er|ing) encod\w+ decod\w+ shorten\w* html markdown href
        anchor code script algorithm function program python javascript qr json cit(?:e|ation) format email"""
    )
    + r"\b",
    re.IGNORECASE,
)
# … and what needs its content.
_READS = re.compile(
    r"\b"
    + any_of(
        r"""summari[sz]\w* summary describ\w+ review\w* evaluat\w+ analy[sz]\w+ critiqu\w+ paraphras\w+ rewrite
        articles? contents? (?:main|key)_points? homepage website'?s?_(?:design|layout) read watch listen\w* visit
        photo\w* pictures? paintings? images? videos? songs? trailer podcast spreadsheet"""
    )
    + r"\b",
    re.IGNORECASE,
)


def _split(text: str) -> tuple[str, str]:
    """The first link in ``text`` ("" if there is none), and the text without any."""
    first = _LINK.search(text)
    return (first[0], _LINK.sub(" ", text)) if first else ("", text)
