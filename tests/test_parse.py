"""The parser of numbered lists: what it reads, what it gives up, and that damage never spreads."""

from __future__ import annotations

import re
from random import Random

import pytest
from alpaca_prompts import SelfInstructOptions
from alpaca_prompts.parse import parse_list
from alpaca_prompts.self_instruct import SelfInstruct
from hypothesis import given, settings
from hypothesis import strategies as st

from alpaca_core import Candidate, Completion, Request, Unparsed, no_input

CHAT = Request(k=0, prompt="...", prefix="1. Instruction:", items=20)
PUBLISHED = Request(k=0, prompt="...", prefix="4. Instruction:", items=17, first=4, stop=("\n20", "20."))


def read(text, finish="stop", request=CHAT):
    return list(parse_list(request, Completion(text=text, finish=finish)))


def tasks(found):
    return [(item.instruction, item.input, item.output) for item in found if isinstance(item, Candidate)]


def lost(found):
    return [(item.number, item.reason) for item in found if isinstance(item, Unparsed)]


def render(items, first=1, separator="###\n", numbers=None):
    numbers = numbers or range(first, first + len(items))
    return separator.join(
        f"{n}. Instruction: {instruction}\n{n}. Input:\n{given or '<noinput>'}\n{n}. Output:\n{output}\n"
        for n, (instruction, given, output) in zip(numbers, items, strict=True)
    )


THREE = [("Name a bird.", "", "A wren."), ("Add the numbers.", "2, 3", "5"), ("Greet me.", "", "Hello there!")]


# ---- the forms that are read -----------------------------------------------------------------------


def test_a_chat_reply_with_its_own_numbers():
    found = read(render(THREE))
    assert tasks(found) == THREE and [item.number for item in found] == [1, 2, 3]


def test_a_completion_that_continues_the_prefix():
    text = render(THREE, first=4).removeprefix("4. Instruction:")
    assert tasks(read(text, "length", PUBLISHED)) == THREE[:2]
    assert tasks(read(text + "###", "stop", PUBLISHED)) == THREE


def test_a_completion_that_repeats_the_first_header():
    assert tasks(read("\n" + render(THREE, first=4) + "###", request=PUBLISHED)) == THREE
    assert tasks(read(render(THREE) + "###", request=PUBLISHED)) == THREE


def test_a_completion_whose_numbers_start_again():
    text = render(THREE).removeprefix("1. Instruction:") + "###"
    assert tasks(read(text, request=PUBLISHED)) == THREE


def test_numbers_that_start_again_or_jump_or_repeat():
    for numbers in ([1, 2, 3], [9, 2, 9], [1, 1, 1], [300, 200, 100]):
        found = read(render(THREE, numbers=numbers) + "###", request=PUBLISHED)
        assert tasks(found) == THREE and [item.number for item in found] == numbers


@pytest.mark.parametrize(
    "drift",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("###\n", ""),
        lambda text: text.replace("###\n", "\n\n\n"),
        lambda text: text.replace("###\n", "\n---\n\n"),
        lambda text: text.replace("###\n", "#####  \n"),
        lambda text: text.replace("###\n", "##\n"),
        lambda text: text.replace("###\n", "///\n"),
        lambda text: text.replace("###\n", "________\n\n"),
        lambda text: re.sub(r"(?m)^(\d\. \w+:)", r"**\1**", text),
        lambda text: re.sub(r"(?m)^(\d\. \w+):", r"**\1**:", text),
        lambda text: re.sub(r"(?m)^(\d\.) (\w+:)", r"\1 **\2**", text),
        lambda text: re.sub(r"(?m)^(\d\.) (\w+:)", r"**\1** \2", text),
        lambda text: re.sub(r"(?m)^(\d\. Instruction: .*)$", r"**\1**", text),
        lambda text: re.sub(r"(?m)^(\d\. Instruction:)", r"### \1", text.replace("###\n", "")),
        lambda text: re.sub(r"(?m)^(\d\. \w+:)", r"## \1", text),
        lambda text: re.sub(r"(?m)^(\d)\. (\w+:)", r"\1) \2", text),
        lambda text: re.sub(r"(?m)^(\d)\. (\w+:)", r"\1.\2", text),
        lambda text: re.sub(r"(?m)^\d\. (Input|Output):", r"\1:", text),
        lambda text: re.sub(r"(?m)^\d\. (Input|Output):\n", r"   \1: ", text),
        lambda text: re.sub(r"(?m)^\d\. Input:\n<noinput>\n", "", text),
        lambda text: text.replace("Instruction", "INSTRUCTION").replace("Output", "output"),
        lambda text: "```\n" + text + "```\n",
        lambda text: "```text\n" + text + "```",
        lambda text: "\n\n  \n" + text + "\n\n###\n\n",
    ],
)
def test_small_drifts_of_form_lose_nothing(drift):
    assert drift(render(THREE)) != render(THREE)
    found = read(drift(render(THREE)))
    assert tasks(found) == THREE and not lost(found)


