"""Marks that people make on rows: their file, and what they do to the data of a run, of a file, and to a training."""

import json
import resource
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alpaca_core.cli.main import main
from alpaca_core.dataset import read_rows, write_records
from alpaca_core.errors import ConfigError
from alpaca_core.marks import Mark, about, add_mark, key, read_marks, start_over
from alpaca_core.overlay import Row, lay_over, marks_file, training_rows
from alpaca_core.records import Example
from alpaca_core.tracing import trace

ROW = key("Say one.", "", "1")


# The file


def test_the_key_of_a_row_is_that_of_its_texts():
    import hashlib

    row = ["Say é.", "", "1"]
    assert key(*row) == hashlib.sha256(b'["Say \\u00e9.", "", "1"]').hexdigest()[:16]
    assert len({key("a", "b", "c"), key("ab", "", "c"), key("a", "", "bc"), key("a", "\0b", "c")}) == 4


@settings(max_examples=25)
@given(st.text(), st.text(), st.text(min_size=1))
def test_a_mark_is_read_as_it_was_written(tmp_path_factory, output, note, about):
    file = tmp_path_factory.mktemp("marks") / "edits.jsonl"
    mark = Mark("edit", ROW, "000001.02", output=output, note=note, about=about, when="2026-05-01T09:30:00Z")
    add_mark(file, mark)
    assert read_marks(file) == {ROW: mark}
    assert file.read_bytes().count(b"\n") == 1


def test_the_last_mark_on_a_row_counts_and_clear_takes_them_back(tmp_path):
    file, other = tmp_path / "edits.jsonl", key("a", "b", "c")
    assert read_marks(file) == {}
    for mark in (Mark("drop", ROW), Mark("drop", other), Mark("keep", ROW)):
        add_mark(file, mark)
    assert [(mark.row, mark.action) for mark in read_marks(file).values()] == [(other, "drop"), (ROW, "keep")]
    add_mark(file, Mark("clear", ROW))
    assert [*read_marks(file)] == [other]
    assert len(file.read_text().splitlines()) == 4


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("<<<<<<< HEAD", "line 2: not JSON"),
        ('{"action": "drop", "row"', "line 2: not JSON"),
        ("[1]", "line 2: expected a JSON object, found list"),
        (f'{{"row": "{ROW}"}}', "line 2: action: expected one of keep, drop, edit, clear, found nothing"),
        (f'{{"action": "delete", "row": "{ROW}"}}', 'line 2: action: .* found "delete"'),
        ('{"action": "drop", "row": "12"}', 'line 2: row: expected 16 hexadecimal digits, found "12"'),
        ('{"action": "drop"}', "line 2: row: .* found nothing"),
        (f'{{"action": "edit", "row": "{ROW}"}}', "line 2: edit: expected a new text for one of instruction, input"),
        (f'{{"action": "edit", "row": "{ROW}", "output": 5}}', "line 2: output: expected text, found int"),
        (f'{{"action": "edit", "row": "{ROW}", "output": "\\ud83d"}}', "line 2: output: half of a surrogate pair"),
        (f'{{"action": "drop", "row": "{ROW}", "output": "x"}}', "line 2: output: only an edit has new texts"),
        (f'{{"action": "edit", "row": "{ROW}", "outptu": "x"}}', "line 2: outptu: no such field"),
    ],
)
def test_a_damaged_line_is_refused_with_its_place_and_field(tmp_path, line, says):
    file = tmp_path / "edits.jsonl"
    file.write_text(f'{{"action": "drop", "row": "{ROW}"}}\n{line}\n')
    with pytest.raises(ConfigError, match=says) as error:
        read_marks(file)
    assert str(file) in error.value.message


def test_a_last_line_that_an_editor_left_open_is_ended_first(tmp_path):
    file = tmp_path / "edits.jsonl"
    file.write_text(f'{{"action": "drop", "row": "{ROW}"}}')
    add_mark(file, Mark("keep", key("a", "b", "c")))
    assert len(read_marks(file)) == 2


def test_a_mark_that_the_disk_has_no_room_for_leaves_the_file_as_it_was(tmp_path):
    file = tmp_path / "edits.jsonl"
    add_mark(file, Mark("drop", ROW))
    before = file.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, limits[1]))
    try:
        with pytest.raises(OSError):
            add_mark(file, Mark("keep", ROW, note="x" * 100))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert file.read_bytes() == before


