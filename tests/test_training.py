"""Training for real: processes, losses, what is written, and what is refused."""

import json
import math
import shutil

import pytest
import training
from alpaca_fsdp.options import FsdpOptions, LocalOptions
from alpaca_fsdp.trainer import FsdpTrainer, LocalTrainer

from alpaca_core import AlpacaError, ConfigError, Example, Trainer
from alpaca_core.config import load_config, to_toml
from alpaca_core.plugins import PluginHost

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return training.write(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def local(data, tmp_path_factory):
    """A finished local training: its job, result and events."""
    job = training.job(data, tmp_path_factory.mktemp("local") / "out")
    return job, *training.train(job)


def test_the_trainers_are_trainers():
    assert isinstance(LocalTrainer(LocalOptions()), Trainer)
    assert isinstance(FsdpTrainer(FsdpOptions()), Trainer)


@pytest.mark.slow
def test_a_default_that_no_text_says_is_left_out_of_the_toml(tmp_path):
    """trainer.checkpointing is None, as memory asks, or "none": a run is not to train anew with its own run.toml."""
    host, file = PluginHost(), tmp_path / "run.toml"
    for sets in ([], ["trainer.checkpointing=none"], ["trainer.checkpointing=full"]):
        config = load_config(host, sets=sets, folder=tmp_path, environ={})
        file.write_text(to_toml(config))
        assert load_config(host, file=file, folder=tmp_path, environ={}).trainer == config.trainer


def test_it_learns_and_says_so(local):
    job, result, events = local
    losses = training.losses(events)
    assert len(losses) == result.steps == 6 and losses[-1] < losses[0]
    assert result.final_loss == losses[-1]
    assert (result.strategy, result.world_size) == ("single", 1)
    assert training.message(events).startswith("single process")
    assert [event.step for event in events if event.kind == "step"] == [1, 2, 3, 4, 5, 6]
    assert result.tokens == max(event.tokens for event in events)


@pytest.mark.slow
def test_the_saved_model_loads_plainly_and_its_template_renders_the_prompt(local):
    from alpaca_templates.alpaca import AlpacaTemplate
    from transformers import AutoModelForCausalLM, AutoTokenizer

    _, result, _ = local
    model = AutoModelForCausalLM.from_pretrained(result.model)
    words = AutoTokenizer.from_pretrained(result.model)
    assert model.num_parameters() == result.parameters
    assert type(model).__name__ == "LlamaForCausalLM" and model.config.architectures == ["LlamaForCausalLM"]
    for row in training.rows(20):
        message = {"role": "user", "content": row["instruction"], "input": row["input"]}
        text = words.apply_chat_template([message], tokenize=False, add_generation_prompt=True)
        assert text == "<s>" + AlpacaTemplate().prompt(Example(**row))


@pytest.mark.slow
def test_the_model_says_where_it_comes_from(local):
    job, result, _ = local
    card = (result.model / "README.md").read_text()
    assert "a test" in card and "new:tiny" in card and "24 examples" in card
    config = json.loads((result.model / "config.json").read_text())
    assert config["alpacakit"]["notice"] == "a test" and config["alpacakit"]["steps"] == 6


@pytest.mark.slow
def test_the_student_before_training_is_kept(local):
    from transformers import AutoModelForCausalLM

    job, result, _ = local
    before = AutoModelForCausalLM.from_pretrained(result.base).state_dict()
    after = AutoModelForCausalLM.from_pretrained(result.model).state_dict()
    assert before.keys() == after.keys()
    assert not before["model.norm.weight"].equal(after["model.norm.weight"])


@pytest.mark.slow
def test_a_finished_job_is_not_done_again(local):
    job, result, _ = local
    before = (result.model / "model.safetensors").stat().st_mtime_ns
    again, events = training.train(job)
    assert again == result and training.losses(events) == []
    assert (result.model / "model.safetensors").stat().st_mtime_ns == before


@pytest.mark.slow
def test_another_job_in_the_same_folder_is_refused_with_what_differs(local, data):
    job, result, _ = local
    with pytest.raises(ConfigError) as error:
        training.train(training.job(data, job.out, learning_rate=0.5))
    assert error.value.problems == ("learning_rate: 0.002 there, 0.5 here",)
    assert "--fresh" in error.value.hint


def test_a_model_of_somebody_else_is_not_touched(tmp_path, data):
    (tmp_path / "model").mkdir()
    with pytest.raises(ConfigError, match="was not made by this trainer"):
        training.train(training.job(data, tmp_path))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[", "is not JSON"),
        ("[]", "at least one row"),
        ('[{"instruction": "a", "output": "b"}, {"instruction": "a", "output": 3}]', "row 1, field 'output'.* int"),
        ('[{"output": "b"}]', "row 0, field 'instruction': expected a text, found nothing"),
    ],
)
def test_malformed_data_is_refused_by_row_and_field(tmp_path, content, said):
    path = tmp_path / "data.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=said):
        training.train(training.job(path, tmp_path / "out"))


def test_an_unknown_new_student_lists_the_known_ones(tmp_path, data):
    with pytest.raises(ConfigError, match="new:tiny, new:small"):
        training.train(training.job(data, tmp_path, student="new:huge"))


@pytest.mark.slow
def test_what_the_worker_finds_wrong_arrives_as_its_kind_of_error(tmp_path, data):
    student = tmp_path / "student"
    student.mkdir()
    (student / "config.json").write_text("{")
    with pytest.raises(ConfigError, match="Cannot load the student"):
        training.train(training.job(data, tmp_path / "out", student=str(student)))


