"""Following a training: metrics, losses of rows, sample answers and trackers, none of which changes what is learnt."""

import json
import math
import os
import tempfile
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import training
from hypothesis import given, settings
from hypothesis import strategies as st

from alpaca_core import MissingError, Stopped

pytestmark = pytest.mark.timeout(120)

SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}


class StopAfter:
    """A launcher that asks to stop in its ``n``-th step."""

    def __init__(self, n=math.inf):
        self.n = n

    @property
    def asked_to_stop(self):
        self.n -= 1
        return self.n < 0


def work(what, stop=math.inf):
    """Do the work of a job in this process; gives its events."""
    from alpaca_fsdp import job as jobs
    from alpaca_fsdp import run
    from alpaca_fsdp.world import EVENT

    decided = jobs.decide(what, sharded=False)
    decided.out.mkdir(parents=True, exist_ok=True)
    (decided.out / ".training.lock").unlink(missing_ok=True)  # this process has it, if it has worked here before
    jobs.begin(decided, what.fresh)
    jobs.write(decided, decided.checkpoints / "job.json")
    with tempfile.TemporaryFile() as said:
        kept = os.dup(1)
        os.dup2(said.fileno(), 1)
        try:
            with suppress(Stopped):
                run.run(jobs.load(decided.checkpoints / "job.json"), StopAfter(stop))
        finally:
            os.dup2(kept, 1)
            os.close(kept)
        said.seek(0)
        return [json.loads(line.partition("\n")[0]) for line in said.read().decode().split(EVENT)[1:]]


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def weights(out):
    from safetensors.torch import load_file

    return load_file(out / "model" / "model.safetensors")


def kinds(events, kind):
    return [event for event in events if event["kind"] == kind]


IDS = [f"{k // 20:06d}.{k % 20:02d}" for k in range(24)]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return training.write(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def folders(data, tmp_path_factory):
    """Where the trainings of this module are: two epochs of four steps, once with nothing to be seen, once with all."""
    return data, tmp_path_factory.mktemp("follow")


def job_of(folders, name, **options):
    data, folder = folders
    options = {"max_steps": 8, **options}
    return replace(training.job(data, folder / name, **options), ids=IDS)


@pytest.fixture(scope="module")
def bare(folders):
    """A training without sample answers and trackers."""
    job = job_of(folders, "bare", samples=0)
    return job, work(job)


@pytest.fixture(scope="module")
def seen(folders):
    """The same with both; stopped after five steps, and gone on with."""
    pytest.importorskip("tensorboard")
    job = job_of(folders, "seen", samples=2, report_to="tensorboard")
    before = work(job, stop=4)
    with (job.out / "row_losses.jsonl").open("a") as file:  # what a killed process had begun to do after that
        file.write('{"epoch": 2, "step": 6, "row": 1, "loss": 9.0, "tokens": 1}\n{"epoch": 2, "st')
    return job, before, work(job)


@pytest.mark.slow
def test_nothing_of_it_changes_what_is_learnt(bare, seen):
    one, other = weights(bare[0].out), weights(seen[0].out)
    assert one.keys() == other.keys() and all(one[name].equal(other[name]) for name in one)


@pytest.mark.slow
def test_every_row_has_its_loss_once_in_each_epoch_with_its_id_also_after_a_stop(bare, seen):
    found = lines(seen[0].out / "row_losses.jsonl")
    assert Counter((of["epoch"], of["row"]) for of in found) == Counter((e, r) for e in (1, 2) for r in range(24))
    assert all(of["id"] == IDS[of["row"]] for of in found)
    assert found == lines(bare[0].out / "row_losses.jsonl")


@pytest.mark.slow
def test_the_loss_of_a_step_is_the_mean_over_its_rows_tokens(bare):
    found = lines(bare[0].out / "row_losses.jsonl")
    for event in kinds(bare[1], "step"):
        rows = [of for of in found if of["step"] == event["step"]]
        total = sum(of["loss"] * of["tokens"] for of in rows)
        assert total / sum(of["tokens"] for of in rows) == pytest.approx(event["loss"], abs=1e-5)


@pytest.mark.slow
def test_steps_tell_of_epoch_gradient_speed_and_memory(bare):
    steps = kinds(bare[1], "step")
    assert [event["epoch"] for event in steps] == [n / 4 for n in range(1, 9)]
    assert all(event["grad_norm"] > 0 and event["tokens_per_second"] > 0 for event in steps)
    assert all(50e6 < event["memory"] < 100e9 for event in steps)
    assert {event["mfu"] for event in steps} == {None}  # nobody knows a CPU's peak


@pytest.mark.slow
def test_the_student_answers_the_same_rows_at_every_epochs_end(seen):
    found = lines(seen[0].out / "samples.jsonl")
    assert [of["step"] for of in found] == [4, 4, 8, 8]
    assert [of["id"] for of in found[:2]] == [of["id"] for of in found[2:]]
    rows = json.loads(seen[0].data.read_text())
    for of in found:
        assert of["reference"] == rows[of["row"]]["output"] and of["id"] == IDS[of["row"]]
        assert isinstance(of["answer"], str) and isinstance(of["stopped"], bool)
    told = [event["sample"]["row"] for event in kinds(seen[1] + seen[2], "sample")]
    assert told == [of["row"] for of in found]


@pytest.mark.slow
def test_tensorboard_reads_back_every_step_once(bare, seen):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(seen[0].out / "tensorboard"))
    read.Reload()
    losses = {event.step: event.value for event in read.Scalars("train/loss")}
    assert losses == pytest.approx({event["step"]: event["loss"] for event in kinds(bare[1], "step")})
    assert {"train/learning_rate", "train/grad_norm", "train/epoch", "train/tokens_per_second"} <= set(
        read.Tags()["scalars"]
    )
    assert {event.step for event in read.Tensors("samples/0/text_summary")} == {4, 8}


