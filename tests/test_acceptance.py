"""``alpacakit accept``: a small model that has learnt its task is accepted, and each way to be unfit is refused by the
check of its name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import local_models
import pytest
from alpaca_templates.alpaca import AlpacaTemplate
from alpaca_transformers.options import TransformersOptions
from alpaca_transformers.teacher import TransformersTeacher

from alpaca_core import Completion, Example, RowLoss
from alpaca_core.acceptance import Acceptance, judge
from alpaca_core.cli.main import main
from alpaca_core.evaluate import Measured, most_frequent
from alpaca_core.trained import Trained

LINES = ("Below is an instruction that describes a task. Write", "### Instruction:", "### Response:", "user", "</s>")


# ── what a model said ─────────────────────────────────────────────────────────────────────────────────────────────


ROWS = [Example(f"Add {n} and {n}.", f"{n}, {n}", f"It is {2 * n}.", label="add") for n in range(40)]
RIGHT = [Completion(row.output) for row in ROWS]


def failed(answers, rows=ROWS, **more) -> set[str]:
    """The names of the checks that refuse ``answers``."""
    return {check.name for check in judge(Measured(rows, answers), LINES, **more) if check.passed is False}


def with_some(count: int, text: str, finish="stop") -> list[Completion]:
    return [Completion(text, finish)] * count + RIGHT[count:]


def test_right_answers_pass_every_check():
    checks = judge(Measured(ROWS, RIGHT), LINES)
    assert [check.name for check in checks if check.passed] == [
        "stops", "leaks", "empty", "constant", "distinct", "copies",
    ]  # fmt: skip
    assert all(check.said for check in checks)
    assert {check.name for check in checks if check.passed is None} == {"floor", "base", "verbatim"}


@pytest.mark.parametrize(
    ("answers", "names"),
    [
        (with_some(2, "It is 0.", "length"), set()),
        (with_some(3, "It is 0.", "length"), {"stops"}),
        (with_some(1, "It is 0.\n\n### Instruction:\nAdd"), {"leaks"}),
        (with_some(1, "It is 0.</s>"), {"leaks"}),
        (with_some(1, "Below is an instruction that describes a task, too"), {"leaks"}),
        (with_some(1, "A user adds."), set()),
        (with_some(2, " \n"), set()),
        (with_some(3, " \n"), {"empty"}),
        ([Completion("It is 4.")] * 40, {"constant", "distinct"}),
        ([Completion("")] * 40, {"empty", "constant", "distinct"}),
        ([Completion(row.instruction) for row in ROWS], {"copies"}),
        ([Completion(row.input) for row in ROWS], {"copies"}),
        ([Completion(f"{row.instruction}\n{row.input}") for row in ROWS], {"copies"}),
        ([Completion(f"{row.instruction} It is.") for row in ROWS], {"copies"}),
    ],
)
def test_answers_that_are_no_use_are_refused_by_name(answers, names):
    assert failed(answers) == names


def test_what_the_right_answers_hold_too_is_no_fault():
    rows = [Example(f"Repeat: {n}", f"### Response: {n}", f"### Response: {n}") for n in range(20)]
    assert failed([Completion(row.output) for row in rows], rows) == set()
    same = [Example(f"Say yes {n}.", "", "yes") for n in range(20)]
    assert failed([Completion("yes")] * 20, same) == set()


def test_one_of_two_answers_is_constant_whatever_it_scores():
    """Seven of ten right answers are "no": a model that always says so is right more often than not."""
    rows = [Example(f"Is {n} even?", "", "no" if n % 10 < 7 else "yes") for n in range(40)]
    assert failed([Completion("no")] * 40, rows) == {"constant"}


def test_the_most_frequent_answers_of_each_kind_of_task_are_not_enough():
    train = [Example(f"{kind} {n}", "", f"{kind} {n % 7}", label=kind) for kind in "abcdefgh" for n in range(30)]
    rows = [Example(f"{kind} {n}", "", f"{kind} {n % 5}", label=kind) for kind in "abcdefgh" for n in range(5)]
    floor = most_frequent(train, rows)
    assert "floor" in failed([Completion(f"{row.label} 0") for row in rows], rows, floor=floor)
    assert failed([Completion(row.output) for row in rows], rows, floor=floor) == set()


@pytest.mark.parametrize(
    ("after", "names"),
    [
        ([1.0 + n % 3 for n in range(40)], {"base"}),  # the same
        ([1.1 + n % 3 for n in range(40)], {"base"}),  # a little worse
        ([0.0 if n == 0 else 1.0 + n % 3 for n in range(40)], {"base"}),  # better in one row: by chance
        ([0.9 + n % 3 for n in range(40)], set()),  # a little better in every row
    ],
)
def test_a_model_has_to_be_better_than_its_base_beyond_chance(after, names):
    before = [RowLoss(1.0 + n % 3, 4) for n in range(40)]
    measured = Measured(ROWS, RIGHT, [RowLoss(nats, 4) for nats in after])
    checks = {check.name: check for check in judge(measured, LINES, before)}
    assert {name for name, check in checks.items() if check.passed is False} == names
    assert "95 % interval" in checks["base"].said


def test_wrong_answers_from_the_training_rows_are_told_and_held_against_nobody():
    long = "one two three four five six seven eight nine"
    answers = with_some(4, long)
    (told,) = [check for check in judge(Measured(ROWS, answers), LINES, outputs=[long]) if check.name == "verbatim"]
    assert (told.passed, told.value) == (None, 1.0)


def test_an_acceptance_goes_through_json():
    found = Acceptance(tuple(judge(Measured(ROWS, with_some(9, "")), LINES)))
    again = Acceptance.from_dict(json.loads(json.dumps(found.as_dict())))
    assert again == found and not again.accepted and not again.broken


# ── whole models ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def learner(tmp_path_factory) -> Path:
    return local_models.learner(tmp_path_factory.mktemp("learner"))


@pytest.fixture
def changed(learner, tmp_path):
    """A copy of the learner's folder, to be spoilt, with its model and tokenizer."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = shutil.copytree(learner, tmp_path / "run")
    path = folder / "model"
    return folder, AutoModelForCausalLM.from_pretrained(path), AutoTokenizer.from_pretrained(path)


