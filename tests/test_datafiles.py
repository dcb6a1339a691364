"""Data files of every format: nothing changes on the way, junk is refused with its place, all or none appear."""

# ruff: noqa: TID253 - files of others are made with pyarrow

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import random
import sys
from datetime import datetime
from pathlib import Path

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from alpaca_core import ConfigError, MissingError
from alpaca_core.datafiles import is_list, writers
from alpaca_core.datafolders import data_files
from alpaca_core.dataset import each_record, read_records, write_records

TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]))
TEXTS = {"instruction": TEXT, "input": TEXT, "output": TEXT}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(alphabet=st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
ROWS = [
    {"instruction": "Name a tree.", "input": "", "output": "Oak."},
    {"instruction": "Übersetze.", "input": 'tree,\n"shrub"', "output": "Baum\r\n“Strauch”"},
]


@pytest.fixture(scope="session")
def new(tmp_path_factory):
    """A path in a new folder each time that it is asked, as hypothesis needs."""
    return lambda name: tmp_path_factory.mktemp("data") / name


def arrow(path: Path, rows: list[dict], opener=pyarrow.ipc.new_stream) -> Path:
    table = pyarrow.Table.from_pylist(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    with pyarrow.OSFile(str(path), "wb") as sink, opener(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=1)
    return path


# -- round trips


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl"])
@given(rows=st.lists(st.fixed_dictionaries(TEXTS, optional={"more": ANYTHING, "\ud800": ANYTHING})))
def test_json_gives_back_what_it_was_given(new, name, rows):
    file = new(name)
    write_records(file, rows)
    assert read_records(file) == rows


@given(rows=st.lists(st.fixed_dictionaries({**TEXTS, "source": TEXT})))
def test_csv_gives_back_any_text(new, rows):
    file = new("rows.csv")
    write_records(file, rows)
    assert read_records(file) == rows
    with file.open(newline="", encoding="utf-8") as text:  # and so for everyone else
        assert list(csv.DictReader(text)) == rows


int64 = st.integers(-(2**63), 2**63 - 1)
COLUMNS = [st.none(), st.booleans(), int64, st.floats(allow_nan=False), TEXT, st.datetimes(), st.binary()]
COLUMNS += [st.lists(int64), st.fixed_dictionaries({"a": int64, "b": TEXT | st.none()})]


@given(data=st.data(), column=st.sampled_from(COLUMNS))
def test_parquet_gives_back_columns_of_one_type(new, data, column):
    rows = data.draw(st.lists(st.fixed_dictionaries({**TEXTS, "more": column | st.none()})))
    file = new("rows.parquet")
    write_records(file, rows)
    assert read_records(file) == rows


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet"])
@given(rows=st.lists(st.fixed_dictionaries(TEXTS, optional={"more": ANYTHING, "\ud800": ANYTHING})))
def test_tables_take_anything_beside_the_texts(new, name, rows):
    file = new(name)
    write_records(file, rows)
    back = read_records(file)
    assert [[row[key] for key in TEXTS] for row in back] == [[row[key] for key in TEXTS] for row in rows]


@pytest.mark.parametrize(
    ("values", "kind", "back"),
    [
        ([1, None, 2], "int64", [1, None, 2]),
        ([1, 0.5], "double", [1.0, 0.5]),
        (["a", None], "string", ["a", None]),
        ([True, None], "bool", [True, None]),
        ([None, None], "null", [None, None]),
        ([["a"], []], "list<item: string>", [["a"], []]),
        ([{"a": 1}, {"b": 2}], "struct<a: int64, b: int64>", [{"a": 1, "b": None}, {"a": None, "b": 2}]),
        ([datetime(2024, 5, 6)], "timestamp[us]", [datetime(2024, 5, 6)]),
        (["a", 1, True, None, {"b": [2]}], "string", ["a", "1", "true", None, '{"b": [2]}']),
        ([2**70], "string", [str(2**70)]),
        ([{}], "string", ["{}"]),
        (["\ud800", "b"], "string", ["\\ud800", "b"]),
    ],
)
def test_a_column_has_the_type_that_its_values_share_or_is_text(tmp_path, values, kind, back):
    write_records(tmp_path / "rows.parquet", ({**ROWS[0], "more": value} for value in values))
    table = parquet.read_table(tmp_path / "rows.parquet")
    assert (str(table.schema.field("more").type).replace("element", "item"), table["more"].to_pylist()) == (kind, back)


def test_types_are_found_beyond_the_rows_that_are_held_at_a_time(tmp_path):
    values = [*range(5_000), 0.5]
    write_records(tmp_path / "a.parquet", ({**ROWS[0], "more": value} for value in values))
    assert parquet.read_schema(tmp_path / "a.parquet").field("more").type == pyarrow.float64()
    exact = [2**60 + 1, *range(5_000), 0.5]  # no fraction can hold the first
    write_records(tmp_path / "b.parquet", ({**ROWS[0], "more": value} for value in exact))
    assert parquet.read_table(tmp_path / "b.parquet")["more"].to_pylist() == [str(value) for value in exact]


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl", "rows.csv", "rows.parquet"])
def test_a_file_without_rows_is_read_as_that(tmp_path, name):
    write_records(tmp_path / name, [])
    assert read_records(tmp_path / name) == []


def test_dates_of_parquet_are_iso_text_elsewhere(tmp_path):
    parquet.write_table(pyarrow.Table.from_pylist([ROWS[0] | {"when": datetime(2024, 5, 6)}]), tmp_path / "in.parquet")
    for name in ("out.json", "out.jsonl", "out.csv"):
        write_records(tmp_path / name, read_records(tmp_path / "in.parquet"))
        assert read_records(tmp_path / name) == [ROWS[0] | {"when": "2024-05-06T00:00:00"}]


# -- reading


def csv_text() -> str:
    text = io.StringIO()
    csv.writer(text).writerows([ROWS[0].keys(), *(row.values() for row in ROWS)])
    return text.getvalue()


@pytest.mark.parametrize("name", ["a.json.gz", "a.jsonl.gz", "a.csv.gz"])
def test_compressed_text_is_read_as_well(tmp_path, name):
    lines = "\n".join(map(json.dumps, ROWS))
    text = {"a.json.gz": json.dumps(ROWS), "a.jsonl.gz": lines, "a.csv.gz": csv_text()}[name]
    (tmp_path / name).write_bytes(gzip.compress(text.encode()))
    assert read_records(tmp_path / name) == ROWS
    assert not is_list(tmp_path / name)


@pytest.mark.parametrize("opener", [pyarrow.ipc.new_stream, pyarrow.ipc.new_file])
def test_both_formats_of_arrow_are_read(tmp_path, opener):
    assert read_records(arrow(tmp_path / "rows.arrow", ROWS, opener)) == ROWS


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.json", json.dumps(ROWS), True),
        ("a.data", "\ufeff\n \n[]", True),
        ("a.json", json.dumps(ROWS[0]), False),
        ("a.csv", "[instruction],output", False),
        ("a.json", "", False),
    ],
)
def test_a_list_is_known_by_how_it_begins(tmp_path, name, text, expected):
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert is_list(tmp_path / name) == expected


