"""What a training will take: told by ``alpacakit estimate``, planned at its start, tried before its first step."""

import json
import resource
import sys
from dataclasses import replace

import pytest
import torch  # noqa: TID253
import training
from alpaca_fsdp import fit, forecast, memory, resident, trial
from alpaca_fsdp import job as jobs
from alpaca_fsdp.examples import Tokens
from alpaca_fsdp.loop import Training
from alpaca_fsdp.options import LocalOptions
from alpaca_fsdp.trainer import LocalTrainer
from alpaca_fsdp.world import World

from alpaca_core import ConfigError, TrainEvent
from alpaca_core.cli.main import main

LLAMA_7B = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "vocab_size": 32000,
}


@pytest.fixture
def llama(tmp_path):
    (tmp_path / "llama").mkdir()
    (tmp_path / "llama" / "config.json").write_text(json.dumps(LLAMA_7B))
    return str(tmp_path / "llama")


@pytest.fixture
def estimate(capsys, monkeypatch, tmp_path):
    """The exit code, standard output and standard error of ``alpacakit estimate``."""

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.chdir(tmp_path)
        capsys.readouterr()
        code = main(["estimate", *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


# ── the command ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_published_training_is_told_by_part_minutes_and_dollars(estimate, llama):
    code, said, _ = estimate("--student", llama, "--gpus", "4xA100-80GB")
    assert code == 0
    for part in ("weights", "gradients", "optimizer", "gathered", "activations", "logits", "reserve", "together"):
        assert f"GiB  {part}" in said
    assert "6,738,415,616 parameters" in said and "52,002 rows, 1,221 steps" in said
    assert "host " in said and "disk " in said and "several devices take --trainer fsdp" in said
    assert "79 min)" in said  # at worst: what the published command took


def test_json_holds_the_same_numbers(estimate, llama):
    code, said, _ = estimate("--student", llama, "--gpus", "4xA100-80GB", "--gpu-price", "2", "--json")
    told = json.loads(said)["training"]
    assert code == 0 and sum(told["memory"].values()) <= told["room"]
    assert told["tokens"] == 3 * 52_002 * 127 and told["settings"]["checkpointing"] == "none"
    best, usual, worst = told["seconds"]
    assert best < usual < worst == pytest.approx(79 * 60, rel=0.02)
    assert told["dollars"] == pytest.approx([4 * 2 * seconds / 3600 for seconds in told["seconds"]])


def test_what_does_not_fit_is_refused_with_numbers_and_ways_out(estimate, llama):
    code, said, error = estimate("--student", llama, "--gpus", "RTX4090", "--json")
    assert code == 2 and said == ""
    assert "does not fit 1 x RTX4090" in error and "there are 23.5" in error and "take 4 such devices" in error


def test_tokens_come_from_the_data_where_it_is_given(estimate, tmp_path):
    short, long = training.rows(60), [dict(row, output=row["output"] * 20) for row in training.rows(60)]
    told = []
    for name, rows in (("short", short), ("long", long)):
        (tmp_path / f"{name}.json").write_text(json.dumps(rows))
        words = ("--student", "new:tiny", "--data", f"{name}.json", "--gpus", "cpu", "--json")
        code, said, _ = estimate(*words, "--set", "trainer.epochs=2", "--set", "trainer.batch_size=20")
        told.append(json.loads(said)["training"])
        assert code == 0
    assert [one["rows"] for one in told] == [60, 60] and [one["steps"] for one in told] == [6, 6]
    assert told[0]["tokens"] < told[1]["tokens"] <= 2 * 60 * 512
    assert told[0]["dollars"] is None


def test_the_number_of_rows_alone_will_do_and_longer_training_takes_longer(estimate):
    seconds = []
    for n in (1000, 2000):
        code, said, _ = estimate("--student", "new:small", "--gpus", "cpu", "-n", str(n), "--json")
        seconds.append(json.loads(said)["training"]["seconds"][1])
    assert seconds[1] == pytest.approx(2 * seconds[0], rel=0.01)


def test_with_a_teacher_both_are_told(estimate):
    code, said, _ = estimate("--teacher", "procedural", "-n", "100", "--student", "new:tiny", "--gpus", "cpu", "--json")
    told = json.loads(said)
    assert code == 0 and told["requests"][1] > 0 and told["training"]["rows"] == 100


def test_without_a_word_of_training_nothing_of_it_is_told(estimate):
    code, said, _ = estimate("--teacher", "procedural", "-n", "100", "--json")
    assert code == 0 and "training" not in json.loads(said)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--gpus", "4xTPU"), "names no device that is known"),
        (("--student", "new:huge"), "There is no student"),
        (("--student", "new:tiny", "--trainer", "none"), "A training needs a trainer"),
        (("--student", "new:tiny", "--set", "trainer.preset=h900"), "There is no preset 'h900'"),
    ],
)
def test_wrong_words_are_usage_errors(estimate, words, said):
    code, _, error = estimate(*words)
    assert code == 2 and said in error


