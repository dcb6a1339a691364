"""The prompts: pure requests, the published form, what each asks for, and options that are checked."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from dataclasses import replace
from random import Random

import pytest
from alpaca_prompts import Alpaca2023Options, EvolOptions, SelfInstructOptions, TopicsOptions, alpaca_prompts
from alpaca_prompts.alpaca_2023 import Alpaca2023
from alpaca_prompts.evol import DEEPER, WIDER, Evol
from alpaca_prompts.self_instruct import SelfInstruct
from alpaca_prompts.topics import Topics

from alpaca_core import Candidate, Completion, ConfigError, Example, Prompt, Seed, Unparsed

SEEDS = [
    Seed(f"seed_{n}", f"Do thing\n number  {n}:", "" if n % 2 else f"material {n}", f"Done {n}.") for n in range(9)
]
KEPT = [Example(f"Kept task {n}", f"stuff {n}" if n % 2 else "", f"Answer {n}.", id=f"{n:06d}.00") for n in range(30)]
BOTH = [SelfInstruct(SelfInstructOptions()), Alpaca2023(Alpaca2023Options())]
TOPICS = ["beekeeping", "tax returns", "glaciers", "chess openings", "bread", "first aid", "origami"]


@pytest.fixture
def topics(tmp_path):
    """Makes the prompt ``topics`` with the list above and other options as given."""
    file = tmp_path / "topics.txt"
    file.write_text("# mine\n\n" + "\n".join(TOPICS) + "\n", encoding="utf-8")
    return lambda **options: Topics(TopicsOptions(topics=file, **options))


def every_prompt(topics):
    for options in ({}, {"form": "json"}, {"language": "Arabic"}):
        yield SelfInstruct(SelfInstructOptions(examples=4, kept_examples=2, **options))
        yield Evol(EvolOptions(**options))
        yield topics(**options)


# ── all of them ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_request_is_a_pure_function_of_its_arguments(topics):
    for prompt, again in zip(every_prompt(topics), every_prompt(topics), strict=True):
        assert isinstance(prompt, Prompt)
        prompt.request(0, Random(3), SEEDS, KEPT)
        first = prompt.request(5, Random(1), SEEDS, KEPT)
        assert first == again.request(5, Random(1), SEEDS, KEPT) and first.k == 5
        assert len({prompt.request(5, Random(n), SEEDS, KEPT).prompt for n in range(9)}) > 6


def test_the_default_request_is_the_one_that_runs_in_progress_were_started_with():
    """Byte for byte: a run goes on only if the requests still to come are those that it would have sent."""
    prompt = SelfInstruct(SelfInstructOptions())
    requests = [prompt.request(k, Random(f"0/{k}"), SEEDS, []) for k in range(20)]
    assert {(r.system, r.prefix, r.items, r.first, r.stop, r.max_tokens, r.schema) for r in requests} == {
        ("", "1. Instruction:", 20, 1, (), 3072, None)
    }
    assert hashlib.sha256("".join(r.prompt for r in requests).encode()).hexdigest() == DEFAULT_REQUESTS


DEFAULT_REQUESTS = "9e244b9d15f047ceb247f5b9ea50e1695ab3976f29166af9a26125fe11cd0ee0"


def test_only_prompts_that_look_at_kept_rows_wait_for_them(topics):
    assert not SelfInstruct(SelfInstructOptions()).uses_kept and not topics().uses_kept
    assert SelfInstruct(SelfInstructOptions(kept_examples=1)).uses_kept and Evol(EvolOptions()).uses_kept
    for prompt in (*BOTH, topics()):
        assert prompt.request(3, Random(1), SEEDS, KEPT) == prompt.request(3, Random(1), SEEDS, [])


def test_a_request_in_json_has_a_schema_that_is_strict_and_examples_in_the_same_form(topics):
    for prompt in (topics(form="json"), SelfInstruct(SelfInstructOptions(form="json"))):
        request = prompt.request(0, Random(1), SEEDS, [])
        row = request.schema["properties"]["tasks"]["items"]
        assert set(row["required"]) == set(row["properties"]) == {"instruction", "input", "output"}
        assert row["additionalProperties"] is request.schema["additionalProperties"] is False
        assert json.loads(json.dumps(request.schema)) == request.schema and request.prefix == '{"tasks": ['
        shown = json.loads(re.search(r'(?s)\{"tasks": \[\n.*?\n\]\}', request.prompt)[0])["tasks"]
        assert len(shown) == 3 and shown[0]["output"].startswith("Done ")
        assert "<noinput>" not in request.prompt and "N. Instruction" not in request.prompt


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("Arabic", "in Arabic, "),
        ("ar-EG", "in the language with the code ar-EG, "),
        ("Swiss German", "in Swiss German, "),
    ],
)
def test_another_language_is_asked_for_by_name_or_code_with_more_room_for_the_answer(topics, language, words):
    for prompt in (
        topics(language=language),
        SelfInstruct(SelfInstructOptions(language=language)),
        Evol(EvolOptions(language=language)),
    ):
        request = prompt.request(0, Random(1), SEEDS, [])
        english = type(prompt)(replace(prompt.options, language="English")).request(0, Random(1), SEEDS, [])
        assert words in request.prompt and "Write in English" not in request.prompt
        assert "N. Instruction:" in request.prompt and request.max_tokens == 2 * english.max_tokens


@pytest.mark.parametrize("code", ["en", "en-GB", "english"])
def test_a_code_for_english_asks_as_english_does(code):
    asked, default = (SelfInstruct(SelfInstructOptions(language=name)) for name in (code, "English"))
    assert asked.request(0, Random(1), SEEDS, []) == default.request(0, Random(1), SEEDS, [])


def test_the_language_goes_on_to_the_filters():
    for options in (SelfInstructOptions, EvolOptions, TopicsOptions):
        assert options(language="Arabic").recommends == {
            "filter.ascii-start.language": "Arabic",
            "filter.language.language": "Arabic",
        }


# ── seed tasks and the published form ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("prompt", BOTH)
def test_a_request_is_a_pure_function_of_its_arguments(prompt):
    assert isinstance(prompt, Prompt) and prompt.uses_kept is False
    first = prompt.request(5, Random(1), SEEDS, [])
    assert first == prompt.request(5, Random(1), SEEDS, []) and first.k == 5
    assert len({prompt.request(5, Random(n), SEEDS, []).prompt for n in range(9)}) > 6


@pytest.mark.parametrize("prompt", BOTH)
def test_three_different_seed_tasks_are_shown_in_list_form(prompt):
    text = prompt.request(0, Random(1), SEEDS, []).prompt
    shown = re.findall(r"(?m)^(\d)\. Instruction: Do thing number (\d)$", text)
    assert [number for number, _ in shown] == ["1", "2", "3"] and len({seed for _, seed in shown}) == 3
    assert text.count("\n1. Output:\nDone ") == 1


def test_self_instruct_counts_new_tasks_from_one_without_a_stop_string():
    request = SelfInstruct(SelfInstructOptions(items=7)).request(0, Random(1), SEEDS, [])
    assert (request.items, request.first, request.stop, request.prefix) == (7, 1, (), "1. Instruction:")
    assert "numbered from 1 to 7" in request.prompt


def test_alpaca_2023_goes_on_with_the_list_and_stops_at_twenty():
    request = BOTH[1].request(0, Random(1), SEEDS, [])
    assert (request.items, request.first, request.prefix) == (17, 4, "4. Instruction:")
    assert request.stop == ("\n20", "20.") and request.max_tokens == 3072


def test_a_header_of_ones_own_stands_before_the_published_list(tmp_path):
    """The list is laid out as in the published generate_instruction.py, byte for byte."""
    header = tmp_path / "prompt.txt"
    header.write_text("Tasks, please:\n\nList of 20 tasks:", encoding="utf-8")
    seeds = [
        Seed("a", "Sort  these:\n", "b, a", "a, b"),
        Seed("b", "Greet.", "", "Hi."),
        Seed("c", "Sum: ::", "1 2", "3"),
    ]
    request = Alpaca2023(Alpaca2023Options(header=str(header))).request(0, Keep(), seeds, [])
    assert request.prompt + request.prefix == (
        "Tasks, please:\n\nList of 20 tasks:\n"
        "###\n1. Instruction: Sort these\n1. Input:\nb, a\n1. Output:\na, b\n"
        "###\n2. Instruction: Greet.\n2. Input:\n<noinput>\n2. Output:\nHi.\n"
        "###\n3. Instruction: Sum: \n3. Input:\n1 2\n3. Output:\n3\n"
        "###\n4. Instruction:"
    )


class Keep(Random):
    """Draws the seed tasks in their order."""

    def sample(self, population, k):  # type: ignore[override]
        return list(population)[:k]


def test_a_header_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ConfigError, match="prompt.header.*nothing.txt"):
        Alpaca2023(Alpaca2023Options(header=str(tmp_path / "nothing.txt"))).request(0, Random(1), SEEDS, [])


@pytest.mark.parametrize(
    ("options", "values"),
    [
        (SelfInstructOptions, {"items": 0}),
        (SelfInstructOptions, {"examples": -1}),
        (SelfInstructOptions, {"kept_examples": 21}),
        (SelfInstructOptions, {"language": ""}),
        (SelfInstructOptions, {"language": "Arabic.\nIgnore"}),
        (Alpaca2023Options, {"items": 3}),
        (TopicsOptions, {"tasks_per_topic": 0}),
        (EvolOptions, {"items": 101}),
        (EvolOptions, {"widening": 1.5}),
    ],
)
def test_options_out_of_range_are_refused(options, values):
    with pytest.raises(ValueError, match=f"{next(iter(values))} must be"):
        options(**values)


@pytest.mark.parametrize("prompt", BOTH)
def test_fewer_seed_tasks_than_examples_are_all_shown(prompt):
    request = prompt.request(0, Random(1), SEEDS[:2], [])
    assert request.prompt.count(". Instruction: Do thing") == 2


@pytest.mark.parametrize("prompt", BOTH)
def test_the_prompt_reads_what_it_asked_for(prompt):
    request = prompt.request(0, Random(1), SEEDS, [])
    reply = f" Name a bird.\n{request.first}. Input:\n<noinput>\n{request.first}. Output:\nA wren.\n###"
    (task,) = prompt.parse(request, Completion(text=reply))
    assert (task.instruction, task.input, task.output, task.number) == ("Name a bird.", "", "A wren.", request.first)


def test_the_plugin_offers_four(topics):
    specs = {spec.name: spec for spec in alpaca_prompts()}
    assert [*specs] == ["self-instruct", "topics", "evol", "alpaca-2023"]
    for name, spec in specs.items():
        options = topics().options if name == "topics" else spec.options()
        assert spec.load()(options).request(0, Random(1), SEEDS, []).prompt


# ── the mix of seed tasks and kept rows ───────────────────────────────────────────────────────────────────────────


def shown_in(request):
    found = re.findall(r"(?m)^\d\. Instruction: (Do thing|Kept task)", request.prompt)
    return Counter(found)["Do thing"], Counter(found)["Kept task"]


def test_the_published_mix_shows_six_seed_tasks_and_two_kept_rows():
    prompt = SelfInstruct(SelfInstructOptions(examples=6, kept_examples=2))
    assert {shown_in(prompt.request(k, Random(k), SEEDS, KEPT)) for k in range(9)} == {(6, 2)}
    places = {
        re.findall(r"(?m)^(\d)\. Instruction: Kept", prompt.request(k, Random(k), SEEDS, KEPT).prompt)[0]
        for k in range(9)
    }
    assert len(places) > 2  # the kept rows stand anywhere among the seed tasks


def test_seed_tasks_fill_the_places_of_kept_rows_that_are_not_there_yet():
    prompt = SelfInstruct(SelfInstructOptions(examples=6, kept_examples=2))
    assert [shown_in(prompt.request(0, Random(0), SEEDS, KEPT[:n])) for n in range(4)] == [
        (8, 0),
        (7, 1),
        (6, 2),
        (6, 2),
    ]


# ── topics ────────────────────────────────────────────────────────────────────────────────────────────────────────


def asked_about(request):
    """The topic of each task, by its number, as the request's own lines say."""
    lines = re.findall(r"(?m)^Tasks? (\d+)(?: to (\d+))?: (.+)$", request.prompt)
    return {n: topic for first, last, topic in lines for n in range(int(first), int(last or first) + 1)}


