"""The figure of a dataset's instructions: root verbs inside, their direct objects outside, as one SVG."""

from __future__ import annotations

import math
from html import escape

from alpaca_core.diversity import UNSPACED, Diversity

_SIZE = 720
_MIDDLE = _SIZE / 2
_INNER, _RING, _OUTER = 92.0, 208.0, 334.0  # radii: the hole, between the rings, the rim
_FONT = "system-ui, -apple-system, 'Segoe UI', 'Liberation Sans', 'DejaVu Sans', 'Noto Sans', sans-serif"

# Presentation attributes carry the light theme, for renderers without CSS variables (resvg skips @supports and @media).
_STYLE = """
@supports (color: var(--ink)) {
.CLASS .ink { fill: var(--ink, #1f2328) } .CLASS .quiet { fill: var(--quiet, #59636e) }
.CLASS .edge { stroke: var(--paper, #ffffff) }
}
@media (prefers-color-scheme: dark) {
.CLASS .ink { fill: var(--ink, #e6edf3) } .CLASS .quiet { fill: var(--quiet, #9198a1) }
.CLASS .edge { stroke: var(--paper, #0d1117) }
}
"""


def sunburst(diversity: Diversity, verbs: int = 20, objects: int = 4) -> str:
    """One standalone ``<svg>``: the ``verbs`` most frequent root verbs that have objects, each with its ``objects``
    most frequent ones, wedges as wide as the rows they stand for. The caption says how many rows are drawn, and why
    the others are not.

    Where most rows are not English it holds bars of how the instructions begin instead (class ``beginnings``).
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
    parts: list[str] = []
    at = 0
    for place, verb in enumerate(sorted(shown, key=lambda verb: (-widths[verb], verb))):
        hue = 360 * (place * 0.381966) % 360  # the golden angle: neighbours differ
        parts.append(_wedge(_INNER, _RING, at, widths[verb], drawn, _colour(hue, 0.55, 0.36), verb, "", totals[verb]))
        for step, (object_, count) in enumerate(by_verb[verb][:objects]):
            colour = _colour(hue, 0.6, 0.76 + 0.04 * min(step, 3))
            parts.append(_wedge(_RING, _OUTER, at, count, drawn, colour, verb, object_, count))
            at += count
    middle = [(f"{drawn:,}", 26, "ink"), (f"of {diversity.rows:,} rows", 13, "quiet")]
    parts += [
        f'<text class="{tone}" x="{_MIDDLE:g}" y="{_MIDDLE + 2 + 20 * line:g}" font-size="{size}" text-anchor="middle" '
        f'fill="{_TONES[tone]}">{escape(text)}</text>'
        for line, (text, size, tone) in enumerate(middle)
    ]
    rarer = sum(totals[verb] for verb in shown) - drawn
    title = "Root verbs of the instructions and their direct objects"
    return _svg("sunburst", title, parts, _caption(diversity, drawn, len(shown), objects, rarer))


_TONES = {"ink": "#1f2328", "quiet": "#59636e"}


def _caption(diversity: Diversity, drawn: int, verbs: int, objects: int, rarer: int) -> list[str]:
    """What is drawn and what is not; the counts add up to the rows."""
    left = [
        (rarer, "with a rarer object"),
        (diversity.paired - drawn - rarer, "with a rarer verb"),
        (diversity.parsed - diversity.paired, "with no noun as object"),
        (diversity.questions, "questions"),
        (diversity.unparsed, "without a verb"),
        (diversity.other, "not English"),
    ]
    why = [f"{count:,} {reason}" for count, reason in left if count]
    return [
        f"Drawn: {drawn:,} of {diversity.rows:,} instructions, the {verbs} most frequent verbs with up to {objects} "
        "objects each.",
        *(
            f"{'Not drawn: ' if not at else ''}{', '.join(why[at : at + 4])}{'.' if at + 4 >= len(why) else ','}"
            for at in range(0, len(why), 4)
        ),
    ]


def _wedge(
    inner: float, outer: float, at: int, count: int, total: int, fill: str, verb: str, object_: str, rows: int
) -> str:
    """A piece of a ring from ``at`` to ``at + count`` of ``total``, with its label where there is room. ``rows`` is
    what it stands for in the dataset; a verb's rows with objects that are not drawn are among them."""
    start, sweep = math.tau * at / total, math.tau * count / total
    sweep = min(sweep, math.tau - 1e-3)  # an arc cannot end where it begins
    label = object_ or verb
    what = f"{verb} {object_}: {rows:,} rows" if object_ else f"{verb}: {rows:,} rows, {count:,} of them drawn"
    (x0, y0), (x1, y1) = _point(outer, start), _point(outer, start + sweep)
    (x2, y2), (x3, y3) = _point(inner, start + sweep), _point(inner, start)
    large = int(sweep > math.pi)
    path = (
        f'<path class="edge" d="M{x0:.1f} {y0:.1f}A{outer:g} {outer:g} 0 {large} 1 {x1:.1f} {y1:.1f}'
        f'L{x2:.1f} {y2:.1f}A{inner:g} {inner:g} 0 {large} 0 {x3:.1f} {y3:.1f}Z" fill="{fill}" stroke="#ffffff"/>'
    )
    middle = start + sweep / 2
    # Along the radius, in the middle of the ring: no longer than the ring is deep, and at its inner end no higher than
    # the wedge is wide. A letter is about 0.56 of the font's size wide.
    radius, depth = (inner + outer) / 2, outer - inner - 12
    text = ""
    for cut in range(len(label), 2, -1):
        shown = label if cut == len(label) else f"{label[: cut - 1]}…"
        size = min(14.0, depth / (0.56 * len(shown)), sweep * radius / (1.0 + 0.28 * len(shown) * sweep))
        if size >= min(9.0, sweep * radius / 1.2):
            break
    if size >= 7:
        x, y = _point((inner + outer) / 2, middle)
        turn = math.degrees(middle) - 90
        turn += 180 if 90 < turn < 270 else 0
        text = (
            f'<text x="{x:.1f}" y="{y:.1f}" transform="rotate({turn:.1f} {x:.1f} {y:.1f})" font-size="{size:.1f}" '
            f'dy="0.35em" text-anchor="middle" fill="{"#1f2328" if object_ else "#ffffff"}">{escape(shown)}</text>'
        )
    return (
        f'<g class="wedge" data-verb="{escape(verb)}" data-object="{escape(object_)}" data-count="{rows}">'
        f"<title>{escape(what)}</title>{path}{text}</g>"
    )