def test_no_mark_is_lost_that_is_made_while_the_run_starts_over(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    keys = [key(str(n), "", "") for n in range(80)]

    def mark(name: str) -> None:
        while True:
            try:
                return add_mark(folder / "edits.jsonl", Mark("drop", name))
            except FileNotFoundError:  # the folder is being moved
                pass

    with ThreadPoolExecutor(4) as threads:
        made = [threads.submit(mark, name) for name in keys]
        while sum(of.done() for of in made) < 20:
            pass
        start_over(folder, tmp_path / "run.1")
        for of in made:
            of.result()
    assert read_marks(folder / "edits.jsonl").keys() == {*keys}
    assert len(read_marks(tmp_path / "run.1" / "edits.jsonl")) >= 20
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["run", "run.1"]


# Laid over rows


def row(text: str, *, kept: bool = True, id: str = "") -> Row:
    return Row(Example(text, "", "out", id=id or text), kept, "" if kept else "rouge", "" if kept else "like a")


def marks(**actions: str) -> dict[str, Mark]:
    named = {key(text, "", "out"): action for text, action in actions.items()}
    return {name: Mark(action, name, output="new" if action == "edit" else None) for name, action in named.items()}


def test_each_mark_changes_its_own_row_and_no_other():
    rows = [row("a"), row("b"), row("c", kept=False), row("d", kept=False), row("e")]
    laid = lay_over(rows, marks(a="drop", b="edit", c="keep"))
    assert laid.rows[0] == Row(rows[0].example, False, "edits", "dropped by hand")
    assert laid.rows[1].example == Example("b", "", "new", id="b") and laid.rows[1].kept
    assert laid.rows[2] == Row(rows[2].example)
    assert laid.rows[3:] == rows[3:]
    assert (laid.dropped, laid.taken_in, [*laid.edited]) == (["a"], ["c"], ["b"])
    assert laid.counts == {"edits": 1, "rouge": 1}


def test_marks_apply_to_all_kept_rows_with_these_texts_and_take_in_one_rejected_at_most():
    twice = [row("a", id="1"), row("a", id="2"), row("a", id="3", kept=False)]
    assert lay_over(twice, marks(a="drop")).dropped == ["1", "2"]
    assert [of.kept for of in lay_over(twice, marks(a="edit")).rows] == [True, True, False]
    assert lay_over(twice, marks(a="keep")).rows == twice
    rejected = [row("a", id="1", kept=False), row("a", id="2", kept=False)]
    for action in ("keep", "edit"):
        assert lay_over(rejected, marks(a=action)).taken_in == ["1"]


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans())),
    st.dictionaries(st.sampled_from("abcdefg"), st.sampled_from(["keep", "drop", "edit"])),
)
def test_no_row_is_lost_and_rows_without_a_mark_stay_as_they_are(texts, actions):
    rows = [row(text, kept=kept, id=str(n)) for n, (text, kept) in enumerate(texts)]
    laid = lay_over(rows, marks(**actions))
    assert [of.example.id for of in laid.rows] == [of.example.id for of in rows]
    assert len(laid.kept) + sum(laid.counts.values()) == len(rows)
    for before, after in zip(rows, laid.rows, strict=True):
        action = actions.get(before.example.instruction)
        assert action or after == before
        assert not (action == "drop" and after.kept)
    for text in {text for text, _ in texts} & {text for text, action in actions.items() if action != "drop"}:
        assert any(of.kept for of in laid.rows if of.example.instruction == text)
    assert {mark.row for mark in laid.missing} == {*marks(**actions)} - {*marks(**{text: "drop" for text, _ in texts})}


def test_a_mark_without_a_row_is_told_and_one_without_effect_counted():
    laid = lay_over([row("a"), row("b", kept=False)], marks(a="keep", b="drop", gone="drop"))
    assert laid.rows == [row("a"), row("b", kept=False)]
    assert laid.summary() == {"marks": 3, "dropped": 0, "taken_in": 0, "edited": 0, "idle": 2, "missing": 1}
    said = laid.told(Path("edits.jsonl"))
    assert said[0] == "2 marks of edits.jsonl applied: 2 without effect." and "1 mark has no row here" in said[1]


