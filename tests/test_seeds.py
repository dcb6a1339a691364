"""Seed tasks: what the reader accepts and refuses, and what the bundled tasks promise."""

import json
import re
import string
from collections import Counter
from importlib.resources import files
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alpaca_core import ConfigError, Seed
from alpaca_core.seeds import read_seeds, seeds_hash

GOOD = {"id": "tea", "name": "tea", "instruction": "Explain how to brew tea.", "is_classification": False}
GOOD["instances"] = [{"input": "", "output": "Pour boiling water over the leaves."}]


def jsonl(path: Path, *records: object) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def problems(path: Path) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        read_seeds(path)
    assert str(path) in caught.value.message
    return caught.value.problems


# ------------------------------------------------------------------ the reader

filled = st.text(min_size=1).filter(str.strip)
seed_lists = st.lists(
    st.builds(Seed, id=filled, instruction=filled, input=st.text(), output=filled),
    min_size=1,
    unique_by=lambda seed: seed.id,
)


@given(seeds=seed_lists, ascii_only=st.booleans())
def test_what_is_written_in_the_format_is_read_back_equal(tmp_path, seeds, ascii_only):
    path = tmp_path / "seeds.jsonl"
    lines = [
        json.dumps(
            {
                "id": seed.id,
                "name": "any",
                "instruction": seed.instruction,
                "instances": [{"input": seed.input, "output": seed.output}],
                "is_classification": False,
            },
            ensure_ascii=ascii_only,
        )
        for seed in seeds
    ]
    path.write_bytes("\n".join(lines).encode())
    assert read_seeds(path) == seeds


@given(seeds=seed_lists)
def test_a_list_of_alpaca_rows_is_read_in_order(tmp_path, seeds):
    path = tmp_path / "rows.json"
    rows = [{"instruction": s.instruction, "input": s.input, "output": s.output} for s in seeds]
    path.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    read = read_seeds(path)
    assert [(s.instruction, s.input, s.output) for s in read] == [tuple(row.values()) for row in rows]
    assert [s.id for s in read] == [f"row_{number}" for number in range(1, len(rows) + 1)]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["id", "instruction", "instances", "input", "output"]), inner)
    ),
)


@given(junk=st.binary() | st.text().map(str.encode) | json_values.map(lambda value: json.dumps(value).encode()))
def test_junk_is_read_as_seeds_or_refused_with_a_config_error(tmp_path, junk):
    path = tmp_path / "junk.jsonl"
    path.write_bytes(json.dumps(GOOD).encode() + b"\n" + junk)
    try:
        assert read_seeds(path)[0].id == "tea"
    except ConfigError as exc:
        assert str(path) in exc.message


@pytest.mark.parametrize("junk", ["[" * 100_000, '{"a":' * 100_000, "9" * 5_000], ids=["lists", "objects", "number"])
def test_json_beyond_the_parser_is_refused_and_not_a_crash(tmp_path, junk):
    path = tmp_path / "deep.jsonl"
    path.write_text(json.dumps(GOOD) + "\n" + junk)
    assert problems(path)[0].startswith("line 2: not JSON")
    path.write_text(junk)
    assert problems(path)[0].startswith("line 1: not JSON")


def test_the_first_instance_is_used_and_other_keys_are_ignored(tmp_path):
    record = GOOD | {"source": "me", "instances": [{"input": "a", "output": "b", "x": 1}, {"output": ""}]}
    [seed] = read_seeds(jsonl(tmp_path / "s.jsonl", record))
    assert seed == Seed("tea", "Explain how to brew tea.", "a", "b")


def test_an_input_may_be_left_out(tmp_path):
    [seed] = read_seeds(jsonl(tmp_path / "s.jsonl", GOOD | {"instances": [{"output": "b"}]}))
    assert seed.input == ""