@pytest.mark.slow
def test_sample_answers_are_those_of_the_saved_model(seen):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = seen[0].out / "model"
    model, words = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    rows = json.loads(seen[0].data.read_text())
    for of in lines(seen[0].out / "samples.jsonl")[2:]:
        row = rows[of["row"]]
        message = {"role": "user", "content": row["instruction"], "input": row["input"]}
        prompt = words.apply_chat_template([message], add_generation_prompt=True, return_tensors="pt", return_dict=True)
        with torch.no_grad():
            made = model.generate(**prompt, max_new_tokens=128, do_sample=False)[0, prompt["input_ids"].shape[1] :]
        whole = words.decode(made, skip_special_tokens=True).strip()
        assert whole == of["answer"] if of["stopped"] else whole.startswith(of["answer"])


@pytest.mark.slow
def test_held_out_rows_are_asked_first_and_a_student_that_never_stops_is_told_of(folders):
    from transformers import LlamaConfig

    data, folder = folders
    student = training.student_folder(folder / "student", LlamaConfig(**SMALL), data)
    heldout = folder / "heldout.json"
    unseen = [{**row, "id": f"unseen-{n}"} for n, row in enumerate(training.rows(20, seed=9))]
    heldout.write_text(json.dumps(unseen))
    job = training.job(data, folder / "old", student=str(student), max_steps=1, samples=2)
    events = work(replace(job, heldout=heldout))
    found = lines(job.out / "samples.jsonl")
    assert len(found) == 20 and all(of["heldout"] and of["id"] == f"unseen-{of['row']}" for of in found)
    assert len(kinds(events, "sample")) == 2
    (said,) = (e["message"] for e in kinds(events, "note") if e["message"].startswith("warning"))
    assert said.startswith("warning: only 0% of 20 sampled answers ended by themselves")


@pytest.mark.slow
def test_a_model_that_cannot_answer_is_trained_all_the_same(folders):
    """One whose positions are used up by the prompts, so that there is no room for an answer."""
    from transformers import GPT2Config

    data, folder = folders
    config = GPT2Config(n_embd=32, n_layer=1, n_head=2, n_positions=128)
    student = training.student_folder(folder / "gpt2", config, data)
    job = training.job(data, folder / "short", student=str(student), max_steps=1, max_length=128, packing=False)
    events = work(job)
    assert [event["step"] for event in kinds(events, "step")] == [1]
    assert (job.out / "model" / "config.json").exists()


# ── the parts ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(
    done=st.integers(1, 12),
    checkpoint=st.integers(0, 12),
    cut=st.integers(0, 200),
    words=st.text(st.characters(), max_size=4),
)
@settings(max_examples=40)
def test_a_step_file_has_each_step_once_wherever_a_process_was_cut_off(done, checkpoint, cut, words):
    with tempfile.TemporaryDirectory() as folder:
        cut_off_and_gone_on_with(Path(folder) / "file.jsonl", done, min(done, checkpoint), cut, words)


