"""Texts that others wrote, as HTML that can do nothing: escaped, cut, and with what is invisible made visible."""

from __future__ import annotations

import re
import unicodedata
from html import escape

START = 320  # characters of a long text that are seen before it is opened
LINES = 8  # and lines
MOST = 2_000  # bytes of HTML that one text may take, whatever it holds; LESS where there are many
LESS = 1_000
_SEEN = 600  # of them for what is seen of it at first

# Joiners that scripts and emoji are written with, and marks that only say which way a letter runs: they stay.
_HARMLESS = "\u200c\u200d\u200e\u200f\u061c\u00ad"
_PLAIN = re.compile(r"[\n\t\x20-\x7e\u00a1-\u00ac\u00ae-\u02ff\u0370-\u0482\u05d0-\u05ea\u0621-\u064a\u4e00-\u9fff]+")


def inline(text: str, most: int = 90) -> str:
    """``text`` in one line, ``most`` characters of it, isolated: its direction reaches nothing beside it.

    >>> inline("a <b>\\n c")
    '<bdi>a &lt;b&gt; c</bdi>'
    """
    line = " ".join(text[: 10 * most].split())
    if len(line) > most or len(text) > 10 * most:
        line = line[: most - 1].rstrip() + "…"
    html, used = _visible(line, 6 * most)
    return f"<bdi>{html}{'…' if used < len(line) else ''}</bdi>"


def block(text: str, most: int = MOST) -> str:
    """``text`` as a block of its own. A long one shows its start and can be opened; a very long one is cut, and says
    so. Whatever it is, it takes about ``most`` bytes of HTML, and 600 more for its start."""
    if not text.strip():
        return '<p class="none">empty</p>' if not text else '<p class="none">white space only</p>'
    shown, used = _visible(text, most)
    left = len(text) - used
    whole = f'<div class="text" dir="auto">{shown}</div>' + (
        f'<p class="cut">cut here; {left:,} more characters</p>' if left else ""
    )
    start = _start(text)
    if len(start) == len(text):
        return whole
    return (
        '<details class="long"><summary>'
        f'<span class="text start" dir="auto">{_visible(start, _SEEN)[0]}…</span> '
        f'<span class="more">more of it: {len(text):,} characters in all</span></summary>'
        f"{whole}</details>"
    )


def _start(text: str) -> str:
    """``text``, or what of a long one is seen at first."""
    lines = text[: START + 80].split("\n")
    start = "\n".join(lines[:LINES])
    if len(start) == len(text):
        return text
    return start if len(start) <= START else start[:START].rsplit(" ", 1)[0]


def _visible(text: str, most: int) -> tuple[str, int]:
    """``text`` as HTML of ``most`` bytes at most, and how many of its characters that took."""
    pieces, size, place = [], 0, 0
    while place < len(text):
        plain = _PLAIN.match(text, place)
        if plain:
            # Five bytes for a character at most (``&amp;``), and three where it is none of ASCII.
            piece = text[place : min(plain.end(), place + max(1, (most - size) // 5))]
            html, taken = escape(piece), len(piece)
        else:
            html, taken = _character(text[place]), 1
        size += len(html.encode("utf-8", "replace"))
        if size > most:
            break
        pieces.append(html)
        place += taken
    return "".join(pieces), place


def _character(char: str) -> str:
    """One character; by its number where it is a control, steers direction, is invisible or no character at all."""
    code = ord(char)
    category = unicodedata.category(char)
    odd = category in ("Cc", "Cf", "Cs", "Zl", "Zp") and char not in _HARMLESS
    return f'<i class="control">U+{code:04X}</i>' if odd or code & 0xFFFE == 0xFFFE else escape(char)
