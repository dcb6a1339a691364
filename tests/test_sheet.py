"""The blind comparison: made, marked in a real browser and in a table, read back, counted."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import pytest
from browsers import PHONE, browser, console, needs_browser, requests

from alpaca_core.cli.main import main
from alpaca_core.errors import ConfigError
from alpaca_core.versus.annotations import read_annotations
from alpaca_core.versus.leaderboard import read_leaderboard
from alpaca_core.versus.outputs import ModelOutput, paired, write_outputs
from alpaca_core.versus.sheet import read_key, read_marks, sheet_of, write_sheet

HOSTILE = "</script><script>document.title = 'won'</script><img src=x onerror=\"document.title='won'\"> &amp; \u202egnp"
BASE = [ModelOutput(f"Task {n}", f"base says {n}", "base model", "part") for n in range(6)]
MINE = [ModelOutput(f"Task {n}", f"mine says {n}", "my model", "part") for n in range(6)]


@pytest.fixture
def sheet():
    return sheet_of(paired(BASE, MINE), "base model", "my model", seed=1)


def marked(path: Path, sheet, choices, **more) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["sheet", "row", "choice", *more])
        writer.writeheader()
        writer.writerows({"sheet": sheet.id, "row": row, "choice": choice, **more} for row, choice in choices)
    return path


def model_side(sheet, row: int) -> str:
    return "B" if sheet.rows[row - 1].baseline_is_a else "A"


def test_order_and_sides_follow_from_the_seed_and_are_about_even():
    pairs = [(ModelOutput(str(n), "x"), ModelOutput(str(n), "y")) for n in range(400)]
    one, again, other = (sheet_of(pairs, "a", "b", seed=seed) for seed in (1, 1, 2))
    assert one == again and one.id == again.id != other.id
    assert 160 < sum(row.baseline_is_a for row in one.rows) < 240
    assert [row.index for row in one.rows] != sorted(row.index for row in one.rows)


def test_page_and_table_do_not_say_whose_answer_is_whose(tmp_path, sheet):
    page, table, key = write_sheet(tmp_path / "blind.html", sheet)
    for path in (page, table):
        text = path.read_text(encoding="utf-8")
        assert "base model" not in text and "my model" not in text and "baseline" not in text
        assert all(answer.output in text for answer in BASE + MINE)
    assert read_key(key) == sheet
    with pytest.raises(ConfigError, match="exists already"):
        write_sheet(tmp_path / "blind.html", sheet)


def test_marks_become_preferences_whichever_side_the_model_stood_on(tmp_path, sheet):
    choices = [(1, model_side(sheet, 1)), (2, "tie"), (3, {"A": "b", "B": "a"}[model_side(sheet, 3)]), (4, "")]
    found = read_marks(marked(tmp_path / "marks.csv", sheet, choices), sheet)
    by_index = {row.index: row.preference for row in found}
    assert by_index == {sheet.rows[0].index: 2.0, sheet.rows[1].index: 1.5, sheet.rows[2].index: 1.0}
    assert {(row.annotator, row.generator_1, row.generator_2) for row in found} == {("marks", "base model", "my model")}
    assert all(row.output_1.startswith("base") and row.output_2.startswith("mine") for row in found)


def test_the_table_is_read_back_as_spreadsheets_save_it(tmp_path, sheet):
    _, table, _ = write_sheet(tmp_path / "blind.html", sheet)
    with table.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row |= {"choice": " a ", "annotator": "Ada"}
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0], delimiter=";")
        writer.writeheader()
        writer.writerows(rows)
    found = read_marks(table, sheet)
    wins = sum(model_side(sheet, row) == "A" for row in range(1, 7))
    assert Counter(row.preference for row in found) == Counter({2.0: wins, 1.0: 6 - wins})
    assert {row.annotator for row in found} == {"Ada"}


def test_a_text_is_no_formula_in_a_spreadsheet(tmp_path):
    pairs = [(ModelOutput("-1 + 2 =", "=HYPERLINK(1)", "a"), ModelOutput("-1 + 2 =", "1", "b"))]
    _, table, _ = write_sheet(tmp_path / "blind.html", sheet_of(pairs, "a", "b"))
    with table.open(encoding="utf-8-sig", newline="") as file:
        [row] = csv.DictReader(file)
    assert {row["instruction"], row["answer_a"], row["answer_b"]} == {"'-1 + 2 =", "'=HYPERLINK(1)", "1"}


@pytest.mark.parametrize(
    ("choices", "told"),
    [
        ([(1, "A"), (1, "B")], "line 3: a second mark of marks on row 1"),
        ([(7, "A")], "line 2: row 7, and there are 6"),
        ([(1, "both")], "line 2: choice: expected A, B or tie, found 'both'"),
        ([(1, "")], "Nothing is marked"),
    ],
)
def test_marks_that_cannot_be_meant_are_refused(tmp_path, sheet, choices, told):
    with pytest.raises(ConfigError, match=told):
        read_marks(marked(tmp_path / "marks.csv", sheet, choices), sheet)


def test_a_file_of_marks_counts_once(tmp_path, sheet, capsys):
    _, _, key = write_sheet(tmp_path / "blind.html", sheet)
    marks = marked(tmp_path / "ann.csv", sheet, [(1, "A"), (2, "B")], annotator="Ann")
    again = tmp_path / "ann (1).csv"
    again.write_bytes(marks.read_bytes())
    other = marked(tmp_path / "bea.csv", sheet, [(1, "A"), (2, "B")], annotator="Bea")
    assert main(["winrate", str(marks), str(other), "--key", str(key)]) == 0
    for twice in (again, marks):
        assert main(["winrate", str(marks), str(other), str(twice), "--key", str(key)]) == 2
        assert "marks of Ann that" in capsys.readouterr().err


def test_a_key_that_is_nested_without_end_is_refused(tmp_path):
    (tmp_path / "key.json").write_text("[" * 100_000)
    with pytest.raises(ConfigError, match="is not the key of a sheet"):
        read_key(tmp_path / "key.json")


def test_marks_of_another_sheet_are_refused(tmp_path, sheet):
    other = sheet_of(paired(BASE, MINE), "base model", "my model", seed=2)
    with pytest.raises(ConfigError, match=f"of sheet {other.id}, and the key is of {sheet.id}"):
        read_marks(marked(tmp_path / "marks.csv", other, [(1, "A")]), sheet)


def test_a_key_whose_texts_were_changed_is_refused(tmp_path, sheet):
    key = write_sheet(tmp_path / "blind.html", sheet)[2]
    key.write_text(key.read_text().replace("mine says 3", "mine says 4"))
    with pytest.raises(ConfigError, match="not those of its sheet"):
        read_key(key)
    key.write_text('{"sheet": "x"}')
    with pytest.raises(ConfigError, match="it has no 'baseline'"):
        read_key(key)


def test_from_two_files_of_outputs_to_a_win_rate(tmp_path, capsys):
    """As people use it: two who mark, one who counts."""
    write_outputs(tmp_path / "base.json", BASE)
    write_outputs(tmp_path / "mine.json", MINE)
    page = tmp_path / "blind.html"
    assert main(["sheet", str(tmp_path / "base.json"), str(tmp_path / "mine.json"), "--out", str(page), "--json"]) == 0
    sheet = read_key(tmp_path / "blind.key.json")
    assert json.loads(capsys.readouterr().out)["sheet"] == sheet.id
    files = []
    for name in ("Ada", "Bo"):
        choices = [(row, model_side(sheet, row) if row < 5 or name == "Bo" else "tie") for row in range(1, 7)]
        files.append(str(marked(tmp_path / f"{name}.csv", sheet, choices)))
    more = ["--out", str(tmp_path / "annotations.json"), "--leaderboard", str(tmp_path / "board.csv")]
    assert main(["winrate", *files, "--key", str(tmp_path / "blind.key.json"), "--json", *more]) == 0
    found = json.loads(capsys.readouterr().out)
    rates = {standing["judge"]: standing["win_rate"] for standing in found}
    assert rates == pytest.approx({"Ada": 100 * 5 / 6, "Bo": 100, "all": 100 * 11 / 12})
    assert found[0]["length_controlled"]["form"] == "length_controlled_minimal"
    assert len(read_annotations(tmp_path / "annotations.json")) == 12
    assert read_leaderboard(tmp_path / "board.csv")[0].values["n_draws"] == 2
    assert main(["winrate", str(tmp_path / "annotations.json")]) == 0
    shown = capsys.readouterr().out
    assert "my model  base model  Ada    83.33 %" in shown and "A judge that sees lengths alone gives 50.0 %" in shown
    assert main(["winrate", *files, "--key", str(tmp_path / "blind.key.json"), *more]) == 2
    assert "exists already" in capsys.readouterr().err


# -- in a browser


@needs_browser
def test_people_mark_the_page_offline_and_their_marks_are_kept(tmp_path):
    mine = [ModelOutput("Task 0", HOSTILE, "my model"), *MINE[1:]]
    sheet = sheet_of(paired(BASE, mine), "base model", "my model", seed=1)
    page = write_sheet(tmp_path / "blind.html", sheet)[0]
    with browser(downloads=tmp_path) as driver:
        from selenium.webdriver.common.by import By
        from selenium.webdriver.common.keys import Keys
        from selenium.webdriver.support.ui import WebDriverWait

        def text(name: str) -> str:
            return driver.find_element(By.ID, name).text

        def press(*keys: str) -> None:
            driver.find_element(By.TAG_NAME, "body").send_keys(*keys)

        def until(happens) -> None:
            WebDriverWait(driver, 10).until(lambda _: happens())

        driver.get(page.as_uri())
        shown = []
        for _ in sheet.rows:  # every text as it is, hostile ones too
            shown.append(driver.execute_script("return [instruction, a, b].map(part => part.textContent)"))
            press(Keys.ARROW_RIGHT)
        assert shown == [[row.baseline.instruction, *row.answers] for row in sheet.rows]
        assert driver.title == "Which answer is better?" and not driver.find_elements(By.TAG_NAME, "img")

        press(*[Keys.ARROW_LEFT] * 6, "a", "b", "t", "x")
        assert (text("place"), text("done")) == ("4 of 6", "3 marked")
        driver.find_element(By.CSS_SELECTOR, "[data-choice=B]").click()
        driver.find_element(By.ID, "name").send_keys("Ada B")  # no marks, though it has an A and a B
        assert text("done") == "4 marked"

        driver.refresh()
        assert (text("place"), text("done")) == ("5 of 6", "4 marked")
        assert driver.find_element(By.ID, "name").get_property("value") == "Ada B"
        press(Keys.ARROW_LEFT, "u")
        assert text("done") == "3 marked"

        for kind in ("csv", "json"):
            driver.find_element(By.ID, kind).click()
            saved = tmp_path / f"marks-{sheet.id}-Ada-B.{kind}"
            until(saved.exists)
            found = {row.index: row.raw_completion for row in read_marks(saved, sheet)}
            assert found == {sheet.rows[0].index: "A", sheet.rows[1].index: "B", sheet.rows[2].index: "tie"}
            assert {row.annotator for row in read_marks(saved, sheet)} == {"Ada B"}

        driver.execute_script("localStorage.clear()")
        driver.refresh()
        assert text("done") == "0 marked"
        driver.find_element(By.ID, "file").send_keys(str(tmp_path / f"marks-{sheet.id}-Ada-B.csv"))
        until(lambda: text("done") == "3 marked")

        driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": PHONE[0], "height": PHONE[1], "deviceScaleFactor": 1, "mobile": True},
        )
        assert driver.execute_script("return document.documentElement.scrollWidth") <= PHONE[0]
        assert console(driver) == []
        assert {url.partition("?")[0] for url in requests(driver)} == {page.as_uri()}
