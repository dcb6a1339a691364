"""The reader of JSON replies: what it reads, what it gives up, and that it reads the list form all the same."""

from __future__ import annotations

import json
import re
from random import Random

import pytest
from alpaca_prompts.form import parse
from alpaca_prompts.json_form import SCHEMA
from hypothesis import example, given, settings
from hypothesis import strategies as st
from provider_tasks import answer

from alpaca_core import Candidate, Completion, Request, Unparsed

JSON = Request(k=0, prompt="...", prefix='{"tasks": [', items=20, schema=SCHEMA)
LIST = Request(k=0, prompt="...", prefix="1. Instruction:", items=20)
THREE = [("Name a bird.", "", "A wren."), ('Quote "it".', "{2, 3}", '["it"]'), ("Greet me.", "", "Hello\nthere!")]
NAMES = ("instruction", "input", "output")


def read(text, finish="stop", request=JSON):
    return list(parse(request, Completion(text=text, finish=finish)))


def tasks(found):
    return [(item.instruction, item.input, item.output) for item in found if isinstance(item, Candidate)]


def lost(found):
    return [(item.number, item.reason) for item in found if isinstance(item, Unparsed)]


def render(items, indent=None):
    return json.dumps({"tasks": [dict(zip(NAMES, item, strict=True)) for item in items]}, indent=indent)


def rows(*objects):
    return '{"tasks": [' + ", ".join(objects) + "]}"


ROW = [json.dumps(dict(zip(NAMES, item, strict=True))) for item in THREE]


# ── the forms that are read ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "drift",
    [
        lambda text: text,
        lambda text: json.dumps(json.loads(text), indent=4),
        lambda text: json.dumps(json.loads(text)["tasks"]),
        lambda text: "\n".join(ROW),
        lambda text: f"```json\n{text}\n```",
        lambda text: f"```\n{text}```",
        lambda text: f"\n\n{text}\n\n",
        lambda text: text.removeprefix('{"tasks": ['),
        lambda text: text[:-2] + ",]}",
        lambda text: text[:-2],
        lambda text: text.replace("}, {", "} {"),
        lambda text: text.replace("\\n", "\n"),
        lambda text: text.replace('"instruction"', '"Instruction"'),
        lambda text: text.replace('{"instruction"', '{"number": 7, "kind": "a b", "instruction"'),
        lambda text: text.replace('"tasks"', '"items"'),
        lambda text: json.dumps({str(n): row for n, row in enumerate(json.loads(text)["tasks"])}),
        lambda text: text.replace('"input": ""', '"input": null'),
        lambda text: text.replace(', "input": ""', ""),
        lambda text: text.replace('"input": ""', '"input": "<noinput>"'),
        lambda text: text.replace('"input": ""', '"input": "N/A"'),
        lambda text: re.sub(r'("instruction": "[^"]+\."), ("input": "[^"]*")', r"\2, \1", text),
    ],
)
def test_small_drifts_of_form_lose_nothing(drift):
    found = read(drift(render(THREE)))
    assert tasks(found) == THREE and not lost(found)
    assert [item.number for item in found] == [1, 2, 3]


def test_json_and_list_form_give_the_same_candidates_for_the_same_tasks():
    for seed in range(30):
        prompt = '{"tasks": [{'  # as the JSON form has it
        written = [answer(text, Random(seed), 20, True, "") for text in (prompt, "")]
        assert read(written[0]) == read(written[1], request=LIST) != []


def test_a_list_is_read_where_json_was_asked_for_and_json_where_a_list_was():
    as_list = "###\n".join(
        f"{n}. Instruction: {a}\n{n}. Input:\n{b}\n{n}. Output:\n{c}\n" for n, (a, b, c) in ENUMERATED
    )
    for text in (as_list, "Here is the list.\n\n" + as_list):
        assert tasks(read(text)) == THREE
    assert tasks(read(render(THREE), request=LIST)) == THREE
    assert tasks(read(f"```json\n{render(THREE, 2)}\n```", request=LIST)) == THREE


ENUMERATED = [*enumerate(THREE, 1)]


