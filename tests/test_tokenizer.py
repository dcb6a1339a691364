"""The tokenizer of new students equals sentencepiece, survives saving, and reads template and examples as one."""

import pytest
import training
from alpaca_fsdp import data, tokenizer
from alpaca_fsdp.examples import tokenize
from alpaca_templates.alpaca import AlpacaTemplate
from hypothesis import given, settings
from hypothesis import strategies as st

from alpaca_core import Example

TEMPLATE = AlpacaTemplate()
EXAMPLES = [Example(**row) for row in training.rows(60)]
TEXT = st.text(
    alphabet=st.one_of(st.characters(codec="utf-8"), st.sampled_from(" \n▁12aeorst<s>/")), max_size=40
).filter(lambda text: "\0" not in text)  # sentencepiece ends a text there


@pytest.fixture(scope="module")
def model() -> bytes:
    return tokenizer.train([text for e in EXAMPLES for text in (e.instruction, e.input, e.output) if text], 500)


@pytest.fixture(scope="module")
def pieces(model):
    import sentencepiece

    return sentencepiece.SentencePieceProcessor(model_proto=model)


@pytest.fixture(scope="module")
def words(model, tmp_path_factory):
    """Saved and loaded again, as everyone else will see it."""
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("tokenizer")
    made = tokenizer.build(model, data.fixed_lines(TEMPLATE))
    made.chat_template = TEMPLATE.jinja
    made.save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


def encode(words, text):
    return words(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]


@settings(max_examples=400)
@given(text=TEXT)
def test_ids_equal_those_of_sentencepiece(words, pieces, text):
    assert encode(words, text) == pieces.encode(text)


@settings(max_examples=200)
@given(text=TEXT)
def test_text_comes_back_whole(words, text):
    """Also where a line of the template is in it."""
    prompt = TEMPLATE.prompt(Example(text, text, ""))
    if "▁" not in text:  # sentencepiece's own mark for a space
        assert words.decode(encode(words, prompt)) == prompt


def test_each_fixed_line_of_the_template_is_one_token(words, pieces):
    """And the text between them is tokenised as sentencepiece does with a text of its own."""
    head, middle, end = (
        words.convert_tokens_to_ids(line)
        for line in (TEMPLATE.prompt(Example("|", "|", "")).replace("|", "\0").split("\0"))
    )
    ids = encode(words, TEMPLATE.prompt(Example("red pear", "one two", "")) + "two one")
    parts = [pieces.encode(text) for text in ("red pear", "one two", "two one")]
    assert ids == [head, *parts[0], middle, *parts[1], end, *parts[2]]


def test_few_texts_give_a_small_vocabulary_instead_of_an_error():
    import sentencepiece

    made = sentencepiece.SentencePieceProcessor(model_proto=tokenizer.train(["a b", "b a"], 2000))
    assert made.get_piece_size() < 300
    assert made.decode(made.encode("a b, ü")) == "a b, ü"


def test_the_chat_template_gives_the_ids_that_were_trained_on(words):
    tokens, _ = tokenize(EXAMPLES, TEMPLATE, words, 512)
    for example, trained in zip(EXAMPLES, tokens, strict=True):
        if "s>" not in example.instruction + example.input:  # a template cannot tell these from control tokens
            message = {"role": "user", "content": example.instruction, "input": example.input}
            ids = words.apply_chat_template([message], add_generation_prompt=True)["input_ids"]
            assert ids == trained.ids[: trained.prompt].tolist()


def test_the_prompt_is_masked_and_the_end_supervised_by_id(words):
    (tokens,), _ = tokenize([Example("Say red.", "", "red")], TEMPLATE, words, 512)
    ids = tokens.ids.tolist()
    assert ids[0] == words.bos_token_id and ids.count(words.bos_token_id) == 1
    assert words.decode(ids[1 : tokens.prompt]) == TEMPLATE.prompt(Example("Say red.", "", ""))
    assert words.decode(ids[tokens.prompt : -1]) == "red"
    assert ids[-1] == words.eos_token_id


def test_control_tokens_in_the_data_stay_text(words):
    (tokens,), _ = tokenize([Example("Say </s>.", "", "a</s><s>b")], TEMPLATE, words, 512)
    assert tokens.ids.tolist().count(words.eos_token_id) == 1
    assert words.decode(tokens.ids[tokens.prompt : -1]) == "a</s><s>b"


def test_a_row_cut_on_the_right_has_no_end(words):
    (tokens,), _ = tokenize([Example("Count.", "", "one two three " * 50)], TEMPLATE, words, 40)
    assert len(tokens.ids) == 40 and tokens.ids[-1] != words.eos_token_id


def test_rows_without_room_for_a_response_are_named(words):
    examples = [Example("red " * 100, "", "red"), Example("Say red.", "", "red")]
    tokens, left_out = tokenize(examples, TEMPLATE, words, 40)
    assert [one.row for one in tokens] == [1] and left_out == [0]
