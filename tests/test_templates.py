"""The Alpaca chat template: the published prompt to the byte, as text and as Jinja."""

import hashlib

import pytest
from alpaca_fsdp import data
from alpaca_templates.alpaca import AlpacaTemplate
from hypothesis import given
from hypothesis import strategies as st

from alpaca_core import ChatTemplate, Example

TEMPLATE = AlpacaTemplate()
TEXT = st.text(alphabet=st.one_of(st.characters(codec="utf-8"), st.sampled_from("{}%#\n \"'<s>\\")))


def render(messages, bos_token="<s>", add_generation_prompt=True):
    """As transformers renders it: its Jinja environment, with its tokens as variables."""
    from transformers.utils.chat_template_utils import render_jinja_template

    (text,), _ = render_jinja_template(
        [messages],
        chat_template=TEMPLATE.jinja,
        add_generation_prompt=add_generation_prompt,
        bos_token=bos_token,
        eos_token="</s>",
    )
    return text


def test_it_is_a_chat_template():
    assert isinstance(TEMPLATE, ChatTemplate)


@pytest.mark.parametrize(
    ("example", "sha256"),
    [
        # Of the texts that PROMPT_DICT in train.py of tatsu-lab/stanford_alpaca renders.
        (Example("I", "", "O"), "70171e57ce39aaa168b2f19c70cf2ad25130070a0c095e2d83a28db34703f73d"),
        (Example("I", "X", "O"), "b5c58eb530a931b1a62797acb92e2ac78cd9330080999662e28610e5c801a63c"),
    ],
)
def test_the_prompt_is_the_published_one_byte_for_byte(example, sha256):
    assert hashlib.sha256(TEMPLATE.prompt(example).encode()).hexdigest() == sha256


def test_a_trainer_builds_a_template_of_its_options_values(tmp_path, monkeypatch):
    (tmp_path / "named_template.py").write_text(
        "class Named:\n    def __init__(self, options): self.name = options.name\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert data.load_template("named_template:Named", {"name": "Bot"}).name == "Bot"
    assert data.load_template("alpaca_templates.alpaca:AlpacaTemplate", {}).jinja == TEMPLATE.jinja


def test_the_response_is_the_output_alone():
    assert TEMPLATE.response(Example("I", "X", " as is\n")) == " as is\n"


@given(TEXT, TEXT)
def test_the_jinja_renders_the_prompt_after_one_bos(instruction, given_input):
    message = {"role": "user", "content": instruction, "input": given_input}
    assert render([message]) == "<s>" + TEMPLATE.prompt(Example(instruction, given_input, ""))


@given(TEXT)
def test_a_message_without_the_key_input_has_no_input(instruction):
    assert render([{"role": "user", "content": instruction}], bos_token=None) == TEMPLATE.prompt(
        Example(instruction, "", "")
    )


def test_a_system_message_stands_in_place_of_the_preamble():
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
    assert render(messages) == "<s>Be brief.\n\n### Instruction:\nWhy?\n\n### Response:"


def test_later_turns_go_on_after_the_end_of_the_answer():
    messages = [
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "1"},
        {"role": "user", "content": "Two?", "input": "2"},
    ]
    first = TEMPLATE.prompt(Example("One?", "", ""))
    assert render(messages) == f"<s>{first}1</s>\n\n### Instruction:\nTwo?\n\n### Input:\n2\n\n### Response:"


def test_what_is_trained_on_is_what_a_finished_turn_renders():
    example = Example("Add.", "1, 2", "3")
    turn = [{"role": "user", "content": "Add.", "input": "1, 2"}, {"role": "assistant", "content": "3"}]
    whole = f"<s>{TEMPLATE.prompt(example)}{TEMPLATE.response(example)}</s>"
    assert render(turn, add_generation_prompt=False) == whole


def test_plain_jinja_reads_it():
    """Engines without transformers' own tags (vLLM, llama.cpp) render the same."""
    import jinja2

    template = jinja2.Environment().from_string(TEMPLATE.jinja)
    message = {"role": "user", "content": "Add.", "input": "1, 2"}
    text = template.render(messages=[message], add_generation_prompt=True, eos_token="</s>")
    assert text == TEMPLATE.prompt(Example("Add.", "1, 2", ""))