@pytest.mark.parametrize(("items", "each"), [(20, 5), (20, 1), (7, 3), (3, 5), (20, 100)])
def test_topics_are_covered_evenly(topics, items, each):
    prompt, counts = topics(items=items, tasks_per_topic=each), Counter(dict.fromkeys(TOPICS, 0))
    for k in range(200):
        asked = asked_about(prompt.request(k, Random(k), SEEDS, []))
        assert [*asked] == list(range(1, items + 1))
        counts.update(asked.values())
        assert max(counts.values()) - min(counts.values()) <= each
    assert set(counts) == set(TOPICS)


def test_topics_come_in_another_order_than_in_the_file_and_the_same_for_every_seed(topics):
    first, second = (topics().request(0, Random(seed), SEEDS, []) for seed in (1, 2))
    assert asked_about(first) == asked_about(second) and first.prompt != second.prompt
    order = list(dict.fromkeys(asked_about(topics(items=35).request(0, Random(1), SEEDS, [])).values()))
    assert sorted(order) == sorted(TOPICS) and order != TOPICS


def test_a_task_is_labelled_with_its_topic_as_the_request_itself_has_it(topics):
    request = topics(items=6, tasks_per_topic=2).request(3, Random(1), SEEDS, [])
    text = "###\n".join(f"{n}. Instruction: Task {n}\n{n}. Output:\nDone\n" for n in range(1, 7))
    other = topics(items=9)  # as after another list was taken: what was asked stands in the request
    labels = {item.number: item.label for item in other.parse(request, Completion(text))}
    assert labels == asked_about(request)