def refused(folder, capsys, *more: str, code: int = 1) -> tuple[set[str], dict]:
    """The names of the checks that refuse the model in ``folder``, and the whole result."""
    assert main(["accept", str(folder), *more, "--json"]) == code
    found = json.loads(capsys.readouterr().out)
    return {check["name"] for check in found["checks"] if check["passed"] is False}, found


def test_a_model_that_has_learnt_its_task_is_accepted(learner, capsys):
    assert main(["accept", str(learner)]) == 0
    said = capsys.readouterr().out
    assert said.endswith("accepted: all of 10 checks. Not checked: floor.\n") and str(learner / "student") in said
    none, found = refused(learner / "model", capsys, code=0)  # the model's folder alone leads to the rest, too
    assert none == set() and found["rows"] == 20
    values = {check["name"]: check["value"] for check in found["checks"]}
    assert values["reload"] == 0 and values["stops"] == 1 and values["base"] > 3


def test_the_untrained_student_is_refused(learner, capsys):
    names, _ = refused(learner / "student", capsys, "--data", str(learner / "heldout.json"))
    assert {"stops", "distinct"} & names


def test_a_model_no_better_than_its_base_is_refused(learner, capsys):
    names, _ = refused(learner, capsys, "--base", str(learner / "model"))
    assert names == {"base"}


def test_a_model_that_answers_the_same_to_everything_is_refused(changed, capsys):
    folder, model, words = changed
    rows = [{**row, "output": "It is fine."} for row in local_models.opposites(*local_models.WORDINGS)]
    local_models.teach(model, words, rows, steps=20)
    model.save_pretrained(folder / "model")
    names, found = refused(folder, capsys)
    assert {"constant", "distinct"} <= names and not found["broken"]