def test_csv_may_have_a_byte_order_mark_blank_lines_and_no_input(tmp_path):
    (tmp_path / "a.csv").write_text("\ufeffoutput,instruction\n\nb,a\r\n", encoding="utf-8")
    assert read_records(tmp_path / "a.csv") == [{"instruction": "a", "input": "", "output": "b"}]


def test_rows_come_before_the_file_is_read_to_its_end(tmp_path):
    """A pipe that stays open: the rows that have come are there."""
    os.mkfifo(tmp_path / "pipe.jsonl")
    file = os.open(tmp_path / "pipe.jsonl", os.O_RDWR)
    try:
        rows = each_record(tmp_path / "pipe.jsonl")
        for row in ROWS:
            os.write(file, json.dumps(row).encode() + b"\n")
            assert next(rows) == row
    finally:
        os.close(file)


@pytest.mark.parametrize("group", [4_000, 40_000])
def test_of_a_parquet_file_only_a_part_is_held_at_a_time(tmp_path, group):
    """Bytes that Arrow holds, whether the file is of many row groups or of one."""
    noise = random.Random(0)
    rows = [{name: noise.randbytes(300).hex() for name in TEXTS} for _ in range(40_000)]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet", row_group_size=group)
    held, before = 0, pyarrow.total_allocated_bytes()
    for place, _ in enumerate(each_record(tmp_path / "a.parquet")):
        if place % 1_000 == 0:
            held = max(held, pyarrow.total_allocated_bytes() - before)
    assert 0 < held < (tmp_path / "a.parquet").stat().st_size / 2


# -- junk


def problems(path: Path, content: str | bytes | None = None) -> list[str]:
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as caught:
        read_records(path)
    assert path.name in caught.value.message
    return [*caught.value.problems]