def test_tasks_whose_numbers_do_not_tell_have_no_label(topics):
    prompt = topics()
    request = prompt.request(0, Random(1), SEEDS, [])
    text = "###\n".join(f"{n}. Instruction: Task {n}\n{n}. Output:\nDone\n" for n in (1, 1, 3, 2, 99))
    assert [bool(item.label) for item in prompt.parse(request, Completion(text))] == [True, False, True, False, False]


def test_a_run_with_topics_is_known_by_what_the_file_holds(tmp_path):
    one, same, other = (tmp_path / name for name in ("a", "b", "c"))
    one.write_text("bees\nice\n")
    same.write_text("# moved, and written differently\n  bees \n\nice")
    other.write_text("bees\nsnow\n")
    hashes = [TopicsOptions(topics=file).topics_hash for file in (one, same, other)]
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "topics names a file without topics: {file}"),
        (b"# only\n\n", "topics names a file without topics: {file}"),
        (b"bees\nice\n\nBees \n", "topics has a topic twice: {file}:4 is line 1 again: Bees"),
        (b"bees\n" + b"x" * 101, "topics has too long a topic: {file}:2 has 101 characters"),
        (b"\xff\xfe", "topics names a file that cannot be read: {file}"),
        (None, "topics names a file that cannot be read: {file}"),
    ],
)
def test_a_list_of_topics_that_cannot_be_used_is_refused_with_file_and_line(tmp_path, content, complaint):
    file = tmp_path / "topics.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(complaint.format(file=file))):
        TopicsOptions(topics=file)


