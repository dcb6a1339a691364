"""What keeps a training from being lost: checkpoints, the rehearsal, the saved model, processes that answer."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from alpaca_core import AlpacaError, ConfigError

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.timeout(120)

SHAPE = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
LLAMA = {**SHAPE, "num_key_value_heads": 2, "vocab_size": 96}


def learner(steps=2, seed=0):
    """A small model and its optimizer after some steps."""
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Linear(16, 4))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(steps):
        model(torch.randn(3, 8)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    return model, optimizer


def weights(model):
    return {name: weight.clone() for name, weight in model.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(value.equal(other[name]) for name, value in one.items())


# Checkpoints


@pytest.fixture
def two_checkpoints(tmp_path, alone):
    """Checkpoints of steps 1 and 2, and the weights of each."""
    from alpaca_fsdp import checkpoint

    found = []
    for step in (1, 2):
        model, optimizer = learner(step)
        checkpoint.save(tmp_path, step, model, optimizer, {"note": step}, alone)
        found.append(weights(model))
    return tmp_path, found


def restored(folder, alone):
    from alpaca_fsdp import checkpoint

    model, optimizer = learner(0, seed=9)
    facts = checkpoint.restore(folder, model, optimizer, alone)
    return facts, weights(model)


def test_the_newest_checkpoint_is_restored_with_its_facts(two_checkpoints, alone):
    folder, (_, second) = two_checkpoints
    facts, found = restored(folder, alone)
    assert (facts["step"], facts["note"]) == (2, 2) and same(found, second)


def cut(path):
    os.truncate(path, path.stat().st_size // 2)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("harm", [cut, flip, os.remove])
@pytest.mark.parametrize("name", ["__0_0.distcp", ".metadata", "facts.json"])
def test_a_damaged_checkpoint_is_left_for_the_one_before(two_checkpoints, alone, notes, harm, name):
    folder, (first, _) = two_checkpoints
    if (harm, name) == (flip, "facts.json"):  # a flipped bit in a name or a number may leave other sound facts
        (folder / "step-000002" / name).write_text('{"step": 2}')
    else:
        harm(folder / "step-000002" / name)
    facts, found = restored(folder, alone)
    assert facts["step"] == 1 and same(found, first)
    assert [kind for kind, _ in notes] == ["note"] and "step-000002 is damaged" in notes[0][1] and name in notes[0][1]


def test_without_a_whole_checkpoint_training_starts_over(two_checkpoints, alone, notes):
    folder, _ = two_checkpoints
    for path in folder.glob("step-*/__0_0.distcp"):
        cut(path)
    facts, _ = restored(folder, alone)
    assert facts is None and len(notes) == 2


def test_a_damaged_checkpoint_takes_no_place_of_a_whole_one(two_checkpoints, alone, notes):
    """Two are kept: after the damaged one was put aside, step 1 and the new one."""
    from alpaca_fsdp import checkpoint

    folder, _ = two_checkpoints
    cut(folder / "step-000002" / "__0_0.distcp")
    restored(folder, alone)
    checkpoint.save(folder, 3, *learner(3), {}, alone)
    assert {path.name for path in folder.glob("step-??????")} == {"step-000001", "step-000003"}


def test_a_checkpoint_that_cannot_be_written_says_why_and_leaves_those_before(two_checkpoints, alone):
    from alpaca_fsdp import checkpoint

    folder, _ = two_checkpoints
    (folder / "step-000003.tmp").write_text("a file where the folder should be")
    with pytest.raises(AlpacaError, match="Writing the checkpoint .* failed: .*Exists"):
        checkpoint.save(folder, 3, *learner(3), {}, alone)
    assert len(list(folder.glob("step-*/facts.json"))) == 2


def two_folders(folder):
    for name in ("draft", "place"):
        (folder / name).mkdir()
        (folder / name / "content").write_text(name)


def test_a_folder_is_published_over_another_in_one_step(tmp_path):
    from alpaca_fsdp import durable

    two_folders(tmp_path)
    durable.publish(tmp_path / "draft", tmp_path / "place")
    assert (tmp_path / "place" / "content").read_text() == "draft"
    assert [path.name for path in tmp_path.iterdir()] == ["place"]


def test_without_exchange_a_kill_between_the_two_steps_is_undone(tmp_path, monkeypatch):
    from alpaca_fsdp import durable

    two_folders(tmp_path)
    replace, calls = os.replace, []

    def killed(*paths):
        calls.append(paths)
        if len(calls) == 2:
            raise KeyboardInterrupt
        replace(*paths)

    monkeypatch.setattr(durable, "_exchange", lambda one, other: False)
    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        durable.publish(tmp_path / "draft", tmp_path / "place")
    assert not (tmp_path / "place").exists()
    durable.recover(tmp_path / "place")
    assert (tmp_path / "place" / "content").read_text() == "place"


# The rehearsal


def tiny(**more):
    from transformers import AutoConfig, AutoModelForCausalLM

    kind = more.pop("kind", "llama")
    torch.manual_seed(1)
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **(LLAMA | more)))


def test_a_rehearsal_leaves_model_and_optimizer_as_they_were(tmp_path, alone, notes):
    from alpaca_fsdp import rehearsal

    model = tiny()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.5)
    before = weights(model)
    rehearsal.rehearse(tmp_path, model, optimizer, alone, 3)
    assert same(weights(model), before) and not optimizer.state
    assert all(parameter.grad is None for parameter in model.parameters()) and optimizer.param_groups[0]["lr"] == 0.1
    assert list(tmp_path.iterdir()) == []
    assert "rehearsed: a checkpoint of" in notes[0][1]


def test_a_rehearsal_notices_a_disk_that_gives_back_something_else(tmp_path, alone, monkeypatch):
    """Two tensors of the same shape read into each other's place."""
    from alpaca_fsdp import checkpoint, rehearsal

    model = tiny()
    read = checkpoint.read

    def swapped(folder, held, world):
        read(folder, held, world)
        one, other = (held["optimizer"]["state"][f"model.layers.{i}.mlp.up_proj.weight"]["exp_avg"] for i in (0, 1))
        one.copy_(other)

    monkeypatch.setattr(checkpoint, "read", swapped)
    with pytest.raises(AlpacaError, match=r"does not read back as it was: optimizer\.state\.model\.layers\.0"):
        rehearsal.rehearse(tmp_path, model, torch.optim.AdamW(model.parameters()), alone, 3)


