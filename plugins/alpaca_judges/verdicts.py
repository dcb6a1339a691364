"""A verdict read from what a judge wrote: A, B or a tie, and nothing where it might be something else.

The rules treat A and B alike, so that reading favours neither place.
"""

from __future__ import annotations

import re
import unicodedata

from alpaca_core import Completion, Preference, TeacherError

_THOUGHTS = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
_LAST_WORD = re.compile(r"\w*\W*\Z")  # of an answer that was cut: it may be the beginning of another one
_MARKS = re.compile(r"[*_`#\"'“”‘’\[\]{}<>]|[\u200e\u200f\u202a-\u202e\u2066-\u2069]")  # of Markdown, quotes, JSON
_NOUN = r"(?:(?:the\s+)?(?i:answer|response|option|output|assistant|model|candidate)\s+)?"
_WORD = r"(?P<word>(?i:tie|tied|draw|equal|neither)|[AB])"
_LETTER = r"(?P<word>[AB])"
# "A, B or tie" repeats the question: no verdict.
_NO_LIST = r"(?!\s*[,/|]\s*(?:[AB]\b|(?i:or|tie)\b))(?!\s+(?i:or|and|vs)\b)"
_ALONE = re.compile(rf"^\(*{_NOUN}\(?(?P<word>[ABab]|(?i:tie|tied|draw|equal|neither))\)?[\s.!)]*$")
_NAME = (
    r"(?i:(?:my|the|final|overall)\s+)*(?i:verdict|winner|choice|decision|judge?ment|result|preference|answer|"
    r"(?:better|best|preferred)(?:\s+(?:answer|response|output))?)"
)
# Nothing before the verdict but a name for it; behind it the end, or punctuation and a reason.
_LINE = re.compile(rf"^(?:{_NAME}\s*[:=])?[\s(]*{_NOUN}\(?{_WORD}\b\)?{_NO_LIST}(?=\s*$|\s*[.,:;!)]|\s+[-–—])")
# At the start of a sentence, where nothing can turn it into its opposite.
_BETTER = re.compile(
    rf"(?:^|[.!:;\n])\s*(?:(?i:overall|therefore|thus|so|i think|i find)(?i:\s+that)?,?\s+)?{_NOUN}\(?{_LETTER}\b\)?\s+"
    r"(?i:wins\b|(?:is|was)\s+(?:the\s+|clearly\s+|slightly\s+|somewhat\s+|much\s+|far\s+)*"
    r"(?:better|best|winner|preferable|preferred|stronger)\b)"
)
_NAMED = re.compile(rf"(?:^|\n)\s*{_NAME}\s*(?:[:=]|(?i:is|goes\s+to)\b:?)[\s(]*{_NOUN}\(?{_WORD}\b\)?{_NO_LIST}")
_VALUES = {"A": 0.0, "B": 1.0}


def preference(answer: Completion | TeacherError) -> Preference:
    """What ``answer`` says of its pair, with the text; where it says nothing beyond doubt, why."""
    if isinstance(answer, TeacherError):
        return Preference(None, why(answer))
    value = verdict(answer)
    return Preference(value, "" if value is not None else why(answer), answer.text)


def verdict(answer: Completion) -> float | None:
    """0 for A, 1 for B, 0.5 for a tie; None where there is none that is beyond doubt.

    It is looked for on the first line, alone or before a reason, and then in the whole text: alone on a line, behind a
    word such as "Verdict", before "is better". All that is found, and every line that is a verdict alone, has to agree.
    """
    if answer.finish in ("refusal", "content_filter"):
        return None
    text = _plain(_THOUGHTS.sub("", answer.text)).strip()
    if answer.finish == "length":
        text = _LAST_WORD.sub("", text)
    lines = [line.strip() for line in text.splitlines()] or [""]
    matches = [match for line in lines if (match := _ALONE.match(line))]
    if first := _LINE.match(lines[0]):
        matches.append(first)
    else:
        matches += [*_NAMED.finditer(text), *_BETTER.finditer(text)]
    values = {_VALUES.get(match["word"].upper(), 0.5) for match in matches}
    return values.pop() if len(values) == 1 else None


def _plain(text: str) -> str:
    """``text`` without marks; letters of full width become plain ones."""
    return _MARKS.sub("", unicodedata.normalize("NFKC", text))


def why(answer: Completion | TeacherError) -> str:
    """Why there is no verdict in ``answer``."""
    if isinstance(answer, TeacherError):
        return f"not judged, {answer.kind}: {answer.message}"
    if answer.finish in ("refusal", "content_filter"):
        return "the judge refused" if answer.finish == "refusal" else "withheld by a content filter"
    if answer.finish == "length":
        return "the answer was cut off: see judge.max_tokens"
    words = " ".join(answer.text.split())
    return f"the answer begins “{words[:60]}”" if words else "an empty answer"