@pytest.mark.parametrize("continued", [False, True])
def test_a_list_whose_tasks_are_about_json_stays_a_list(continued):
    item = ("Turn into YAML.", ROW[0], "instruction: Name a bird.")
    text = f"1. Instruction: {item[0]}\n1. Input:\n{item[1]}\n1. Output:\n{item[2]}\n"
    if continued:
        text = f" Turn {ROW[0]} into YAML.\n1. Input:\n<noinput>\n1. Output:\n{item[2]}\n"
        item = (f"Turn {ROW[0]} into YAML.", "", item[2])
        assert tasks(read(text, request=LIST)) == [item]
    else:
        assert tasks(read(text)) == tasks(read(text, request=LIST)) == [item]


def test_tasks_about_tasks_in_json_stay_whole():
    nested = ("Write a task as JSON.", ROW[0], render(THREE))
    assert tasks(read(render([nested, THREE[0]]))) == [nested, THREE[0]]
    unquoted = '{"instruction": "Write a task as JSON.", "input": "", "output": ' + ROW[0] + "}"
    broken = unquoted.replace('"Write', '"Write "now"')
    for text in (unquoted, broken):
        found = read(rows(text, ROW[2]))
        assert tasks(found) == [THREE[2]] and [reason for _, reason in lost(found)][0] in (
            "output is no text",
            "damaged",
        )


# ── what is given up ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("finish", ["length", "content_filter"])
def test_a_cut_reply_gives_its_whole_tasks_and_reports_the_cut_one(finish):
    text = render(THREE)
    ends = [text.index(row) + len(row) for row in ROW]
    for length in range(len(text)):
        found = read(text[:length], finish)
        whole = sum(end <= length for end in ends)
        assert tasks(found) == THREE[:whole]
        begun = text[:length].rfind('{"i') >= (ends[whole - 1] if whole else 0)
        assert lost(found) == [(whole + 1, "cut off")] if begun else len(lost(found)) <= 1


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ('{"instruction": "Add.", "input": ""}', "no output"),
        ('{"instruction": "Add.", "input": "", "output": ""}', "no output"),
        ('{"instruction": "Add.", "input": "", "output": null}', "no output"),
        ('{"instruction": " ", "input": "", "output": "5"}', "empty instruction"),
        ('{"input": "2, 3", "output": "5"}', "empty instruction"),
        ('{"instruction": "Add.", "input": "", "output": 5}', "output is no text"),
        ('{"instruction": ["Add."], "input": "", "output": "5"}', "instruction is no text"),
        ('{"instruction": "Add.", "input": {"a": 2}, "output": "5"}', "input is no text"),
        ('{"instruction": "Add.", "input": "", "output": "4", "output": "5"}', "damaged"),
        ('{"instruction": "Add "two" numbers.", "input": "", "output": "5"}', "damaged"),
        ('{"instruction": "Add.", "input": "", "output": "\\d"}', "damaged"),
        ('{"instruction": "Add.", "input": "", "output": "5"', "damaged"),
        ('{"instruction": "Add.", "input": "", "output": "5', "damaged"),
        ('{"instruction": "Add.", "input": "", "output": ' + "9" * 5000 + "}", "output is no text"),
        ('{"question": "Add?", "answer": "5"}', "outside any task"),
    ],
)
def test_what_is_no_whole_task_is_reported_with_its_reason_and_costs_no_other(row, reason):
    found = read(rows(ROW[0], row, ROW[2]))
    assert tasks(found) == [THREE[0], THREE[2]]
    assert [why for _, why in lost(found)] == [reason]


def test_talk_around_the_object_is_reported_and_costs_no_task():
    found = read(f"Here are three tasks:\n\n```json\n{render(THREE)}\n```\n\nAsk me for more.")
    assert tasks(found) == THREE
    assert [(item.text, item.reason) for item in found if isinstance(item, Unparsed)] == [
        ("Here are three tasks:", "outside any task"),
        ("Ask me for more.", "outside any task"),
    ]


@pytest.mark.parametrize("text", ["", " \n", "I'm sorry, but I can't help with that.", '{"tasks": []}', "[]", "{}"])
def test_an_empty_reply_or_a_refusal_gives_nothing(text):
    assert read(text) == [] == read(text, "refusal")


