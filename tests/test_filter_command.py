"""``alpacakit filter`` as people and scripts call it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

RECORDS = [
    {"instruction": "Name the five largest lakes of the world.", "input": "", "output": "Caspian Sea", "source": "a"},
    {"instruction": "Sing a song about winter.", "input": "", "output": "La la."},
    {"instruction": "Name the six largest lakes of the world.", "input": "", "output": "Baikal"},
    {"instruction": "Draw a map of all the rivers.", "input": "", "output": "Here it is."},
    {"instruction": "Sing", "input": "loudly", "output": ""},
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data.json").write_text(json.dumps(RECORDS))
    return tmp_path / "data.json"


def alpacakit(data: Path, *args: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ALPACAKIT_")}
    return subprocess.run(
        [sys.executable, "-m", "alpaca_core", "filter", *args],
        cwd=data.parent, env=environ, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def read(path: Path) -> list[dict]:
    text = path.read_text()
    return json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]


def test_rows_end_kept_as_they_were_or_rejected_with_a_reason(data):
    done = alpacakit(data, "data.json", "--filter", "alpaca", "--out", "kept.json", "--rejected", "no.jsonl", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report.pop("seconds") >= 0
    assert report == {
        "rows": 5,
        "kept": 2,
        "rejected": {"rouge": 1, "keywords": 1, "length": 1},
        "reasons": {
            "rouge": {"N like …": 1},
            "keywords": {"has the word '…'": 1},
            "length": {"N tokens, fewer than N": 1},
        },
        "flags": {},
        "repaired": 0,
    }
    assert read(data.parent / "kept.json") == RECORDS[:2]
    added = [
        {"id": "row_3", "filter": "rouge", "reason": "0.88 like row_1: Name the five largest lakes of the world."},
        {"id": "row_4", "filter": "keywords", "reason": "has the word 'draw'"},
        {"id": "row_5", "filter": "length", "reason": "1 tokens, fewer than 4"},
    ]
    assert read(data.parent / "no.jsonl") == [row | more for row, more in zip(RECORDS[2:], added, strict=True)]


def test_every_row_has_its_verdict_in_a_file_of_their_own(data):
    done = alpacakit(data, "data.json", "--filter", "length", "--out", "kept.json", "--verdicts", "said.jsonl")
    assert done.returncode == 0, done.stderr
    keep = {"kept": True, "filter": "", "reason": "", "flags": []}
    reject = {"kept": False, "filter": "length", "reason": "1 tokens, fewer than 4", "flags": []}
    assert read(data.parent / "said.jsonl") == [{"id": f"row_{n}"} | (keep if n < 5 else reject) for n in range(1, 6)]


def test_people_see_how_often_each_reason_was_given(data):
    done = alpacakit(data, "data.json", "--filter", "alpaca", "--out", "kept.json")
    assert done.stdout.splitlines()[1:] == [
        "rejected  rouge 1, keywords 1, length 1",
        "reasons           1  rouge: N like …",
        "                  1  keywords: has the word '…'",
        "                  1  length: N tokens, fewer than N",
    ]


@pytest.mark.parametrize("name", ["kept.jsonl", "kept.csv", "kept.parquet"])
def test_the_name_of_a_file_says_its_format(data, name):
    """Through the format and back to JSON, nothing of these rows is lost but what CSV cannot tell from empty."""
    assert alpacakit(data, "data.json", "--filter", "length", "--out", name).returncode == 0
    assert alpacakit(data, name, "--filter", "length", "--out", "back.json").returncode == 0
    absent = {"kept.jsonl": {}, "kept.csv": {"source": ""}, "kept.parquet": {"source": None}}[name]
    assert read(data.parent / "back.json") == [row | ({} if "source" in row else absent) for row in RECORDS[:4]]


def test_a_dataset_folder_is_filtered_by_the_split_that_is_named(data):
    folder = data.parent / "dataset" / "data"
    folder.mkdir(parents=True)
    for place, row in enumerate(RECORDS[:2]):
        (folder / f"train-{place:05}-of-00002.jsonl").write_text(json.dumps(row))
    (folder / "test-00000-of-00001.jsonl").write_text(json.dumps(RECORDS[2]))
    done = alpacakit(data, "dataset", "--filter", "length", "--out", "kept.json")
    assert done.returncode == 2
    assert done.stderr == (
        "error: dataset holds several datasets:\n  data/test\n  data/train\n"
        "Name the one you mean, such as dataset/data/train\n"
    )
    assert alpacakit(data, "dataset/data/train", "--filter", "length", "--out", "kept.json").returncode == 0
    assert read(data.parent / "kept.json") == RECORDS[:2]


def test_only_the_named_filters_judge(data):
    done = alpacakit(data, "data.json", "--filter", "keywords", "--out", "kept.jsonl")
    assert done.stdout.splitlines()[1] == "rejected  keywords 1"
    assert read(data.parent / "kept.jsonl") == RECORDS[:3] + RECORDS[4:]


def test_options_of_a_filter_are_set_by_key(data):
    at = ("data.json", "--filter", "rouge", "--set", "filter.rouge.threshold=0.9")
    assert alpacakit(data, *at, "--out", "kept.json").returncode == 0
    assert len(read(data.parent / "kept.json")) == 5


def test_seed_tasks_are_compared_with_only_when_they_are_given(data):
    (data.parent / "seeds.json").write_text(json.dumps(RECORDS[1:2]))
    assert alpacakit(data, "data.json", "--filter", "rouge", "--out", "alone.json").returncode == 0
    with_seeds = ("--seed-tasks", "seeds.json", "--out", "kept.json", "--rejected", "no.jsonl")
    assert alpacakit(data, "data.json", "--filter", "rouge", *with_seeds).returncode == 0
    assert len(read(data.parent / "alone.json")) == 4
    assert [row["id"] for row in read(data.parent / "no.jsonl")] == ["row_2", "row_3"]


def test_without_a_filter_nothing_is_done(data):
    done = alpacakit(data, "data.json", "--out", "kept.json")
    assert (done.returncode, "--filter" in done.stderr) == (2, True)
    assert list(data.parent.iterdir()) == [data]


@pytest.mark.parametrize("flag", ["--out", "--rejected", "--verdicts"])
def test_no_file_is_overwritten(data, flag):
    files = {"--out": "kept.json", "--rejected": "no.jsonl", "--verdicts": "said.jsonl"} | {flag: "data.json"}
    before = data.read_bytes()
    done = alpacakit(data, "data.json", "--filter", "rouge", *(word for pair in files.items() for word in pair))
    assert done.returncode == 2
    assert done.stderr == f"error: data.json exists already.\nRemove it, or choose another file for {flag}.\n"
    assert list(data.parent.iterdir()) == [data] and data.read_bytes() == before


def test_out_and_rejected_are_two_files(data):
    done = alpacakit(data, "data.json", "--filter", "rouge", "--out", "x.json", "--rejected", "./x.json")
    assert (done.returncode, list(data.parent.iterdir())) == (2, [data])


@pytest.mark.parametrize(
    ("args", "code", "text"),
    [
        (("--filter", "rogue"), 3, "Did you mean 'rouge'?"),
        (("--filter", "rouge", "--set", "filter.rouge.threshold=3"), 2, "expected a number from 0 to 1"),
        (("--filter", "rouge", "--seed-tasks", "none.jsonl"), 2, "none.jsonl"),
        (("--filter", "rouge", "--rejected", "no.xlsx"), 2, "Use one of .json, .jsonl, .csv, .parquet."),
    ],
)
def test_mistakes_are_told_before_anything_is_written(data, args, code, text):
    done = alpacakit(data, "data.json", *args, "--out", "kept.json")
    assert (done.returncode, text in done.stderr, "Traceback" in done.stderr) == (code, True, False)
    assert list(data.parent.iterdir()) == [data]


def test_junk_rows_are_named_and_nothing_is_written(data):
    data.write_text('[{"instruction": "a", "output": "b"}, {"instruction": 1}]')
    done = alpacakit(data, "data.json", "--filter", "rouge", "--out", "kept.json")
    assert done.returncode == 2
    assert "row 2: instruction: expected text, found int\n  row 2: output: missing" in done.stderr
    assert list(data.parent.iterdir()) == [data]


def test_a_junk_row_at_the_end_of_a_stream_leaves_nothing_written(data):
    text = "".join(json.dumps(row) + "\n" for row in RECORDS)
    data.with_name("rows.jsonl").write_text(text * 100 + '{"instruction": "a"}\n' * 30)
    files = ("--out", "kept.json", "--rejected", "no.parquet", "--verdicts", "said.csv")
    done = alpacakit(data, "rows.jsonl", "--filter", "length", *files)
    assert done.returncode == 2
    assert "line 501: output: missing\n" in done.stderr and "… and 10 more\n" in done.stderr
    assert sorted(path.name for path in data.parent.iterdir()) == ["data.json", "rows.jsonl"]


def test_a_dataset_without_rows_is_refused(data):
    data.write_text("[]")
    done = alpacakit(data, "data.json", "--filter", "length", "--out", "kept.json")
    assert (done.returncode, done.stderr) == (2, "error: data.json holds no rows to filter.\n")
    assert list(data.parent.iterdir()) == [data]