def test_byte_order_mark_blank_lines_and_windows_line_ends_do_no_harm(tmp_path):
    path = tmp_path / "s.jsonl"
    path.write_bytes(b"\xef\xbb\xbf\r\n" + json.dumps(GOOD).encode() + b"\r\n\r\n")
    assert [seed.id for seed in read_seeds(path)] == ["tea"]


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        (["a"], "expected a JSON object, found list"),
        ("text", "expected a JSON object, found str"),
        (GOOD | {"instruction": None}, "instruction: missing"),
        (GOOD | {"instruction": " "}, "instruction: empty"),
        (GOOD | {"instruction": 3}, "instruction: expected text, found int"),
        (GOOD | {"id": 3}, "id: expected text, found int"),
        (GOOD | {"id": "tea"}, "id: 'tea' is already the id of line 1"),
        (GOOD | {"id": "b", "instances": [{"input": "", "output": ""}]}, "instances[0].output: empty"),
        (GOOD | {"id": "b", "instances": [{"input": ""}]}, "instances[0].output: missing"),
        (
            GOOD | {"id": "b", "instances": [{"input": 3, "output": "x"}]},
            "instances[0].input: expected text, found int",
        ),
        (GOOD | {"instruction": "half \ud800"}, "instruction: half of a surrogate pair, which is not text"),
        ({"instruction": "Sing.", "output": ""}, "output: empty"),
        *(
            (GOOD | {"id": "b", "instances": instances}, "instances: expected a list that starts with ")
            for instances in (None, [], {}, ["a"])
        ),
        ({"id": "b", "instruction": "Sing."}, "instances: expected a list that starts with "),
    ],
)
def test_a_bad_line_is_named_with_its_field(tmp_path, record, problem):
    [found] = problems(jsonl(tmp_path / "s.jsonl", GOOD, record))
    assert found.startswith(f"line 2: {problem}")


def test_every_bad_line_is_reported_at_once(tmp_path):
    path = jsonl(tmp_path / "s.jsonl", GOOD, GOOD, {"id": "", "instances": []}, GOOD | {"id": "c", "instruction": ""})
    with path.open("a") as file:
        file.write("{oops\n")
    assert [problem.split(": ")[:2] for problem in problems(path)] == [
        ["line 2", "id"],
        ["line 3", "instances"],
        ["line 3", "id"],
        ["line 3", "instruction"],
        ["line 4", "instruction"],
        ["line 5", "not JSON"],
    ]


def test_a_bad_row_of_a_list_is_named_by_its_number(tmp_path):
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([{"instruction": "Sing.", "input": "", "output": "La."}, {"output": "x"}]))
    assert problems(path) == ("row 2: instruction: missing",)


def test_a_broken_list_is_named_by_the_line_of_the_break(tmp_path):
    path = tmp_path / "rows.json"
    path.write_text('[\n {"instruction": "Sing.", "output": "La."},\n oops\n]')
    [problem] = problems(path)
    assert problem.startswith("line 3: not JSON")


@pytest.mark.parametrize("content", ["", "\n \n", "[]"])
def test_a_file_without_tasks_is_refused(tmp_path, content):
    path = tmp_path / "empty.jsonl"
    path.write_text(content)
    with pytest.raises(ConfigError, match="holds no seed task"):
        read_seeds(path)


def test_a_missing_file_is_refused_with_its_name(tmp_path):
    with pytest.raises(ConfigError, match="nowhere.jsonl") as caught:
        read_seeds(tmp_path / "nowhere.jsonl")
    assert "--seed-tasks" in caught.value.hint


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_seeds(tmp_path)


def test_bytes_that_are_not_utf8_are_named_with_their_line(tmp_path):
    path = tmp_path / "latin1.jsonl"
    path.write_bytes(json.dumps(GOOD).encode() + b"\n" + '{"id": "café"}'.encode("latin-1"))
    assert problems(path) == ("line 2: byte 0xe9 is not UTF-8",)


# ------------------------------------------------------------------ the hash


def test_the_hash_ignores_the_layout_of_the_file(tmp_path):
    plain = jsonl(tmp_path / "a.jsonl", GOOD)
    path = tmp_path / "b.json"
    path.write_text(json.dumps([dict(reversed(GOOD.items()))], indent=4))
    assert seeds_hash(read_seeds(plain)) == seeds_hash(read_seeds(path))


@given(seeds=seed_lists, field=st.sampled_from(["id", "instruction", "input", "output"]), data=st.data())
def test_the_hash_changes_with_every_field_and_with_the_order(seeds, field, data):
    index = data.draw(st.integers(0, len(seeds) - 1))
    fields = {name: getattr(seeds[index], name) for name in ("id", "instruction", "input", "output")}
    changed = [*seeds[:index], Seed(**fields | {field: fields[field] + "x"}), *seeds[index + 1 :]]
    assert seeds_hash(changed) != seeds_hash(seeds)
    if len(seeds) > 1:
        assert seeds_hash(seeds[::-1]) != seeds_hash(seeds)


