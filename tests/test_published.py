"""The published command of Stanford Alpaca, on today's stack."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import training
from alpaca_fsdp import flags, landing, task
from alpaca_fsdp.flags import FLAGS
from hypothesis import given, settings
from hypothesis import strategies as st

from alpaca_core import ConfigError, MissingError
from alpaca_core.cli.main import main

# As the README of tatsu-lab/stanford_alpaca has it, behind `torchrun … train.py`.
PUBLISHED = """
    --model_name_or_path <your_path_to_hf_converted_llama_ckpt_and_tokenizer> \
    --data_path ./alpaca_data.json \
    --bf16 True \
    --output_dir <your_output_dir> \
    --num_train_epochs 3 \
    --per_device_train_batch_size 4 \
    --per_device_eval_batch_size 4 \
    --gradient_accumulation_steps 8 \
    --evaluation_strategy "no" \
    --save_strategy "steps" \
    --save_steps 2000 \
    --save_total_limit 1 \
    --learning_rate 2e-5 \
    --weight_decay 0. \
    --warmup_ratio 0.03 \
    --lr_scheduler_type "cosine" \
    --logging_steps 1 \
    --fsdp "full_shard auto_wrap" \
    --fsdp_transformer_layer_cls_to_wrap 'LLaMADecoderLayer' \
    --tf32 True
