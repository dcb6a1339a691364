"""LoRA: what learns, what is written and what is refused; in one process and in two."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch  # noqa: TID253
import training
from alpaca_fsdp import job as jobs
from alpaca_fsdp import lora, run, student
from alpaca_fsdp.options import LocalOptions
from alpaca_fsdp.recipes import resolved
from safetensors.torch import load_file, save_file

from alpaca_core import AlpacaError, ConfigError
from alpaca_core.training import training_summary

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
WEIGHTS = "adapter_model.safetensors"


class Asked:
    """A launcher that asks to stop when it is looked at for the ``at``-th time."""

    def __init__(self, at: int = 0) -> None:
        self.at = at

    @property
    def asked_to_stop(self) -> bool:
        self.at -= 1
        return self.at == 0


def decide(data, out, sharded=False, **options):
    """A LoRA job with its folders, as the launcher leaves it to the worker."""
    asked = training.job(data, out, fsdp=sharded, **{"lora_rank": 4, **options})
    job = jobs.decide(asked, sharded)
    job.out.mkdir(parents=True, exist_ok=True)
    assert jobs.begin(job, fresh=False) is None
    return job


def work(job, capfd, stop_at=0) -> list[dict]:
    """Run the worker here. The events that it sends."""
    capfd.readouterr()
    run.run(job, Asked(stop_at))
    return events(capfd.readouterr().out)


def events(text: str) -> list[dict]:
    return [json.loads(line[1:]) for line in text.split("\n") if line.startswith("\x1e")]


def losses(found: list[dict]) -> list[float]:
    return [event["loss"] for event in found if event["kind"] == "step"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return training.write(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def llama(data, tmp_path_factory):
    """A student that is somebody else's: its embeddings are not tied."""
    from transformers import LlamaConfig

    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    return training.student_folder(
        tmp_path_factory.mktemp("llama"), LlamaConfig(**shape, tie_word_embeddings=False), data
    )


@pytest.fixture(scope="module")
def local(data, llama, tmp_path_factory):
    """A finished training through the trainer: job, result, events, and the student's files as they were before."""
    before = {path.name: path.read_bytes() for path in llama.iterdir()}
    job = training.job(data, tmp_path_factory.mktemp("local") / "out", student=str(llama), lora_rank=4, lora_alpha=8.0)
    return job, *training.train(job), before


TWO = """
import sys
from pathlib import Path
from alpaca_core import Stopped
from alpaca_fsdp import job, run, world
from test_lora import Asked
world.World.leave = lambda self: None  # one process group for all trainings
for path, stop_at in zip(map(Path, sys.argv[1::2]), map(int, sys.argv[2::2])):
    try:
        run.run(job.load(path), Asked(stop_at))
    except Stopped:
        pass
"""


@pytest.fixture(scope="module")
def two(data, llama, tmp_path_factory):
    """What two gloo processes have done, job and events by name: ``whole`` trains to the end; ``halted`` is stopped
    after three steps, ``resumed`` goes on from its checkpoint; ``coarse`` trains in bfloat16."""
    folder = tmp_path_factory.mktemp("two")
    made = {
        name: decide(data, folder / name, sharded=True, student=str(llama), dtype=dtype)
        for name, dtype in {"whole": "float32", "halted": "float32", "coarse": "bfloat16"}.items()
    }
    made["resumed"] = replace(made["halted"], out=folder / "resumed")  # another folder, as the first one stays locked
    made["resumed"].out.mkdir()
    made["resumed"].checkpoints.symlink_to(made["halted"].checkpoints)
    arguments = []
    for name, stop_at in {"whole": 0, "halted": 3, "resumed": 0, "coarse": 0}.items():
        jobs.write(made[name], folder / f"{name}.json")
        arguments += [str(folder / f"{name}.json"), str(stop_at)]
    script = folder / "two.py"
    script.write_text(TWO)
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", script, *arguments],
        env={**os.environ, "PYTHONPATH": ":".join(sys.path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, list[dict]] = {name: [] for name in ("whole", "halted", "resumed", "coarse")}
    names = iter(found)
    for event in events(done.stdout):
        if event["kind"] == "ready":
            name = next(names)
        found[name].append(event)
    return {name: (made[name], found[name]) for name in found}


def adapter(folder) -> dict[str, torch.Tensor]:
    return load_file(folder / WEIGHTS)


def logits_of(model, tokens=(1, 50, 60, 70, 80, 90, 100)) -> torch.Tensor:
    with torch.no_grad():
        return model(torch.tensor([tokens])).logits


def opened(folder):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder)