@pytest.mark.parametrize(
    "form",
    ["<noinput>", "noinput", "Noinput", "No input.", "<no input>", "No Input", "No input required.", "N/A", "<N/A>"]
    + [
        "none",
        "<none>",
        "(no input)",
        "< noinput >",
        "<noinput>.",
        "<noinput>,",
        "\\<noinput\\>",
        "<noinputs>",
        "No input needed.",
        "n/a",
        "None.",
        "not applicable",
    ]
    + ["**No input**", "[No Input Provided]", "No additional input is required.", ""],
)
def test_ways_to_say_no_input(form):
    text = f"1. Instruction: Name a bird.\n1. Input:\n{form}\n1. Output:\nA wren.\n"
    assert tasks(read(text)) == [("Name a bird.", "", "A wren.")]


@pytest.mark.parametrize("text", ["None of them came.", "no", "Input", "No input was lost in the fire", "-", "Na", "0"])
def test_an_input_that_only_resembles_no_input_stays(text):
    assert not no_input(text)


@pytest.mark.parametrize(
    "form",
    [
        "لا يوجد إدخال",
        "<لا توجد مدخلات>",
        "بدون إدخال.",
        "لا ينطبق",
        "（无输入）",
        "没有输入。",
        "不适用",
        "入力なし",
        "입력 없음",
    ]
    + [
        "sin entrada",
        "Aucune entrée",
        "Keine Eingabe erforderlich",
        "sem entrada",
        "Нет ввода",
        "कोई इनपुट नहीं",
        "Girdi yok",
    ],
)
def test_ways_to_say_no_input_in_other_languages(form):
    text = f"1. Instruction: Name a bird.\n1. Input:\n{form}\n1. Output:\nA wren.\n"
    assert tasks(read(text)) == [("Name a bird.", "", "A wren.")]


@pytest.mark.parametrize(
    "text", ["لا يوجد إدخال آخر في الجدول", "输入法", "Entrada al museo", "Eingabe", "نعم", "无", "нет"]
)
def test_an_input_in_another_language_that_only_resembles_no_input_stays(text):
    assert not no_input(text)


@pytest.mark.parametrize(
    "digits", ["٠١٢٣٤٥٦٧٨٩", "۰۱۲۳۴۵۶۷۸۹", "०१२३४५६७८९", "\uff10\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18\uff19"]
)
def test_numbers_in_the_digits_of_other_scripts(digits):
    text = re.sub(r"(?m)^(\d)\.", lambda found: digits[int(found[1])] + ".", render(THREE))
    found = read(text)
    assert tasks(found) == THREE and [item.number for item in found] == [1, 2, 3]


@pytest.mark.parametrize(
    "words",
    [
        "التعليمات المدخلات المخرجات",
        "تعليمات إدخال إخراج",
        "指令 输入 输出",
        "指示 入力 出力",
        "지시 입력 출력",
        "निर्देश इनपुट आउटपुट",
    ]
    + ["Instrucción Entrada Salida", "Instruction Entrée Sortie", "Anweisung Eingabe Ausgabe", "Инструкция Ввод Вывод"],
)
@pytest.mark.parametrize(
    "layout", ["{n}. {word}:", "**{n}. {word}:**", "{n}. {word}\uff1a", "{n}\u3001{word}\uff1a", "### {n}. {word} :"]
)
def test_headers_in_another_language(words, layout):
    names = dict(zip(("Instruction", "Input", "Output"), words.split(), strict=True))
    text = re.sub(r"(?m)^(\d)\. (\w+):", lambda found: layout.format(n=found[1], word=names[found[2]]), render(THREE))
    found = read(text.replace("###\n", "") if "###" in layout else text)
    assert tasks(found) == THREE and [item.number for item in found] == [1, 2, 3]


def test_headers_in_another_language_inside_answers_are_none_where_the_list_is_in_english():
    items = [("Lay the form out in German.", "", "1. Anweisung: ...\n1. Eingabe: ...\n1. Ausgabe: ..."), *THREE]
    assert tasks(read(render(items))) == items


# ---- each defect of the published parser and procedure ------------------------------------------------


def test_an_answer_cut_by_a_stop_string_is_dropped():
    """ "20." also ends a reply at "$20.00", with finish "stop"."""
    text = render([*THREE, ("What do ten boxes cost?", "", "The total is $")], first=4)
    found = read(text.removeprefix("4. Instruction:").rstrip("\n"), "stop", PUBLISHED)
    assert tasks(found) == THREE and lost(found) == [(7, "cut off")]