def test_offloading_pays_for_the_way_to_the_host(llama):
    def minutes(**options) -> float:
        job = training.job(
            "", "", llama, fsdp=True, **{"device": "auto", "batch_size": 128, "max_steps": None, **options}
        )
        return forecast.estimate(job, True, "H200", None, None).seconds[1]

    assert minutes(processes=1, offload=True) > 1.5 * minutes(processes=1)


# ── at the start of a training ────────────────────────────────────────────────────────────────────────────────────

ONE = World(0, 1, torch.device("cpu"), False)


def decided(tmp_path, **options) -> jobs.Job:
    """A job as the worker gets it."""
    tmp_path.mkdir(exist_ok=True)
    job = jobs.decide(training.job(training.write(tmp_path), tmp_path / "out", **options), sharded=False)
    job.checkpoints.mkdir(parents=True, exist_ok=True)
    return job


def model_and_tokens(vocabulary: int = 200, examples: int = 20, length: int = 40):
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", vocab_size=vocabulary, **shape))
    ids = torch.randint(4, vocabulary, (examples, length))
    return model.train(), [Tokens(ids[row, : length - row % 9], 5, row) for row in range(examples)]


def test_what_was_left_open_is_filled_in_and_what_was_set_stays(tmp_path):
    model, tokens = model_and_tokens()
    job, planned = fit.fit(decided(tmp_path, checkpointing="full"), model, tokens, ONE, torch.float32)
    assert job.options.checkpointing == planned.settings.checkpointing == "full"
    assert job.options.micro_tokens == 4096 and job.options.optimizer_bits == 32
    assert job.options.offload is False and job.options.reshard is False


def test_a_training_goes_on_with_the_settings_that_it_began_with(tmp_path):
    model, tokens = model_and_tokens()
    job = decided(tmp_path)
    _, first = fit.fit(job, model, tokens, ONE, torch.float32)
    fit.remember(job, first, settings={**vars(first.settings), "micro_tokens": 777}, fixed={})
    assert fit.fit(job, model, tokens, ONE, torch.float32)[0].options.micro_tokens == 777
    longer = decided(tmp_path, micro_tokens=99)  # set by the user since
    assert fit.fit(longer, model, tokens, ONE, torch.float32)[0].options.micro_tokens == 99


def test_checkpoints_keep_the_kind_of_their_optimizer_states(tmp_path):
    model, tokens = model_and_tokens()
    job = decided(tmp_path)
    _, first = fit.fit(job, model, tokens, ONE, torch.float32)
    eight = replace(first, settings=replace(first.settings, optimizer_bits=8))
    fit.remember(job, eight, below=first.machine.room)
    assert fit.fit(job, model, tokens, ONE, torch.float32)[0].options.optimizer_bits == 32  # nothing is stored yet
    fit.remember(job, eight, below=first.machine.room)
    (job.checkpoints / "step-000001").mkdir()
    assert fit.fit(job, model, tokens, ONE, torch.float32)[0].options.optimizer_bits == 8


def test_what_was_too_much_is_not_planned_again(tmp_path):
    model, tokens = model_and_tokens()
    job = decided(tmp_path)
    _, first = fit.fit(job, model, tokens, ONE, torch.float32)
    fit.remember(job, first, below=0.98 * first.total)
    _, second = fit.fit(job, model, tokens, ONE, torch.float32)
    assert second.total < 0.98 * first.total and second.settings != first.settings


def test_offloading_on_a_cpu_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="takes the trainer fsdp and a GPU"):
        fit.chosen(LocalOptions(offload=True), ONE)