def test_adapter_and_merged_model_read_from_disk_have_equal_logits(local, llama):
    from peft import PeftModel

    job, result, *_ = local
    merged, base = logits_of(opened(result.model)), logits_of(opened(llama))
    both = logits_of(PeftModel.from_pretrained(opened(llama), job.out / "adapter"))
    assert torch.allclose(merged, both, atol=1e-6)
    assert (merged - base).abs().max() > 1e-3


def test_the_student_stays_as_it_is_bit_for_bit(local, llama):
    job, result, _, before = local
    assert {path.name: path.read_bytes() for path in llama.iterdir()} == before
    old, new = opened(llama).state_dict(), opened(result.model).state_dict()
    assert old.keys() == new.keys()
    same = {name for name in old if old[name].equal(new[name])}
    assert {name for name in old if not name.endswith("_proj.weight")} == same


def test_result_summary_and_cards_tell_of_it(local):
    job, result, events, _ = local
    told = {"rank": 4, "alpha": 8.0, "targets": "all-linear", "trainable": 2 * (4 * 256 + 3 * 384)}
    assert result.lora == told | {"adapter": str(job.out / "adapter")} == training_summary(result)["lora"]
    assert result.parameters == opened(result.model).num_parameters()
    assert "LoRA of rank 4, 4,352 parameters learn" in training.message(events)
    for folder in (result.model, job.out / "adapter"):
        assert "| LoRA | 4,352 parameters learnt: rank 4, alpha 8" in (folder / "README.md").read_text()


def test_losses_fall_and_a_finished_job_is_not_done_again(local):
    job, result, events, _ = local
    assert training.losses(events)[-1] < training.losses(events)[0]
    again, events = training.train(job)
    assert again == result and training.losses(events) == []


def test_two_processes_learn_what_one_does(local, two):
    job, result, events, _ = local
    whole, found = two["whole"]
    assert next(e["message"] for e in found if e["kind"] == "ready").startswith("sharded: 3 FSDPModule x 2")
    assert losses(found) == pytest.approx(training.losses(events), abs=1e-6)
    one, other = adapter(job.out / "adapter"), adapter(whole.adapter)
    assert one.keys() == other.keys() and all(torch.allclose(one[name], other[name], atol=1e-5) for name in one)
    assert torch.allclose(logits_of(opened(whole.model)), logits_of(opened(result.model)), atol=1e-5)


def test_a_stop_and_going_on_change_nothing(two):
    (whole, undisturbed), (_, before), (resumed, after) = two["whole"], two["halted"], two["resumed"]
    assert len(losses(before)) == 3 and len(losses(after)) == 3
    assert losses(before) + losses(after) == losses(undisturbed)
    assert (whole.adapter / WEIGHTS).read_bytes() == (resumed.adapter / WEIGHTS).read_bytes()


def test_a_checkpoint_holds_what_learns_and_nothing_else(two):
    from torch.distributed.checkpoint import FileSystemReader

    folder = min(two["halted"][0].checkpoints.glob("step-*"))
    names = FileSystemReader(folder).read_metadata().state_dict_metadata
    assert names and all(".lora_" in name for name in names if name.startswith(("model.", "optimizer.state.")))