def test_topics_without_a_list_says_how_to_name_one():
    with pytest.raises(ConfigError) as caught:
        Topics(TopicsOptions()).request(0, Random(1), SEEDS, [])
    assert caught.value.hint == "Name it: --set prompt.topics=topics.txt"


# ── evol ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_evol_grows_from_kept_rows_and_from_seed_tasks_while_there_are_none():
    early = Evol(EvolOptions(items=4)).request(0, Random(1), SEEDS, [])
    late = Evol(EvolOptions(items=4)).request(200, Random(1), SEEDS, KEPT)
    assert len(set(re.findall(r"(?m)^Basis \d: Do thing number (\d)$", early.prompt))) == 4
    assert len(set(re.findall(r"(?m)^Basis \d: Kept task (\d+)$", late.prompt))) == 4
    assert len(re.findall(r"(?m)^Basis", Evol(EvolOptions(items=50)).request(0, Random(1), SEEDS, []).prompt)) == 50
    assert (early.items, early.first, early.stop) == (4, 1, ())


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_evol_widens_the_share_that_was_asked_for_and_deepens_in_every_direction(share):
    prompt = Evol(EvolOptions(widening=share))
    lines = [line for k in range(100) for line in prompt.request(k, Random(k), SEEDS, KEPT).prompt.splitlines()]
    directions = Counter(line.split(": ", 1)[1] for line in lines if line.startswith("Direction "))
    assert directions.total() == 1000 and abs(directions[WIDER] - 1000 * share) < 60
    assert share == 1 or set(directions) - {WIDER} == set(DEEPER)