def cut_off_and_gone_on_with(path, done, checkpoint, cut, words):
    from alpaca_fsdp.stepfile import StepFile

    def write(begin, end):
        file = StepFile(path)
        file.begin(begin)
        for step in range(begin + 1, end + 1):
            file.write({"step": step, "place": place, "words": words} for place in range(2))
        file.close()
        return path.stat().st_size

    kept = write(0, checkpoint)
    size = write(checkpoint, done)
    with path.open("r+b") as file:  # what came after the checkpoint may be lost in part
        file.truncate(max(kept, size - cut))
    write(checkpoint, 12)
    with path.open(encoding="utf-8", newline="\n") as file:
        found = [json.loads(line) for line in file]
    assert [(of["step"], of["place"]) for of in found] == [(s, p) for s in range(1, 13) for p in range(2)]
    assert all(of["words"] == words.encode("utf-8", "replace").decode() for of in found)


@given(steps=st.integers(1, 400), per_epoch=st.integers(1, 60))
def test_samples_come_at_epochs_ends_a_few_times_and_at_the_very_end(steps, per_epoch):
    from alpaca_fsdp.samples import ROUNDS, due

    found = [step for step in range(1, steps + 1) if due(step, steps, per_epoch)]
    assert found[-1] == steps and len(found) <= ROUNDS + 1
    assert all(step % per_epoch == 0 for step in found[:-1])
    if steps % per_epoch == 0 and steps <= ROUNDS * per_epoch:
        assert found == list(range(per_epoch, steps + 1, per_epoch))


