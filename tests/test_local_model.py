"""The teacher ``transformers``: a model of this machine answers many requests at once."""

import json
import shutil

import pytest
import training
from alpaca_templates.alpaca import AlpacaTemplate
from alpaca_transformers.options import TransformersOptions
from alpaca_transformers.teacher import TransformersTeacher

from alpaca_core import ConfigError, Example, LocalTeacher, MissingError, Request

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return training.write(tmp_path_factory.mktemp("data"), n=12)


@pytest.fixture(scope="module")
def folder(data, tmp_path_factory):
    """A new student that has learnt its twelve examples by heart."""
    job = training.job(data, tmp_path_factory.mktemp("model"), batch_size=12, max_steps=120)
    result, _ = training.train(job)
    return result.model


@pytest.fixture(scope="module")
def teacher(folder):
    return TransformersTeacher(TransformersOptions(model=str(folder), device="cpu", temperature=0.0))


def requests(data, **extra):
    rows = json.loads(data.read_text())
    return rows, [Request(k, row["instruction"], input=row["input"], **extra) for k, row in enumerate(rows)]


def test_it_is_a_local_teacher(teacher):
    assert isinstance(teacher, LocalTeacher)
    assert teacher.price().input == teacher.price().output == 0


def test_a_student_that_knows_its_data_by_heart_answers_with_it(teacher, data):
    """Seen through training, the saved template, the input key and generation, up to the end of text."""
    rows, asked = requests(data, max_tokens=60)
    answers = teacher.complete_many(asked)
    assert [answer.text for answer in answers] == [row["output"] for row in rows]
    assert {answer.finish for answer in answers} == {"stop"}


def test_the_model_reads_the_ids_that_it_was_trained_on(teacher, data):
    from alpaca_fsdp.examples import tokenize

    rows, asked = requests(data)
    tokens, _ = tokenize([Example(**row) for row in rows], AlpacaTemplate(), teacher._words, 512)
    for request, trained in zip(asked, tokens, strict=True):
        assert teacher._encode(request) == trained.ids[: trained.prompt].tolist()


def test_control_tokens_of_a_template_are_read_as_such(folder, tmp_path):
    template = "{% for m in messages %}{{ '<s>' + m['role'] + ':' + m['content'] + eos_token }}{% endfor %}"
    teacher = with_template(folder, tmp_path, template)
    ids = teacher._encode(Request(0, "Add.", system="Brief."))
    bos, eos = teacher._words.bos_token_id, teacher._words.eos_token_id
    assert [token for token in ids if token in (bos, eos)] == [bos, eos, bos, eos]


def test_company_changes_no_answer(folder, teacher, data):
    _, asked = requests(data, max_tokens=60)
    alone = TransformersTeacher(TransformersOptions(model=str(folder), device="cpu", batch_size=1, temperature=0.0))
    texts = [answer.text for answer in teacher.complete_many(asked)]
    assert [answer.text for answer in alone.complete_many(asked)] == texts


def test_every_request_has_its_own_limits(teacher, data):
    rows, asked = requests(data, max_tokens=60)
    short = Request(0, asked[0].prompt, input=asked[0].input, max_tokens=1)
    word = rows[1]["output"].split("\n")[1]
    stopped = Request(1, asked[1].prompt, input=asked[1].input, max_tokens=60, stop=("\n" + word,))
    found = teacher.complete_many([asked[2], short, stopped, asked[3]])
    assert [found[0].text, found[3].text] == [rows[2]["output"], rows[3]["output"]]
    assert (found[1].finish, found[1].usage.completion_tokens) == ("length", 1)
    assert found[2].finish == "stop" and found[2].text == rows[1]["output"].split("\n" + word)[0]


def test_usage_counts_tokens_with_the_end(teacher, data):
    rows, asked = requests(data, max_tokens=60)
    (answer,) = teacher.complete_many(asked[:1])
    assert answer.usage.prompt_tokens == len(teacher._encode(asked[0]))
    words = teacher._words(rows[0]["output"], add_special_tokens=False, split_special_tokens=True)
    assert answer.usage.completion_tokens == len(words["input_ids"]) + 1


def with_template(folder, tmp_path, template):
    """The same model with another chat template, or none."""
    shutil.copytree(folder, tmp_path / "other")
    (tmp_path / "other" / "chat_template.jinja").unlink()
    if template:
        (tmp_path / "other" / "chat_template.jinja").write_text(template)
    return TransformersTeacher(TransformersOptions(model=str(tmp_path / "other"), device="cpu", temperature=0.0))


def test_a_template_without_inputs_gets_it_after_the_content(folder, tmp_path):
    template = "{% for m in messages %}{{ '[' + m['role'] + '] ' + m['content'] + '\n' }}{% endfor %}"
    teacher = with_template(folder, tmp_path, template)
    ids = teacher._encode(Request(0, "Add.", input="1, 2", system="Be brief.", prefix="not for chats"))
    assert teacher._words.decode(ids) == "[system] Be brief.\n[user] Add.\n\n1, 2\n"


def test_a_model_without_a_template_goes_on_from_the_prefix(folder, tmp_path):
    teacher = with_template(folder, tmp_path, None)
    ids = teacher._encode(Request(0, "Tasks:", system="You write.", prefix="\n1. Instruction:"))
    assert ids[0] == teacher._words.bos_token_id
    assert teacher._words.decode(ids[1:]) == "You write.\n\nTasks:\n1. Instruction:"


def test_a_prompt_that_fills_the_context_gets_an_empty_answer_cut_off(teacher, data):
    rows, asked = requests(data, max_tokens=60)
    long, good = teacher.complete_many([Request(0, "two " * 3000, max_tokens=60), asked[0]])
    assert (long.text, long.finish) == ("", "length")
    assert good.text == rows[0]["output"]


def test_what_is_no_model_is_refused_in_one_sentence(tmp_path, folder):
    with pytest.raises(ConfigError, match="There is no model folder"):
        TransformersTeacher(TransformersOptions(model=str(tmp_path / "nothing")))
    with pytest.raises(ConfigError, match="no config.json") as error:
        TransformersTeacher(TransformersOptions(model=str(folder.parent)))
    assert str(folder) in error.value.hint
    with pytest.raises(ConfigError, match="needs a model"):
        TransformersTeacher(TransformersOptions())


def test_a_damaged_model_is_refused_when_it_is_read(tmp_path, folder):
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    (broken / "model.safetensors").write_bytes(b"no weights")
    teacher = TransformersTeacher(TransformersOptions(model=str(broken), device="cpu", temperature=0.0))
    with pytest.raises(ConfigError, match="cannot be read"):
        teacher.complete_many([Request(0, "Add.", max_tokens=1)])


def test_a_model_that_would_have_to_be_fetched_says_so(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    teacher = TransformersTeacher(TransformersOptions(model="nobody/no-such-model", device="cpu", temperature=0.0))
    with pytest.raises(MissingError, match="is no folder here"):
        teacher.complete_many([Request(0, "Add.", max_tokens=1)])
