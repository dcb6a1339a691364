"""Words of a text in any script: what the length rule counts and what the near-duplicate filter compares."""

from __future__ import annotations

import unicodedata

# For ASCII bytes: letters in lower case and digits; a space for all else.
_ASCII = bytes(ord(char.lower()) if (char := chr(code)).isascii() and char.isalnum() else 32 for code in range(256))

# Scripts written without spaces: every letter is a token.
_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x31F0, 0x31FF),  # Katakana extensions
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
# Scripts whose non-spacing marks spell vowels and tones; elsewhere such marks are accents, points or harakat.
_SPELLING_MARKS = ((0x0900, 0x0DFF), (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3099, 0x309A))
# Arabic: the stretching line goes, the forms of alef and yeh that writers interchange become one.
_ARABIC = str.maketrans({"ـ": None, "أ": "ا", "إ": "ا", "آ": "ا", "ٱ": "ا", "ى": "ي"})


def unicode_tokens(text: str) -> list[str]:
    """The words of ``text``, lower-cased.

    For ASCII text they are the runs of letters and digits, exactly as the rouge_score package cuts it without
    stemming. Other text is normalised (NFKC, case folded, accents and Arabic vowel marks dropped, Indic vowel signs
    kept) and cut at everything that is neither letter nor digit; Chinese, Japanese, Thai and other scripts written
    without spaces give one token per letter.
    """
    if text.isascii():
        return text.encode().translate(_ASCII).decode().split()
    text = unicodedata.normalize("NFKC", text).casefold().translate(_ARABIC)
    words: list[str] = []
    glued = False  # does the next letter belong to the last word?
    for char in unicodedata.normalize("NFD", text):
        category = unicodedata.category(char)
        if category[0] in "LN":
            unspaced = _within(char, _UNSPACED)
            if glued and not unspaced:
                words[-1] += char
            else:
                words.append(char)
            glued = not unspaced
        elif category[0] == "M":
            if words and (category == "Mc" or _within(char, _SPELLING_MARKS)):
                words[-1] += char
        elif category != "Cf":  # joiners and direction marks are invisible: they part nothing
            glued = False
    return words


def _within(char: str, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(first <= ord(char) <= last for first, last in ranges)