def test_a_full_disk_is_refused_with_numbers(tmp_path, alone, monkeypatch):
    from alpaca_fsdp import rehearsal

    model = tiny()
    size = sum(parameter.nbytes for parameter in model.parameters())
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10 * size - 1))
    optimizer = torch.optim.AdamW(model.parameters())
    with pytest.raises(ConfigError, match=r"needs .*: 3 checkpoint\(s\) of .* and the final model") as error:
        rehearsal.rehearse(tmp_path, model, optimizer, alone, 5)
    assert "choose another --out" in error.value.hint and list(tmp_path.iterdir()) == []
    rehearsal.rehearse(tmp_path, model, torch.optim.AdamW(model.parameters()), alone, 2)  # seven times its size


def test_too_little_memory_for_the_export_is_refused(tmp_path, alone, monkeypatch):
    from alpaca_fsdp import rehearsal

    model = tiny()
    monkeypatch.setattr(rehearsal.resident, "available", lambda: 1000)
    with pytest.raises(ConfigError, match="writing the final model takes"):
        rehearsal.rehearse(tmp_path, model, torch.optim.AdamW(model.parameters()), alone, 2)


def test_a_fingerprint_sees_values_and_places():
    from alpaca_fsdp.rehearsal import fingerprint

    one = torch.randn(70, 3)
    assert fingerprint(one) == fingerprint(one.clone()) != fingerprint(one.flip(0))
    for dtype in (torch.bfloat16, torch.uint8, torch.float64):
        other = one.to(dtype)
        assert fingerprint(other) != fingerprint(other + 1)
    assert fingerprint(torch.tensor(1.0)) != fingerprint(torch.tensor(2.0))


# The saved model

FAMILIES = {
    "llama": {},
    "qwen2": {"tie_word_embeddings": True},
    "gpt_neox": {},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4},
    "mixtral": {"num_local_experts": 4},  # its experts are one weight in the model and many in the folder
}


@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize("limit", [10**9, 20_000])
def test_a_model_is_written_as_save_pretrained_does(tmp_path, alone, kind, limit):
    """The same names and bits, and plain from_pretrained reads them, from one file or many."""
    from alpaca_fsdp import export
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM

    model = tiny(kind=kind, **FAMILIES[kind])
    model.save_pretrained(tmp_path / "plain")
    (tmp_path / "ours").mkdir()
    export.weights(tmp_path / "ours", model, alone, limit)
    files = sorted((tmp_path / "ours").glob("*.safetensors"))
    assert (len(files) == 1) == (limit == 10**9)
    ours = {name: weight for file in files for name, weight in load_file(file).items()}
    assert same(ours, load_file(tmp_path / "plain" / "model.safetensors"))
    shutil.copy(tmp_path / "plain" / "config.json", tmp_path / "ours")
    again, said = AutoModelForCausalLM.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert same(again.state_dict(), model.state_dict()) and not any(said.values())


