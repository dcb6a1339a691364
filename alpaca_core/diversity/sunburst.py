"""The figure of a dataset's instructions, as one SVG: root verbs inside, their direct objects outside."""

from __future__ import annotations

import colorsys
import math
import textwrap
from html import escape

from alpaca_core.diversity.counts import UNSPACED, Diversity

_SIZE = 720
_MIDDLE = _SIZE / 2
_HOLE, _RING, _RIM = 92.0, 208.0, 344.0  # radii: of the hole, of where the rings meet, of the rim
_FONT = "system-ui, -apple-system, 'Segoe UI', 'Liberation Sans', 'DejaVu Sans', 'Noto Sans', sans-serif"
_LETTER = 0.56  # how wide a letter is, of the font's size
_INK, _QUIET, _WHITE, _BAR = "#1f2328", "#59636e", "#ffffff", "#3b6fb6"
_LINE = 92  # letters in a line of the caption

# Attributes carry the light theme, for renderers that know no variables (resvg skips @supports and @media). A page
# that sets --ink, --quiet and --paper decides for itself.
_STYLE = """
@supports (color: var(--ink)) {
.NAME .ink { fill: var(--ink, #1f2328) } .NAME .quiet { fill: var(--quiet, #59636e) }
.NAME .edge { stroke: var(--paper, #ffffff) } .NAME .paper { fill: var(--paper, #ffffff) }
}
@media (prefers-color-scheme: dark) {
.NAME .ink { fill: var(--ink, #e6edf3) } .NAME .quiet { fill: var(--quiet, #9198a1) }
.NAME .edge { stroke: var(--paper, #0d1117) } .NAME .paper { fill: var(--paper, #0d1117) }
}
"""


def sunburst(diversity: Diversity, verbs: int = 20, objects: int = 4) -> str:
    """One standalone ``<svg>``: the ``verbs`` most frequent root verbs that have objects, each with its ``objects``
    most frequent ones, wedges as wide as the rows they stand for. The caption says how many rows are drawn, and why
    the others are not.

    Wedges are ``<g class="wedge">`` with ``data-verb``, ``data-object`` (empty in the inner ring) and ``data-count``
    (rows of the dataset), and a ``<title>``. Where most rows are not English there are no wedges but bars of how
    instructions begin (class ``beginnings`` instead of ``sunburst``). Holds no script; all text is escaped.
    """
    return _rings(diversity, verbs, objects) if diversity.english else _bars(diversity)


def _rings(diversity: Diversity, verbs: int, objects: int) -> str:
    by_verb: dict[str, list[tuple[str, int]]] = {}
    for (verb, object_), count in sorted(diversity.pairs.items(), key=lambda item: (-item[1], item[0])):
        by_verb.setdefault(verb, []).append((object_, count))
    totals = {verb: sum(count for _, count in found) for verb, found in by_verb.items()}
    shown = sorted(totals, key=lambda verb: (-totals[verb], verb))[:verbs]
    widths = {verb: sum(count for _, count in by_verb[verb][:objects]) for verb in shown}
    drawn = sum(widths.values())
    wedges: list[str] = []
    at = 0
    for place, verb in enumerate(sorted(shown, key=lambda verb: (-widths[verb], verb))):
        hue = place * 0.381966 % 1  # the golden angle: neighbours differ
        what = f"{verb}: {totals[verb]:,} rows, {widths[verb]:,} of them drawn"
        arc = _wedge(_HOLE, _RING, at / drawn, widths[verb] / drawn, _dark(hue), verb, _WHITE)
        wedges.append(_group(verb, "", totals[verb], what, arc))
        for step, (object_, count) in enumerate(by_verb[verb][:objects]):
            colour = _hex(hue, 0.76 + 0.04 * min(step, 3), 0.6)
            arc = _wedge(_RING, _RIM, at / drawn, count / drawn, colour, object_, _INK)
            wedges.append(_group(verb, object_, count, f"{verb} {object_}: {count:,} rows", arc))
            at += count
    wedges.append(_text(_MIDDLE, _MIDDLE + 2, 26, f"{drawn:,}", "ink"))
    wedges.append(_text(_MIDDLE, _MIDDLE + 22, 13, f"of {diversity.rows:,} rows", "quiet"))
    what = f"the {len(shown)} most frequent verbs with up to {objects} objects each"
    left = {
        "with a rarer object": sum(totals[verb] for verb in shown) - drawn,
        "with a rarer verb": diversity.paired - sum(totals[verb] for verb in shown),
        "with no noun as object": diversity.parsed - diversity.paired,
        "questions": diversity.questions,
        "without a verb": diversity.unparsed,
        "not English": diversity.other,
    }
    caption = f"Drawn: {drawn:,} of {diversity.rows:,} instructions, {what}.{_not_drawn(left)}"
    return _svg("sunburst", "Root verbs of the instructions and their direct objects", wedges, caption, _SIZE)


