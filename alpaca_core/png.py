"""A figure as PNG, drawn by resvg."""

from __future__ import annotations

import re

from alpaca_core.errors import AlpacaError, MissingError

_VARIABLE = re.compile(r"var\(\s*--[\w-]+\s*,\s*([^()]*(?:\([^()]*\))?[^()]*)\)")


def png(svg: str, width: int = 1200) -> bytes:
    """``svg`` as PNG, ``width`` pixels wide, in its light colours, on what background it has (else transparent).

    CSS variables count with their fallbacks. Raises MissingError without resvg-py, or where the machine has no font
    for the figure's text; AlpacaError where ``svg`` is no SVG.
    """
    try:
        from resvg_py import svg_to_bytes
    except ImportError:
        raise MissingError(
            "A figure as PNG needs resvg-py, which is not installed.", hint="Type: pip install 'alpacakit[png]'"
        ) from None
    try:
        return bytes(svg_to_bytes(svg_string=_VARIABLE.sub(r"\1", svg), width=width))
    except ValueError as exc:
        raise AlpacaError(f"The figure cannot be drawn as PNG: {exc}") from exc