@pytest.mark.parametrize("finish", ["length", "content_filter", "refusal"])
def test_an_answer_cut_by_the_provider_is_dropped(finish):
    found = read(render(THREE) + "###\n4. Instruction: Count\n4. Input:\n<noinput>\n4. Output:\nOne, two", finish)
    assert tasks(found) == THREE and lost(found) == [(4, "cut off")]


def test_the_last_item_is_kept_when_the_teacher_finished_by_itself():
    assert tasks(read(render(THREE))) == THREE


def test_headings_inside_an_answer_stay_in_it():
    poem = "### Summer\nWarm.\n\n### Winter\nCold."
    items = [THREE[0], ("Write notes.", "", poem), THREE[1], THREE[2]]
    assert tasks(read(render(items))) == items
    assert tasks(read(render(items, first=4).removeprefix("4. Instruction:") + "###", request=PUBLISHED)) == items


def test_a_separator_alone_on_a_line_inside_an_answer_stays_in_it():
    items = [("Separate two words.", "", "one\n###\ntwo"), *THREE]
    assert tasks(read(render(items))) == items


def test_headers_quoted_inside_an_answer_stay_in_it():
    quotes = "7. Input: is a line.\nSo is\n7. Output: and 23. Input\n23. Input: too."
    items = [THREE[0], ("Quote a form.", "1. Output: an old one", quotes), THREE[1], THREE[2]]
    found = read(render(items))
    assert tasks(found) == items and not lost(found)


def test_a_quoted_instruction_line_costs_no_other_item():
    items = [THREE[0], ("Quote a form.", "", "It begins:\n7. Instruction: do it"), THREE[1], THREE[2]]
    found = read(render(items))
    assert tasks(found) == THREE and lost(found) == [(2, "damaged")]


def test_numbers_inside_a_line_are_no_headers():
    items = [("Say 1. Instruction: twice", "see 1. Output: there", "the 2. Instruction: of it"), THREE[0]]
    assert tasks(read(render(items))) == items


def test_an_item_without_an_output_is_reported():
    found = read(render([THREE[0], ("Say nothing.", "", ""), THREE[2]]))
    assert tasks(found) == [THREE[0], THREE[2]] and lost(found) == [(2, "no output")]


def test_an_item_without_an_output_line_is_reported():
    text = render(THREE).replace("2. Output:\n5\n", "")
    assert tasks(read(text)) == [THREE[0], THREE[2]] and lost(read(text)) == [(2, "no output")]


def test_an_item_without_an_instruction_is_reported():
    empty = read(render([THREE[0], ("", "2, 3", "5"), THREE[2]]))
    gone = read(render(THREE).replace("2. Instruction: Add the numbers.\n", ""))
    for found in (empty, gone):
        assert tasks(found) == [THREE[0], THREE[2]] and lost(found) == [(2, "empty instruction")]


def test_a_missing_input_line_means_no_input():
    assert tasks(read(render(THREE).replace("1. Input:\n<noinput>\n", ""))) == THREE


def test_wrong_numbers_inside_an_item_are_read_when_only_one_reading_is_left():
    text = render(THREE).replace("2. Input", "5. Input").replace("2. Output", "6. Output")
    assert tasks(read(text)) == THREE


def test_two_outputs_in_one_item_are_two_readings():
    found = read(render([THREE[0], ("Choose.", "", "yes\n2. Output:\nno"), THREE[2]]))
    assert tasks(found) == [THREE[0], THREE[2]] and lost(found) == [(2, "damaged")]


def test_items_run_together_without_separators_are_told_apart():
    found = read(render(THREE, separator="") + "4. Instruction: And", "length")
    assert tasks(found) == THREE and lost(found) == [(4, "cut off")]


def test_more_items_than_asked_for_are_kept():
    many = [(f"Task {n}", "", f"Answer {n}") for n in range(25)]
    assert tasks(read(render(many))) == many


@pytest.mark.parametrize("text", ["", "  \n ", "I'm sorry, but I can't help with that.", "Sure!\n\n- one\n- two\n###"])
@pytest.mark.parametrize("request_", [CHAT, PUBLISHED])
def test_an_empty_reply_or_a_refusal_gives_nothing(text, request_):
    assert read(text, request=request_) == [] == read(text, "refusal", request_)


def test_a_first_item_cut_in_its_instruction_is_reported():
    assert lost(read(" Write a poem abou", "length", PUBLISHED)) == [(4, "cut off")]


def test_talk_around_the_list_is_reported_and_costs_no_item():
    found = read("Sure! Here are three tasks:\n\n" + render(THREE) + "###\n\nLet me know if you need more.")
    assert tasks(found) == THREE
    assert lost(found) == [(0, "outside any task")] * 2
    assert "Let me know if you need more." in [item.text for item in found if isinstance(item, Unparsed)]