HEADER = "instruction,input,output\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HEADER + "a,b\n\na,b,c\na,b,c,d\n",
         ["line 2: 2 fields, and the header has 3", "line 5: 4 fields, and the header has 3"]),
        (HEADER + '"a\nb",c,d\na,"b"x,c\n', ["line 4: not CSV: ',' expected after '\"'"]),
        (HEADER + 'a,"b,c\nd,e,f\n', ["line 2: not CSV: unexpected end of data"]),
        (HEADER.encode() + b"a,b,c\na,\xff,c\n", ["line 3: byte 0xff is not UTF-8"]),
        ("a;b;c\n1;2;3\n", ["no column 'instruction'", "no column 'output'"]),
        ("instruction,output,output\n", ["2 columns 'output'"]),
    ],
)  # fmt: skip
def test_junk_in_csv_is_refused_with_its_line(tmp_path, text, expected):
    assert problems(tmp_path / "junk.csv", text) == expected


def test_a_bad_line_does_not_hide_the_next(tmp_path):
    lines = [b'{"instruction": "\xff", "output": ""}', b"{", json.dumps(ROWS[0]).encode(), b'{"instruction": "a"}']
    assert problems(tmp_path / "junk.jsonl", b"\n".join(lines)) == [
        "line 1: byte 0xff is not UTF-8",
        "line 2: not JSON: Expecting property name enclosed in double quotes",
        "line 4: output: missing",
    ]


def test_junk_in_parquet_is_refused_with_its_row_and_field(tmp_path):
    parquet.write_table(
        pyarrow.table({"instruction": ["a", None, "c"], "output": [1, 2, None]}), tmp_path / "junk.parquet"
    )
    assert problems(tmp_path / "junk.parquet") == [
        "row 1: output: expected text, found int",
        "row 2: instruction: missing",
        "row 2: output: expected text, found int",
        "row 3: output: missing",
    ]


def test_bytes_that_are_no_text_are_refused_with_their_row_or_their_file(tmp_path):
    good, bad = (pyarrow.py_buffer(text) for text in (b"ab", b"a\xff"))
    offsets = pyarrow.py_buffer(b"".join(n.to_bytes(4, "little") for n in (0, 1, 2)))
    arrays = [pyarrow.StringArray.from_buffers(2, offsets, data) for data in (good, bad)]
    table = pyarrow.table({"instruction": arrays[0], "output": arrays[1]})
    parquet.write_table(table, tmp_path / "a.parquet")
    assert problems(tmp_path / "a.parquet") == ["row 2: byte 0xff is not UTF-8"]
    with pyarrow.OSFile(str(tmp_path / "a.arrow"), "wb") as sink, pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(ConfigError, match="a.arrow cannot be read as an Arrow file: .*Invalid UTF8"):
        read_records(tmp_path / "a.arrow")


@pytest.mark.parametrize("opener", [pyarrow.ipc.new_stream, pyarrow.ipc.new_file])
def test_a_damaged_arrow_file_is_refused_and_ends_nothing(tmp_path, opener):
    """Unchecked, offsets outside of the file would end the process."""
    data = arrow(tmp_path / "a.arrow", ROWS * 4, opener).read_bytes()
    for place in range(0, len(data), 7):
        file = tmp_path / f"{place}.arrow"
        file.write_bytes(data[:place] + b"\xa5" * 5 + data[place + 5 :])
        try:
            read_records(file)
        except ConfigError as exc:
            assert file.name in exc.message


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet", "a.arrow"])
def test_the_columns_found_are_told_when_others_are_expected(tmp_path, name):
    rows = [{"prompt": "a", "response": "b"}]
    if name == "a.arrow":
        arrow(tmp_path / name, rows)
    else:
        write_records(tmp_path / name, rows)
    with pytest.raises(ConfigError) as caught:
        read_records(tmp_path / name)
    assert "'prompt', 'response'" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.parquet", b"version https://git-lfs.github.com/spec/v1\n"),
        ("a.arrow", b"junk" * 100),
        ("a.arrow", b"ARROW1" + b"junk" * 100),
        ("a.parquet", b""),
        ("a.arrow", b""),
        ("a.jsonl.gz", b"{}"),
        ("a.jsonl.gz", gzip.compress(b"{}" * 1000, mtime=0)[:-12]),
    ],
)
def test_files_that_are_not_what_their_name_says_are_refused(tmp_path, name, content):
    assert problems(tmp_path / name, content) in ([], ["line 1: not JSON: Extra data"])


@pytest.mark.parametrize("name", ["a.json", "a.csv", "a.parquet", "a.arrow", "a.jsonl.gz"])
@given(junk=st.binary() | st.text().map(str.encode) | st.binary().map(gzip.compress))
def test_any_bytes_are_read_as_rows_or_refused(new, name, junk):
    file = new(name)
    file.write_bytes(junk)
    try:
        assert read_records(file) == []
    except ConfigError as exc:
        assert name in exc.message


