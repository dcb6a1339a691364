"""The script of words, and which words of a text count."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import lru_cache

from alpaca_core import unicode_tokens

# What is Latin in data of any language: code, addresses and formulas.
_SPANS = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|</?[a-zA-Z][^<>\n]{0,200}>|\\[a-zA-Z]+", re.DOTALL)
_NAME_OF_CODE = re.compile(r"\w[_./\\@:]\w|://", re.ASCII)  # some_name, a/path, file.txt, an address
_CODE_START = re.compile(
    r"(?:def|class|return|for|while|if|elif|else|try|except|with|print|public|private|static|void|int|var|let|const"
    r"|function|SELECT|INSERT|UPDATE|DELETE|CREATE|FROM|WHERE)\b(?=.*[(){}=;:*])|(?:import|from) \w|[#@]|//|\$ |>>> "
)
_ASSIGNMENT_OR_CALL = re.compile(r"[^\s=] ?[-+*/!<>=]?= ?[^\s=]|\w\(")
_LETTERS_TO_KANA = (
    5  # a Japanese text has a word in Hiragana for every five Han letters at least; a Chinese one has none
)


def script_counts(text: str) -> Counter[str]:
    """How many words of ``text`` are in which script, code, addresses and formulas left out.

    Words are those of ``unicode_tokens``, so that a Chinese letter weighs as much as an English word. Words without
    letters do not count. Han letters are ``CJK``, and ``KANJI`` in a text whose Hiragana makes it Japanese.
    """
    counts: Counter[str] = Counter()
    for line in _SPANS.sub(" ", text).splitlines():
        if _is_code(line):
            continue
        words = (word for word in line.split() if not (word.isascii() and _NAME_OF_CODE.search(word)))
        for word in unicode_tokens(" ".join(words)):
            letter = next((char for char in word if char.isalpha()), "")
            if script := letter and _script(letter):
                counts[script] += 1
    if counts["HIRAGANA"] and counts["HIRAGANA"] * _LETTERS_TO_KANA >= counts["CJK"]:
        counts["KANJI"] = counts.pop("CJK", 0)
    return counts


def _is_code(line: str) -> bool:
    """Whether a line looks like code without a fence, as many teachers write it. One with other than ASCII, as a
    comment has it, does not."""
    line = line.strip()
    if not line.isascii():
        return False
    ends = line.endswith((";", "{", "}")) or (line.endswith((")", "):")) and _ASSIGNMENT_OR_CALL.search(line))
    return bool(ends or _CODE_START.match(line) or ("=" in line and _ASSIGNMENT_OR_CALL.search(line)))


@lru_cache(maxsize=4096)
def _script(letter: str) -> str:
    """The first word of the letter's Unicode name: ``LATIN``, ``ARABIC``, ``CJK``."""
    first = unicodedata.name(letter, "").partition(" ")[0].partition("-")[0]
    return "CJK" if first == "IDEOGRAPHIC" else first  # 々