def _bars(diversity: Diversity, most: int = 20) -> str:
    shown = sorted(diversity.beginnings.items(), key=lambda item: (-item[1], item[0]))[:most]
    longest = max((count for _, count in shown), default=1)
    bars = []
    for place, ((script, text), count) in enumerate(shown):
        y, width = 20 + 32 * place, max(2.0, 440 * count / longest)
        label = text if len(text) <= 16 else f"{text[:15]}…"
        bars.append(
            f'<g class="bar" data-beginning="{escape(text)}" data-count="{count}">'
            f"<title>{escape(text)}: {count:,} rows ({escape(script)})</title>"
            + _text(170, y + 17, 15, label or "–", "ink", "end")
            + f'<rect x="182" y="{y}" width="{width:.1f}" height="24" rx="3" fill="{_BAR}"/>'
            + _text(190 + width, y + 17, 13, f"{count:,}", "quiet", "start")
            + "</g>"
        )
    drawn = sum(count for _, count in shown)
    units = {"first two letters" if script in UNSPACED else "first word" for script in diversity.scripts}
    scripts = ", ".join(f"{script} {count:,}" for script, count in diversity.scripts.items())
    left = {"with a rarer beginning": diversity.other - drawn, "in English": diversity.rows - diversity.other}
    caption = (
        f"Drawn: {drawn:,} of {diversity.rows:,} instructions, by their {' or '.join(sorted(units))} ({scripts})."
        f"{_not_drawn(left)} These are no verbs and objects: those are read in English only."
    )
    return _svg("beginnings", "How the instructions begin", bars, caption, 20 + 32 * len(shown))


def _not_drawn(left: dict[str, int]) -> str:
    """A sentence that says how many rows are not drawn and why; nothing where all are."""
    why = ", ".join(f"{count:,} {reason}" for reason, count in left.items() if count)
    return f" Not drawn: {why}." if why else ""


def _group(verb: str, object_: str, rows: int, what: str, drawing: str) -> str:
    return (
        f'<g class="wedge" data-verb="{escape(verb)}" data-object="{escape(object_)}" data-count="{rows}">'
        f"<title>{escape(what)}</title>{drawing}</g>"
    )


def _wedge(inner: float, outer: float, start: float, share: float, fill: str, label: str, ink: str) -> str:
    """A piece of a ring, ``share`` of the circle from ``start`` on, clockwise from the top; with its label along the
    radius where there is room for it."""
    sweep = min(share, 0.998)  # an arc cannot end where it begins
    (x0, y0), (x1, y1) = _point(outer, start), _point(outer, start + sweep)
    (x2, y2), (x3, y3) = _point(inner, start + sweep), _point(inner, start)
    large = int(sweep > 0.5)
    path = (
        f'<path class="edge" d="M{x0:.1f} {y0:.1f}A{outer:g} {outer:g} 0 {large} 1 {x1:.1f} {y1:.1f}'
        f'L{x2:.1f} {y2:.1f}A{inner:g} {inner:g} 0 {large} 0 {x3:.1f} {y3:.1f}Z" fill="{fill}" stroke="{_WHITE}"/>'
    )
    shown, size = _fitted(label, (inner + outer) / 2, outer - inner - 12, math.tau * sweep)
    if size < 7:
        return path
    turn = 360 * (start + sweep / 2) - 90
    x, y = _point((inner + outer) / 2, start + sweep / 2)
    turn += 180 if 90 < turn < 270 else 0  # never upside down
    return (
        f'{path}<text x="{x:.1f}" y="{y:.1f}" transform="rotate({turn:.1f} {x:.1f} {y:.1f})" font-size="{size:.1f}" '
        f'dy="0.35em" text-anchor="middle" fill="{ink}">{escape(shown)}</text>'
    )


def _fitted(label: str, radius: float, depth: float, sweep: float) -> tuple[str, float]:
    """``label``, cut if need be, and its font size: no longer than the ring is deep, and at the label's inner end no
    higher than the wedge is wide. ``sweep`` in radians."""
    shown, size = label, 0.0
    for letters in range(len(label), 2, -1):
        shown = label if letters == len(label) else f"{label[: letters - 1]}…"
        size = min(14.0, depth / (_LETTER * letters), sweep * radius / (1 + _LETTER / 2 * letters * sweep))
        if size >= min(9.0, sweep * radius / 1.2):
            break
    return shown, size


def _point(radius: float, turn: float) -> tuple[float, float]:
    angle = math.tau * turn
    return _MIDDLE + radius * math.sin(angle), _MIDDLE - radius * math.cos(angle)


def _hex(hue: float, lightness: float, saturation: float) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in colorsys.hls_to_rgb(hue, lightness, saturation))


def _dark(hue: float) -> str:
    """A colour on which white text has a contrast of 4.5 to 1 at least (WCAG 2, 1.4.3)."""
    lightness = 0.40
    while 1.05 / (_luminance(hue, lightness) + 0.05) < 4.5:
        lightness -= 0.01
    return _hex(hue, lightness, 0.55)


def _luminance(hue: float, lightness: float) -> float:
    """Relative luminance as WCAG 2 defines it."""
    parts = colorsys.hls_to_rgb(hue, lightness, 0.55)
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _text(x: float, y: float, size: float, text: str, tone: str, anchor: str = "middle") -> str:
    colour = _INK if tone == "ink" else _QUIET
    return (
        f'<text class="{tone}" x="{x:g}" y="{y:g}" font-size="{size:g}" text-anchor="{anchor}" fill="{colour}">'
        f"{escape(text)}</text>"
    )


def _svg(name: str, title: str, parts: list[str], caption: str, height: float) -> str:
    lines = textwrap.wrap(caption, _LINE)
    told = "".join(_text(_MIDDLE, height + 18 + 20 * place, 13, line, "quiet") for place, line in enumerate(lines))
    whole = height + 20 * len(lines) + 16
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{name}" role="img" aria-label="{escape(title)}" '
        f'viewBox="0 0 {_SIZE} {whole:g}" font-family="{escape(_FONT)}">'
        f"<style>{_STYLE.replace('NAME', name).strip()}</style>"
        f'<rect class="paper" width="{_SIZE}" height="{whole:g}" fill="{_WHITE}"/>{"".join(parts)}'
        f'<g class="caption">{told}</g></svg>'
    )