@pytest.mark.parametrize("layout", ["PACKED", "PADDED"])
def test_the_summed_loss_of_a_row_is_that_of_the_row_alone(layout, data):
    import torch
    from alpaca_fsdp import losses, rowlosses
    from alpaca_fsdp.examples import Tokens
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SMALL, vocab_size=50)).eval()
    chosen = getattr(losses, layout)
    if chosen.attention:
        model.set_attn_implementation(chosen.attention)
    batch = [Tokens(torch.randint(0, 50, (length,)), length // 2, row=7 * length) for length in (5, 9, 4, 12)]
    device = torch.device("cpu")

    def found(places):
        examples = [batch[place] for place in places]
        row = chosen.lay(examples, 0, device)
        with torch.no_grad():
            return examples, row, losses.token_losses(model, row, chosen.fused)

    alone = [rowlosses.sums([found([place])], batch, device) for place in range(4)]
    assert all(int((one != 0).sum()) == 1 for one in alone)
    together = rowlosses.sums([found([2, 0]), found([]), found([3, 1])], batch, device)
    assert together.tolist() == pytest.approx(sum(alone).tolist(), abs=1e-5)
    (first, *_) = rowlosses.lines(3, 1, batch, together.tolist(), [])
    assert first == {"epoch": 1, "step": 3, "row": 35, "loss": round(float(together[0]) / 3, 6), "tokens": 3}


def test_the_work_of_a_llama_7b_is_the_published_count():
    """6.738e9 parameters, 131e6 of them in the input embedding; 32 layers of width 4096."""
    import torch
    from alpaca_fsdp.meter import Work
    from transformers import AutoModelForCausalLM, LlamaConfig

    shape = {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32}
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(LlamaConfig(**shape, vocab_size=32000, tie_word_embeddings=False))
    work = Work.of(model)
    assert work.token == 6 * (6_738_415_616 - 32000 * 4096)
    assert work.of_step([512]) / 512 == pytest.approx(39.64e9 + 6 * 32 * 4096 * 512, rel=1e-3)
    with torch.device("meta"):
        tied = AutoModelForCausalLM.from_config(LlamaConfig(**SMALL, vocab_size=100, tie_word_embeddings=True))
    assert Work.of(tied).token == 6 * tied.num_parameters()  # the one matrix is multiplied with, at the end


def test_the_speed_is_that_of_the_last_steps():
    import torch
    from alpaca_fsdp.meter import WINDOW, Meter, Work
    from alpaca_fsdp.world import World

    meter = Meter(World(0, 1, torch.device("cpu"), False), Work(6.0, 0.0))
    meter.peak = 1200.0
    meter.begin(100.0)
    assert meter.step([10, 40], 110.0) == {"tokens_per_second": 5.0, "mfu": 0.025}
    for n in range(WINDOW):
        last = meter.step([100], 110.0 + n + 1)
    assert last == {"tokens_per_second": 100.0, "mfu": 0.5}


@pytest.mark.parametrize(
    ("name", "tera"),
    [
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA A100 80GB PCIe", 312),
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA H200", 989),
        ("NVIDIA L40S", 362),
        ("NVIDIA L4", 121),
        ("NVIDIA GeForce RTX 4090", 165),
        ("Tesla T4", None),
        ("NVIDIA GeForce RTX 3090 Ti", None),
    ],
)
def test_a_devices_peak_is_found_by_its_name(name, tera):
    from alpaca_fsdp.meter import peak_of

    assert peak_of(name) == (tera and tera * 1e12)


def test_report_to_is_checked_before_anything_starts(monkeypatch):
    from alpaca_fsdp import reports
    from alpaca_fsdp.options import LocalOptions, reporters

    with pytest.raises(ValueError, match="report_to knows tensorboard, wandb, trackio, not 'tensorbord'"):
        LocalOptions(report_to="wandb, tensorbord")
    assert reporters(" wandb,tensorboard ") == ["wandb", "tensorboard"] and reporters("") == reporters("none") == []
    monkeypatch.setattr("sys.path", [])
    monkeypatch.setattr("sys.path_importer_cache", {})
    with pytest.raises(MissingError, match="trackio") as error:
        reports.require("trackio")
    assert error.value.hint == "pip install trackio"


def test_a_tracker_that_fails_is_told_of_once_and_stops_nothing(tmp_path):
    from accelerate import PartialState
    from alpaca_fsdp.reports import Reports

    pytest.importorskip("tensorboard")
    PartialState(cpu=True)
    (tmp_path / "tensorboard").write_text("somebody's file, where a folder has to be")
    notes = []
    reports = Reports("tensorboard", tmp_path, notes.append)
    reports.begin(0)
    for step in (1, 2):
        reports.step(step, {"loss": 1.0})
    reports.close()
    (note,) = notes
    assert note.startswith("tensorboard is told nothing more, it failed: FileExistsError")


def test_answering_gathers_a_sharded_model_once_and_leaves_it_as_it_was(data):
    import torch
    import torch.distributed as dist
    from alpaca_fsdp import placement
    from alpaca_fsdp.options import FsdpOptions
    from alpaca_fsdp.samples import _parts, answering
    from alpaca_fsdp.world import World
    from torch.distributed.fsdp import FSDPModule
    from torch.distributed.tensor import DTensor
    from transformers import LlamaConfig, LlamaForCausalLM

    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        torch.manual_seed(0)
        world = World(0, 1, torch.device("cpu"), True)
        made = LlamaForCausalLM(LlamaConfig(**SMALL, vocab_size=50))
        model, _ = placement.place(made, world, torch.float32, FsdpOptions())
        ids = torch.arange(9)[None]
        model(ids).logits.sum().backward()
        shards = [module for module in model.modules() if isinstance(module, FSDPModule)]
        before, attention = [_parts(module) for module in shards], model.config._attn_implementation
        random, dtensors = torch.get_rng_state(), [isinstance(p, DTensor) for p in model.parameters()]
        assert before == [False, True] and all(dtensors)  # the root, the layer
        with answering(model, world):
            assert not model.training and not torch.is_grad_enabled()
            model(ids)
            assert not any(isinstance(p, DTensor) for p in model.parameters())
            torch.rand(1)
        assert [_parts(module) for module in shards] == before
        assert [isinstance(p, DTensor) for p in model.parameters()] == dtensors
        assert model.training and model.config._attn_implementation == attention
        assert torch.get_rng_state().equal(random)
    finally:
        dist.destroy_process_group()


def test_the_progress_line_has_what_the_last_steps_took():
    from alpaca_core import TrainEvent
    from alpaca_core.cli.progress import training_line

    event = TrainEvent("step", step=120, steps=1500, loss=0.8123, learning_rate=1.9e-5, tokens=10**6, seconds=600.0)
    assert training_line(event) == "train  step 120/1,500  loss 0.812  lr 1.9e-05  1,667 tokens/s  1:55:00 left"
    full = replace(event, tokens_per_second=16400.0, mfu=0.483, memory=71_200_000_000)
    line = training_line(full, [(110, 590.0), (120, 600.0)])
    assert line == "train  step 120/1,500  loss 0.812  lr 1.9e-05  16,400 tokens/s  MFU 48%  71.2 GB  23:00 left"


def test_a_sample_is_a_short_line_that_tells_whether_the_answer_ended():
    from alpaca_core import TrainEvent
    from alpaca_core.cli.progress import sample_line

    sample = {"prompt": "Name\n three  colours.", "answer": "Red " * 40, "stopped": False}
    line = sample_line(TrainEvent("sample", sample=sample))
    assert line.startswith("  sample  Name three colours. ▸ Red Red ") and line.endswith("… …") and len(line) < 140
    assert sample_line(TrainEvent("sample", sample=sample | {"answer": "Red.", "stopped": True})).endswith("▸ Red.")
