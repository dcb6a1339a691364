"""The report: what a page tells, that it tells the same twice, and that nothing in it can do anything. Pages are looked
at in a real browser."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import product
from math import isfinite
from pathlib import Path
from typing import Any

import pytest
from browsers import PHONE, browser, console, needs_browser, requests
from hypothesis import given
from hypothesis import strategies as st

from alpaca_core import Example, StepLog, TrainEvent
from alpaca_core.cli.main import main
from alpaca_core.cli.page import terms
from alpaca_core.evaluate import Scores
from alpaca_core.plugins import PluginHost
from alpaca_core.report import texts
from alpaca_core.report.facts import gather
from alpaca_core.report.figures import Bar, Dots, bars, curve, dots, histogram, ticks
from alpaca_core.report.measures import measure
from alpaca_core.report.page import make_report
from alpaca_core.report.pictures import smoothed
from alpaca_core.report.similarity import similarity

LONG = 100_000
HOSTILE = [
    ("<script>document.title = 'taken'</script> Write a list", "</style></script><img src=x onerror=alert(1)>", "a"),
    ("Describe \u202ean override\u202c", "\u2066\u202d never closed", "\u202eopen to the end"),
    ("Write words " * (LONG // 12), "x" * LONG, "<&>\"'" * (LONG // 5)),
    ("\x00\x01\x1b[31m" * (LONG // 7), "\u202e" * LONG, "\n" * LONG),
    ("Write NUL \x00 and no character \ufffe", "</title><!-- <![CDATA[ --", "</div></main><base href=//x>"),
    ("اكتب قصة قصيرة عن قطة", "", "قالت: I love fish ثم نامت"),
    ("Z" + "\u0301" * 500, "", "漢" * LONG),
    ("", "", " "),
]


def write(path: Path, rows: list[tuple[str, str, str]]) -> Path:
    path.write_text(json.dumps([dict(zip(("instruction", "input", "output"), row, strict=True)) for row in rows]))
    return path


def scores(share: float, answer: str) -> dict[str, Any]:
    sample = {"family": "sorting", "instruction": "Sort 3, 1.", "input": "", "expected": "1, 3"}
    sample |= {"answer": answer, "exact_match": answer == "1, 3"}
    families = {"sorting": {"n": 5, "exact_match": share}, "<b>naming": {"n": 5, "exact_match": share / 2}}
    return Scores(10, share, share, families, share, (sample,)).as_dict()


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A practice run of 80 rows, with a training and scores written as they write them."""
    out = tmp_path_factory.mktemp("report") / "runs" / "practice"
    assert main(["run", "--trainer", "none", "-n", "80", "--out", str(out)]) == 0
    summary = json.loads((out / "summary.json").read_text())
    summary["training"] = {"strategy": "single", "world_size": 1, "steps": 60, "tokens": 9000, "final_loss": 0.5}
    summary["training"] |= {"seconds": 12.5, "parameters": 1234, "model": str(out / "model")}
    baselines = {"most_frequent": scores(0.1, "x"), "nearest": scores(0.2, "y")}
    summary["evaluation"] = {"heldout": 10, "before": scores(0.0, "<i>no</i>"), "after": scores(0.8, "1, 3")}
    summary["evaluation"] |= {"baselines": baselines, "seconds": 3.0}
    (out / "summary.json").write_text(json.dumps(summary))
    with StepLog(out) as log:
        for step in range(1, 61):
            log.event(TrainEvent("step", step=step, steps=60, loss=3 / step, epoch=step / 20))
    sample = {"step": 20, "row": 0, "id": "a", "heldout": True, "prompt": "Sort 3, 1.", "answer": "1", "stopped": True}
    (out / "samples.jsonl").write_text(json.dumps(sample | {"reference": "1, 3"}) + "\n")
    assert main(["report", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    assert main(["report", str(write(folder / "rows.json", HOSTILE)), "--out", str(folder / "page.html")]) == 0
    return folder / "page.html"


class Page(HTMLParser):
    """The tags, attributes and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


# -- what a page tells


def test_the_page_of_a_run_has_every_section_and_its_numbers(run):
    html = (run / "report.html").read_text()
    sections = re.findall(r'<section id="(\w+)"', html)
    assert sections == [
        *("instructions", "yield", "lengths", "similarity", "cost", "training", "scores", "answers"),
        *("rows", "rejected", "provenance"),
    ]
    made = json.loads((run / "summary.json").read_text())["generation"]
    text = Page(html).text
    assert "Practice data: written by a program" in text
    for number in ("80", f"80 of {made['candidates']:,}", "80.0%", "1,234", *map(str, made["rejected"].values())):
        assert number in text
    assert "teacherprocedural" in text and "promptself-instruct" in text  # a term and its value
    assert str(run.parent) not in html  # nothing of this machine


def test_the_numbers_of_the_rows_are_those_of_the_dataset(run):
    facts = gather(run)
    measures = measure([*facts.rows, *facts.heldout])
    assert measures.diversity.rows == measures.similarity.rows == 80
    for part, lengths in measures.lengths.items():
        assert len(lengths.words) + lengths.empty == 80, part
    rejected = json.loads((run / "summary.json").read_text())["generation"]["rejected"]
    assert {name: of.count for name, of in facts.rejected.items()} == rejected
    assert all(of.kinds.total() == of.count for of in facts.rejected.values())


def test_the_same_files_give_the_same_bytes(run):
    said = terms(PluginHost())
    assert make_report(run, said).html == make_report(run, said).html == (run / "report.html").read_text()


def test_what_the_plugin_says_of_its_terms_is_a_note_to_check(run):
    asked = []
    html = make_report(run, lambda teacher: asked.append(teacher) or "Read <b>the terms</b>.").html
    assert asked == ["procedural"] and "<li><bdi>Read &lt;b&gt;the terms&lt;/b&gt;.</bdi></li>" in html
    assert "no legal advice" in html


def test_a_file_of_rows_has_the_sections_that_it_can_have(hostile):
    sections = re.findall(r'<section id="(\w+)"', hostile.read_text())
    assert sections == ["instructions", "lengths", "similarity", "rows", "provenance"]


def test_the_folder_of_a_training_has_a_page_too(run, tmp_path):
    summary = json.loads((run / "summary.json").read_text())
    (tmp_path / "summary.json").write_text(json.dumps({"status": "done", "training": summary["training"]}))
    (tmp_path / "metrics.jsonl").write_bytes((run / "metrics.jsonl").read_bytes() + b'{"step": 61, "lo')  # a kill
    assert re.findall(r'<section id="(\w+)"', make_report(tmp_path).html) == ["cost", "training", "provenance"]


def test_no_verbs_are_drawn_of_arabic(tmp_path):
    data = write(tmp_path / "rows.json", [("اكتب قصة قصيرة", "", "نعم"), ("اشرح هذه الجملة", "", "لا")] * 3)
    report = make_report(data)
    assert "data-verb" not in report.html and "beginnings" in report.pictures["sunburst"].svg
    assert "6 (100.0%)" in report.html  # not English


def test_the_page_of_52002_rows_stays_under_500_kb(tmp_path):
    verbs, things = "Write Describe Name List Explain Sort Compare".split(), "tree river poem market engine".split()
    words = [f"{verb} {i} {thing} facts" for i, verb, thing in product(range(1486), verbs, things)]
    rows = [(words[i % len(words)], "", f"answer {i}") for i in range(52_002)]
    assert main(["report", str(write(tmp_path / "rows.json", rows)), "--out", str(tmp_path / "page.html")]) == 0
    assert (tmp_path / "page.html").stat().st_size < 500_000
    assert "1,000 of 52,002 rows" in (tmp_path / "page.html").read_text()


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=7), min_size=1, max_size=9))
def test_the_nearest_neighbour_is_the_one_with_the_highest_rouge_l(rows):
    def common(a: list[str], b: list[str]) -> int:
        table = defaultdict(int)
        for i, j in product(range(len(a)), range(len(b))):
            table[i, j] = table[i - 1, j - 1] + 1 if a[i] == b[j] else max(table[i - 1, j], table[i, j - 1])
        return table[len(a) - 1, len(b) - 1]

    def best(i: int) -> float:
        others = (rows[j] for j in range(len(rows)) if j != i)
        return max((2 * common(rows[i], of) / (len(rows[i]) + len(of) or 1) for of in others), default=0)

    assert similarity([" ".join(row) for row in rows]).nearest == pytest.approx([best(i) for i in range(len(rows))])


def test_likeness_is_of_words_whatever_their_case_and_marks():
    rows = [
        "Name a green tree",
        "Name one green tree of the north",
        "Explain how rain falls",
        "",
        "explain how rain falls!",
    ]
    assert similarity(rows).nearest == pytest.approx([6 / 11, 6 / 11, 1, 0, 1])


def test_a_single_row_is_like_no_other():
    found = measure([Example("Name a tree.", "", "An oak.")])
    assert found.lengths["output"].words == (2,) and found.similarity.nearest == (0.0,)


# -- the command


def test_run_says_where_its_page_is_and_is_no_worse_for_one_that_fails(tmp_path, capsys):
    command = ["run", "--trainer", "none", "-n", "40", "--out", str(tmp_path / "run")]
    assert main(command) == 0
    assert f"report    {tmp_path / 'run' / 'report.html'}\n" in capsys.readouterr().out
    (tmp_path / "run" / "report.html").write_text("somebody's own")
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert "report    " not in out and "is no report" in err
    assert (tmp_path / "run" / "report.html").read_text() == "somebody's own"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("summary.json", b'{"generation": null}'),
        ("summary.json", b'{"status": "done", "training": {"steps": 1, "seconds": "long"}}'),
        ("summary.json", b'{"evaluation": {"after": {"exact_match": {}, "samples": [1]}}}'),
        ("summary.json", b"\xff"),
        ("run.toml", b"generation = 3"),
        ("run.toml", b"\xff"),
        ("samples.jsonl", b'{"step": "x", "row": [1], "prompt": "p"}\n'),
    ],
)
def test_a_damaged_file_of_a_run_is_named_and_no_page_written(run, tmp_path, capsys, name, content):
    damaged = shutil.copytree(run, tmp_path / "damaged")
    (damaged / "report.html").unlink()
    (damaged / name).write_bytes(content)
    assert main(["report", str(damaged)]) == 2
    assert name in capsys.readouterr().err and not (damaged / "report.html").exists()


def test_steps_that_cannot_be_drawn_are_left_out(run, tmp_path):
    wild = shutil.copytree(run, tmp_path / "wild")
    with (wild / "metrics.jsonl").open("a") as log:
        log.write('{"step": 61, "loss": NaN, "epoch": 1e999}\n{"step": 62, "loss": 1, "epoch": []}\n{"step": 63')
    assert main(["report", str(wild)]) == 0
    assert "Loss of each step" in (wild / "report.html").read_text()


def test_nothing_but_an_older_report_is_written_over(run, tmp_path, capsys):
    page = tmp_path / "page.html"
    page.write_text("<!DOCTYPE html><title>mine</title>")
    assert main(["report", str(run), "--out", str(page)]) == 2
    assert page.read_text().endswith("mine</title>")
    page.unlink()
    assert main(["report", str(run), "--out", str(page)]) == main(["report", str(run), "--out", str(page)]) == 0
    assert main(["report", str(run), "--out", str(page), "--figures", str(tmp_path)]) == 2
    assert "not empty" in capsys.readouterr().err


def test_the_page_of_a_dataset_needs_a_name_and_rows(tmp_path, capsys):
    data = write(tmp_path / "rows.json", [])
    assert main(["report", str(data)]) == 2
    assert main(["report", str(data), "--out", str(tmp_path / "page.html")]) == 2
    assert main(["report", str(tmp_path / "none.json"), "--out", str(tmp_path / "page.html")]) == 2
    assert "--out FILE" in capsys.readouterr().err and not (tmp_path / "page.html").exists()


def test_each_figure_is_a_file_of_its_own(run, tmp_path, capsys):
    assert (
        main(["report", str(run), "--out", str(tmp_path / "p.html"), "--figures", str(tmp_path / "f"), "--json"]) == 0
    )
    told = json.loads(capsys.readouterr().out)
    assert told["page"] == str(tmp_path / "p.html") and told["bytes"] == (tmp_path / "p.html").stat().st_size
    names = {Path(file).name for file in told["figures"]}
    assert {"sunburst.svg", "loss.svg", "scores.svg", "families.svg", "similarity.svg", "rejected.svg"} <= names
    for name in names:
        data = (tmp_path / "f" / name).read_bytes()
        if name.endswith(".svg"):
            assert ElementTree.fromstring(data).tag == "{http://www.w3.org/2000/svg}svg"
    if importlib.util.find_spec("resvg_py"):
        assert (tmp_path / "f" / "loss.png").read_bytes().startswith(b"\x89PNG")
        assert {name.removesuffix(".png") for name in names if name.endswith(".png")} == {
            name.removesuffix(".svg") for name in names if name.endswith(".svg")
        }


# -- nothing that a teacher wrote does anything

ANY = st.text(st.characters() | st.sampled_from("<>&\"'\u202e\u2066\x00\n \U000e0041\ud800"), max_size=600)


@given(ANY)
def test_a_text_adds_no_tags_and_no_controls(text):
    for html in (texts.block(text), texts.inline(text)):
        page = Page(html)
        assert set(page.tags) <= {"div", "p", "details", "summary", "span", "bdi", "i"}
        assert {name for _, name, _ in page.attributes} <= {"class", "dir"}
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", html)


@given(st.text(st.characters(categories=("L", "N", "P", "S", "Zs")) | st.sampled_from("\n\t"), max_size=300))
def test_a_short_text_is_shown_as_it_is(text):
    if text.strip() and text.count("\n") < texts.LINES:
        assert Page(texts.block(text)).text == text


@given(st.sampled_from(["<", "&", "\x00", "\u202e", "漢", "a", "\n", "😀", '"']), st.integers(1, 40))
def test_no_text_is_longer_than_its_room(char, every):
    html = texts.block((char * every + "a ") * (30_000 // every))
    assert len(html.encode()) < 1.5 * texts.MOST
    assert re.search(r"cut here; [\d,]+ more characters", html)
    assert "cut here" in texts.block("\x00" * 300)


@pytest.mark.parametrize("char", ["<", "\u202e", "漢", "a", "\n"])
def test_the_worst_texts_leave_a_page_under_500_kb(char, tmp_path):
    """More rows, rejected candidates, answers and names than are shown, all of them long. Figures of rows and of a
    training, which are not here, take 100 KB at most."""
    long = char * 5_000 + "."
    row = dict.fromkeys(("instruction", "input", "output", "expected", "answer", "reason"), long)
    families = {f"{n}{long}": {"n": 5, "exact_match": 0.5} for n in range(60)}
    scored = {"n": 9, "exact_match": 0.5, "rouge_l": 0.5, "by_family": families, "samples": [row] * 5}
    summary = {"status": long, "teacher": long, "notice": long, "evaluation": {"before": scored, "after": scored}}
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    write(tmp_path / "alpaca_data.json", [(long, long, long)] * 20)
    for name, lines in (
        ("rejected.jsonl", [row | {"filter": f"{n}{long}"} for n in range(12) for _ in range(2)]),
        ("samples.jsonl", [row | {"row": n % 9, "step": n, "prompt": long, "reference": long} for n in range(81)]),
    ):
        (tmp_path / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert len(make_report(tmp_path).html.encode("utf-8", "backslashreplace")) < 400_000


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=8), ANY)
def test_a_figure_is_whole_whatever_it_shows(values, text):
    most = max(values)
    drawn = [
        bars(text, [Bar(text, value, text) for value in values]),
        histogram(text, [int(value) for value in values], [text] * (len(values) + 1), line=(0.7, text)),
        curve(text, [(x, v, most) for x, v in enumerate(values)], list(enumerate(values)), dividers=[(1, text)]),
        dots(text, [text, "b", "c", "d"], [Dots(text, [value / (most or 1)] * 4) for value in values]),
    ]
    for svg in drawn:
        for node in ElementTree.fromstring(svg).iter():
            numbers = re.split("[ ,]", " ".join(node.get(name, "0") for name in ("x", "y", "height", "cx", "points")))
            assert all(isfinite(float(number.rstrip("%"))) for number in numbers)


@given(st.floats(1e-6, 1e9), st.integers(1, 8), st.booleans())
def test_ticks_begin_at_zero_and_reach_over_the_highest_value(high, most, whole):
    found = ticks(high, most, whole=whole)
    assert found[0] == 0 and found[-1] >= high * 0.999999 and len(found) <= 2 * most + 2
    assert not whole or all(mark == int(mark) for mark in found)


def test_a_smoothed_curve_begins_and_ends_with_the_losses_and_follows_a_slope():
    losses = [9.0, 5.0, 6.0, 4.0] * 200
    means = smoothed(losses)
    assert (means[0], means[-1]) == (9.0, 4.0) and len(means) == len(losses)
    assert all(means[place] == pytest.approx(6, abs=0.3) for place in range(20, 780))
    slope = [float(step) for step in range(900, 0, -1)]
    assert smoothed(slope) == pytest.approx(slope)  # it does not lag


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_texts_stand_out_from_their_ground(theme):
    """WCAG 2.1, 1.4.3: a contrast of 4.5 for text; 1.4.11: of 3 for what figures show."""
    style = (Path(texts.__file__).parent / "page.css").read_text()
    values = [dict(re.findall(r"--(\w+): (#\w{6})", part)) for part in re.findall(r":root \{(.*?)\}", style, re.DOTALL)]

    def light(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    for ground, (name, least) in product(
        ("paper", "card"), {"ink": 7, "muted": 4.5, "accent": 4.5, "good": 4.5, "bad": 4.5, "other": 3}.items()
    ):
        low, high = sorted(light(values[theme][of]) for of in (ground, name))
        assert (high + 0.05) / (low + 0.05) >= least, (ground, name)


# -- in a browser


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    with browser() as driver:
        yield driver


def look(driver: Any, page: Path, size: tuple[int, int] = (1280, 900), **media: str) -> None:
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": media.pop("theme", "light")}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media.get("media", ""), "features": features})
    console(driver), requests(driver)
    driver.get(page.as_uri())


def quiet(driver: Any, page: Path) -> bool:
    return console(driver) == [] and requests(driver) == [page.as_uri()]


def seen(driver: Any, selector: str) -> list[Any]:
    """What is displayed of the elements that ``selector`` finds, asked for in one go."""
    return driver.execute_script(
        "return [...document.querySelectorAll(arguments[0])].filter((one) => one.getClientRects().length)", selector
    )


@needs_browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_asks_for_nothing_and_follows_the_theme(driver, run, theme):
    look(driver, run / "report.html", theme=theme)
    assert quiet(driver, run / "report.html")
    ground = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground))) > 384) == (theme == "light")
    assert len(seen(driver, "svg.sunburst .wedge")) > 5
    for figure in seen(driver, "figure svg"):
        assert figure.get_attribute("aria-label") and figure.size["width"] > 200


@needs_browser
def test_a_verb_can_be_chosen_by_mouse_and_by_key(driver, run):
    from selenium.webdriver.common.keys import Keys

    look(driver, run / "report.html")
    verb = seen(driver, '.wedge[data-object=""]')[0]
    name, rows = verb.get_attribute("data-verb"), int(verb.get_attribute("data-count"))
    verb.click()
    parts = seen(driver, ".near [data-object]")
    assert parts and sum(int(part.get_attribute("data-count")) for part in parts) == rows
    assert name in seen(driver, ".said")[0].text and not seen(driver, ".wedge")
    seen(driver, ".back")[0].click()
    assert seen(driver, ".wedge") and not seen(driver, ".near") and not seen(driver, ".back")
    driver.switch_to.active_element.send_keys(Keys.ENTER)  # the focus is back on the verb
    assert seen(driver, ".near")
    driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert seen(driver, ".wedge") and driver.switch_to.active_element.get_attribute("data-verb") == name


@needs_browser
def test_the_page_fits_a_phone(driver, run, hostile):
    for page in (run / "report.html", hostile):
        look(driver, page, PHONE)
        driver.execute_script("document.querySelectorAll('details').forEach((one) => one.open = true)")
        assert driver.execute_script("return document.documentElement.scrollWidth") == PHONE[0]
        assert quiet(driver, page)
        if page != hostile:
            seen(driver, '.wedge[data-object=""]')[0].click()
            assert seen(driver, ".near [data-object]")


@needs_browser
def test_hostile_rows_are_text(driver, hostile):
    assert hostile.stat().st_size < 150_000
    look(driver, hostile)
    assert quiet(driver, hostile)
    assert driver.title == "rows.json – alpacakit report"
    count = "return document.querySelectorAll(arguments[0]).length"
    assert (
        driver.execute_script(count, "script") == 1 and driver.execute_script(count, "img, base, iframe, object") == 0
    )
    shown = driver.execute_script("return document.body.textContent")
    for text in ("<script>document.title = 'taken'</script>", "</style></script><img src=x", "اكتب قصة قصيرة عن قطة"):
        assert text in shown
    assert "U+202E" in shown and "U+0000" in shown and not re.search("[\x00-\x08\u202a-\u202e\u2066-\u2069]", shown)
    directions = "return getComputedStyle(document.querySelector(arguments[0])).unicodeBidi"
    assert driver.execute_script(directions, ".text") == "plaintext"
    assert driver.execute_script(directions, "bdi") == "isolate"


@needs_browser
def test_without_scripts_and_in_print_it_is_a_whole_page(driver, run):
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        look(driver, run / "report.html", media="print", theme="dark")
    finally:
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert len(seen(driver, ".wedge")) > 5 and not seen(driver, ".hint, .back, nav")
    ground = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert ground == "rgb(255, 255, 255)"  # paper is white, whatever the screen's theme
