"""Thoughts that a reply begins with: nothing in them becomes a row."""

from __future__ import annotations

from random import Random

import pytest
from alpaca_prompts import Alpaca2023Options, EvolOptions, SelfInstructOptions
from alpaca_prompts.alpaca_2023 import Alpaca2023
from alpaca_prompts.evol import Evol
from alpaca_prompts.self_instruct import SelfInstruct

from alpaca_core import Candidate, Completion, Seed, Unparsed

SEEDS = [Seed(f"s{number}", f"Do thing {number}.", "", f"Result {number}.") for number in range(5)]
PROMPTS = {
    "list": SelfInstruct(SelfInstructOptions()),
    "json": SelfInstruct(SelfInstructOptions(form="json")),
    "evol": Evol(EvolOptions()),
    "alpaca-2023": Alpaca2023(Alpaca2023Options()),
}
every_prompt = pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS.keys())


def answer(prompt, instruction):
    """A reply with one task in the form that ``prompt`` asks for."""
    if prompt is PROMPTS["json"]:
        return f'{{"tasks": [{{"instruction": "{instruction}", "input": "", "output": "Done."}}]}}'
    return f"1. Instruction: {instruction}\n1. Input:\n<noinput>\n1. Output:\nDone.\n###\n"


def read(prompt, text):
    return list(prompt.parse(prompt.request(0, Random(1), SEEDS, []), Completion(text)))


@every_prompt
@pytest.mark.parametrize("opening", ["<think>\n", "\n <think>", ""])
def test_drafts_among_the_thoughts_become_no_rows(prompt, opening):
    drafts = f"Let me plan.\n{answer(prompt, 'A draft.')}\nWait, better:\n{answer(prompt, 'Another.')}"
    text = f"{opening}{drafts}\n</think>\n\n{answer(prompt, 'Name a bird.')}"
    assert read(prompt, text) == [Candidate("Name a bird.", "", "Done.", number=1)]


@every_prompt
def test_thoughts_that_never_end_are_an_answer_cut_off(prompt):
    text = f"<think>\nLet me plan.\n{answer(prompt, 'A draft.')}"
    (found,) = read(prompt, text)
    assert isinstance(found, Unparsed) and (found.text, found.reason) == (text.strip(), "cut off")


@every_prompt
def test_no_thoughts_are_no_loss(prompt):
    expected = [Candidate("Name a bird.", "", "Done.", number=1)]
    assert read(prompt, f"<think>\n\n</think>\n\n{answer(prompt, 'Name a bird.')}") == expected


@every_prompt
@pytest.mark.parametrize("instruction", ["Explain <think> and </think>.", "What closes a tag: </think>?"])
def test_a_task_about_the_marks_is_a_task(prompt, instruction):
    assert read(prompt, answer(prompt, instruction)) == [Candidate(instruction, "", "Done.", number=1)]