def test_a_worker_that_dies_is_quoted(tmp_path, data):
    job = training.job(data, tmp_path)
    broken = job.__class__(**{name: getattr(job, name) for name in job.__slots__} | {"template": "nowhere:Class"})
    with pytest.raises(AlpacaError, match="No module named 'nowhere'") as error:
        training.train(broken)
    assert error.value.exit_code == 1 and (tmp_path / "checkpoints" / "worker.log").read_text()


@pytest.mark.slow
def test_a_loss_that_is_no_number_stops_and_names_step_and_row(tmp_path, data):
    """Token ids of one row only lead to the broken weight."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig

    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    folder = training.student_folder(tmp_path / "student", LlamaConfig(**shape, tie_word_embeddings=False), data)
    model, words = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    rows = json.loads(data.read_text())
    rows[5]["instruction"] = "Z" * 3  # no other row has this byte
    (only,) = {words.convert_tokens_to_ids("<0x5A>")}
    with torch.no_grad():
        model.get_input_embeddings().weight[only] = math.nan
    model.save_pretrained(folder)
    path = tmp_path / "data.json"
    path.write_text(json.dumps(rows))
    with pytest.raises(AlpacaError, match=r"Step 1: .* Rows of the data: 5\."):
        training.train(training.job(path, tmp_path / "out", student=str(folder), batch_size=24))


@pytest.mark.slow
def test_packing_changes_no_loss(tmp_path, data):
    """Step by step, through three updates."""
    import torch
    from alpaca_fsdp import job as jobs
    from alpaca_fsdp import loop, student
    from alpaca_fsdp.data import load_template, read
    from alpaca_fsdp.examples import tokenize
    from alpaca_fsdp.world import World

    found = {}
    for packing in (True, False):
        job = jobs.decide(training.job(data, tmp_path, packing=packing, micro_tokens=100), sharded=False)
        template, examples = load_template(job.template, {}), read(job.data)
        student.make(job, examples, template)
        model, words = student.load(job.base)
        tokens, _ = tokenize(examples, template, words, job.options.max_length)
        world = World(0, 1, torch.device("cpu"), False)
        run = loop.Training(job.options, job.seed, tokens, model, words.eos_token_id, world, torch.float32)
        assert run.layout.name == ("packed rows" if packing else "padded rows")
        found[packing] = []
        for _ in range(3):
            run._step(False)
            found[packing].append(run.progress.loss)
    assert found[True] == pytest.approx(found[False], abs=1e-5)


def test_defaults_are_the_published_recipe_and_new_students_have_their_own():
    from alpaca_fsdp.recipes import resolved

    published = resolved(LocalOptions(), "some/llama")
    assert (published.learning_rate, published.schedule, published.warmup) == (2e-5, "cosine", 0.03)
    assert (published.epochs, published.batch_size, published.max_length) == (3.0, 128, 512)
    assert (published.weight_decay, published.max_grad_norm, published.packing) == (0.0, 1.0, True)
    assert resolved(LocalOptions(), "new:tiny").learning_rate > 1e-3
    assert resolved(LocalOptions(learning_rate=0.1), "new:tiny").learning_rate == 0.1


def test_the_learning_rate_rises_then_falls_to_nothing():
    from alpaca_fsdp.optimizer import learning_rate

    options = LocalOptions(learning_rate=1.0, warmup=0.1, schedule="cosine")
    rates = [learning_rate(done / 100, options) for done in range(101)]
    assert rates[10] == max(rates) == 1.0 and rates[:11] == sorted(rates[:11])
    assert rates[10:] == sorted(rates[10:], reverse=True) and rates[100] == 0
    assert rates[55] == pytest.approx(0.5)


@pytest.mark.slow
def test_a_time_cap_brings_the_learning_rate_down_and_ends_training(tmp_path, data):
    result, events = training.train(training.job(data, tmp_path / "out", max_steps=10**6, max_seconds=2))
    rates = [event.learning_rate for event in events if event.kind == "step"]
    assert 1 < result.steps < 10**6 and (result.model / "config.json").exists()
    assert rates[-1] < 0.2 * max(rates)
    assert "time cap of 2 s" in training.notes(events)


def test_the_plan_of_fsdp_is_a_torchrun_command(tmp_path, data):
    job = training.job(data, tmp_path, fsdp=True, processes=3)
    plan = FsdpTrainer(job.options).plan(job)
    assert plan.argv[1:5] == ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=3")
    assert plan.argv[5:7] == ("-m", "alpaca_fsdp.train")
    assert int(plan.env["OMP_NUM_THREADS"]) >= 1
    assert list(tmp_path.iterdir()) == []


def test_light_modules_import_no_torch():
    import subprocess
    import sys

    code = (
        "import alpaca_fsdp.trainer, alpaca_templates.alpaca, alpaca_transformers, sys; print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


@pytest.mark.slow
def test_fresh_replaces_the_model_only_by_a_complete_one(local, data, tmp_path):
    job, result, _ = local
    out = tmp_path / "out"
    shutil.copytree(job.out, out)
    broken = data.with_name("broken.json")
    broken.write_text("[{}]")
    with pytest.raises(ConfigError):
        training.train(training.job(broken, out, fresh=True))
    assert (out / "model" / "model.safetensors").exists()
    again, events = training.train(training.job(data, out, fresh=True, max_steps=2))
    assert again.steps == 2 and json.loads((out / "model" / "alpacakit.json").read_text())["facts"]["steps"] == 2