def _point(radius: float, angle: float) -> tuple[float, float]:
    return _MIDDLE + radius * math.sin(angle), _MIDDLE - radius * math.cos(angle)


def _colour(hue: float, saturation: float, lightness: float) -> str:
    """HSL as #rrggbb, which every renderer knows."""
    import colorsys

    return "#" + "".join(f"{round(255 * part):02x}" for part in colorsys.hls_to_rgb(hue / 360, lightness, saturation))


def _bars(diversity: Diversity, bars: int = 20) -> str:
    shown = list(diversity.beginnings.items())[:bars]
    most = max((count for _, count in shown), default=1)
    parts = []
    for place, ((script, text), count) in enumerate(shown):
        y, width = 20 + 32 * place, max(2.0, 440 * count / most)
        parts.append(
            f'<g class="bar" data-beginning="{escape(text)}" data-count="{count}"><title>{escape(text)}: {count:,} '
            f'({escape(script)})</title><text class="ink" x="170" y="{y + 17}" font-size="15" text-anchor="end" '
            f'fill="#1f2328">{escape(text) or "–"}</text><rect x="182" y="{y}" width="{width:.1f}" height="24" rx="3" '
            f'fill="#3b6fb6"/><text class="quiet" x="{190 + width:.1f}" y="{y + 17}" font-size="13" '
            f'fill="#59636e">{count:,}</text></g>'
        )
    drawn = sum(count for _, count in shown)
    how = "first two letters" if all(script in UNSPACED for (script, _), _ in shown) else "first word"
    lines = [
        f"How instructions that are not English begin ({how}): {drawn:,} of {diversity.rows:,} rows.",
        "Verbs and objects are read in English only, so none are drawn.",
    ]
    return _svg("beginnings", "How the instructions begin", parts, lines, 20 + 32 * len(shown))


def _svg(name: str, title: str, parts: list[str], caption: list[str], height: float = _SIZE) -> str:
    lines = "".join(
        f'<text class="quiet" x="{_MIDDLE:g}" y="{height + 18 + 20 * line:g}" font-size="13" text-anchor="middle" '
        f'fill="#59636e">{escape(text)}</text>'
        for line, text in enumerate(caption)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{name}" role="img" aria-label="{escape(title)}" '
        f'viewBox="0 0 {_SIZE} {height + 20 * len(caption) + 16:g}" font-family="{escape(_FONT)}">'
        f"<style>{_STYLE.replace('CLASS', name).strip()}</style>{''.join(parts)}"
        f'<g class="caption">{lines}</g></svg>'
    )
