"""FSDP2 for real: torchrun, two gloo processes on the CPU, checkpoints, signals and deaths."""

import json
import os
import shutil
import signal
import time

import pytest
import training
from alpaca_fsdp.trainer import FsdpTrainer

from alpaca_core import ConfigError, Stopped

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return training.write(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def sharded(data, tmp_path_factory):
    """An undisturbed sharded training: result and events."""
    return training.train(training.job(data, tmp_path_factory.mktemp("fsdp") / "out", fsdp=True))


@pytest.fixture(scope="module")
def stopped(data, tmp_path_factory):
    """The same, stopped by SIGTERM after its third step: folder and events so far."""
    out = tmp_path_factory.mktemp("stopped") / "out"
    events = []

    def watch(event):
        events.append(event)
        if event.kind == "step" and event.step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Stopped) as stop:
        training.train(training.job(data, out, fsdp=True), watch)
    assert stop.value.exit_code == 4
    return out, events


def weights(result):
    from safetensors.torch import load_file

    return load_file(result.model / "model.safetensors")


def row_losses(result):
    """The loss of each row in each epoch."""
    lines = (result.model.parent / "row_losses.jsonl").read_text().splitlines()
    found = {(of["epoch"], of["row"]): of["loss"] for of in map(json.loads, lines)}
    assert len(found) == len(lines)
    return found


def test_the_model_is_sharded_and_not_merely_replicated(sharded):
    """Every layer and the whole are FSDPModules, and each process holds half of the parameters."""
    result, events = sharded
    fact, held, *_ = training.message(events).split(" · ")
    assert fact == "sharded: 4 FSDPModule x 2"  # three layers and the root
    here, _, whole = held.removesuffix(" parameters in the first process").replace(",", "").partition(" of ")
    assert int(whole) == result.parameters
    assert 0.5 * int(whole) <= int(here) < 0.51 * int(whole)
    assert (result.strategy, result.world_size) == ("fsdp2", 2)


def test_losses_equal_those_of_one_process(sharded, data, tmp_path):
    result, events = sharded
    alone, alone_events = training.train(training.job(data, tmp_path / "out", packing=False))
    assert training.losses(events) == pytest.approx(training.losses(alone_events), abs=1e-5)
    one, two = weights(alone), weights(result)
    assert one.keys() == two.keys()
    assert all(abs(one[name] - two[name]).max() < 1e-4 for name in one)
    of_rows, of_rows_alone = row_losses(result), row_losses(alone)
    assert of_rows.keys() == of_rows_alone.keys() and len(of_rows) == 36  # one epoch, and half of the next
    assert of_rows == pytest.approx(of_rows_alone, abs=1e-5)


def test_all_processes_take_part_in_sample_answers(sharded):
    _, events = sharded
    assert [event.step for event in events if event.kind == "sample"] == [4, 4, 4, 6, 6, 6]


def test_a_stop_leaves_a_checkpoint_and_the_same_job_goes_on_bit_for_bit(stopped, sharded, data, tmp_path):
    out, before = stopped
    resumed = tmp_path / "out"
    shutil.copytree(out, resumed)
    result, after = training.train(training.job(data, resumed, fsdp=True))
    undisturbed, events = sharded
    assert 3 <= len(training.losses(before)) < 6
    assert training.losses(before) + training.losses(after) == training.losses(events)
    assert all(weights(result)[name].equal(value) for name, value in weights(undisturbed).items())
    assert result.tokens == undisturbed.tokens
    assert row_losses(result) == row_losses(undisturbed)
    assert not list(resumed.glob("checkpoints/step-*"))


def test_it_goes_on_in_another_number_of_processes(stopped, sharded, data, tmp_path):
    out, before = stopped
    shutil.copytree(out, tmp_path / "out")
    _, after = training.train(training.job(data, tmp_path / "out"))
    _, events = sharded
    assert "going on after step" in training.notes(after)
    assert training.losses(before) + training.losses(after) == pytest.approx(training.losses(events), abs=1e-5)


def test_another_job_does_not_go_on_from_these_checkpoints(stopped, data):
    out, _ = stopped
    with pytest.raises(ConfigError) as error:
        training.train(training.job(data, out, fsdp=True, batch_size=7))
    assert error.value.problems == ("batch_size: 6 there, 7 here",)