def test_talk_without_a_list_before_the_second_item_is_the_first_one():
    found = read(" Write a poem.\n###\n" + render(THREE, first=5) + "###", request=PUBLISHED)
    assert tasks(found) == THREE and lost(found) == [(4, "no output")]


# ---- laws ------------------------------------------------------------------------------------------------

HEADER = re.compile(r"(?im)^[ \t]*[#*_ \t]*(\d+[.)][*_ \t]*)?(instruction|input|output)[*_ \t]*:|^\s*#{3,}\s*$")
words = st.text(st.characters(exclude_characters="\r", exclude_categories=("Cs",)), max_size=60).map(str.strip)
prose = st.one_of(
    words, st.lists(st.sampled_from(["###", "# a", "7.", "Input", "- x", "", "b:", "1. One"])).map("\n".join)
)
clean = prose.map(str.strip).filter(lambda text: not HEADER.search(text))
nonempty = clean.filter(bool)
item = st.tuples(nonempty, clean.filter(lambda text: not no_input(text)), nonempty)
lists = st.lists(item, min_size=1, max_size=6)


@given(lists, st.integers(1, 9))
def test_what_is_rendered_is_read_back(items, first):
    found = read(render(items, first))
    assert tasks(found) == items and [entry.number for entry in found] == list(range(first, first + len(items)))


@given(lists, st.data())
def test_a_text_cut_anywhere_gives_a_prefix_of_its_items(items, data):
    text = render(items)
    found = tasks(read(text[: data.draw(st.integers(0, len(text)))], "length"))
    assert found == items[: len(found)]


@given(lists, st.data())
def test_a_text_stopped_anywhere_gives_a_prefix_of_its_items(items, data):
    text = render(items, first=4).removeprefix("4. Instruction:")
    found = tasks(read(text[: data.draw(st.integers(0, len(text)))], "stop", PUBLISHED))
    assert found == items[: len(found)]


@given(lists, st.lists(nonempty, min_size=6, max_size=6))
def test_noise_after_separators_costs_no_item(items, noise):
    parts = [render([entry], number) for number, entry in enumerate(items, start=1)]
    text = "".join(f"{part}###\n{line}\n" for part, line in zip(parts, noise, strict=False))
    assert tasks(read(text)) == items


@given(lists, st.data())
def test_any_numbering_is_read(items, data):
    numbers = data.draw(st.lists(st.integers(0, 9999), min_size=len(items), max_size=len(items)))
    assert tasks(read(render(items, numbers=numbers))) == items


pieces = st.sampled_from(
    ["1. Instruction: a", "2. Instruction:", "1. Input:", "3. Output:", "2. Output: b", "###", "### 4. Instruction: c"]
    + ["Input:", "**1. Output:** d", "```", "---", "text", "", "9999. Output:", "99999. Input:", "\r\n", "#" * 9]
)
junk = st.one_of(st.text(), st.lists(pieces, max_size=30).map("\n".join))


@settings(max_examples=300)
@given(junk, st.sampled_from(["stop", "length", "refusal", "content_filter"]), st.sampled_from([CHAT, PUBLISHED]))
def test_no_text_raises_and_every_candidate_is_whole(text, finish, request_):
    found = read(text, finish, request_)
    assert all(part.instruction and part.output for part in found if isinstance(part, Candidate))
    assert all(part.text and part.reason for part in found if isinstance(part, Unparsed))


@pytest.mark.parametrize(
    "unit",
    ["#", "# ", " ", "\n", "1. ", "1. Instruction:", "1. Instruction: a\n", "1. Output:\n", "###\n", "*", "_", "`", "0"]
    + ["1. Instruction: a\n1. Output:\nb\n###\n", "\t\n", "\r", "\n---", "\n```", "-", "\n- ", "**1.** ** "],
)
def test_a_megabyte_of_anything_is_read(unit):
    """Work that grew with the square of the length would end at the suite's time limit."""
    for ending in ("", "x", "\n1. Instruction: a\n1. Output: b"):
        read(unit * (1_000_000 // len(unit)) + ending)


def test_drafts_in_the_thoughts_before_an_answer_are_no_tasks():
    draft = "1. Instruction: Draft.\n1. Output: hmm, redo it\n"
    answer = "1. Instruction: Name a tree.\n1. Output: Oak.\n"
    prompt = SelfInstruct(SelfInstructOptions())
    request = prompt.request(0, Random(1), [], [])
    (item,) = prompt.parse(request, Completion(f"<think>\n{draft}</think>\n{answer}"))
    assert (item.instruction, item.output) == ("Name a tree.", "Oak.")
    assert not any(isinstance(item, Candidate) for item in prompt.parse(request, Completion(f"<think>\n{draft}")))