"""
CPU = ("--bf16", "False", "--use_cpu", "True", "--tf32", "False")
FOUR = {"RANK": "0", "WORLD_SIZE": "4"}


def published(model="m", out="o", *more: str) -> list[str]:
    words = shlex.split(PUBLISHED)
    places = {"<your_path_to_hf_converted_llama_ckpt_and_tokenizer>": str(model), "<your_output_dir>": str(out)}
    return [*(places.get(word, word) for word in words), *more]


def torchrun(folder: Path, words: list[str]) -> subprocess.CompletedProcess[str]:
    """Two processes, started in ``folder``."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", f"--master_port={port}"]
    return subprocess.run(
        [*start, "-m", "alpaca_fsdp.train", *words],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working folder as the README's reader has it: alpaca_data.json, and a LLaMA in ./llama."""
    from transformers import LlamaConfig

    made = tmp_path_factory.mktemp("published")
    (made / "alpaca_data.json").write_text(json.dumps(training.rows(70)))
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    training.student_folder(made / "llama", LlamaConfig(**shape), made / "alpaca_data.json")
    return made


@pytest.fixture(scope="module")
def done(folder):
    """The published command, verbatim but for paths and what a CPU needs."""
    run = torchrun(folder, published("llama", "out", *CPU))
    assert run.returncode == 0, run.stderr
    return run


@pytest.mark.slow
def test_the_published_command_shards_the_model(done):
    assert "sharded: 3 FSDPModule x 2 · 23," in done.stdout  # two layers and the root


@pytest.mark.slow
def test_what_each_flag_became_is_told_once(done):
    for name in (word.removeprefix("--") for word in published() if word.startswith("--")):
        assert done.stdout.count(f"--{name} ") == 1, name
    assert "4 x 8 rounds x 2 process(es): trainer.batch_size = 64" in done.stdout
    assert "--fsdp_transformer_layer_cls_to_wrap LLaMADecoderLayer: no effect: the layers are found" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.slow
def test_every_step_is_printed_and_logged(done, folder):
    steps = [line for line in done.stdout.splitlines() if line.startswith("step ")]
    assert len(steps) == 6 and all("loss" in line and "learning rate" in line for line in steps)
    logged = [json.loads(line) for line in (folder / "out" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in logged] == [1, 2, 3, 4, 5, 6]


@pytest.mark.slow
def test_the_model_loads_from_the_output_folder_itself(done, folder):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    before = AutoModelForCausalLM.from_pretrained(folder / "llama").state_dict()
    after = AutoModelForCausalLM.from_pretrained(folder / "out").state_dict()
    assert "Below is an instruction" in AutoTokenizer.from_pretrained(folder / "out").chat_template
    changed = [name for name, weight in before.items() if not after[name][: len(weight)].equal(weight)]
    assert "model.layers.1.mlp.up_proj.weight" in changed
    assert not (folder / "out" / landing.DRAFT).exists() and not list(folder.glob("out/checkpoints/step-*"))


@pytest.mark.slow
def test_the_same_command_again_does_nothing(done, folder):
    before = (folder / "out" / "model.safetensors").stat().st_mtime_ns
    again = torchrun(folder, published("llama", "out", *CPU))
    assert again.returncode == 0 and "is finished already: nothing to do" in again.stdout
    assert "step " not in again.stdout.replace("a step", "")
    assert (folder / "out" / "model.safetensors").stat().st_mtime_ns == before


def worker(folder: Path, *words: str) -> tuple[int, str]:
    """Exit code and errors of a single process without torchrun."""
    done = subprocess.run(
        [sys.executable, "-m", "alpaca_fsdp.train", *words], cwd=folder, capture_output=True, text=True
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def test_another_command_in_the_same_output_folder_is_refused(done, folder):
    code, said = worker(folder, *published("llama", "out", *CPU, "--learning_rate", "1"))
    assert code == 2 and "learning_rate: 2e-05 there, 1.0 here" in said and "Choose another --output_dir" in said


def test_what_somebody_else_has_in_the_output_folder_is_not_touched(folder, tmp_path):
    (tmp_path / "config.json").write_text("theirs")
    (tmp_path / "run.log").write_text("does no harm")
    code, said = worker(folder, *published("llama", tmp_path, *CPU))
    assert code == 2 and "config.json" in said and "run.log" not in said and "Choose another --output_dir" in said
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "run.log"}


def test_a_model_lands_file_by_file_with_its_config_last(tmp_path, monkeypatch):
    """Cut off anywhere, the folder is no model yet; landed again it is whole."""
    draft = tmp_path / landing.DRAFT
    moved = []

    def cut_off(source, target):
        if len(moved) == 2:
            raise KeyboardInterrupt
        moved.append(Path(target).name)
        rename(source, target)

    def write():
        draft.mkdir(exist_ok=True)
        for name in ("config.json", "model.safetensors", "tokenizer.json"):
            (draft / name).write_text(name)

    rename = os.replace
    write()
    monkeypatch.setattr(os, "replace", cut_off)
    with pytest.raises(KeyboardInterrupt):
        landing.land(draft, tmp_path)
    monkeypatch.undo()
    assert moved == ["model.safetensors", "tokenizer.json"] and not (tmp_path / "config.json").exists()
    write()
    landing.land(draft, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "model.safetensors", "tokenizer.json"}


def test_the_published_command_is_the_published_recipe():
    made = flags.read(published(), FOUR)
    options = made.job.options
    assert (options.batch_size, options.epochs, options.max_length) == (128, 3.0, 512)
    assert (options.learning_rate, options.schedule, options.warmup, options.weight_decay) == (2e-5, "cosine", 0.03, 0)
    assert (options.dtype, options.save_steps, options.micro_tokens) == ("bfloat16", 2000, 4 * 512)
    assert made.sharded and made.in_place and made.tf32 and made.logging_steps == 1
    assert (made.job.student, made.job.template) == ("m", "alpaca_templates.alpaca:AlpacaTemplate")


@pytest.mark.parametrize("processes", [1, 2, 4, 8])
def test_the_global_batch_counts_examples_over_all_processes(processes):
    made = flags.read(published(), {"RANK": "0", "WORLD_SIZE": str(processes)})
    assert made.job.options.batch_size == 4 * 8 * processes and made.sharded


def test_what_is_not_given_is_as_in_the_published_code():
    made = flags.read(["--model_name_or_path=m", "--data_path=d", "--output_dir=o"], {})
    options = made.job.options
    assert (options.learning_rate, options.schedule, options.warmup, options.batch_size) == (5e-5, "linear", 0, 8)
    assert made.job.seed == 42 and "learning_rate 5e-05" in made.notes[-1] and not made.sharded


@pytest.mark.parametrize(
    ("words", "warmup"),
    [
        (["--warmup_steps", "10", "--max_steps", "100"], 0.1),
        (["--warmup_steps", "0.05"], 0.05),  # as transformers 5 reads it
        (["--warmup_ratio", "0.5", "--lr_scheduler_type", "constant"], 0),
        (["--warmup_ratio", "0.5", "--lr_scheduler_type", "constant_with_warmup"], 0.5),
    ],
)
def test_warm_up_is_a_share_of_the_steps(words, warmup):
    assert flags.read(published("m", "o", *words), FOUR).job.options.warmup == warmup


def test_warm_up_in_steps_and_checkpoints_by_epoch_count_the_rows(tmp_path):
    data = training.write(tmp_path, 70)
    words = published("m", "o", "--data_path", str(data), "--warmup_steps", "3", "--save_strategy", "epoch")
    options = flags.read(words, {"RANK": "0", "WORLD_SIZE": "2"}).job.options
    assert options.save_steps == 2 and options.warmup == 3 / 6


def test_all_mistakes_are_told_together_with_what_was_meant():
    with pytest.raises(ConfigError) as error:
        flags.read([*published("m", "o", "--learnin_rate", "1", "--xyz=2", "--save_steps", "often"), "--fp16"], {})
    assert error.value.problems == (
        "--learnin_rate: there is no such flag. Did you mean --learning_rate?",
        "--xyz: there is no such flag",
        "--save_steps: expected a whole number from 1, found 'often'",
        "--fp16 True: half precision needs its loss scaled, which is not done here: give --bf16 True",
    )
    assert error.value.exit_code == 2 and "--help" in error.value.hint


def test_required_flags_that_are_missing_are_named():
    with pytest.raises(ConfigError) as error:
        flags.read(["--bf16"], {})
    assert error.value.problems == tuple(f"--{name} is missing" for name in flags.REQUIRED)


FITTING = {
    "a text": ["x", "full_shard auto_wrap", "./a=b.json"],
    "True or False": ["True", "False", "true", "no"],
    "a whole number": ["-1", "0", "7"],
    "a whole number from 1": ["1", "2000"],
    "a number": ["2e-5", "0.", "0.03", "3"],
}


@settings(max_examples=30)
@given(st.data())
def test_every_flag_is_read_in_both_spellings_and_any_order(draw):
    names = draw.draw(st.permutations(list(FLAGS)))
    words, expected = [], {}
    for name in names:
        texts = FITTING.get(FLAGS[name].expected) or FLAGS[name].expected.split(" or ")
        text = "False" if name == "fp16" else draw.draw(st.sampled_from(texts))
        words += [f"--{name}={text}"] if draw.draw(st.booleans()) else [f"--{name}", text]
        expected[name] = FLAGS[name].read(text)
    assert flags.parse(words) == expected


def test_every_flag_has_a_line_of_help_and_one_that_says_what_it_became(capsys):
    from alpaca_fsdp.train import main as train

    assert train(["--help"]) == 0
    said = capsys.readouterr().out
    assert "--job JOB" in said and all(f"--{name} " in said for name in FLAGS)
    rest = [f"--{n}={(FITTING.get(f.expected) or f.expected.split(' or '))[-1]}" for n, f in FLAGS.items()]
    notes = flags.read([word.replace("=x", "=y") for word in rest if "epoch" not in word], FOUR).notes
    assert len({note.partition(" ")[0] for note in notes if note.startswith("--")}) >= len(FLAGS) - 2


def test_a_job_is_the_same_as_a_word_of_a_command_line(tmp_path):
    job = training.job(tmp_path / "d.json", tmp_path / "o", fsdp=True, learning_rate=0.5, max_steps=3)
    assert task.from_word(task.as_word(job), FOUR).job == job
    with pytest.raises(ConfigError, match="--job takes"):
        task.from_word('{"data": 1', {})


@pytest.mark.slow
def test_the_line_of_a_dry_run_runs_as_it_is_printed_and_goes_on_after_a_signal(tmp_path, capsys):
    """Rows as JSON Lines are first written as the worker reads them. Stopped by SIGTERM, its exit code is 4."""
    data = tmp_path / "data.jsonl"
    data.write_text("\n".join(map(json.dumps, training.rows(12))))
    chosen = ["--student", "new:tiny", "--trainer", "local", "--set", "trainer.max_steps=20"]
    assert main(["train", str(data), "--out", str(tmp_path / "out"), *chosen, "--dry-run"]) == 0
    assert not (tmp_path / "out").exists()
    prepare, line = capsys.readouterr().out.splitlines()
    subprocess.run(["bash", "-c", prepare], check=True)
    start = ["env", *shlex.split(line)]
    first = subprocess.Popen(start, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for said in first.stdout:
        if said.startswith("step 2/"):
            first.send_signal(signal.SIGTERM)
    assert first.wait() == 4 and "The same command goes on" in first.stderr.read()
    assert list(tmp_path.glob("out/checkpoints/step-*")) and not (tmp_path / "out" / "model").exists()
    second = subprocess.run(start, capture_output=True, text=True)
    assert second.returncode == 0 and "going on after step" in second.stdout, second.stderr
    lines = (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, 21))
    assert (tmp_path / "out" / "model" / "config.json").exists()


def test_deepspeed_is_passed_on_and_asked_for_where_it_is_missing(tmp_path, monkeypatch):
    """The published README's other way, which has no learning rate schedule and no --fsdp."""
    from alpaca_fsdp import deepspeed

    words = published("m", "o", "--deepspeed", "./configs/default_offload_opt_param.json")
    made = flags.read(words, FOUR)
    assert made.deepspeed == "./configs/default_offload_opt_param.json" and made.sharded
    monkeypatch.setattr(deepspeed, "find_spec", lambda name: None)
    with pytest.raises(MissingError, match="not installed") as error:
        deepspeed.configuration(tmp_path / "none.json")
    assert "pip install" in error.value.hint and error.value.exit_code == 3
    with pytest.raises(ConfigError, match="needs torchrun"):
        flags.read(words, {})


@pytest.mark.parametrize(("text", "said"), [("{", "no DeepSpeed configuration"), ("{}", "zero_optimization")])
def test_a_deepspeed_configuration_must_be_one(tmp_path, monkeypatch, text, said):
    from alpaca_fsdp import deepspeed

    monkeypatch.setattr(deepspeed, "find_spec", lambda name: True)
    path = tmp_path / "config.json"
    with pytest.raises(ConfigError, match="Cannot read"):
        deepspeed.configuration(path)
    path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        deepspeed.configuration(path)


def test_rows_are_padded_for_deepspeed_and_prompts_not_learnt():
    import torch
    from alpaca_fsdp.deepspeed import _padded
    from alpaca_fsdp.examples import Tokens

    batch = _padded([Tokens(torch.tensor([5, 6, 7]), 2, 0), Tokens(torch.tensor([8, 9]), 1, 1)])
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 9, 0]]
    assert batch["labels"].tolist() == [[-100, -100, 7], [-100, 9, -100]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]


def test_a_student_that_there_cannot_be_is_refused_before_anything_is_loaded(folder, tmp_path):
    code, said = worker(folder, *published("new:huge", tmp_path / "out", *CPU))
    assert code == 2 and "new:tiny" in said and not (tmp_path / "out").exists()
