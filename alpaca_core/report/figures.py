"""Figures as SVG: bars, histograms, curves and dots, drawn by hand.

A figure is whole in itself: it has its colours as attributes, on white, and what it shows as a label. In the page a
style sheet says otherwise by class (attributes are weaker than any rule), so that it follows the reader's theme.
Lengths are pixels at its natural size.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDE, HALF, NARROW = 960, 480, 344  # across the page, across half of it, and across a phone or a third of the page
INK, MUTED, RULE, ACCENT, SOFT, OTHER = "#1f2328", "#59636e", "#d9dce0", "#1f6f8b", "#b9d5df", "#7d868f"
COLOURS = {"ink": INK, "muted": MUTED, "rule": RULE, "accent": ACCENT, "soft": SOFT, "other": OTHER}
FRAME = 16  # of paper around a figure that stands alone
_TEXT = 12  # the size of letters


@dataclass(frozen=True)
class Bar:
    """A line of ``bars``: its label, its length, what is written behind it, and its colour."""

    label: str
    value: float
    said: str
    kind: str = "accent"


@dataclass(frozen=True)
class Dots:
    """A line of ``dots``: a share from 0 to 1 for each series."""

    label: str
    shares: Sequence[float]


def bars(title: str, items: Sequence[Bar], *, width: int = NARROW) -> str:
    """A bar for each of ``items`` with its label above it, so that long names have room."""
    most = max((item.value for item in items), default=0) or 1
    parts, y = [], 4.0
    for item in items:
        label = _fitted(item.label, width - 12 - _long(item.said))
        parts.append(
            f"<g><title>{_clean(item.label)}: {_clean(item.said)}</title>"
            + _words(0, y + 11, label, "ink")
            + _words(width, y + 11, item.said, "muted", "end")
            + _box(0, y + 17, width, 7, "rule", round=3)
            + (_box(0, y + 17, max(2, width * item.value / most), 7, item.kind, round=3) if item.value else "")
            + "</g>"
        )
        y += 36
    return _svg(title, width, y - 4, "".join(parts))


def histogram(
    title: str,
    counts: Sequence[int],
    edges: Sequence[str],
    *,
    width: int = NARROW,
    height: int = 176,
    below: str = "",
    line: tuple[float, str] | None = None,
) -> str:
    """Columns of ``counts``. ``edges`` are written under them, one more than there are columns, empty ones left out;
    ``below`` says what they count. ``line`` is a place from 0 to 1 with what is said there."""
    top, bottom, left = (22 if line else 10), height - 36, 8 + _long(_short(max(counts, default=0)))
    marks = ticks(max(counts, default=0), 3, whole=True)
    scale = (bottom - top) / (marks[-1] or 1)
    step = (width - left - 6) / max(1, len(counts))
    parts = [_level(left, width - 6, bottom - mark * scale, _short(mark)) for mark in marks]
    for place, count in enumerate(counts):
        if count:
            tall = max(1.0, count * scale)
            parts.append(
                _box(left + place * step + 0.5, bottom - tall, max(1, step - 1), tall, "accent", said=f"{count:,} rows")
            )
    for place, edge in enumerate(edges):
        if edge:
            at = "end" if place == len(edges) - 1 else "middle"
            parts.append(
                _words(min(width, left + place * step + (6 if at == "end" else 0)), bottom + 15, edge, "muted", at)
            )
    if line:
        x = left + line[0] * (width - left - 6)
        parts.append(_stroke([(x, top - 4), (x, bottom)], "ink", dashes="3 3"))
        parts.append(_words(x, 12, line[1], "ink", "middle" if x < width - _long(line[1]) / 2 else "end"))
    parts.append(_words(left, height - 4, below, "muted"))
    return _svg(title, width, height, "".join(parts))


def curve(
    title: str,
    band: Sequence[tuple[float, float, float]],
    line: Sequence[tuple[float, float]],
    *,
    width: int = WIDE,
    height: int = 260,
    below: str = "",
    dividers: Sequence[tuple[float, str]] = (),
) -> str:
    """``line`` over a faint ``band`` of (x, lowest, highest), from zero on. ``dividers`` part the picture at their x:
    epochs, for instance."""
    top, bottom = 24, height - 36
    marks = ticks(max((high for *_, high in band), default=1), 5)
    left = 10 + max(_long(f"{mark:g}") for mark in marks)
    last = max((x for x, *_ in band), default=1) or 1
    across, up = (width - left - 8) / last, (bottom - top) / (marks[-1] or 1)
    parts = [_level(left, width - 8, bottom - mark * up, f"{mark:g}") for mark in marks]
    for x, said in dividers:
        parts.append(_stroke([(left + x * across, top), (left + x * across, bottom)], "other", dashes="2 4"))
        parts.append(_words(left + x * across, top - 8, said, "muted", "end" if x > 0.94 * last else "middle"))
    for mark in ticks(last, 6 if width >= WIDE else 3, whole=True):
        if mark <= last:
            at = "start" if not mark else "end" if mark * across > width - left - 30 else "middle"
            parts.append(_words(left + mark * across, bottom + 15, f"{mark:,.0f}", "muted", at))
    edge = [(x, high) for x, _, high in band] + [(x, low) for x, low, _ in reversed(band)]
    parts.append(_area([(left + x * across, bottom - y * up) for x, y in edge]))
    parts.append(_stroke([(left + x * across, bottom - y * up) for x, y in line], "accent", thick=2))
    parts.append(_words(left, height - 4, below, "muted"))
    return _svg(title, width, height, "".join(parts))


def dots(title: str, series: Sequence[str], items: Sequence[Dots], *, width: int = WIDE) -> str:
    """Shares of 0 to 100 % on a line for each of ``items``: the last series a full dot, the first a ring, those between
    short strokes. A bar leads from the first to the last."""
    label = min(width * 0.42, 12 + max((_long(item.label) for item in items), default=0))
    right, y = width - 20, 58.0
    span = right - label
    parts = [_legend(series, width)]
    bottom = y + 22 * len(items) - 8
    for share in (0, 0.25, 0.5, 0.75, 1):
        x = label + share * span
        parts.append(_stroke([(x, y - 14), (x, bottom)], "rule"))
        parts.append(_words(x, y - 20, f"{share:.0%}", "muted", "middle"))
    for item in items:
        said = ", ".join(f"{name} {share:.0%}" for name, share in zip(series, item.shares, strict=True))
        at = [label + share * span for share in item.shares]
        parts.append(f"<g><title>{_clean(item.label)}: {_clean(said)}</title>")
        parts.append(_words(0, y + 4, _fitted(item.label, label - 10), "ink"))
        if len(at) > 1:
            parts.append(_stroke([(at[0], y), (at[-1], y)], "soft", thick=5))
        parts += [_between(x, y, place) for place, x in enumerate(at[1:-1])]
        parts += [_ring(at[0], y)] if len(at) > 1 else []
        parts.append(_dot(at[-1], y) + "</g>")
        y += 22
    return _svg(title, width, bottom + 6, "".join(parts))


def ticks(high: float, most: int, *, whole: bool = False) -> list[float]:
    """Round numbers from 0 up to the first that is not below ``high``: about ``most`` steps of 1, 2, 2.5 or 5.

    >>> ticks(7.2, 4), ticks(3, 5, whole=True), ticks(0, 3)
    ([0.0, 2.0, 4.0, 6.0, 8.0], [0.0, 1.0, 2.0, 3.0], [0.0, 1.0])
    """
    if not high > 0 or not math.isfinite(high):
        return [0.0, 1.0]
    rough = high / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * times for times in (1, 2, 2.5, 5, 10) if power * times >= rough * 0.999)
    step = max(1.0, math.ceil(step)) if whole else step
    return [round(place * step, 10) for place in range(math.ceil(high / step - 1e-9) + 1)]


def framed(svg: str) -> str:
    """``svg``, one of these figures, with paper around it, as a file of its own needs it."""

    def wider(found: re.Match[str]) -> str:
        width, height = (float(size) + 2 * FRAME for size in found.groups())
        return f'viewBox="-{FRAME} -{FRAME} {_n(width)} {_n(height)}" width="{_n(width)}" height="{_n(height)}"'

    return re.sub(r'viewBox="0 0 (\S+) (\S+)" width="\S+" height="\S+"', wider, svg, count=1)


# -- parts of a figure


def _svg(title: str, width: float, height: float, body: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="figure" viewBox="0 0 {width:g} {_n(height)}" width="{width:g}"'
        f' height="{_n(height)}" role="img" aria-label="{_clean(title)}" font-size="{_TEXT}"'
        " font-family=\"Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif\">"
        f'<rect class="paper" x="-{FRAME}" y="-{FRAME}" width="{width + 2 * FRAME:g}" height="{_n(height + 2 * FRAME)}"'
        f' fill="#fff"/>{body}</svg>'
    )


def _words(x: float, y: float, text: str, kind: str, anchor: str = "start") -> str:
    at = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text class="fill-{kind}" x="{_n(x)}" y="{_n(y)}" fill="{COLOURS[kind]}"{at}>{_clean(text)}</text>'


def _box(x: float, y: float, wide: float, tall: float, kind: str, *, round: float = 0, said: str = "") -> str:
    corner = f' rx="{round:g}"' if round else ""
    title = f"><title>{said}</title></rect>" if said else "/>"
    return (
        f'<rect class="fill-{kind}" x="{_n(x)}" y="{_n(y)}" width="{_n(wide)}" height="{_n(tall)}"{corner}'
        f' fill="{COLOURS[kind]}"{title}'
    )


def _stroke(points: Sequence[tuple[float, float]], kind: str, *, thick: float = 1, dashes: str = "") -> str:
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    path = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
    return (
        f'<polyline class="stroke-{kind}" points="{path}" fill="none" stroke="{COLOURS[kind]}" stroke-width="{thick:g}"'
        f' stroke-linejoin="round"{dashed}/>'
    )


def _area(points: Sequence[tuple[float, float]]) -> str:
    path = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
    return (
        f'<polygon class="fill-soft stroke-soft" points="{path}" fill="{SOFT}" stroke="{SOFT}" stroke-width="1"'
        ' stroke-linejoin="round"/>'
    )


def _level(left: float, right: float, y: float, said: str) -> str:
    return _stroke([(left, y), (right, y)], "rule") + _words(left - 5, y + 4, said, "muted", "end")


def _dot(x: float, y: float) -> str:
    return f'<circle class="fill-accent" cx="{_n(x)}" cy="{_n(y)}" r="5.5" fill="{ACCENT}"/>'


def _ring(x: float, y: float) -> str:
    return f'<circle class="ring" cx="{_n(x)}" cy="{_n(y)}" r="4.5" fill="#fff" stroke="{MUTED}" stroke-width="1.5"/>'


def _between(x: float, y: float, place: int) -> str:
    """The marks of the middle series: an upright stroke, then a lying cross."""
    ends = (
        [[(x, y - 6), (x, y + 6)]]
        if place == 0
        else [[(x - 4, y - 4), (x + 4, y + 4)], [(x - 4, y + 4), (x + 4, y - 4)]]
    )
    return "".join(_stroke(end, "muted", thick=1.5) for end in ends)


def _legend(series: Sequence[str], width: float) -> str:
    """The names of the series with their marks, in one row."""
    parts, x = [], 6.0
    for place, name in enumerate(series):
        last = place == len(series) - 1
        parts.append(_dot(x, 12) if last else _ring(x, 12) if not place else _between(x, 12, place - 1))
        parts.append(_words(x + 10, 16, name, "ink" if last else "muted"))
        x += 26 + _long(name)
    return "".join(parts)


def _fitted(text: str, room: float) -> str:
    text = " ".join(text.split())
    return text if _long(text) <= room else text[: max(1, int(len(text) * room / _long(text)) - 1)].rstrip() + "…"


def _long(text: str) -> float:
    """About how wide ``text`` is: sans-serif letters take 0.6 of their size, on average and at most."""
    return len(text) * _TEXT * 0.6


def _short(count: float) -> str:
    """``1,500`` as it is, ``25,000`` as ``25k``."""
    return f"{count / 1000:g}k" if count >= 10_000 else f"{count:,.0f}"


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _clean(text: str) -> str:
    """Escaped, without what XML must not hold."""
    return escape("".join(char if char.isprintable() else "�" for char in text))
