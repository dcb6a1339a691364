"""Dataset files: nothing changes on the way through a file, and junk is refused with its place."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alpaca_core import ConfigError, Example
from alpaca_core.dataset import read_records, read_rows, split, write_records, write_rows, write_text

TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]))
RECORDS = st.lists(
    st.fixed_dictionaries(
        {"instruction": TEXT, "input": TEXT, "output": TEXT}, optional={"source": st.integers() | TEXT}
    )
)
ROWS = [
    Example("Name a tree.", "", "Oak.", id="row_1"),
    Example("Übersetze.", "tree\nshrub", "Baum “Strauch”", id="row_2"),
]
PUBLISHED = """[
    {
        "instruction": "Name a tree.",
        "input": "",
        "output": "Oak."
    },
    {
        "instruction": "\\u00dcbersetze.",
        "input": "tree\\nshrub",
        "output": "Baum \\u201cStrauch\\u201d"
    }
]"""


# -- round trips


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl"])
@given(records=RECORDS)
def test_records_come_back_as_they_were(tmp_path_factory, name, records):
    path = tmp_path_factory.mktemp("rows") / name
    write_records(path, records)
    assert read_records(path) == records


NESTED = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@settings(max_examples=40)
@given(records=st.lists(st.dictionaries(st.text(), NESTED)))
def test_a_json_file_is_laid_out_as_the_standard_library_does(tmp_path_factory, records):
    path = tmp_path_factory.mktemp("rows") / "rows.json"
    write_records(path, records)
    assert path.read_text() == json.dumps(records, indent=4)


def test_rows_are_written_in_the_published_format(tmp_path):
    """A JSON list indented by four, ASCII with escapes, no newline at the end."""
    write_rows(tmp_path / "rows.json", ROWS)
    assert (tmp_path / "rows.json").read_text() == PUBLISHED
    assert read_rows(tmp_path / "rows.json") == ROWS


def test_labels_and_ids_come_back_where_they_are_written(tmp_path):
    rows = [Example("Add 1 and 2.", "", "3", id="000001.02", label="sum"), Example("Hm.", "", "", id="000001.03")]
    write_rows(tmp_path / "rows.json", iter(rows), labels=True)
    assert read_rows(tmp_path / "rows.json") == rows


def test_a_run_folder_stands_for_its_dataset(tmp_path):
    write_rows(tmp_path / "alpaca_data.json", ROWS)
    assert read_rows(tmp_path) == ROWS


def test_jsonl_may_hold_blank_lines_unicode_separators_and_a_byte_order_mark(tmp_path):
    line = json.dumps({"instruction": "a\u2028b", "output": "c"}, ensure_ascii=False)
    (tmp_path / "rows.jsonl").write_text(f"\ufeff{line}\r\n\n  \n{line}", encoding="utf-8")
    assert read_records(tmp_path / "rows.jsonl") == [{"instruction": "a\u2028b", "output": "c", "input": ""}] * 2


def test_a_null_input_is_empty(tmp_path):
    (tmp_path / "rows.json").write_text('[{"instruction": "a", "input": null, "output": ""}]')
    assert read_rows(tmp_path / "rows.json") == [Example("a", "", "", id="row_1")]


# -- junk


def problems(tmp_path, text: str | bytes) -> tuple[str, ...]:
    path = tmp_path / "junk"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError, match="junk") as caught:
        read_rows(path)
    return caught.value.problems


GOOD = '{"instruction": "a", "output": "b"}'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[{"output": "b"}]', ["row 1: instruction: missing"]),
        (f'[{GOOD}, {{"instruction": null, "output": 3}}]',
         ["row 2: instruction: missing", "row 2: output: expected text, found int"]),
        (f'{GOOD}\n\n{{"instruction": "a", "input": [], "output": "b"}}', ["line 3: input: expected text, found list"]),
        (f"[{GOOD}, 7, null]",
         ["row 2: expected a JSON object, found int", "row 3: expected a JSON object, found NoneType"]),
        (f"{GOOD}\n{{not json\n", ["line 2: not JSON: Expecting property name enclosed in double quotes"]),
        (f"[{GOOD},\n{GOOD}", ["line 2: not JSON: Expecting ',' delimiter"]),
        ('{"data": []}', ["line 1: instruction: missing", "line 1: output: missing"]),
        ('[{"instruction": "\\ud800", "output": ""}]',
         ["row 1: instruction: half of a surrogate pair, which is not text"]),
        (b'[{"instruction": "a",\n "output": "\xff"}]', ["line 2: byte 0xff is not UTF-8"]),
        ("[" * 100_000, ["line 1: not JSON: a number or a nesting without end"]),
    ],
)  # fmt: skip
def test_junk_is_refused_with_its_place_and_field(tmp_path, text, expected):
    assert list(problems(tmp_path, text)) == expected


def test_mistakes_are_told_together_but_no_more_than_twenty(tmp_path):
    found = problems(tmp_path, json.dumps([{"instruction": "a"}] * 1025))
    assert found[0] == "row 1: output: missing"
    assert found[19:] == ("row 20: output: missing", "… and 1,005 more")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="no file .*alpaca_data.json"):
        read_rows(tmp_path)


# -- writing whole or not at all


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "rows.json"
    write_text(path, "old")

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_folders_on_the_way_are_made(tmp_path):
    write_text(tmp_path / "a" / "b" / "rows.json", "text")
    assert (tmp_path / "a" / "b" / "rows.json").read_text() == "text"


# -- the split


def rows_of(**counts: int) -> list[Example]:
    rows = [
        Example(f"{label} {i}", "", "", id=f"{label}.{i}", label=label) for label, n in counts.items() for i in range(n)
    ]
    return rows[::2] + rows[1::2]


def test_the_split_is_a_partition_in_order():
    rows = rows_of(sums=100, words=100)
    train, held_out = split(rows, 16, seed=1)
    assert len(held_out) == 16
    assert train == [row for row in rows if row not in held_out]
    assert held_out == [row for row in rows if row in held_out]


def test_the_split_takes_as_many_of_each_label():
    _, held_out = split(rows_of(sums=300, words=60, rare=2), 20, seed=1)
    labels = [row.label for row in held_out]
    assert {label: labels.count(label) for label in labels} == {"sums": 9, "words": 9, "rare": 2}


def test_the_split_follows_from_seed_and_ids_alone():
    rows = rows_of(sums=200)
    chosen = {row.id for row in split(rows, 20, seed=1)[1]}
    assert {row.id for row in split(rows[::-1], 20, seed=1)[1]} == chosen
    assert {row.id for row in split(rows, 20, seed=2)[1]} != chosen
    assert {row.id for row in split(rows, 10, seed=1)[1]} < chosen


@pytest.mark.parametrize(("rows", "asked", "taken"), [(100, 50, 10), (9, 5, 0), (100, 0, 0), (0, 5, 0)])
def test_a_tenth_is_held_out_at_most(rows, asked, taken):
    train, held_out = split(rows_of(sums=rows), asked, seed=0)
    assert (len(train), len(held_out)) == (rows - taken, taken)