def test_a_model_that_never_stops_is_refused(changed, capsys):
    """Where it learnt to end, it now says something that it has never said."""
    folder, model, words = changed
    end, never = words.eos_token_id, words.convert_tokens_to_ids("<0x00>")
    model.lm_head.weight.data[[end, never]] = model.lm_head.weight.data[[never, end]]
    model.save_pretrained(folder / "model")
    names, found = refused(folder, capsys)
    assert "stops" in names
    (check,) = [check for check in found["checks"] if check["name"] == "stops"]
    assert (check["value"], check["limit"]) == (0, 0.95) and "end of text" in check["advice"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("{{- '\\n\\n### Response:' -}}", "{% generation %}x{% endgeneration %}", "plain Jinja cannot render it"),
        ("{{- bos_token -}}", "{{- bos_token + bos_token -}}", "'<s>' is there 2 times"),
        ("{{- bos_token -}}", "", "the training began with '<s>'"),
        ("Write a response", "Write an answer", "another prompt than the training had: 'n answer"),
        ("message['content'] + eos_token", "message['content'] | upper + eos_token", "another answer"),
        ("{%- if ns.first -%}", "{%- if not ns.first -%}{{- messages[99].no.thing -}}{%- else -%}", "does not render"),
    ],
)
def test_a_broken_chat_template_is_refused(changed, capsys, old, new, said):
    folder, _, _ = changed
    path = folder / "model" / "chat_template.jinja"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    checks = {check.name: check for check in examined(folder / "model")}
    assert checks["template"].passed is False and said in checks["template"].said
    assert checks["template"].broken


def test_a_model_without_its_chat_template_is_refused(changed, capsys):
    folder, _, _ = changed
    (folder / "model" / "chat_template.jinja").unlink()
    names, _ = refused(folder, capsys)
    assert "template" in names


def test_a_lost_weight_file_is_refused_and_nothing_else_is_tried(changed, capsys):
    folder, _, _ = changed
    (folder / "model" / "model.safetensors").unlink()
    names, found = refused(folder, capsys)
    assert names == {"loads"} and len(found["checks"]) == 1 and found["broken"]


@pytest.mark.parametrize("kind", ["missing", "unexpected"])
def test_weights_that_are_missing_or_left_over_are_refused(changed, capsys, kind):
    """transformers makes up the missing ones at random, and only warns."""
    from safetensors.torch import load_file, save_file

    folder, _, _ = changed
    path = folder / "model" / "model.safetensors"
    weights = load_file(path)
    name = "model.layers.1.mlp.up_proj.weight"
    if kind == "missing":
        del weights[name]
    else:
        weights[name := "model.layers.7.mlp.up_proj.weight"] = weights["lm_head.weight"].clone()
    save_file(weights, path, {"format": "pt"})
    names, found = refused(folder, capsys)
    assert names == {"loads"} and f"1 weights {kind}, such as {name}" in found["checks"][0]["said"]


def test_exports_are_compared_with_the_model(learner, tmp_path):
    """Rounded to bfloat16 it is still the same model; the student before training is not."""
    import torch
    from transformers import AutoModelForCausalLM

    AutoModelForCausalLM.from_pretrained(learner / "model", dtype=torch.bfloat16).save_pretrained(tmp_path)
    (tmp_path / "empty").mkdir()
    *_, rounded, other, none = examined(
        learner / "model", exported=[str(tmp_path), str(learner / "student"), str(tmp_path / "empty")]
    )
    assert rounded.passed and 0 < rounded.value < rounded.limit == 0.05
    assert other.passed is False and other.value > 0.1
    assert none.passed is False and "does not load" in none.said


