"""The figure of the instructions: what is drawn adds up, is escaped, and can be read."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
import zlib
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alpaca_core.diversity.counts import Diversity, analyse
from alpaca_core.diversity.sunburst import sunburst
from alpaca_core.errors import AlpacaError, MissingError
from alpaca_core.report.png import png

SVG = "{http://www.w3.org/2000/svg}"
ROWS = (
    ["Write a poem."] * 6 + ["Write a song."] * 3 + ["Write a play."] * 2 + ["Write a letter."] + ["Write a recipe."]
    + ["Draw a map."] * 4 + ["Explain why."] * 2 + ["Sing a hymn."] + ["Who won?"] * 3 + ["A soup."] + ["اكتب رسالة"]
)  # fmt: skip
WORDS = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=12)
DIVERSITIES = st.dictionaries(st.tuples(WORDS, WORDS), st.integers(1, 900), max_size=40).map(
    lambda pairs: Diversity(
        rows=sum(pairs.values()) + 10,
        verbs={verb: sum(n for (v, _), n in pairs.items() if v == verb) for verb, _ in pairs},
        pairs=pairs,
        questions=5,
        unparsed=4,
        other=1,
    )
)


def wedges(svg: str, ring: str) -> dict[tuple[str, str], int]:
    """Rows by verb and object, of the ``inner`` or ``outer`` ring."""
    found = [group for group in ElementTree.fromstring(svg).iter(f"{SVG}g") if group.get("class") == "wedge"]
    named = {(g.get("data-verb", ""), g.get("data-object", "")): int(g.get("data-count", "")) for g in found}
    assert len(named) == len(found)
    return {pair: count for pair, count in named.items() if bool(pair[1]) == (ring == "outer")}


def caption(svg: str) -> str:
    (group,) = (group for group in ElementTree.fromstring(svg).iter(f"{SVG}g") if group.get("class") == "caption")
    return " ".join(text.text or "" for text in group)


def numbers(text: str) -> list[int]:
    return [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", text)]


def test_wedges_are_the_most_frequent_verbs_with_their_objects() -> None:
    svg = sunburst(analyse(ROWS), verbs=2, objects=3)
    assert wedges(svg, "inner") == {("write", ""): 13, ("draw", ""): 4}
    assert wedges(svg, "outer") == {
        ("write", "poem"): 6,
        ("write", "song"): 3,
        ("write", "play"): 2,
        ("draw", "map"): 4,
    }


def test_the_caption_says_what_is_not_drawn_and_why() -> None:
    assert caption(sunburst(analyse(ROWS), verbs=2, objects=3)) == (
        "Drawn: 15 of 25 instructions, the 2 most frequent verbs with up to 3 objects each. Not drawn: 2 with a rarer "
        "object, 1 with a rarer verb, 2 with no noun as object, 3 questions, 1 without a verb, 1 not English."
    )


@given(DIVERSITIES)
def test_drawn_and_not_drawn_add_up_and_all_is_escaped(diversity: Diversity) -> None:
    svg = sunburst(diversity)
    drawn, rows, *_ = numbers(caption(svg))
    assert rows == diversity.rows and drawn == sum(wedges(svg, "outer").values())
    assert drawn + sum(numbers(caption(svg).partition("Not drawn: ")[2])) == rows
    assert set(wedges(svg, "outer").items()) <= set(diversity.pairs.items())
    assert {element.tag.removeprefix(SVG) for element in ElementTree.fromstring(svg).iter()} <= {
        "svg", "style", "rect", "g", "path", "text", "title",
    }  # fmt: skip


def test_hostile_words_stay_text() -> None:
    hostile = {('"><script>alert(1)</script>', "</style>&'"): 3}
    svg = sunburst(Diversity(3, {'"><script>alert(1)</script>': 3}, hostile, 0, 0, 0))
    assert wedges(svg, "outer") == hostile
    assert "<script" not in svg and svg.count("</style>") == 1


def test_one_pair_and_no_pair_can_be_drawn() -> None:
    assert wedges(sunburst(analyse(["Write a poem."])), "outer") == {("write", "poem"): 1}
    assert wedges(sunburst(analyse([])), "inner") == {}
    assert caption(sunburst(analyse([]))).startswith("Drawn: 0 of 0")


def luminance(colour: str) -> float:
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_labels_stand_out_from_their_wedges() -> None:
    """A contrast of 4.5 to 1, as WCAG 2 asks of text."""
    verbs = {f"verb{n}": 50 for n in range(20)}
    svg = sunburst(Diversity(1000, verbs, {(verb, "thing"): 50 for verb in verbs}, 0, 0, 0))
    for group in ElementTree.fromstring(svg).iter(f"{SVG}g"):
        if group.get("class") == "wedge":
            path, text = group.find(f"{SVG}path"), group.find(f"{SVG}text")
            assert path is not None and text is not None
            bright, dark = sorted((luminance(path.get("fill", "")), luminance(text.get("fill", ""))), reverse=True)
            assert (bright + 0.05) / (dark + 0.05) >= 4.5


def test_where_most_rows_are_not_english_bars_say_how_they_begin() -> None:
    svg = sunburst(analyse(["اكتب رسالة", "اكتب قصة", "列出三个国家", "Write a poem."]))
    bars = [g for g in ElementTree.fromstring(svg).iter(f"{SVG}g") if g.get("class") == "bar"]
    assert [(bar.get("data-beginning"), bar.get("data-count")) for bar in bars] == [("اكتب", "2"), ("列出", "1")]
    assert 'class="beginnings"' in svg and 'class="wedge"' not in svg
    assert caption(svg) == (
        "Drawn: 3 of 4 instructions, by their first two letters or first word (Arabic 2, Han 1). Not drawn: 1 in "
        "English. These are no verbs and objects: those are read in English only."
    )


def pixels(image: bytes) -> tuple[int, int, bytes]:
    """Width, height and the bytes of a PNG's filtered scanlines."""
    assert image.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", image[16:24])
    data, at = b"", 8
    while at < len(image):
        (length,) = struct.unpack(">I", image[at : at + 4])
        data += image[at + 8 : at + 8 + length] if image[at + 4 : at + 8] == b"IDAT" else b""
        at += length + 12
    return width, height, zlib.decompress(data)