def test_a_model_whose_config_tells_no_shape_trains_unplanned(tmp_path):
    from transformers import PretrainedConfig

    model, tokens = model_and_tokens()
    model.config = PretrainedConfig()
    job, planned = fit.fit(decided(tmp_path), model, tokens, ONE, torch.float32)
    assert planned is None and job.options.micro_tokens == 4096


# ── the trial step ────────────────────────────────────────────────────────────────────────────────────────────────


def prepared(tmp_path, **more):
    model, tokens = model_and_tokens(**more)
    options = {"student": "some", "batch_size": max(8, len(tokens) // 2), "max_steps": 3}
    job, planned = fit.fit(decided(tmp_path, **options), model, tokens, ONE, torch.float32)
    return Training(job.options, 1, tokens, model, 0, ONE, torch.float32), planned, job


def test_the_trial_step_leaves_no_trace(tmp_path):
    """The same losses, weights, moments and randomness as without it."""
    ends = []
    for tried in (False, True):
        made, planned, job = prepared(tmp_path)
        torch.manual_seed(7)
        if tried:
            said = trial.run(made, planned, job)
            assert said.startswith("trial step ") and "expected" in said
            assert all(parameter.grad is None for parameter in made.model.parameters()) and not made.optimizer.state
        seen = [torch.rand(3)]
        for _ in range(3):
            made._step(False)
            seen.append(torch.tensor(made.progress.loss))
        states = [state[name] for state in made.optimizer.state.values() for name in ("exp_avg", "exp_avg_sq")]
        ends.append([*seen, *made.model.state_dict().values(), *states])
    assert all(one.equal(other) for one, other in zip(*ends, strict=True))


def test_the_trial_row_is_the_fullest_that_the_data_can_give():
    _, tokens = model_and_tokens()  # of 32 to 40 tokens
    lengths = [len(example.ids) for example in trial.fullest(tokens, 130, most=128)]
    assert lengths == [40, 40, 40]
    assert [len(example.ids) for example in trial.fullest(tokens, 10, most=128)] == [40]
    assert len(trial.fullest(tokens, 10**6, most=5)) == 5


def test_memory_that_runs_out_in_the_trial_step_is_noted_for_the_next_start(tmp_path):
    made, planned, job = prepared(tmp_path, vocabulary=20_000, examples=200)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    before = resource.getrlimit(resource.RLIMIT_AS)
    size = resident._status("VmSize")
    try:  # room for anything but the logits, which are 260 MB
        resource.setrlimit(resource.RLIMIT_AS, (size + 150_000_000, before[1]))
        with pytest.raises(memory.TooMuch, match="ran out of memory"):
            trial.run(made, planned, job)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
        torch.set_num_threads(threads)
    model, tokens = made.model, made.examples
    again, less = fit.fit(job := decided(tmp_path), model, tokens, ONE, torch.float32)
    assert less.total < planned.total and again.options.micro_tokens < 4096
    assert jobs.read_json(job.checkpoints / fit.FILE)["settings"] == vars(less.settings)


def test_the_launcher_starts_again_after_a_plan_that_was_too_much(tmp_path):
    """A stand-in for the worker says so at its first start, and finishes at its second."""
    result = {"model": "m", "base": "b", "strategy": "single", "world_size": 1, "steps": 1, "tokens": 1}
    result |= {"kind": "result", "final_loss": 1.0, "seconds": 1.0, "parameters": 1}
    error = {"kind": "error", "type": "TooMuch", "message": "The trial step ran out.", "hint": ""}
    program = (
        "import json, pathlib, sys\n"
        "mark, *said = pathlib.Path(sys.argv[1]), *sys.argv[2:]\n"
        "first = not mark.exists(); mark.touch()\n"
        "print(chr(30) + said[0 if first else 1]); sys.exit(first)\n"
    )
    words = (str(tmp_path / "mark"), json.dumps(error), json.dumps(result))

    class Standing(LocalTrainer):
        def plan(self, job):
            made = super().plan(job)
            return made.__class__((sys.executable, "-c", program, *words, "in place of the job"), made.env, made.notes)

    events: list[TrainEvent] = []
    job = training.job(training.write(tmp_path), tmp_path / "out")
    assert Standing(job.options).train(job, events.append).steps == 1
    assert [event.message for event in events] == ["The trial step ran out. Starting again with less."]