def test_a_parquet_file_that_breaks_off_is_refused_after_its_first_rows(tmp_path):
    write_records(tmp_path / "a.parquet", ({**ROWS[0], "n": str(i) * 50} for i in range(20_000)))
    data = bytearray((tmp_path / "a.parquet").read_bytes())
    data[len(data) // 2 : len(data) // 2 + 2000] = b"x" * 2000
    assert problems(tmp_path / "a.parquet", bytes(data)) == []


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
def test_without_pyarrow_the_line_to_install_it_is_told(tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / name).touch()
    with pytest.raises(MissingError, match=f"{name} needs the package 'pyarrow'") as caught:
        read_records(tmp_path / name)
    assert caught.value.hint == "Install it with: pip install 'alpacakit[parquet]'"
    with pytest.raises(MissingError), writers(tmp_path / "out" / "b.parquet"):
        pass
    assert not (tmp_path / "out").exists()


# -- folders


def saved(folder: Path, *shards: list[dict]) -> None:
    """As ``Dataset.save_to_disk`` does it."""
    names = [f"data-{place:05}-of-{len(shards):05}.arrow" for place in range(len(shards))]
    for name, rows in zip(names, shards, strict=True):
        arrow(folder / name, rows)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))
    (folder / "dataset_info.json").write_text("{}")


def test_a_saved_dataset_is_read_shard_by_shard(tmp_path):
    saved(tmp_path, ROWS[:1], ROWS[1:])
    arrow(tmp_path / "cache-12345.arrow", ROWS)  # what map() leaves there
    assert read_records(tmp_path) == ROWS


def test_a_split_of_a_saved_dataset_is_named_by_its_folder(tmp_path):
    saved(tmp_path / "train", ROWS)
    assert read_records(tmp_path) == ROWS
    saved(tmp_path / "test", ROWS[:1])
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    assert problems(tmp_path) == ["test", "train"]
    assert read_records(tmp_path / "test") == ROWS[:1]


@pytest.mark.parametrize(
    "names",
    [
        ["alpaca_data_cleaned.json"],
        ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"],
        ["data/train-00000-of-00002-0f3a.jsonl", "data/train-00001-of-00002-77aa.jsonl"],
        ["default/train/0000.parquet", "default/train/0001.parquet"],
    ],
)
def test_one_dataset_in_a_folder_needs_no_name(tmp_path, names):
    for place, name in enumerate(names):
        write_records(tmp_path / name, ROWS[place :: len(names)])
    for name in ("README.md", "dataset_infos.json", ".hidden.json", ".git/index.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    assert read_records(tmp_path) == ROWS


def test_several_datasets_in_a_folder_are_named_and_none_is_guessed(tmp_path):
    for name in ("train-00000-of-00001.jsonl", "data/test.csv", "validation.jsonl"):
        write_records(tmp_path / name, ROWS)
    assert problems(tmp_path) == ["data/test.csv", "train", "validation.jsonl"]
    assert data_files(tmp_path / "train") == [tmp_path / "train-00000-of-00001.jsonl"]
    with pytest.raises(ConfigError, match="There is no file .*/tain to read rows from"):
        data_files(tmp_path / "tain")


def test_a_missing_shard_is_told(tmp_path):
    write_records(tmp_path / "train-00001-of-00002.jsonl", ROWS)
    assert problems(tmp_path) == ["train-00001-of-00002.jsonl"]


def test_mistakes_in_shards_are_told_with_their_file(tmp_path):
    write_records(tmp_path / "train-00000-of-00002.jsonl", ROWS)
    write_records(tmp_path / "train-00001-of-00002.jsonl", [*ROWS, {"output": "a"}])
    assert problems(tmp_path) == ["train-00001-of-00002.jsonl line 3: instruction: missing"]


# -- writing all or none


def test_files_appear_together_when_the_last_is_done(tmp_path):
    with writers(tmp_path / "a.json", tmp_path / "b" / "b.parquet") as (one, other):
        one.write(ROWS[0])
        other.write(ROWS[1])
        assert not (tmp_path / "a.json").exists()
    assert read_records(tmp_path / "a.json") + read_records(tmp_path / "b" / "b.parquet") == ROWS
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.json", "b", "b.parquet"]


def test_when_one_file_fails_none_appears(tmp_path, monkeypatch):
    synced = []

    def full_disk(descriptor: int) -> None:
        synced.append(descriptor)
        if len(synced) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"), writers(tmp_path / "a.jsonl", tmp_path / "b.csv") as made:
        for writer in made:
            writer.write(ROWS[0])
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_suffix_is_refused_before_anything_is_made(tmp_path):
    with pytest.raises(ConfigError, match="not written as '.xlsx'"), writers(tmp_path / "out" / "a.xlsx"):
        pass
    assert list(tmp_path.iterdir()) == []
