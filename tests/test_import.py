"""``alpacakit import``: every published form comes in, what cannot is told, and what was exported comes back."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from alpaca_core.cli.main import main
from alpaca_core.sharing.exporting import FORMATS, export_file
from alpaca_core.sharing.importing import import_rows

ROW = {"instruction": "Name the colour of the sea.", "input": "at noon", "output": "Blue."}
rows = st.lists(
    st.fixed_dictionaries({name: st.text() for name in ("instruction", "input", "output", "id")}), max_size=4
)


@given(rows, st.sampled_from(sorted(FORMATS)))
@example([{"instruction": "a\n\nb", "input": "b", "output": "", "id": ""}], "messages")
@example([{"instruction": "", "input": "\n\n", "output": "\r\x00\u2028", "id": "\ufeff"}], "csv")
@example([{"instruction": "N/A", "input": "N/A", "output": "<noinput>", "id": "1"}], "sharegpt")
def test_what_is_exported_comes_back(rows, form):
    with tempfile.TemporaryDirectory() as folder:
        source, back = Path(folder) / "source.json", Path(folder) / "back.json"
        source.write_text(json.dumps(rows))
        for suffix in FORMATS[form].suffixes:
            there = Path(folder) / f"there{suffix}"
            assert export_file(source, there, form) == len(rows)
            assert import_rows(there, back).taken == len(rows)
            assert json.loads(back.read_text()) == rows


def written(folder: Path, rows: object, name: str = "theirs.json") -> Path:
    file = folder / name
    file.write_text(json.dumps(rows))
    return file


def imported(folder: Path, rows: object, *flags: str) -> list[dict]:
    out = folder / "ours.json"
    assert main(["import", str(written(folder, rows)), "--out", str(out), *flags]) == 0
    return json.loads(out.read_text())


PUBLISHED = {
    "alpaca without an input": {"instruction": "Say hello.", "output": "Hello."},
    "alpaca, null": {"instruction": "Say hello.", "input": None, "output": "Hello."},
    "sharegpt": {"conversations": [{"from": "human", "value": "Say hello."}, {"from": "gpt", "value": "Hello."}]},
    "sharegpt, other names": {
        "conversations": [{"from": "user", "value": "Say hello."}, {"from": "chatgpt", "value": "Hello."}]
    },
    "messages": {"messages": [{"role": "user", "content": "Say hello."}, {"role": "assistant", "content": "Hello."}]},
    "prompt and completion": {"prompt": "Say hello.", "completion": "Hello."},
    "prompt and completion as messages": {
        "prompt": [{"role": "user", "content": "Say hello.", "input": ""}],
        "completion": [{"role": "assistant", "content": "Hello."}],
    },
}


@pytest.mark.parametrize("row", PUBLISHED.values(), ids=PUBLISHED)
def test_each_published_form_is_known_by_its_looks(tmp_path, row):
    assert imported(tmp_path, [row]) == [{"instruction": "Say hello.", "input": "", "output": "Hello."}]


def test_other_keys_stay(tmp_path):
    row = {"id": "abc", **PUBLISHED["sharegpt"], "score": 3}
    assert imported(tmp_path, [row])[0] == {
        "instruction": "Say hello.", "input": "", "output": "Hello.", "id": "abc", "score": 3
    }  # fmt: skip


def turns(*roles: str) -> dict:
    return {"messages": [{"role": role, "content": f"{role} {place}"} for place, role in enumerate(roles)]}


WRONG = {
    "several turns": turns("user", "assistant", "user", "assistant"),
    "a system message, for which a row has no place": turns("system", "user", "assistant"),
    "does not begin with the user's turn": turns("assistant", "user", "assistant"),
    "the user's first turn is not answered": turns("user"),
    "a turn of neither user, assistant nor system": turns("user", "tool"),
    "a conversation without turns": turns(),
    "no known form": {"question": "?", "answer": "!"},
    "output: missing": {"instruction": "Say hello.", "output": None},
    "instruction: expected text, found list": {
        "messages": [{"role": "user", "content": []}, {"role": "assistant", "content": "Hello."}]
    },
    "its key 'input' is not what the user's turn ends in": {**turns("user", "assistant"), "input": "elsewhere"},
}


@pytest.mark.parametrize(("reason", "row"), WRONG.items(), ids=WRONG)
def test_a_row_that_cannot_be_taken_ends_it_and_nothing_is_written(tmp_path, capsys, reason, row):
    source = written(tmp_path, [ROW, row])
    assert main(["import", str(source), "--out", str(tmp_path / "ours.json")]) == 2
    said = capsys.readouterr().err
    assert f"1 {reason}; the first is row 2" in said and "--rejected" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["theirs.json"]


def test_rejected_takes_them_with_their_reasons_and_nothing_is_lost(tmp_path, capsys):
    source, left = written(tmp_path, [ROW, *WRONG.values(), ROW]), tmp_path / "left.jsonl"
    out = tmp_path / "ours.json"
    assert main(["import", str(source), "--out", str(out), "--rejected", str(left), "--json"]) == 0
    assert json.loads(out.read_text()) == [ROW, ROW]
    told = json.loads(capsys.readouterr().out)
    assert (told["rows"], told["taken"], told["not_taken"]) == (12, 2, dict.fromkeys(WRONG, 1))
    lines = [json.loads(line) for line in left.read_text().splitlines()]
    assert [line.pop("reason").partition(":")[0] for line in lines] == [reason.partition(":")[0] for reason in WRONG]
    assert [line.pop("place") for line in lines] == [f"row {n}" for n in range(2, 12)]
    assert lines == list(WRONG.values())


def test_the_first_turn_and_no_system_message_when_asked(tmp_path):
    row = turns("system", "user", "assistant", "user", "assistant")
    (taken,) = imported(tmp_path, [row], "--first-turn", "--drop-system")
    assert taken == {"instruction": "user 1", "input": "", "output": "assistant 2"}


def test_ways_to_say_no_input_stay_unless_asked(tmp_path):
    rows = [{**ROW, "input": said} for said in ("<noinput>", "N/A", "No input", "Sin entrada", "none of them")]
    assert imported(tmp_path, rows) == rows
    (tmp_path / "ours.json").unlink()
    assert [row["input"] for row in imported(tmp_path, rows, "--empty-inputs")] == ["", "", "", "", "none of them"]


def test_nothing_is_overwritten(tmp_path, capsys):
    source, out = written(tmp_path, [ROW]), tmp_path / "ours.json"
    out.write_text("mine")
    assert main(["import", str(source), "--out", str(out)]) == 2
    assert out.read_text() == "mine" and "exists already" in capsys.readouterr().err


def test_a_damaged_file_is_refused_with_the_line(tmp_path, capsys):
    source = tmp_path / "theirs.jsonl"
    source.write_text(json.dumps(ROW) + "\n{\n")
    assert main(["import", str(source), "--out", str(tmp_path / "ours.json")]) == 2
    assert "1 cannot be read; the first is line 2" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "content"), [("a.json", "[]"), ("a.jsonl", ""), ("a.csv", "instruction,output\n")])
def test_a_file_without_rows_is_refused(tmp_path, capsys, name, content):
    (tmp_path / name).write_text(content)
    out, left = tmp_path / "ours.json", tmp_path / "left.jsonl"
    assert main(["import", str(tmp_path / name), "--out", str(out), "--rejected", str(left)]) == 2
    assert "holds no rows" in capsys.readouterr().err and not out.exists() and not left.exists()


def test_a_saved_dataset_and_the_splits_of_a_folder_come_in(tmp_path):
    from datasets import Dataset

    Dataset.from_list([PUBLISHED["messages"]]).save_to_disk(tmp_path / "saved")
    Dataset.from_list([ROW]).to_parquet(tmp_path / "folder" / "data" / "test-00000-of-00001.parquet")
    for place, taken in (("saved", {"instruction": "Say hello.", "input": "", "output": "Hello."}), ("folder", ROW)):
        out = tmp_path / f"{place}.json"
        assert main(["import", str(tmp_path / place), "--out", str(out)]) == 0
        assert json.loads(out.read_text()) == [taken]
