"""Data by a local model: requests that come one by one are answered many at once, each as if it were alone."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Sequence

import local_models
import pytest
from alpaca_transformers.options import TransformersOptions
from alpaca_transformers.teacher import TransformersTeacher

from alpaca_core import Completion, Price, Request, Teacher, TeacherError, Usage
from alpaca_core.cli.main import main
from alpaca_core.local import Gathered
from alpaca_core.testing import check

pytestmark = pytest.mark.timeout(120)


class Echo:
    """A local teacher that answers with the prompt, once ``may_answer`` is set."""

    batch_size = 4

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.began = threading.Event()
        self.may_answer = threading.Event()
        self.may_answer.set()

    def price(self) -> Price:
        return Price(0.0, 0.0)

    def complete_many(self, requests: Sequence[Request]) -> list[Completion]:
        self.batches.append([request.k for request in requests])
        self.began.set()
        self.may_answer.wait(10)
        if any(request.prompt == "bad" for request in requests):
            raise TeacherError("bad_request", "a bad one")
        return [Completion(request.prompt, usage=Usage(1, 1)) for request in requests if request.prompt != "forget"]


def ask(teacher: Gathered, count: int, prompt: str = "", first: int = 0) -> list[asyncio.Task[Completion]]:
    return [asyncio.create_task(teacher.complete(Request(k, prompt or f"p{k}"))) for k in range(first, first + count)]


async def began(echo: Echo) -> None:
    await asyncio.to_thread(echo.began.wait, 10)
    echo.began.clear()


# ── gathering ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_requests_of_one_moment_are_answered_together_up_to_the_batch_size():
    async def run() -> None:
        teacher = Gathered(echo)
        assert isinstance(teacher, Teacher)
        replies = await asyncio.gather(*ask(teacher, 10))
        assert [reply.text for reply in replies] == [f"p{k}" for k in range(10)]

    echo = Echo()
    asyncio.run(run())
    assert echo.batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_those_that_come_while_a_batch_runs_form_the_next_one():
    async def run() -> None:
        teacher = Gathered(echo)
        echo.may_answer.clear()
        first = ask(teacher, 1)
        await began(echo)
        later = ask(teacher, 2, first=1)
        await asyncio.sleep(0)
        later += ask(teacher, 1, first=3)
        echo.may_answer.set()
        await asyncio.gather(*first, *later)

    echo = Echo()
    asyncio.run(run())
    assert echo.batches == [[0], [1, 2, 3]]


@pytest.mark.parametrize(("prompt", "error"), [("bad", TeacherError), ("forget", ValueError)])
def test_an_error_is_that_of_the_requests_of_its_batch_only(prompt, error):
    async def run() -> None:
        teacher = Gathered(echo)
        tasks = ask(teacher, 3) + ask(teacher, 1, prompt, first=3) + ask(teacher, 2, first=4)
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(one) for one in found] == [error] * 4 + [Completion] * 2

    echo = Echo()
    asyncio.run(run())


def test_a_model_that_cannot_be_read_is_the_error_of_all_that_wait():
    class Broken(Echo):
        @property
        def batch_size(self) -> int:
            raise TeacherError("not_found", "no such model")

    async def run() -> None:
        found = await asyncio.gather(*ask(Gathered(Broken()), 2), return_exceptions=True)
        assert [str(one) for one in found] == ["no such model"] * 2

    asyncio.run(run())


def test_a_request_cancelled_in_the_queue_is_not_asked_and_one_cancelled_later_spoils_no_other():
    async def run() -> None:
        teacher = Gathered(echo)
        echo.may_answer.clear()
        running = ask(teacher, 3)
        await began(echo)
        waiting = ask(teacher, 3, first=3)
        await asyncio.sleep(0)
        running[1].cancel()
        waiting[1].cancel()
        await asyncio.sleep(0)
        echo.may_answer.set()
        found = await asyncio.gather(*running, *waiting, return_exceptions=True)
        texts = [getattr(one, "text", type(one)) for one in found]
        assert texts == ["p0", asyncio.CancelledError, "p2", "p3", asyncio.CancelledError, "p5"]

    echo = Echo()
    asyncio.run(run())
    assert echo.batches == [[0, 1, 2], [3, 5]]


def test_when_the_run_ends_those_in_the_queue_are_told_and_the_batch_at_hand_comes_home():
    async def run() -> None:
        teacher = Gathered(echo)
        echo.may_answer.clear()
        running = ask(teacher, 2)
        await began(echo)
        waiting = ask(teacher, 2, first=2)
        await asyncio.sleep(0)
        teacher.leave()
        with pytest.raises(TeacherError, match="not asked"):
            await waiting[0]
        echo.may_answer.set()
        await teacher.aclose()
        assert [task.result().text for task in running] == ["p0", "p1"]
        await asyncio.gather(*waiting, return_exceptions=True)

    echo = Echo()
    asyncio.run(run())
    assert echo.batches == [[0, 1]]


def test_a_prompt_that_fills_the_context_is_refused_with_advice():
    class Full(Echo):
        def complete_many(self, requests: Sequence[Request]) -> list[Completion]:
            return [Completion("", "length", Usage(5000, 0)) for _ in requests]

    async def run() -> None:
        with pytest.raises(TeacherError, match="5,000 tokens") as caught:
            await Gathered(Full()).complete(Request(0, "long"))
        assert caught.value.kind == "bad_request" and caught.value.hint

    asyncio.run(run())


def test_the_rest_of_the_teacher_shows_through():
    teacher = Gathered(Echo())
    assert teacher.price() == Price(0.0, 0.0) and teacher.batch_size == 4
    assert not hasattr(teacher, "prepare")


# ── drawing ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def babbler(tmp_path_factory):
    return local_models.babbler(tmp_path_factory.mktemp("babbler"))


@pytest.fixture(scope="module")
def writer(tmp_path_factory):
    return local_models.writer(tmp_path_factory.mktemp("writer"))


def test_it_keeps_the_laws_of_the_kit(writer):
    """Here, and not in test_plugin_kit.py, because torch is loaded here anyway."""
    found = check("transformers", {"teacher.model": writer, "teacher.device": "cpu"})
    assert [finding for finding in found if finding.outcome == "failed"] == []
    assert [finding.outcome for finding in found if finding.law.startswith("replies with text")] == ["passed"]


def teacher(folder, **options) -> TransformersTeacher:
    return TransformersTeacher(TransformersOptions(model=str(folder), device="cpu", **options))


def babble(count: int, **extra) -> list[Request]:
    """Requests of various lengths."""
    extra = {"max_tokens": 60, **extra}
    return [Request(k, " ".join(f"word{(7 * k + i) % 200}" for i in range(3 + 5 * k)), **extra) for k in range(count)]


def test_the_same_request_gets_the_same_answer_alone_and_in_any_company(babbler):
    asked = babble(9)
    many = teacher(babbler, temperature=1.0, batch_size=9)
    together = many.complete_many(asked)
    alone = [teacher(babbler, temperature=1.0, batch_size=1).complete_many([request])[0] for request in asked]
    assert together == alone
    assert many.complete_many(asked[:2:-1]) == together[:2:-1]
    assert {reply.finish for reply in together} == {"stop", "length"}, "answers that end early, and ones that do not"


def test_the_number_of_a_request_and_its_text_both_change_the_answer(babbler):
    (one,) = babble(1)
    others = [one, Request(1, one.prompt, max_tokens=60), Request(0, one.prompt + " word9", max_tokens=60)]
    texts = [reply.text for reply in teacher(babbler, temperature=1.0).complete_many(others)]
    assert len(set(texts)) == 3


def test_temperature_0_takes_the_likeliest_tokens_whatever_the_number(babbler):
    import torch
    from transformers import AutoModelForCausalLM

    (one,) = babble(1)
    local = teacher(babbler, temperature=0.0)
    first, second = local.complete_many([one, Request(5, one.prompt, max_tokens=60)])
    ids = torch.tensor([local._encode(one)])
    model = AutoModelForCausalLM.from_pretrained(babbler)
    greedy = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=60, do_sample=False)
    assert first.text == second.text == local.decode(greedy[0, ids.shape[1] :])


def test_tokens_are_drawn_by_their_share_within_the_nucleus_and_the_top():
    import torch
    from alpaca_transformers.answers import Sampling, draw

    shares = torch.tensor([0.1, 0.4, 0.05, 0.3, 0.15])
    luck = (torch.arange(2000).reshape(-1, 1) + 1) / torch.tensor(2000.0, dtype=torch.float64)
    scores = shares.log().expand(2000, 5)

    def drawn(**sampling) -> dict[int, float]:
        counts = Counter(draw(scores, luck, Sampling(**sampling)).flatten().tolist())
        return {token: pytest.approx(count / 2000, abs=0.002) for token, count in counts.items()}

    assert {0: 0.1, 1: 0.4, 2: 0.05, 3: 0.3, 4: 0.15} == drawn(temperature=1.0, top_p=1.0)
    assert {1: 0.4 / 0.85, 3: 0.3 / 0.85, 4: 0.15 / 0.85} == drawn(temperature=1.0, top_p=0.8)
    assert {1: 4 / 7, 3: 3 / 7} == drawn(temperature=1.0, top_p=1.0, top_k=2)
    assert {1: 1.0} == drawn(temperature=1.0, top_p=0.5, top_k=2)
    squares = {token: share**2 / float((shares**2).sum()) for token, share in enumerate(shares.tolist())}
    assert squares == drawn(temperature=0.5, top_p=1.0)


def test_a_nucleus_wider_than_what_is_looked_at_first_is_drawn_whole():
    import torch
    from alpaca_transformers.answers import WIDE, Sampling, draw

    size = 4 * WIDE
    scores = torch.zeros(100, size)
    scores[:, : size // 4] = -9.0
    luck = (torch.arange(100, dtype=torch.float64).reshape(-1, 1) + 1) / 100
    found = draw(scores, luck, Sampling(1.0, 0.99)).flatten().tolist()
    assert found == sorted(found) and min(found) >= size // 4 and max(found) > 0.95 * size


def test_what_the_model_recommends_holds_unless_an_option_says_otherwise(tmp_path):
    folder = local_models.babbler(tmp_path / "model")
    assert "temperature 0.8, top_p 0.95." in asyncio.run(teacher(folder).prepare())[0]
    own = {"do_sample": True, "temperature": 0.6, "top_k": 20}
    (folder / "generation_config.json").write_text(json.dumps(own))
    assert "temperature 0.6, top_p 1, top_k 20." in asyncio.run(teacher(folder).prepare())[0]
    set_otherwise = asyncio.run(teacher(folder, temperature=1.5, top_p=0.9).prepare())[0]
    assert "temperature 1.5, top_p 0.9, top_k 20." in set_otherwise
    assert "temperature 0." in asyncio.run(teacher(folder, temperature=0.0).prepare())[0]


# ── limits ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_every_answer_has_the_context_that_its_own_prompt_leaves(kind, tmp_path):
    folder = local_models.babbler(tmp_path / "model", max_position_embeddings=100)
    if kind == "gpt2":  # it has no places beyond its context at all
        from transformers import GPT2Config, GPT2LMHeadModel

        config = GPT2Config(vocab_size=204, n_positions=100, n_embd=32, n_layer=1, n_head=2, eos_token_id=2)
        GPT2LMHeadModel(config).save_pretrained(folder)
    (folder / "generation_config.json").write_text('{"eos_token_id": null}')
    local = teacher(folder, temperature=1.0)
    local._words.eos_token = None  # so that nothing ends by itself
    replies = local.complete_many(babble(9, max_tokens=1000))
    for reply in replies:
        assert (reply.usage.prompt_tokens + reply.usage.completion_tokens, reply.finish) == (100, "length")


def test_a_stop_string_ends_the_answer_before_it_and_what_follows_is_not_counted(writer):
    local = teacher(writer)
    (whole,) = local.complete_many([Request(0, "1. Instruction:")])
    (reply,) = local.complete_many([Request(0, "1. Instruction:", stop=(" and", "never"))])
    assert (reply.text, reply.finish) == (whole.text.partition(" and")[0], "stop")
    assert (whole.usage.completion_tokens, reply.usage.completion_tokens) == (11, 8)


def test_memory_that_is_too_small_halves_the_batch_tells_it_once_and_loses_nothing(babbler):
    import torch

    asked = babble(8, max_tokens=10)
    expected = teacher(babbler, temperature=1.0).complete_many(asked)
    local = teacher(babbler, temperature=1.0, batch_size=8)
    sizes = small_memory(local, 2)
    assert local.complete_many(asked) == expected
    assert local.complete_many(asked) == expected
    assert max(sizes) == 8 and sizes.count(8) == 1 and local.batch_size == 2
    assert local.notes == [
        f"The memory of CPU is too small for {n} answers at a time: {n // 2} from now on." for n in (8, 4)
    ]
    small_memory(local, 0)
    with pytest.raises(TeacherError, match="too small for one answer") as caught:
        local.complete_many(asked)
    assert isinstance(caught.value.__cause__, torch.OutOfMemoryError)


def small_memory(local: TransformersTeacher, rows: int) -> list[int]:
    """A device that has memory for so many rows; what was tried."""
    import torch

    sizes = []

    def before(module, args, kwargs):
        sizes.append(len(kwargs["input_ids"]))
        if sizes[-1] > rows:
            raise torch.OutOfMemoryError("out of memory")

    local._model.register_forward_pre_hook(before, with_kwargs=True)
    return sizes


def test_a_teacher_that_is_closed_stops_writing_and_gives_the_model_back(babbler):
    import gc
    import weakref

    local = teacher(babbler)
    model = weakref.ref(local._model)
    found: list[Exception] = []

    def write() -> None:
        try:
            local.complete_many(babble(2, max_tokens=2000) * 400)  # minutes, if nothing stopped it
        except TeacherError as exc:
            found.append(exc)

    writing = threading.Thread(target=write)
    writing.start()
    while not local.doing:
        time.sleep(0.01)
    asyncio.run(local.aclose())
    writing.join()
    assert "when the run ended" in str(found[0])
    found.clear()
    gc.collect()
    assert model() is None


# ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_template_that_refuses_system_messages_gets_the_words_with_the_question(tmp_path):
    folder = local_models.babbler(tmp_path / "model")
    template = (
        "{% for m in messages %}{{ raise_exception('no') if m['role'] == 'system' }}{{ m['content'] }}{% endfor %}"
    )
    (folder / "chat_template.jinja").write_text(template)
    local = teacher(folder)
    request = Request(0, "word1", system="word2")
    assert local._encode(request) == local._words("word2 word1", add_special_tokens=False)["input_ids"]


def test_a_template_that_lets_the_model_think_is_asked_not_to(tmp_path):
    folder = local_models.babbler(tmp_path / "model")
    template = "{{ messages[0]['content'] }}{{ ' word7' if enable_thinking is false }}"
    (folder / "chat_template.jinja").write_text(template)
    local = teacher(folder)
    assert local._encode(Request(0, "word1")) == local._words("word1 word7", add_special_tokens=False)["input_ids"]


# ── the command line ──────────────────────────────────────────────────────────────────────────────────────────────


def generate(folder, out, *words: str) -> int:
    options = ["--set", "teacher.device=cpu", "--set", "prompt.items=1", "--set", "prompt.examples=1"]
    given = ["--teacher", "transformers", "--model", str(folder), "--out", str(out)]
    return main(["generate", *given, *options, *words])


def test_a_local_model_writes_a_dataset(writer, tmp_path, capfd):
    assert generate(writer, tmp_path / "run", "-n", "20", "--set", "teacher.temperature=1") == 0
    rows = json.loads((tmp_path / "run" / "alpaca_data.json").read_text())
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())["generation"]
    assert len(rows) == 20 and len({row["instruction"] for row in rows}) == 20
    assert all(row["output"].startswith("An answer about") and row["input"] == "" for row in rows)
    assert summary["cost_usd"] == 0 and summary["prompt_tokens"] > 0
    assert summary["completion_tokens"] == 11 * summary["replies"], "ten words and the end of text"
    said = capfd.readouterr().err
    assert "float32, on CPU; 16 answers at a time" in said and "no chat template" in said


def test_batch_size_and_going_on_later_change_no_byte_of_the_dataset(writer, tmp_path):
    def data(out) -> bytes:
        return (tmp_path / out / "alpaca_data.json").read_bytes()

    assert generate(writer, tmp_path / "many", "-n", "24") == 0
    assert generate(writer, tmp_path / "few", "-n", "10", "--set", "teacher.batch_size=3") == 0
    assert generate(writer, tmp_path / "few", "-n", "24", "--set", "teacher.batch_size=2") == 0
    assert data("many") == data("few")
    assert generate(writer, tmp_path / "other", "-n", "24", "--seed", "1") == 0
    assert data("many") != data("other")


def test_requests_of_a_run_are_answered_in_batches(writer, tmp_path, monkeypatch):
    sizes = []
    ask_many = TransformersTeacher.complete_many

    def counted(self, requests):
        sizes.append(len(requests))
        return ask_many(self, requests)

    monkeypatch.setattr(TransformersTeacher, "complete_many", counted)
    assert generate(writer, tmp_path / "run", "-n", "40", "--set", "teacher.batch_size=16") == 0
    with sqlite3.connect(tmp_path / "run" / "run.db") as db:
        (asked,) = db.execute("SELECT count(*) FROM replies").fetchone()
    assert sum(sizes) == asked and max(sizes) == 16 and len(sizes) <= 8


def test_a_missing_model_a_damaged_one_and_a_short_context_are_told_before_anything_is_made(tmp_path, capfd):
    assert generate(tmp_path / "none", tmp_path / "run") == 2
    assert "There is no model folder" in capfd.readouterr().err
    folder = local_models.babbler(tmp_path / "model", max_position_embeddings=100)
    assert generate(folder, tmp_path / "short") == 2
    said = capfd.readouterr().err
    assert "fills the model's context" in said and "--set prompt.examples=1" in said
    (folder / "model.safetensors").write_bytes(b"no weights")
    assert generate(folder, tmp_path / "damaged") == 2
    assert "cannot be read" in capfd.readouterr().err
