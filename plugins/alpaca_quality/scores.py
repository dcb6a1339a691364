"""A score read from what a judge wrote: strict where a number might mean something else."""

from __future__ import annotations

import re
import unicodedata

from alpaca_core import Completion

HIGHEST = 5.0
_THOUGHTS = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
_RANGE = re.compile(r"\(?\b0\s*(?:-|–|to)\s*5\b\)?", re.IGNORECASE)  # the scale itself, repeated
_NUMBER = r"(?<![\d.,+-])(\d{1,3}(?:[.,]\d{1,2})?)(?![\d%]|[.,]\d)"
_SCALE = r"(?:\s*(?:/|out of|of|von|sur|de)\s*(10|100|5)(?:[.,]0)?(?!\d))?"
_UNIT = r"(?:\s*(?:points?|stars?|分|点|점|★))?"
# A line that holds the score: nothing before the number but a name for it with a colon, and nothing behind it but
# punctuation, after which a reason may follow.
_LINE = re.compile(rf"^(?:[^\d:=]{{0,40}}[:=])?[^\w+-]*{_NUMBER}{_SCALE}{_UNIT}(?=$|\s*[^\w\s/+%-]|\s+[-–—])")
_NAMED = re.compile(rf"\b(?:score|grade|rating)\b\W{{0,12}}(?:is\s+|of\s+)?{_NUMBER}{_SCALE}{_UNIT}", re.IGNORECASE)
_ITEM = re.compile(r"\d+[.)]\s+\w")  # of a numbered list


def score(answer: Completion) -> float | None:
    """The score in ``answer``, from 0 to 5; None where there is none that is beyond doubt.

    It is looked for on the first line with a number, and then behind a word such as "Score". Digits of every script
    count, with their decimal signs. A score on a scale of 10 or 100 that says so is brought to 5.
    """
    if answer.finish in ("refusal", "content_filter"):
        return None
    text = _plain(_THOUGHTS.sub("", answer.text))
    text = _RANGE.sub("", text)
    line = next((line.strip() for line in text.splitlines() if any(map(str.isdigit, line))), "")
    found = _LINE.search(line)
    if _ITEM.match(line):
        found = None
    found = found or _NAMED.search(text)
    if found is None or (answer.finish == "length" and text.rstrip().endswith(found[0].rstrip())):
        return None  # the last case: cut off, maybe within the number
    value = float(found[1].replace(",", ".")) * HIGHEST / float(found[2] or HIGHEST)
    return value if 0 <= value <= HIGHEST else None


def _plain(text: str) -> str:
    """``text`` with ASCII digits and decimal points, and without the marks of Markdown and quotes."""
    text = unicodedata.normalize("NFKC", text).replace("\u066b", ".")  # the Arabic decimal separator
    text = "".join(str(unicodedata.decimal(char)) if char.isdecimal() else char for char in text)
    return re.sub(r"[*_`#\"“”]|[\u200e\u200f\u202a-\u202e\u2066-\u2069]", "", text)