def test_a_merged_model_is_compared_with_its_adapter(changed, capsys):
    """The adapter beside the model is found; one with other weights is refused."""
    peft = pytest.importorskip("peft")
    import torch

    folder, model, words = changed
    torch.manual_seed(0)
    adapted = peft.get_peft_model(model, peft.LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False))
    for name, weight in adapted.named_parameters():
        weight.data *= 0.01 if "lora_B" in name else 1
    adapted.peft_config["default"].base_model_name_or_path = str(folder / "before")
    shutil.copytree(folder / "model", folder / "before")
    adapted.save_pretrained(folder / "adapter")
    words.save_pretrained(folder / "adapter")
    adapted.merge_and_unload().save_pretrained(folder / "model")
    names, found = refused(folder, capsys, code=0)
    (check,) = [check for check in found["checks"] if check["name"] == "exported"]
    assert "adapter" in check["said"] and check["passed"] and check["value"] < check["limit"] == 1e-3
    shutil.rmtree(folder / "model")
    (folder / "before").rename(folder / "model")
    shutil.copytree(folder / "model", folder / "before")
    names, _ = refused(folder, capsys)
    assert names == {"exported"}


def test_within_the_models_folder_the_run_around_it_is_found_too(learner, monkeypatch):
    monkeypatch.chdir(learner / "model")
    found = Trained.of(".")
    assert found.heldout == learner / "heldout.json" and found.base == Trained.of(str(learner)).base


def test_scores_do_not_replace_a_file(learner, tmp_path, capsys):
    data = Path(shutil.copy(learner / "heldout.json", tmp_path))
    before = data.read_bytes()
    assert main(["evaluate", str(learner), "--data", str(data), "--out", str(data)]) == 2
    assert "exists already" in capsys.readouterr().err and data.read_bytes() == before


def test_rows_are_needed_and_so_is_a_model(learner, tmp_path, capsys):
    shutil.copytree(learner / "model", tmp_path / "model")
    assert main(["accept", str(tmp_path / "model")]) == 2
    assert "--data FILE" in capsys.readouterr().err
    (tmp_path / "run").mkdir()
    shutil.copy(learner / "alpaca_data.json", tmp_path / "run")
    assert main(["accept", str(tmp_path / "run")]) == 2
    assert "holds no model yet" in capsys.readouterr().err


def examined(model: Path, **more):
    rows = [Example(**row) for row in local_models.opposites(local_models.UNSEEN)]
    return TransformersTeacher(TransformersOptions(str(model), device="cpu")).examine(rows, AlpacaTemplate(), **more)


# ── the loss ──────────────────────────────────────────────────────────────────────────────────────────────────────


def trained_losses(model: Path, rows: list[Example], limit: int) -> list[tuple[float, int]]:
    """What a training counts for each of ``rows``: the sum, and over how many tokens."""
    import torch
    from alpaca_fsdp.examples import tokenize
    from alpaca_fsdp.losses import PADDED, token_losses
    from transformers import AutoModelForCausalLM, AutoTokenizer

    opened, words = AutoModelForCausalLM.from_pretrained(model).eval(), AutoTokenizer.from_pretrained(model)
    found = dict.fromkeys(range(len(rows)), (0.0, 0))
    for tokens in tokenize(rows, AlpacaTemplate(), words, limit)[0]:
        with torch.no_grad():
            losses = token_losses(opened, PADDED.lay([tokens], 0, torch.device("cpu")), fused=False)
        found[tokens.row] = (float(losses.double().sum()), len(losses))
    return list(found.values())


def test_losses_are_those_that_the_training_counts(learner):
    """Rows of all kinds: with an input, beyond the 128 tokens that the model reads (in the answer, in the prompt), with
    control tokens as text, with an empty answer."""
    rows = [Example(**row) for row in local_models.opposites(local_models.UNSEEN)] + [
        Example("Tell me the opposite.", "hot", "It is cold."),
        Example("Tell me all.", "", "It is cold. " * 100),
        Example("Tell me all of it. " * 100, "", "It is cold."),
        Example("Tell me </s> the <s> opposite.", "### Response:", "It </s> is."),
        Example("Say nothing.", "", ""),
    ]
    teacher = TransformersTeacher(TransformersOptions(str(learner / "model"), device="cpu", batch_size=3))
    found, wanted = teacher.losses(rows), trained_losses(learner / "model", rows, 128)
    assert [row.tokens for row in found] == [tokens for _, tokens in wanted]
    for row, (nats, tokens) in zip(found, wanted, strict=True):
        assert row.nats / max(tokens, 1) == pytest.approx(nats / max(tokens, 1), abs=1e-5)
    assert [place for place, row in enumerate(found) if row.cut] == [21, 22] and found[22].tokens == 0
    assert teacher.notes == ["2 of 25 rows are cut off on the right, at the 128 tokens that the model can read."]