LAUNCH = """
import sys, training
from pathlib import Path
def watch(event):
    print(event.kind, event.step, event.message, flush=True)
options = dict(max_steps=10**6, save_steps=int(sys.argv[3]))
training.train(training.job(Path(sys.argv[1]), Path(sys.argv[2]), fsdp=True, **options), watch)
"""


def kill_launcher(launcher, torchrun, worker):
    launcher.kill()


def kill_torchrun(launcher, torchrun, worker):
    os.kill(torchrun, signal.SIGKILL)


def kill_worker(launcher, torchrun, worker):
    os.kill(worker, signal.SIGKILL)


def close_terminal(launcher, torchrun, worker):
    launcher.stdout.close()


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory):
    """The folder of one training that dies in several ways."""
    return tmp_path_factory.mktemp("disturbed") / "out"


@pytest.mark.parametrize("dies", [kill_launcher, kill_torchrun, kill_worker, close_terminal])
def test_whoever_dies_no_process_is_left_nothing_is_written_and_the_next_one_goes_on(data, disturbed, dies):
    closes = dies is close_terminal  # which leaves time for a checkpoint
    start = training.in_terminal if closes else training.in_background
    launcher = start(LAUNCH, data, disturbed, 10**6 if closes else 3)
    said = []
    for line in launcher.stdout:
        said.append(line)
        if line.startswith("step" if closes else "checkpoint"):
            break
    if dies is not kill_launcher:  # it is the first
        assert any("going on after step" in line for line in said)
    processes = training.processes_naming(str(disturbed / "checkpoints"))
    assert len(processes) == 3  # torchrun and two workers
    if dies is kill_launcher:
        with pytest.raises(ConfigError, match="Another training"):
            training.train(training.job(data, disturbed, fsdp=True, max_steps=10**6, save_steps=3))
    there = set(disturbed.glob("checkpoints/step-*/facts.json"))
    dies(launcher, *sorted(processes)[:2])
    launcher.wait(timeout=60)
    deadline = time.monotonic() + 40
    while training.processes_naming(str(disturbed / "checkpoints")) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert training.processes_naming(str(disturbed / "checkpoints")) == []
    if closes:
        assert set(disturbed.glob("checkpoints/step-*/facts.json")) - there

    def written():
        return {path: path.stat().st_mtime_ns for path in disturbed.rglob("*")}

    before = written()
    time.sleep(1)
    assert written() == before


def test_a_torchrun_started_by_hand_saves_when_it_gets_a_signal(data, tmp_path):
    job = training.job(data, tmp_path / "out", fsdp=True, max_steps=10**6)
    process = training.started(FsdpTrainer(job.options).plan(job))
    for line in process.stdout:
        if line.startswith("step "):
            break
    process.terminate()
    said = process.communicate(timeout=60)[0]
    assert "The same command goes on from it" in said
    assert len(list((tmp_path / "out" / "checkpoints").glob("step-*/facts.json"))) == 1
    assert training.processes_naming(str(tmp_path / "out")) == []


def test_another_architecture_is_sharded_by_its_own_layers(data, tmp_path):
    from transformers import GPT2Config

    config = GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=512)
    student = training.student_folder(tmp_path / "gpt2", config, data)
    result, events = training.train(
        training.job(data, tmp_path / "out", student=str(student), fsdp=True, max_steps=2, learning_rate=1e-3)
    )
    assert training.message(events).startswith("sharded: 3 FSDPModule x 2")
    assert result.base == str(student) and not (tmp_path / "out" / "student").exists()


@pytest.mark.parametrize(
    ("kind", "layer"),
    [("llama", "LlamaDecoderLayer"), ("qwen2", "Qwen2DecoderLayer"), ("gpt2", "GPT2Block"), ("opt", "OPTDecoderLayer")],
)
def test_the_layer_class_is_found_from_the_model(kind, layer):
    import torch
    from alpaca_fsdp.student import layers
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, num_hidden_layers=2))
    assert [type(module).__name__ for module in layers(model)] == [layer] * 2
    model._no_split_modules = None
    assert [type(module).__name__ for module in layers(model)] == [layer] * 2