# In a run


def practice(out: Path, *more: str) -> int:
    """A run of 60 rows that rejects some ten more."""
    strict = ("--filter", "rouge", "--set", "filter.rouge.threshold=0.5")
    return main(["run", "--trainer", "none", "-n", "60", *strict, "--out", str(out), *more])


def rows_in(out: Path, name: str = "alpaca_data.json") -> list[dict]:
    return json.loads((out / name).read_text())


def rejected_in(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "rejected.jsonl").read_text().splitlines()]


def put(file: Path, action: str, of: dict, **more: str) -> None:
    texts = (of["instruction"], of["input"], of["output"])
    add_mark(file, Mark(action, key(*texts), id=of.get("id", ""), about=about(of["instruction"]), **more))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "run"
    assert practice(out) == 0
    return out


@pytest.fixture
def run(made, tmp_path):
    return Path(shutil.copytree(made, tmp_path / "run"))


@pytest.fixture
def marked(run):
    """A run in which a row is dropped, one edited, one held out edited and a rejected one kept; not run again yet."""
    data, heldout, rejected = rows_in(run), rows_in(run, "heldout.json"), rejected_in(run)
    put(run / "edits.jsonl", "drop", data[3], note="not true")
    put(run / "edits.jsonl", "edit", data[5], output="by hand", note="it was wrong")
    put(run / "edits.jsonl", "edit", heldout[0], output="right")
    put(run / "edits.jsonl", "keep", rejected[1])
    return run, data, heldout, rejected


def test_the_run_applies_them_when_it_is_given_again_and_the_account_adds_up(marked, capsys):
    out, data, heldout, rejected = marked
    before = json.loads((out / "summary.json").read_text())["generation"]
    assert practice(out) == 0
    assert f"4 marks of {out / 'edits.jsonl'} applied: 1 dropped, 2 edited, 1 taken in." in capsys.readouterr().err
    texts = {name: rejected[1][name] for name in ("instruction", "input", "output")}
    expected = [*data[:3], data[4], {**data[5], "output": "by hand"}, *data[6:]]
    after = rows_in(out)
    assert texts in after and [of for of in after if of != texts] == expected
    assert rows_in(out, "heldout.json") == [{**heldout[0], "output": "right"}, *heldout[1:]]
    by_hand = [of for of in rejected_in(out) if of["filter"] == "edits"]
    assert [{name: of[name] for name in data[3]} for of in by_hand] == [data[3]]
    assert by_hand[0]["reason"] == "dropped by hand: not true"
    assert rejected[1] not in rejected_in(out) and len(rejected_in(out)) == len(rejected)
    made = json.loads((out / "summary.json").read_text())["generation"]
    assert made["edits"] == {"marks": 4, "dropped": 1, "taken_in": 1, "edited": 2, "idle": 0, "missing": 0}
    assert made["candidates"] == before["candidates"] == made["kept"] + sum(made["rejected"].values())
    assert made["kept"] == len(after) + len(heldout) and made["rejected"]["edits"] == 1
    assert made["rejected"]["rouge"] == before["rejected"]["rouge"] - 1
    for place in (0, 3, len(after) - 1):  # what `trace` says of rows is true of the file
        found = trace(out, str(place))
        assert {name: found[name] for name in after[place]} == after[place]
    assert trace(out, by_hand[0]["id"])["verdicts"][-1] == "edits: dropped by hand"
    (out / "edits.jsonl").unlink()
    assert practice(out) == 0
    assert (rows_in(out), rows_in(out, "heldout.json"), rejected_in(out)) == (data, heldout, rejected)


def test_they_survive_starting_over_and_filters_that_judge_again(marked, capsys):
    out, data, _, _ = marked
    lines = (out / "edits.jsonl").read_bytes()
    assert practice(out, "--fresh") == 0
    assert (out / "edits.jsonl").read_bytes() == (out.with_name("run.1") / "edits.jsonl").read_bytes() == lines
    edited = {**data[5], "output": "by hand"}
    assert edited in rows_in(out) and data[3] not in rows_in(out)
    assert practice(out, "--set", "filter.rouge.threshold=0.9") == 0
    assert edited in rows_in(out) and data[3] not in rows_in(out)