def test_tokens_are_those_of_the_training_where_an_answer_merges_with_its_prompt(tmp_path):
    """A tokenizer that knows "://" as one token: an answer that begins with "//" takes the prompt's colon."""
    from alpaca_fsdp import tokenizer
    from alpaca_fsdp.examples import tokenize
    from alpaca_transformers.form import Form

    rows = [Example("Comment on it.", "", "// it is dry"), Example("Go on.", "there", "it is")]
    texts = [AlpacaTemplate().prompt(row) + row.output for row in rows]
    words = tokenizer.build(tokenizer.train([*texts, "a://b c://d"] * 20, 400))
    assert "://" in words.get_vocab()
    words.chat_template = AlpacaTemplate.jinja
    wanted, _ = tokenize(rows, AlpacaTemplate(), words, 512)
    found = Form(words, {words.eos_token_id}).encode(rows)
    assert [(one.ids, one.prompt) for one in found] == [(other.ids.tolist(), other.prompt) for other in wanted]


def test_a_tokenizer_that_reads_its_first_word_otherwise_after_a_bos_is_told_and_accepted():
    """As LLaMA's does: "<s>Below" is not BOS and then "Below"."""
    from alpaca_fsdp import tokenizer
    from alpaca_transformers.form import Form
    from alpaca_transformers.rendering import check_template
    from tokenizers import Tokenizer, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    rows = [Example(**row) for row in local_models.opposites(local_models.UNSEEN)]
    made = tokenizer.build(tokenizer.train([AlpacaTemplate().prompt(row) for row in rows], 450))
    backend = Tokenizer.from_str(made.backend_tokenizer.to_str())
    backend.normalizer = None
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    words = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    words.chat_template = AlpacaTemplate.jinja
    form = Form(words, {words.eos_token_id})
    assert words("<s>Below", add_special_tokens=False)["input_ids"] != form.read(rows[0])[:2]
    check = check_template(form, rows, AlpacaTemplate())
    assert check.passed and "cut up its first word otherwise" in check.said


def test_evaluate_tells_loss_perplexity_and_lengths(learner, tmp_path, capsys):
    import math

    model, data = str(learner / "model"), str(learner / "heldout.json")
    assert main(["evaluate", model, "--data", data, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    wanted = trained_losses(learner / "model", [Example(**row) for row in json.loads(Path(data).read_text())], 128)
    loss = sum(nats for nats, _ in wanted) / sum(tokens for _, tokens in wanted)
    assert found["loss"] == pytest.approx(loss, abs=1e-5) and found["perplexity"] == pytest.approx(math.exp(loss))
    assert (found["exact_match"], found["exact_match_interval"], found["cut"]) == (1, [1, 1], 0)
    assert found["answer_tokens"] == found["output_tokens"] > 3
    assert found["answer_characters"] == found["output_characters"]
    assert main(["evaluate", model, "--data", data]) == 0
    said = capsys.readouterr().out
    assert "nats a token (perplexity 1." in said and "100.0% ended by themselves" in said


def test_a_base_without_a_template_reads_that_of_the_model(learner, tmp_path):
    """So that the two losses are of the same text."""
    base = shutil.copytree(learner / "student", tmp_path / "base")
    (base / "chat_template.jinja").unlink()
    rows = [Example(**row) for row in local_models.opposites(local_models.UNSEEN)]
    bare, whole = (
        TransformersTeacher(TransformersOptions(str(path), device="cpu")) for path in (base, learner / "student")
    )
    assert bare.jinja == "" and bare.losses(rows, whole.jinja) == whole.losses(rows) != bare.losses(rows)
