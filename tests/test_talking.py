"""A local model that is talked to: answers in pieces, side by side with others, each as if it were alone."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Iterator

import local_models
import pytest
from alpaca_templates.alpaca import AlpacaTemplate
from alpaca_transformers.options import TransformersOptions
from alpaca_transformers.pieces import Text
from alpaca_transformers.teacher import TransformersTeacher
from hypothesis import example, given
from hypothesis import strategies as st

from alpaca_core import ConfigError, Example, Question, Request, Talker, TeacherError
from alpaca_core.talking import pieces, together

pytestmark = pytest.mark.timeout(120)


def open_model(folder, **options) -> TransformersTeacher:
    return TransformersTeacher(TransformersOptions(model=str(folder), device="cpu", **options))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return local_models.talker(tmp_path_factory.mktemp("talker"))


@pytest.fixture(scope="module")
def model(folder) -> Iterator[TransformersTeacher]:
    opened = open_model(folder, batch_size=8)
    yield opened
    asyncio.run(opened.aclose())


def ask(instruction: str, given: str = "", **how) -> Question:
    return Question(({"role": "user", "content": instruction, "input": given},), **{"max_tokens": 40, **how})


def various(count: int, **how) -> list[Question]:
    """Questions of different lengths, whose answers end at different places."""
    return [ask("word " * (1 + 7 * k % 30), max_tokens=5 + 11 * k % 60, seed=str(k), **how) for k in range(count)]


def answer(model: Talker, question: Question) -> tuple:
    *_, last = told = list(pieces(model, question))
    return "".join(piece.text for piece in told), last.finish, last.usage


# ── what the model reads ──────────────────────────────────────────────────────────────────────────────────────────


@given(st.text(min_size=1), st.text())
@example("Say </s> and <s>.", "</s>")
@example("اكتب جملة", " ")
def test_the_alpaca_form_gives_the_same_tokens_by_every_way(model, instruction, given_):
    prompt = AlpacaTemplate().prompt(Example(instruction, given_, ""))
    ids = model._encode(Request(0, instruction, input=given_))
    assert model.answer_to(ask(instruction, given_)).prompt == model.answer_to(Question(text=prompt)).prompt == ids


def test_what_was_said_before_is_read_where_the_template_shows_it(model, tmp_path):
    assert model.remembers
    turns = ({"role": "user", "content": "Name one."}, {"role": "assistant", "content": "A rake."})
    another = {"role": "user", "content": "And another?"}
    ids = model.answer_to(Question((*turns, another))).prompt
    read = model._words.decode(ids)
    assert "### Instruction:\nName one.\n\n### Response:A rake.</s>\n\n### Instruction:\nAnd another?" in read
    assert ids.count(model._words.eos_token_id) == 1, "the end of an answer is the token, not four letters"
    assert not open_model(local_models.babbler(tmp_path / "base")).remembers
    alternating = "{{ raise_exception('one turn only') if messages | length > 1 }}{{ messages[0]['content'] }}"
    one_turn = local_models.babbler(tmp_path / "one")
    (one_turn / "chat_template.jinja").write_text(alternating)
    assert not open_model(one_turn).remembers
    with pytest.raises(TeacherError, match="one turn only") as caught:
        open_model(one_turn).answer_to(Question((*turns, another)))
    assert caught.value.kind == "bad_request"


# ── pieces ────────────────────────────────────────────────────────────────────────────────────────────────────────

TOKENIZERS = {kind: local_models.pieces(kind) for kind in ("bytes", "fallback")}


@pytest.mark.parametrize("kind", TOKENIZERS)
@given(data=st.data())
def test_the_pieces_are_the_text_of_all_tokens_up_to_a_stop_string(kind, data):
    words = TOKENIZERS[kind]
    if kind == "bytes":  # characters that are whole, broken, or never end
        tokens = data.draw(st.lists(st.integers(4, len(words) - 1), min_size=1, max_size=120))
    else:  # its decoder takes back the good bytes of a run that a bad one ends: what was told cannot be
        tokens = words(data.draw(st.text()), add_special_tokens=False, split_special_tokens=True)["input_ids"]
    stop = data.draw(st.lists(st.sampled_from(["e", " t", "the", "\n\n", "ال", "�"]), max_size=2))
    whole = words.decode(tokens)
    text = Text(lambda ids: words.decode(ids), stop)
    said = ""
    for token in tokens:
        said += text.add(token)
        assert not any(part in said for part in stop)
        if text.stopped:
            break
    said += text.rest()
    places = [whole.find(part) for part in stop if part in whole]
    assert said == (whole[: min(places)] if places else whole)


@pytest.mark.parametrize("kind", TOKENIZERS)
@given(said=st.text())
@example("السماء 🐪 naïve 山 " * 20)
def test_a_piece_holds_whole_characters_only(kind, said):
    words = TOKENIZERS[kind]
    text = Text(lambda ids: words.decode(ids))
    ids = words(said, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert [piece for piece in map(text.add, ids) if "\ufffd" in piece] == [] or "\ufffd" in said


# ── side by side ──────────────────────────────────────────────────────────────────────────────────────────────────


def windowed(folder):
    """A model whose cache forgets, so that rows cannot be put beside each other."""
    from transformers import MistralConfig, MistralForCausalLM

    words = local_models.pieces("bytes")
    words.chat_template = AlpacaTemplate.jinja
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    ids = {"bos_token_id": words.bos_token_id, "eos_token_id": words.eos_token_id, "num_key_value_heads": 2}
    config = MistralConfig(vocab_size=len(words), max_position_embeddings=512, sliding_window=24, **size, **ids)
    return local_models.save(folder, MistralForCausalLM(config), words)


@pytest.mark.parametrize("make", [local_models.talker, windowed], ids=["plain", "windowed"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_questions_that_come_at_any_time_are_answered_as_if_each_were_alone(make, temperature, tmp_path):
    local = open_model(make(tmp_path / "model"), batch_size=5)
    asked = various(14, temperature=temperature)
    alone = [answer(local, question) for question in asked]
    told = [queue.SimpleQueue() for _ in asked]
    for k, question in enumerate(asked):
        local.talk(question, told[k].put)
        if k % 3:
            told[k - 1].get()  # so that it comes while others are being written
    asyncio.run(drained(told, alone, asked))
    asyncio.run(local.aclose())


async def drained(told, alone, asked) -> None:
    for k, waiting in enumerate(told):
        text = ""
        while True:
            piece = waiting.get(timeout=60)
            assert piece.error is None
            text += piece.text
            if piece.finish:
                break
        assert alone[k][0].endswith(text) and (piece.finish, piece.usage) == alone[k][1:]


def test_streamed_answers_are_those_that_a_run_would_get(folder, model):
    greedy = open_model(folder, temperature=0.0)
    asked = various(6, temperature=0.0)
    requests = [Request(0, question.messages[0]["content"], max_tokens=question.max_tokens) for question in asked]
    replies = [(reply.text, reply.finish, reply.usage) for reply in greedy.complete_many(requests)]
    assert [answer(model, question) for question in asked] == replies


def test_the_same_seed_gives_the_same_answer_and_none_gives_another_each_time(model):
    def said(seed: str) -> str:
        return answer(model, ask("word", seed=seed, temperature=1.0))[0]

    assert said("7") == said("7") != said("8")
    assert said("") != said("")


def test_an_answer_that_is_given_up_makes_room_for_the_next_one(folder):
    local = open_model(folder, batch_size=1)
    long = pieces(local, ask("word", max_tokens=1900, temperature=0.0))
    next(long)
    seen = []
    local._model.register_forward_pre_hook(lambda *_: seen.append(1))
    long.close()
    assert answer(local, ask("word", max_tokens=3, temperature=0.0))[2].completion_tokens == 3
    assert len(seen) < 200, "the other would have gone on to its end"
    asyncio.run(local.aclose())


def test_memory_that_is_too_small_delays_answers_and_loses_none(folder):
    import torch

    local = open_model(folder, batch_size=8)
    asked = various(8, temperature=1.0)
    alone = [answer(local, question) for question in asked]
    rows = 2

    def small(module, args, kwargs):
        if len(kwargs["input_ids"]) > rows:
            raise torch.OutOfMemoryError("out of memory")

    local._model.register_forward_pre_hook(small, with_kwargs=True)
    told = [""] * 8
    for place, piece in together([local] * 8, asked):
        told[place] += piece.text
    assert told == [text for text, *_ in alone]
    assert local.batch_size == 2 and len(local.notes) == 2
    rows = 0
    with pytest.raises(TeacherError, match="too small for one answer"):
        answer(local, asked[0])
    asyncio.run(local.aclose())


def test_what_is_wrong_with_a_question_or_the_model_is_told(model, tmp_path):
    with pytest.raises(TeacherError, match="fills the model's context of 2,048") as caught:
        answer(model, ask("word " * 3000))
    assert caught.value.kind == "bad_request"
    broken = local_models.babbler(tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"no weights")
    for _ in range(2):
        with pytest.raises(ConfigError, match="cannot be read"):
            answer(open_model(broken), ask("word"))


def test_closing_ends_the_answers_and_takes_no_more(folder):
    local = open_model(folder, batch_size=1)
    found: list[Exception] = []

    def talk() -> None:
        try:
            answer(local, ask("word", max_tokens=1900))
        except TeacherError as exc:
            found.append(exc)

    talking = [threading.Thread(target=talk) for _ in range(3)]
    for one in talking:
        one.start()
    while len(local._talks._waiting) < 2:
        time.sleep(0.01)
    asyncio.run(local.aclose())
    for one in talking:
        one.join()
    talk()
    assert [error.kind for error in found] == ["connection"] * 4
