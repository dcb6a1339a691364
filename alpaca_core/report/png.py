"""A figure as PNG, drawn by resvg with the fonts of the machine."""

from __future__ import annotations

import re
import unicodedata

from alpaca_core.errors import AlpacaError, MissingError

_VARIABLE = re.compile(r"var\(\s*--[\w-]+\s*,\s*((?:[^()]|\([^()]*\))*)\)")
_TEXT = re.compile(r"<t(?:ext|span)\b[^>]*>([^<]*)")
_NO_LETTER = "\U0004fffd"  # assigned to nothing: what a font draws for a letter that it lacks
_PROBE = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 30"><text y="24" font-size="24">{}</text></svg>'


def png(svg: str, width: int = 1200) -> bytes:
    """``svg`` as PNG, ``width`` pixels wide, on white, in the light theme: CSS variables count with their fallbacks.

    Raises MissingError without resvg-py, and where the machine has no font for letters of the figure, which would be
    blank or boxes; AlpacaError where ``svg`` cannot be drawn.
    """
    try:
        from resvg_py import svg_to_bytes
    except ImportError:
        raise MissingError(
            "A figure as PNG needs the package resvg-py, which is not installed.",
            hint="Type: pip install 'alpacakit[png]'",
        ) from None
    if lacking := sorted(script for script, letters in _letters(svg).items() if not any(map(_drawn, letters))):
        raise MissingError(
            f"This machine has no font for {', '.join(lacking)} letters, so the figure would lack text.",
            hint="Install one (Debian: fonts-dejavu-core; for Chinese, Japanese and Korean: fonts-noto-cjk; for all "
            "scripts: fonts-noto), or take the SVG.",
        )
    try:
        return bytes(svg_to_bytes(svg_string=_VARIABLE.sub(r"\1", svg), width=width, background="#ffffff"))
    except ValueError as exc:
        raise AlpacaError(f"The figure cannot be drawn as PNG: {exc}") from exc


def _letters(svg: str) -> dict[str, list[str]]:
    """Up to five letters of each script in the text of ``svg``, by the script's name: some may look like nothing."""
    found: dict[str, list[str]] = {}
    for letter in dict.fromkeys("".join(_TEXT.findall(svg))):
        if letter.isalpha():
            found.setdefault("Latin" if letter.isascii() else _script(letter), []).append(letter)
    return {script: letters[:5] for script, letters in found.items()}


def _script(letter: str) -> str:
    return unicodedata.name(letter, "unknown").partition(" ")[0].title()


def _drawn(letter: str) -> bool:
    """Whether a font here has ``letter``: it is drawn, and other than what stands for a letter that is lacking."""
    from resvg_py import svg_to_bytes

    image, lacking, blank = (svg_to_bytes(svg_string=_PROBE.format(text)) for text in (letter, _NO_LETTER, ""))
    return image not in (lacking, blank)