@pytest.mark.parametrize(
    ("instruction", "given", "output", "reason"),
    [
        ("#Rewritten Prompt#: Plan a trip.", "", "Go.", "speaks of its basis"),
        ("Solve Basis 3 with a tighter limit.", "", "Done.", "speaks of its basis"),
        ("Do the original task in half the time.", "", "Done.", "speaks of its basis"),
        ("Improve the given task.", "", "Done.", "speaks of its basis"),
        ("Richer material: sum up the log.", "a log", "Done.", "speaks of its basis"),
        ("Write a story from the given prompt.", "A fox wakes up.", "It yawned.", ""),
        ("Write an apology to a friend.", "", "I'm sorry that I missed your party.", ""),
        ("Explain how taxes work in Atlantis.", "", "I'm sorry, but I can't help with that.", "refuses"),
        ("Name the winner of the next race.", "", "As an AI language model, I do not know.", "refuses"),
        ("Sum up the basic instructions for a fire extinguisher.", "", "Pull, aim, squeeze.", ""),
        ("Put the original instructions into words for a child.", "Rinse the pump.", "Wash it.", ""),
        ("Follow the original instructions faster.", "", "Done.", "speaks of its basis"),
        ("Answer a guest who wants money back.", "", "Sorry, we cannot provide a refund after May.", ""),
        ("Tell a customer that it is late.", "", "Unfortunately the workshop can't complete it today.", ""),
        ("Explain how taxes work in Atlantis.", "", "Unfortunately, I am unable to help.", "refuses"),
        ("Explain how taxes work in Atlantis.", "", "Sorry, but I really can't answer that.", "refuses"),
        ("Say how harder steel is made.", "", "It is quenched.", ""),
        ("Sum up the basic instructions for lighting a stove.", "Open the flap.", "Open it first.", ""),
        ("Answer this customer.", "My cup broke.", "Sorry, we cannot provide a refund for cups.", ""),
    ],
)
def test_evol_gives_up_tasks_that_speak_of_their_basis_and_answers_that_refuse(instruction, given, output, reason):
    prompt = Evol(EvolOptions())
    text = f"1. Instruction: {instruction}\n1. Input:\n{given or '<noinput>'}\n1. Output:\n{output}\n"
    (item,) = prompt.parse(prompt.request(0, Random(1), SEEDS, []), Completion(text))
    if reason:
        assert isinstance(item, Unparsed) and (item.reason, item.number) == (reason, 1) and instruction in item.text
    else:
        assert item == Candidate(instruction, given, output, number=1)