def test_a_run_does_not_start_over_from_within_its_folder_and_says_what_to_type(run, monkeypatch, capsys):
    monkeypatch.chdir(run)
    before = rows_in(run)
    assert practice(Path("."), "--fresh") == 2
    assert f"--out {run}" in capsys.readouterr().err
    assert rows_in(run) == before and not run.with_name("run.1").exists()
    assert practice(run, "--fresh") == 0
    assert rows_in(run) == rows_in(run.with_name("run.1")) == before


def test_they_move_to_another_folder_and_those_without_a_row_stay(marked, tmp_path, capsys):
    out, data, _, _ = marked
    put(out / "edits.jsonl", "drop", {"instruction": "Nobody wrote this.", "input": "", "output": "", "id": "9.9"})
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(out / "edits.jsonl", other)
    assert practice(other) == 0
    assert (
        "1 mark has no row here, and stay for one that has:\n  drop 9.9 Nobody wrote this." in capsys.readouterr().err
    )
    assert {**data[5], "output": "by hand"} in rows_in(other)
    assert (other / "edits.jsonl").read_bytes() == (out / "edits.jsonl").read_bytes()


def test_a_damaged_file_stops_the_run_before_anything_is_written(run, capsys):
    (run / "edits.jsonl").write_text('{"action": "drop"}\n')
    before = (run / "alpaca_data.json").stat().st_mtime_ns
    assert practice(run) == 2
    assert "edits.jsonl cannot be used:\n  line 1: row: expected 16 hexa" in capsys.readouterr().err
    assert (run / "alpaca_data.json").stat().st_mtime_ns == before


# In a training


def test_a_training_in_a_run_folder_takes_what_running_it_again_would_write(marked):
    out, *_ = marked
    curated = training_rows(out)
    assert curated.changed and curated == training_rows(out / "alpaca_data.json")
    assert practice(out) == 0
    assert [(of.instruction, of.input, of.output) for of in curated.rows] == [tuple(of.values()) for of in rows_in(out)]
    again = training_rows(out)
    assert again.rows == curated.rows and not again.changed and again.told


def test_a_held_out_row_that_was_dropped_and_is_taken_back_is_still_not_trained_on(marked):
    out, _, heldout, _ = marked
    put(out / "edits.jsonl", "drop", heldout[1])
    assert practice(out) == 0
    assert heldout[1] not in rows_in(out, "heldout.json")
    put(out / "edits.jsonl", "clear", heldout[1])
    assert heldout[1]["id"] not in [row.id for row in training_rows(out).rows]
    assert not training_rows(out).changed


def test_a_training_on_a_file_applies_the_marks_beside_it(tmp_path, capsys):
    data = tmp_path / "data.json"
    write_records(data, [{"instruction": f"Say {n}.", "input": "", "output": str(n)} for n in range(4)])
    put(marks_file(data), "drop", {"instruction": "Say 1.", "input": "", "output": "1"})
    put(marks_file(data), "edit", {"instruction": "Say 2.", "input": "", "output": "2"}, output="two")
    assert (tmp_path / "data.json.edits.jsonl").exists()
    out = tmp_path / "out"
    command = ["train", str(data), "--student", "new:tiny", "--trainer", "local", "--out", str(out), "--dry-run"]
    assert main(command) == 0
    said = capsys.readouterr()
    assert f"2 marks of {data}.edits.jsonl applied: 1 dropped, 1 edited." in said.err
    writing, training = said.out.splitlines()[:2]
    assert str(out / "training_rows.json") in training
    subprocess.run(writing, shell=True, check=True, env={"PYTHONPATH": ":".join(sys.path)})
    assert [of.output for of in read_rows(out / "training_rows.json")] == ["0", "two", "3"]
    assert [of.id for of in training_rows(data).rows] == ["row_1", "row_3", "row_4"]


def test_a_file_of_marks_is_no_dataset(tmp_path):
    write_records(tmp_path / "data" / "train.jsonl", [{"instruction": "Say 1.", "input": "", "output": "1"}])
    put(marks_file(tmp_path / "data"), "drop", {"instruction": "Say 1.", "input": "", "output": "1"})
    assert (tmp_path / "data" / "train.jsonl.edits.jsonl").exists()
    assert len(read_rows(tmp_path / "data")) == 1 and training_rows(tmp_path / "data").rows == []