def test_json_of_another_kind_is_reported_once():
    assert lost(read('{"error": "I cannot do that"}')) == [(0, "outside any task")]


def test_half_a_surrogate_pair_becomes_something_that_can_be_stored():
    (item,) = read(rows('{"instruction": "Say \\ud83d\\ude00.", "input": "", "output": "\\ud83d!"}'))
    assert (item.instruction, item.output) == ("Say 😀.", "?!")


# ── laws ──────────────────────────────────────────────────────────────────────────────────────────────────────────

texts = st.one_of(
    st.text(st.characters(exclude_categories=("Cs",)), max_size=40), st.sampled_from([*ROW, "{", '"', "[{"])
)
clean = texts.map(lambda text: text.replace("\r", "\n").strip())
items = st.lists(st.tuples(clean.filter(bool), st.just(""), clean.filter(bool)), min_size=1, max_size=5)


@given(items, st.sampled_from([None, 0, 2]), st.booleans())
def test_what_is_written_is_read_back(items, indent, ascii_only):
    objects = {"tasks": [dict(zip(NAMES, item, strict=True)) for item in items]}
    found = read(json.dumps(objects, indent=indent, ensure_ascii=ascii_only))
    assert tasks(found) == items and [item.number for item in found] == list(range(1, len(items) + 1))


@given(items, st.data())
def test_a_text_cut_anywhere_gives_a_prefix_of_its_tasks(items, data):
    text = render(items)
    found = tasks(read(text[: data.draw(st.integers(0, len(text)))], "length"))
    assert found == items[: len(found)]


pieces = st.sampled_from(
    [*ROW, '{"tasks": [', "]}", ",", "{", "}", "[", "]", '"', '\\"', ":", "\n", "```json\n", "\\", "text"]
)
mutations = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 9), pieces), max_size=6)


@settings(max_examples=300)
@given(
    items, mutations, st.sampled_from(["stop", "length", "refusal", "content_filter"]), st.sampled_from([JSON, LIST])
)
def test_no_mutilated_reply_raises_and_every_candidate_is_whole(items, mutations, finish, request_):
    text = render(items)
    for place, gone, piece in mutations:
        text = text[:place] + piece + text[place + gone :]
    found = read(text, finish, request_)
    assert all(item.instruction and item.output for item in found if isinstance(item, Candidate))
    assert all(item.text and item.reason for item in found if isinstance(item, Unparsed))


@given(st.lists(pieces, max_size=40).map("".join), st.sampled_from(["stop", "length"]))
def test_no_junk_raises(text, finish):
    read(text, finish)


@given(items, st.integers(0, 4))
@example([("Write a brace", "", "}")], 0)
@example([("Write a brace", "", "}{")], 0)
@example([("Write a brace", "", "}, then more"), ("Write two", "", "}}")], 0)
def test_damage_in_one_task_costs_no_other(items, place):
    """A quotation mark too many in the answer of one; the others are read as they are."""
    place %= len(items)
    written = [json.dumps(dict(zip(NAMES, item, strict=True))) for item in items]
    written[place] = written[place].replace('"output": "', '"output": "so-called "', 1)
    found = read(rows(*written))
    assert tasks(found) == [item for n, item in enumerate(items) if n != place]


@pytest.mark.parametrize(
    "unit",
    [
        "{",
        "[",
        '"',
        '{"',
        "\\",
        '{"a":',
        '{"a":1,"b":',
        '{"a":1,"b":[',
        '{"instruction":',
        '{"instruction":"',
        ROW[0],
        ",\n",
    ]
    + [
        '{"instruction":"a","output":',
        '{"instruction":"a","output":[',
        '"instruction":',
        '{"instruction":"a\\"',
        "}",
        "```",
    ]
    + ['{"a":"b","c":"d","e":"f",', '{"instruction":' + "9" * 200 + ",", "{ " * 3, '{"tasks": [', '\n{"input":"\\'],
)
def test_a_megabyte_of_anything_is_read(unit):
    """Work that grew with the square of the length would end at the suite's time limit."""
    for ending in ("", "x", rows(ROW[0])):
        read(unit * (1_000_000 // len(unit)) + ending)
