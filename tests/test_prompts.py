"""The two prompts: pure requests, the published form, and options that are checked."""

from __future__ import annotations

import re
from random import Random

import pytest
from alpaca_prompts import Alpaca2023Options, SelfInstructOptions, alpaca_prompts
from alpaca_prompts.alpaca_2023 import Alpaca2023
from alpaca_prompts.self_instruct import SelfInstruct

from alpaca_core import Completion, ConfigError, Prompt, Seed

SEEDS = [
    Seed(f"seed_{n}", f"Do thing\n number  {n}:", "" if n % 2 else f"material {n}", f"Done {n}.") for n in range(9)
]
BOTH = [SelfInstruct(SelfInstructOptions()), Alpaca2023(Alpaca2023Options())]


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
        Alpaca2023(Alpaca2023Options(header=str(tmp_path / "nothing.txt")))


@pytest.mark.parametrize(
    ("options", "values"),
    [(SelfInstructOptions, {"items": 0}), (SelfInstructOptions, {"examples": -1}), (Alpaca2023Options, {"items": 3})],
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


def test_the_plugin_offers_both():
    assert [spec.name for spec in alpaca_prompts()] == ["self-instruct", "alpaca-2023"]
    assert all(spec.load()(spec.options()).request(0, Random(1), SEEDS, []) for spec in alpaca_prompts())