def test_frozen_weights_are_kept_in_bfloat16_and_adapters_in_float32(two, local):
    _, _, events, _ = local
    coarse, found = two["coarse"]
    assert losses(found) == pytest.approx(training.losses(events), abs=0.05)
    assert {weight.dtype for weight in adapter(coarse.adapter).values()} == {torch.float32}
    model, _ = student.load(coarse.base)
    lora.add(model, coarse, torch.bfloat16)
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}
    assert {p.dtype for p in model.parameters() if not p.requires_grad} == {torch.bfloat16}


# -- what is refused before it counts


@pytest.fixture
def trained(local, llama, tmp_path):
    """A folder with the adapter, and what the worker had in memory of it."""
    model, _ = student.load(llama)
    job = jobs.decide(local[0], sharded=False)
    lora.add(model, job, torch.float32)
    for name, weight in adapter(job.adapter).items():
        module = name.removeprefix("base_model.model.").removesuffix(".weight")
        model.get_submodule(module).default.weight.data.copy_(weight)
    taken = lora.take(model, torch.arange(3, 60), torch.float32)
    lora.write(tmp_path, taken)
    lora.check(tmp_path, llama, taken)
    return tmp_path, taken


def rewrite(folder, change) -> dict[str, torch.Tensor]:
    weights = {name: made for name, weight in adapter(folder).items() if (made := change(name, weight)) is not None}
    save_file(weights, folder / WEIGHTS)
    return weights


def zero_b(name, weight):
    return torch.zeros_like(weight) if ".lora_B." in name else weight


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda name, weight: None, "28 of 28 matrices are missing"),
        (lambda name, weight: None if ".1.mlp.up_proj.lora_A." in name else weight, r"1 of 28 .*\.1\.mlp\.up_proj"),
        (zero_b, "14 of 28 matrices are not those in memory"),
        (lambda name, weight: weight.bfloat16(), "28 of 28 matrices are not those in memory"),
    ],
    ids=["empty", "one missing", "B zero", "rounded"],
)
def test_an_adapter_that_lost_something_on_its_way_to_disk_is_refused(trained, llama, change, said):
    folder, taken = trained
    rewrite(folder, change)
    with pytest.raises(AlpacaError, match=said):
        lora.check(folder, llama, taken)


@pytest.mark.parametrize(
    ("change", "said"),
    [(lambda name, weight: None, "28 of 28 matrices are missing"), (zero_b, "every matrix B is zero")],
    ids=["empty", "B zero"],
)
def test_an_adapter_that_was_lost_before_it_was_written_is_refused(trained, llama, change, said):
    folder, taken = trained
    taken = replace(taken, weights=rewrite(folder, change))
    with pytest.raises(AlpacaError, match=said):
        lora.check(folder, llama, taken)


def test_right_matrices_under_a_wrong_scale_are_refused_by_their_logits(trained, llama):
    folder, taken = trained
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"lora_alpha": 80}))
    with pytest.raises(AlpacaError, match="its logits differ from those in memory by"):
        lora.check(folder, llama, taken)


def test_an_adapter_alone_is_merged_later_without_training_again(data, llama, tmp_path, capfd):
    options = {"student": str(llama), "lora_rank": 4, "max_steps": 2, "dtype": "bfloat16"}
    alone = decide(data, tmp_path, lora_merge=False, **options)
    found = work(alone, capfd)
    assert found[-1]["model"] == str(alone.adapter) and not (tmp_path / "model").exists()
    apart = logits_of(opened(alone.adapter))  # transformers itself reads the student first
    merging = jobs.decide(training.job(data, tmp_path, **options), sharded=False)
    assert jobs.begin(merging, fresh=False) is None
    os.remove(tmp_path / ".training.lock")  # this process has it
    found = work(merging, capfd)
    assert losses(found) == [] and found[-1]["model"] == str(tmp_path / "model")
    assert torch.allclose(logits_of(opened(tmp_path / "model")), apart, atol=1e-6)