needs_resvg = pytest.mark.skipif(find_spec("resvg_py") is None, reason="the extra png is not installed")


@needs_resvg
def test_a_png_has_the_width_asked_for_and_its_labels() -> None:
    labelled = sunburst(analyse(ROWS))
    width, height, drawn = pixels(png(labelled, 400))
    assert width == 400 and height > 400
    assert drawn != pixels(png(re.sub(r"<text.*?</text>", "", labelled), 400))[2]


@needs_resvg
def test_variables_count_with_their_fallbacks() -> None:
    box = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><rect width="9" height="9" fill="{}"/></svg>'
    assert png(box.format("var(--bar, rgb(10, 20, 30))"), 9) == png(box.format("rgb(10, 20, 30)"), 9)
    assert png(box.format("var(--bar, #123456)"), 9) != png(box.format("#000000"), 9)


@needs_resvg
def test_what_is_no_svg_is_refused() -> None:
    with pytest.raises(AlpacaError, match="cannot be drawn"):
        png("<p>no figure")


@needs_resvg
def test_a_machine_without_fonts_gets_no_blank_figure(tmp_path: Path) -> None:
    fonts = tmp_path / "fonts.conf"
    fonts.write_text(f"<fontconfig><dir>{tmp_path}</dir></fontconfig>", encoding="utf-8")
    code = (
        "from alpaca_core.report.png import png; png('<svg xmlns=\"http://www.w3.org/2000/svg\"><text>A</text></svg>')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "FONTCONFIG_FILE": str(fonts)}, capture_output=True, text=True
    )
    if sys.platform == "linux":
        assert "no font for Latin letters" in done.stderr


def test_without_resvg_the_pip_line_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(MissingError) as raised:
        png("<svg/>")
    assert "alpacakit[png]" in raised.value.hint