def test_the_hash_is_the_documented_one():
    """Runs carry it as their identity, so it must stay the same from release to release."""
    seeds = [Seed("a", "Say é.", "", "é")]
    assert seeds_hash(seeds) == "1c2714b92234e55e9583de57f301bba49642c4fc66441611d354f1058f307cd0"


# ------------------------------------------------------------------ the bundled tasks

BANNED = "image images graph graphs picture pictures file files map maps draw plot video audio music flowchart diagram"


@pytest.fixture(scope="module")
def bundled() -> list[Seed]:
    return read_seeds(None)


@pytest.fixture(scope="module")
def records() -> list[dict]:
    text = (files("alpaca_core") / "seed_tasks.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def words(text: str) -> list[str]:
    return re.findall("[a-z0-9]+", text.lower())


def rouge_l(a: list[str], b: list[str]) -> float:
    """ROUGE-L F1: the longest common subsequence against both lengths."""
    row = [0] * (len(b) + 1)
    for word in a:
        diagonal = 0
        for j, other in enumerate(b, start=1):
            diagonal, row[j] = row[j], diagonal + 1 if word == other else max(row[j], row[j - 1])
    return 2 * row[-1] / (len(a) + len(b))


def test_rouge_l_of_a_known_pair():
    """Common subsequence 'police the gunman' (3 words) of two sentences of 4 and 5."""
    assert rouge_l(words("Police killed the gunman."), words("Now police stop the gunman")) == pytest.approx(6 / 9)


def test_there_are_at_least_175_tasks(bundled):
    assert len(bundled) >= 175


def test_ids_names_and_instructions_are_unique(records):
    for key in ("id", "name", "instruction"):
        assert len({record[key] for record in records}) == len(records), key


def test_every_line_has_the_published_shape(records):
    for number, record in enumerate(records, start=1):
        assert list(record) == ["id", "name", "instruction", "instances", "is_classification"]
        assert record["id"] == f"seed_{number:03d}"
        assert re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", record["name"])
        assert [set(instance) for instance in record["instances"]] == [{"input", "output"}]


def test_no_instruction_is_a_paraphrase_of_another(bundled):
    tokens = [words(seed.instruction) for seed in bundled]
    alike = [
        (one.instruction, other.instruction)
        for (one, a), (other, b) in combinations(zip(bundled, tokens, strict=True), 2)
        if rouge_l(a, b) > 0.5
    ]
    assert alike == []


def test_no_input_and_no_longer_output_occurs_twice(bundled):
    texts = [seed.input for seed in bundled if seed.input]
    texts += [seed.output for seed in bundled if len(seed.output.split()) > 2]
    assert len(set(texts)) == len(texts)


def test_between_40_and_50_percent_have_an_input(bundled):
    assert 0.4 <= sum(bool(seed.input) for seed in bundled) / len(bundled) <= 0.5


def test_20_to_30_are_classification(records):
    assert 20 <= sum(record["is_classification"] for record in records) <= 30


def test_openings_are_diverse(bundled):
    openings = Counter(seed.instruction.lower().split()[0] for seed in bundled)
    assert len(openings) >= 150
    assert max(openings.values()) <= 8


def test_lengths_spread_from_four_words_to_more_than_fifty(bundled):
    instructions = sorted(len(seed.instruction.split()) for seed in bundled)
    outputs = sorted(len(seed.output.split()) for seed in bundled)
    assert instructions[0] == 4 and 50 < instructions[-1] <= 70
    assert outputs[0] == 1 and outputs[len(outputs) // 2] < 120 and 200 < outputs[-1] <= 255


def test_instructions_pass_the_published_rules(bundled):
    for seed in bundled:
        text = seed.instruction
        assert 3 < len(text.split()) <= 150, text
        assert text[0].isascii() and text[0] not in string.punctuation, text
        assert not text.startswith("Write a program"), text
        assert not set(BANNED.split()) & set(words(text)) and not re.search(r"\bgo to\b", text, re.I), text


def test_texts_are_clean(bundled):
    """No stray white space, no typographic quotes, no unpaired code fence, no mention of being a machine."""
    for seed in bundled:
        for text in (seed.instruction, seed.input, seed.output):
            assert text == text.strip() and not re.search("[“”‘’\r]|[ \t]\n", text), seed.id
        assert seed.output and seed.output.count("```") % 2 == 0, seed.id
        assert not re.search(r"language model|\bAI\b", seed.output), seed.id