def test_the_adapter_of_another_training_is_not_overwritten(data, llama, tmp_path, capfd):
    work(decide(data, tmp_path, student=str(llama), lora_merge=False, max_steps=1), capfd)
    (tmp_path / "checkpoints" / "identity.json").unlink()  # as the launcher does at the end
    with pytest.raises(ConfigError) as error:
        decide(data, tmp_path, student=str(llama), lora_rank=8, max_steps=1)
    assert error.value.problems == ("lora_rank: 4 there, 8 here", "lora_alpha: 8.0 there, 16.0 here")


def test_a_new_student_with_tied_embeddings_takes_adapters_too(data, tmp_path, capfd):
    job = decide(data, tmp_path, student="new:tiny", max_steps=2, lora_targets="q_proj, v_proj", lora_dropout=0.1)
    assert work(job, capfd)[-1]["kind"] == "result"
    assert len(adapter(job.adapter)) == 3 * 2 * 2
    tied = replace(job, options=replace(job.options, lora_targets="lm_head"))
    with pytest.raises(ConfigError, match="shares its weights with the embeddings"):
        lora.add(student.load(job.base)[0], tied, torch.float32)


def test_gpt2_takes_adapters_by_its_own_names(data, tmp_path, capfd):
    from transformers import GPT2Config

    config = GPT2Config(n_embd=32, n_layer=1, n_head=4, n_positions=512)
    folder = training.student_folder(tmp_path / "gpt2", config, data)
    job = decide(data, tmp_path / "out", student=str(folder), max_steps=1)
    assert work(job, capfd)[-1]["kind"] == "result"
    assert {name.split(".")[-3] for name in adapter(job.adapter)} == {"c_attn", "c_proj", "c_fc"}


def test_a_target_that_is_not_there_is_refused_with_those_that_are(data, llama, tmp_path):
    job = decide(data, tmp_path, student=str(llama), lora_targets="q_proj,query")
    with pytest.raises(ConfigError, match="no linear layer 'query'") as error:
        lora.add(student.load(llama)[0], job, torch.float32)
    assert "down_proj, gate_proj, k_proj" in error.value.hint


@pytest.mark.parametrize(
    "options",
    [
        {"lora_rank": 0},
        {"lora_rank": 4, "lora_dropout": 1.0},
        {"lora_rank": 4, "lora_targets": "q_proj,"},
        {"lora_alpha": 8.0},
        {"lora_merge": False},
    ],
)
def test_options_that_cannot_be_meant_are_refused(options):
    with pytest.raises(ValueError, match=list(options)[-1]):
        LocalOptions(**options)


def test_defaults_are_those_of_the_published_adapter():
    options = resolved(LocalOptions(lora_rank=8), "some/llama")
    assert (options.learning_rate, options.lora_alpha) == (3e-4, 16)
    assert resolved(LocalOptions(lora_rank=8, learning_rate=1e-5), "some/llama").learning_rate == 1e-5
    assert resolved(LocalOptions(), "some/llama").learning_rate == 2e-5


WITHOUT = """
import sys
from pathlib import Path
from importlib.machinery import PathFinder
class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name in ("peft", "torch") else super().find_spec(name, path, target)
sys.meta_path[sys.meta_path.index(PathFinder)] = Without
import training
from alpaca_fsdp.trainer import LocalTrainer
job = training.job(Path(sys.argv[1]), Path(sys.argv[2]), lora_rank=4)
try:
    LocalTrainer(job.options).plan(job)
except Exception as error:
    print(type(error).__name__, error.message, error.hint)
"""


def test_without_peft_the_plan_says_what_to_install(data, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, data, tmp_path / "out"],
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("MissingError trainer.lora_rank needs the package 'peft'"), done.stderr
    assert done.stdout.strip().endswith("pip install 'alpacakit[lora]'")
    assert list(tmp_path.iterdir()) == []
