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
    (0x3005, 0x3007),  # Han iteration mark and zero
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
# Kana are runs: a word in Katakana, and in Hiragana what stands up to a particle. Letter by letter, the endings and
# particles that all Japanese sentences share would outweigh what they are about.
_HIRAGANA = ((0x3041, 0x309F),)
_KATAKANA = ((0x30A0, 0x30FF), (0x31F0, 0x31FF))
_PROLONGED = "\u30fc"  # belongs to the kana before it
_PARTICLES = tuple(unicodedata.normalize("NFD", particle) for particle in "をはがのにでともへ")
# Marks that writers leave out or that change no word: accents, points, harakat, variants of a letter's look. All other
# marks spell vowels and tones, as in Devanagari, Thai and Tibetan, or voiced kana.
_DROPPED_MARKS = (
    (0x0300, 0x036F),  # accents of Latin, Greek and Cyrillic
    (0x0483, 0x0489),  # Cyrillic
    (0x0591, 0x05C7),  # Hebrew
    (0x0610, 0x061A),  # Arabic
    (0x064B, 0x065F),
    (0x0670, 0x0670),
    (0x06D6, 0x06ED),
    (0x0711, 0x0711),  # Syriac
    (0x0730, 0x074A),
    (0x08CA, 0x08FF),  # Arabic
    (0x180B, 0x180F),  # Mongolian variants
    (0x1AB0, 0x1AFF),  # accents
    (0x1DC0, 0x1DFF),
    (0x20D0, 0x20FF),  # around symbols
    (0x302A, 0x302F),  # tones beside Han and Hangul
    (0xFE00, 0xFE0F),  # variants
    (0xFE20, 0xFE2F),  # accents
    (0xE0100, 0xE01EF),  # variants
)
# Arabic: the stretching line goes, the forms of alef, yeh and kaf that writers interchange become one.
_ARABIC = str.maketrans({"ـ": None, "أ": "ا", "إ": "ا", "آ": "ا", "ٱ": "ا", "ى": "ي", "ی": "ي", "ک": "ك"})


def unicode_tokens(text: str) -> list[str]:
    """The words of ``text``, lower-cased.

    For ASCII text they are the runs of letters and digits, exactly as the rouge_score package cuts it without
    stemming. Other text is normalised (NFKC, case folded, accents, Hebrew points and Arabic vowel marks dropped, digits
    of every script as 0-9) and cut at everything that is neither letter nor digit. Chinese, Thai and other scripts
    written without spaces give one token per letter; kana give one per word in Katakana, and in Hiragana one up to
    each particle.
    """
    if text.isascii():
        return text.encode().translate(_ASCII).decode().split()
    text = unicodedata.normalize("NFKC", text).casefold().translate(_ARABIC)
    words: list[str] = []
    run = ""  # the kind of run that the next letter may go on with
    for char in unicodedata.normalize("NFD", text):
        category = unicodedata.category(char)
        if category[0] in "LN":
            if category == "Nd":
                char = str(unicodedata.decimal(char))
            kind = run if char == _PROLONGED and run else _run(char)
            if kind and kind == run and not (kind == "hiragana" and words[-1].endswith(_PARTICLES)):
                words[-1] += char
            else:
                words.append(char)
            run = kind
        elif category[0] == "M":
            if words and not _within(char, _DROPPED_MARKS):
                words[-1] += char
        elif category != "Cf":  # joiners and direction marks are invisible: they part nothing
            run = ""
    return words


def _run(char: str) -> str:
    """The kind of run that a letter stands in; empty for one that is a token by itself."""
    if char.isascii():
        return "word"
    if _within(char, _HIRAGANA):
        return "hiragana"
    if _within(char, _KATAKANA):
        return "katakana"
    return "" if _within(char, _UNSPACED) else "word"


def _within(char: str, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(first <= ord(char) <= last for first, last in ranges)