def test_what_does_not_read_back_is_an_error(tmp_path, alone, monkeypatch):
    from alpaca_fsdp import export

    class Forgetful(export.ShardWriter):
        def add(self, name, tensor):
            super().add(name, torch.zeros_like(tensor) if name.endswith("1.mlp.up_proj.weight") else tensor)

    monkeypatch.setattr(export, "ShardWriter", Forgetful)
    with pytest.raises(AlpacaError, match=r"layers\.1\.mlp\.up_proj\.weight, written to .*, does not read back"):
        export.weights(tmp_path, tiny(), alone)


def test_the_end_of_text_that_was_learnt_ends_answers(tmp_path):
    from alpaca_fsdp import export
    from transformers import GenerationConfig

    model = tiny()
    words = SimpleNamespace(bos_token_id=1, eos_token_id=5, pad_token_id=0)
    model.generation_config.eos_token_id = 2
    export._configure(tmp_path, model, words, {"steps": 1})
    assert GenerationConfig.from_pretrained(tmp_path).eos_token_id == [5, 2]
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"] and config["dtype"] == "float32"
    model.generation_config.temperature, model.generation_config.do_sample = 0.5, False  # may not be saved
    export._configure(tmp_path, model, words, {})
    assert GenerationConfig.from_pretrained(tmp_path).eos_token_id == [5, 2]


MEMORY = """
import sys, threading, time, torch
from pathlib import Path
from alpaca_fsdp import export
from alpaca_fsdp.world import World
from transformers import LlamaConfig, LlamaForCausalLM

def used():
    lines = dict(line.split(":") for line in open("/proc/self/status"))
    return int(lines["RssAnon"].split()[0]) * 1024

with torch.device("meta"):
    model = LlamaForCausalLM(LlamaConfig(hidden_size=768, intermediate_size=3072, num_hidden_layers=6,
                                         num_attention_heads=8, vocab_size=64))
model.to_empty(device="cpu")
for parameter in model.parameters():
    parameter.data.fill_(1)
folder = Path(sys.argv[1])
before, highest, done = used(), 0, False
def watch():
    global highest
    while not done:
        highest = max(highest, used())
        time.sleep(0.0005)
thread = threading.Thread(target=watch)
thread.start()
export.weights(folder, model, World(0, 1, torch.device("cpu"), False), limit=5 * 10**7)
done = True
thread.join()
print(sum(p.nbytes for p in model.parameters()), max(p.nbytes for p in model.parameters()), highest - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_saving_takes_the_memory_of_a_weight_and_not_of_the_model(tmp_path):
    done = subprocess.run([sys.executable, "-c", MEMORY, tmp_path], capture_output=True, text=True, check=True)
    model, largest, more = map(int, done.stdout.split())
    assert model > 4 * (2 * largest + 30e6) and len(list(tmp_path.glob("*.safetensors"))) > 3
    assert more < 2 * largest + 30e6  # and what the libraries take


PROBE = """
import os, sys, time, torch
from alpaca_fsdp import probe, world
import torch.distributed as dist
rank = int(sys.argv[1])
dist.init_process_group("gloo", init_method="file://" + sys.argv[2], rank=rank, world_size=2)
here = world.World(rank, 2, torch.device("cpu"), True)
probe.exchange(here, 30)
print("through", flush=True)
if rank == 1:
    time.sleep(60)
probe.exchange(here, 1)
"""


def test_a_process_that_does_not_answer_is_named(tmp_path):
    code = [sys.executable, "-c", PROBE]
    one, other = (subprocess.Popen([*code, str(rank), tmp_path / "meet"], stdout=-1, stderr=-1) for rank in (0, 1))
    try:
        said, _ = one.communicate(timeout=60)
    finally:
        other.kill()
        other.communicate()
    assert one.returncode == 1 and said.startswith(b"through\n")
    event = json.loads(said.decode().partition("\x1e")[2])
    assert event["kind"] == "error" and "no sum after 1 s" in event["message"]
    assert "process 0: " in event["message"] and "NCCL_DEBUG" in event["hint"]


def test_two_signals_at_once_are_one_and_a_later_one_ends_at_once(monkeypatch):
    import signal

    from alpaca_fsdp import world

    monkeypatch.delenv(world.LAUNCHED, raising=False)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    now, ended = [100.0], []
    monkeypatch.setattr(world.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(os, "_exit", ended.append)
    launcher = world.Launcher()
    launcher._signalled(15, None)
    launcher._signalled(15, None)
    assert launcher.asked_to_stop and ended == []
    now[0] += 5
    launcher._signalled(15, None)
    assert ended == [143]
