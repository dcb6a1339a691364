"""Weight differences: bit for bit there and back, the published form in both directions, a tensor at a time."""

# ruff: noqa: TID253 - a test may load anything

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from alpaca_fsdp import checksum, difference, manifest
from alpaca_fsdp.weights import CODES, ShardReader, ShardWriter, Slot
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from alpaca_core import AlpacaError, ConfigError
from alpaca_core.cli.main import main

VOCABULARY = 40


# The published form, in our words: what Stanford's script does when it makes and recovers a difference.


def published_model(folder: Path):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def published_base(folder: Path):
    """The base in float32; where its tokenizer cannot pad, with a [PAD] row that is the mean of the others."""
    from transformers import AutoTokenizer

    model, words = published_model(folder), AutoTokenizer.from_pretrained(folder)
    if words.pad_token is None:
        new = words.add_special_tokens({"pad_token": "[PAD]"})
        model.resize_token_embeddings(len(words), mean_resizing=False)
        for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
            layer.weight.data[-new:] = layer.weight.data[:-new].mean(dim=0, keepdim=True)
    return model


@torch.inference_mode()
def published_make(base: Path, tuned: Path) -> dict[str, torch.Tensor]:
    raw = published_base(base).state_dict()
    return {name: weight.add_(-raw[name]) for name, weight in published_model(tuned).state_dict().items()}


@torch.inference_mode()
def published_recover(base: Path, diff: Path) -> dict[str, torch.Tensor]:
    raw = published_base(base).state_dict()
    return {name: weight.add_(raw[name]) for name, weight in published_model(diff).state_dict().items()}


def published_folder(folder: Path, weights: dict[str, torch.Tensor], tuned: Path) -> Path:
    """``weights`` as in 2023: pickles in three shards, each layer's rotary frequencies among them."""
    shutil.copytree(tuned, folder, ignore=shutil.ignore_patterns("*.safetensors*"))
    weights = dict(weights) | {
        f"model.layers.{layer}.self_attn.rotary_emb.inv_freq": torch.zeros(4) for layer in range(2)
    }
    places = {}
    for number in range(3):
        file = f"pytorch_model-0000{number + 1}-of-00003.bin"
        part = {name: weight.clone() for name, weight in list(weights.items())[number::3]}
        torch.save(part, folder / file)
        places |= dict.fromkeys(part, file)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return folder


# Models.


def words(pad: bool):
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    vocabulary = {f"w{i}": i for i in range(3, VOCABULARY)} | {"<unk>": 0, "<s>": 1, "</s>": 2}
    made = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel(vocabulary, unk_token="<unk>")),
        **{"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"},
    )
    if pad:
        made.add_special_tokens({"pad_token": "[PAD]"})
    return made


def model(folder: Path, weights: dict[str, torch.Tensor] | None, dtype: torch.dtype, pad: bool) -> Path:
    """A tiny LLaMA's folder, with random ``weights`` if none are given."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        **{"vocab_size": VOCABULARY + pad, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2},
        **{"num_attention_heads": 2, "num_key_value_heads": 2, "tie_word_embeddings": False},
    )
    torch.manual_seed(0)
    made = LlamaForCausalLM(config)
    if weights is not None:
        made.load_state_dict(weights)
    made.to(dtype).save_pretrained(folder)
    words(pad).save_pretrained(folder)
    return folder


def tuned_weights(base: Path, pad: bool) -> dict[str, torch.Tensor]:
    """The base's weights a little changed, as training does; and some that are hard to come back to."""
    generator = torch.Generator().manual_seed(1)
    weights = load_file(base / "model.safetensors")
    for name, weight in weights.items():
        if pad and weight.shape[0] == VOCABULARY:
            weight = torch.cat([weight, torch.zeros(1, weight.shape[1], dtype=weight.dtype)])
        change = torch.randn(weight.shape, generator=generator) * 1e-2
        weights[name] = weight.float() + change
    hard = weights["model.layers.0.mlp.up_proj.weight"].view(-1)
    hard[:6] = torch.tensor([0.0, -0.0, torch.inf, torch.nan, 1e-30, 6e4])
    return weights


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return model(tmp_path_factory.mktemp("base"), None, torch.float16, pad=False)


@pytest.fixture(scope="module")
def tuned(base, tmp_path_factory) -> Path:
    """With a [PAD] row, in float32, as the published one."""
    return model(tmp_path_factory.mktemp("tuned"), tuned_weights(base, pad=True), torch.float32, pad=True)


@pytest.fixture(scope="module")
def diff(base, tuned, tmp_path_factory) -> Path:
    return difference.make(base, tuned, tmp_path_factory.mktemp("diff")).folder


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    """Equal to the last bit, dtypes included."""
    return one.keys() == two.keys() and all(
        one[name].dtype == two[name].dtype
        and one[name].shape == two[name].shape
        and one[name].contiguous().view(torch.uint8).equal(two[name].contiguous().view(torch.uint8))
        for name in one
    )


# There and back.


@pytest.mark.parametrize("new", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("old", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_a_model_comes_back_bit_for_bit_in_its_own_dtype(old, new, base, tmp_path):
    before = model(tmp_path / "base", None, old, pad=False)
    after = model(tmp_path / "tuned", tuned_weights(before, pad=True), new, pad=True)
    made = difference.make(before, after, tmp_path / "diff")
    back = difference.recover(before, made.folder, tmp_path / "back")
    assert same(load_file(back.folder / "model.safetensors"), load_file(after / "model.safetensors"))
    assert back.verified == back.tensors == made.tensors == len(ShardReader(after).slots)
    assert {slot.dtype for slot in ShardReader(made.folder).slots.values()} == {torch.float32}


def test_it_loads_with_the_tuned_ones_tokenizer_and_configuration(base, tuned, diff, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    back = difference.recover(base, diff, tmp_path / "back").folder
    loaded = AutoModelForCausalLM.from_pretrained(back)
    assert loaded.config.to_diff_dict() == AutoModelForCausalLM.from_pretrained(tuned).config.to_diff_dict()
    assert AutoTokenizer.from_pretrained(back).pad_token_id == VOCABULARY == len(loaded.model.embed_tokens.weight) - 1


def test_the_same_values_in_another_dtype_are_the_same_base(base, tuned, diff, tmp_path):
    wider = {name: weight.float() for name, weight in load_file(base / "model.safetensors").items()}
    back = difference.recover(model(tmp_path / "wider", wider, torch.float32, False), diff, tmp_path / "back")
    assert same(load_file(back.folder / "model.safetensors"), load_file(tuned / "model.safetensors"))


def test_values_that_addition_rounds_are_kept_and_counted(base, tmp_path):
    """And only those: of weights that training changed a little, next to none."""
    near = {name: weight.float() * 1.001 for name, weight in load_file(base / "model.safetensors").items()}
    made = difference.make(base, model(tmp_path / "near", near, torch.float32, False), tmp_path / "diff")
    assert made.exact == made.added_rows == 0
    assert not (made.folder / difference.EXACT).exists()
    near["lm_head.weight"][3, 5] = 1e-12  # no float32 number added to the base's gives this
    made = difference.make(base, model(tmp_path / "far", near, torch.float32, False), tmp_path / "diff-2")
    assert made.exact == 1
    back = difference.recover(base, made.folder, tmp_path / "back").folder
    assert load_file(back / "model.safetensors")["lm_head.weight"][3, 5] == near["lm_head.weight"][3, 5]


# The published form.


def test_the_published_script_recovers_from_ours(base, tuned, diff):
    wanted = load_file(tuned / "model.safetensors")
    found = published_recover(base, diff)
    assert found.keys() == wanted.keys()
    for name, weight in found.items():
        assert torch.allclose(weight, wanted[name], rtol=1e-6, atol=1e-8, equal_nan=True), name


def test_ours_is_what_the_published_script_makes(base, tuned, diff):
    assert same(load_file(diff / "model.safetensors"), published_make(base, tuned))


@pytest.mark.parametrize("form", ["safetensors", "pickles"])
def test_a_published_difference_is_recovered_as_the_published_script_does(form, base, tuned, tmp_path):
    weights = published_make(base, tuned)
    folder = published_folder(tmp_path / "published", weights, tuned)
    if form == "safetensors":
        for file in folder.glob("pytorch_model*"):
            file.unlink()
        save_file({name: weight.clone() for name, weight in weights.items()}, folder / "model.safetensors")
    back = difference.recover(base, folder, tmp_path / "back")
    assert (back.verified, back.added_rows) == (0, 1)
    assert same(load_file(back.folder / "model.safetensors"), published_recover(base, folder))
    assert published_model(back.folder).config.vocab_size == VOCABULARY + 1


def summed(weights: dict[str, torch.Tensor]) -> float:
    """The published sum: of the weights and of the frequencies of two layers."""
    frequencies = sum(1 / 10000 ** (2 * i / 8) for i in range(4))
    return sum(weight.double().sum().item() for weight in weights.values()) + 2 * frequencies


@pytest.mark.parametrize("rotary", ["rotary frequencies in the files", "none there"])
def test_the_published_sum_is_compared_on_demand(rotary, base, tmp_path):
    weights = tuned_weights(base, pad=True)
    weights["model.layers.0.mlp.up_proj.weight"].view(-1)[:6] = 0
    weights["lm_head.weight"][0, 0] += checksum.PUBLISHED - summed(weights)
    tuned = model(tmp_path / "tuned", weights, torch.float32, pad=True)
    diff = difference.make(base, tuned, tmp_path / "diff").folder
    if rotary != "none there":
        diff = published_folder(tmp_path / "published", load_file(diff / "model.safetensors"), tuned)
    back = difference.recover(base, diff, tmp_path / "back", published_checksum=True)
    assert back.checksum.float64 == pytest.approx(checksum.PUBLISHED, abs=5e-3)

    weights["lm_head.weight"][0, 0] += 0.03
    off = published_folder(
        tmp_path / "off", published_make(base, model(tmp_path / "2", weights, torch.float32, True)), tuned
    )
    with pytest.raises(AlpacaError, match="50637.1836"):
        difference.recover(base, off, tmp_path / "not", published_checksum=True)
    assert not list(tmp_path.glob("not*"))


# What is refused.


def changed(base: Path, folder: Path, **changes) -> Path:
    weights = load_file(base / "model.safetensors")
    shutil.copytree(base, folder)
    for name, change in changes.items():
        full = next(found for found in weights if name in found)
        weights[full] = change(weights[full]).contiguous()
    save_file(weights, folder / "model.safetensors")
    return folder


@pytest.mark.parametrize(
    ("changes", "tensors", "why"),
    [
        ({"layers.1.mlp.down_proj": lambda w: w * 1.5}, 1, "a damaged file"),
        ({"layers.0.self_attn.q_proj": lambda w: w.flip(0)}, 1, "orders their rows otherwise"),
        (dict.fromkeys(["embed_tokens", "lm_head"], lambda w: torch.cat([w, w[:1]])), 2, "a [PAD] row was added"),
        ({"layers.1.mlp.down_proj": lambda w: w[:, :8], "embed": lambda w: w[:9]}, 2, "another model"),
        (dict.fromkeys(["layers.0.mlp.up_proj", "embed"], lambda w: w.bfloat16()), 2, "Use it in F16"),
    ],
    ids=["one tensor", "projections", "[PAD]", "shapes", "dtype"],
)
def test_another_base_is_refused_with_its_tensors_and_the_likely_reason(changes, tensors, why, base, diff, tmp_path):
    other = changed(base, tmp_path / "other", **changes)
    with pytest.raises(ConfigError, match="not the base") as error:
        difference.recover(other, diff, tmp_path / "back")
    assert len(error.value.problems) == tensors
    assert all(any(name in line for line in error.value.problems) for name in changes)
    assert why in error.value.hint
    assert not list(tmp_path.glob("back*"))


def test_models_that_do_not_fit_are_refused_with_every_tensor(base, tuned, tmp_path):
    other = changed(base, tmp_path / "other", **{"layers.1.mlp.down_proj": lambda w: w[:, :8]})
    with pytest.raises(ConfigError) as error:
        difference.make(other, tuned, tmp_path / "diff")
    (problem,) = error.value.problems
    assert problem == "model.layers.1.mlp.down_proj.weight: float32 16x24, float16 16x8 in the base"


def test_a_damaged_difference_is_found_and_leaves_nothing(base, diff, tmp_path):
    bad = changed(diff, tmp_path / "bad", **{"layers.1.mlp.gate_proj": lambda w: w + 1e-3})
    with pytest.raises(AlpacaError, match="model.layers.1.mlp.gate_proj.weight"):
        difference.recover(base, bad, tmp_path / "back")
    shutil.copytree(diff, tmp_path / "short")
    with (tmp_path / "short" / difference.EXACT).open("r+b") as file:
        file.truncate(20)
    with pytest.raises(AlpacaError, match="missing, damaged or cut off"):
        difference.recover(base, tmp_path / "short", tmp_path / "back")
    facts = manifest.read(diff)
    facts.popitem()
    manifest.write(tmp_path / "short", facts)
    with pytest.raises(AlpacaError, match="are not those of its manifest"):
        difference.recover(base, tmp_path / "short", tmp_path / "back")
    (tmp_path / "short" / manifest.MANIFEST).write_text('{"alpacakit_diff": 1, "tensors": {"a": 3}}')
    with pytest.raises(AlpacaError, match="is damaged"):
        difference.recover(base, tmp_path / "short", tmp_path / "back")
    (tmp_path / "short" / manifest.MANIFEST).unlink()
    with pytest.raises(AlpacaError, match="has lost its alpacakit-diff.json"):
        difference.recover(base, tmp_path / "short", tmp_path / "back")
    assert not list(tmp_path.glob("back*"))


def test_nothing_is_overwritten_unasked(base, tuned, diff, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "letter.txt").write_text("dear")
    for fresh in (False, True):
        with pytest.raises(ConfigError, match="is no model's folder"):
            difference.make(base, tuned, mine, fresh=fresh)
    assert (mine / "letter.txt").read_text() == "dear"
    with pytest.raises(ConfigError, match="is read here"):
        difference.recover(base, diff, diff, fresh=True)
    there = model(tmp_path / "there", None, torch.float32, pad=False)
    seen = []
    with pytest.raises(ConfigError, match="is there already"):
        difference.recover(base, diff, there, on_tensor=lambda *done: seen.append(done))
    assert not seen, "it is told before the long work begins"
    difference.recover(base, diff, there, fresh=True)
    assert same(load_file(there / "model.safetensors"), load_file(tuned / "model.safetensors"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "there"]


def test_an_interrupted_one_leaves_what_was_there(base, diff, tmp_path):
    there = model(tmp_path / "there", None, torch.float32, pad=False)
    before = load_file(there / "model.safetensors")

    def interrupt(doing, done, of):
        if doing == "adding" and done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        difference.recover(base, diff, there, fresh=True, on_tensor=interrupt)
    assert same(load_file(there / "model.safetensors"), before)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_what_a_killed_one_left_does_no_harm(base, tuned, diff, tmp_path):
    """Killed while it wrote, or between the two renamings at the end."""
    draft = tmp_path / "back.alpacakit-tmp"
    draft.mkdir()
    (draft / "model-00001-of-00002.safetensors").write_bytes(b"half")
    model(tmp_path / "back.alpacakit-old", None, torch.float32, pad=False)
    with pytest.raises(ConfigError, match="is there already"):
        difference.recover(base, diff, tmp_path / "back")
    difference.recover(base, diff, tmp_path / "back", fresh=True)
    assert same(load_file(tmp_path / "back" / "model.safetensors"), load_file(tuned / "model.safetensors"))
    assert [path.name for path in tmp_path.iterdir()] == ["back"]


def test_a_full_disk_is_seen_before(base, diff, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10**6))
    with pytest.raises(AlpacaError, match="needs 0.1 GB of disk, and 0.0 GB are free"):
        difference.recover(base, diff, tmp_path / "back")


# Shards.

SLOTS = st.dictionaries(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).filter(lambda name: name != "__metadata__"),
    st.builds(Slot, st.sampled_from(list(CODES)), st.lists(st.integers(0, 5), max_size=3).map(tuple)),
    min_size=1,
    max_size=8,
)


@settings(max_examples=30)
@given(SLOTS, st.integers(1, 400), st.randoms(use_true_random=False))
def test_shards_are_read_back_as_they_were_written_by_any_reader(tmp_path_factory, slots, limit, random):
    folder = tmp_path_factory.mktemp("shards")
    tensors = {
        name: torch.tensor(list(random.randbytes(slot.size)), dtype=torch.uint8).view(slot.dtype).view(slot.shape)
        if slot.dtype != torch.bool
        else torch.ones(slot.shape, dtype=torch.bool)
        for name, slot in slots.items()
    }
    with ShardWriter(folder, slots, limit=limit) as writer:
        for name in random.sample(list(slots), len(slots)):
            writer.add(name, tensors[name])
    found = {}
    for file in writer.files:
        part = load_file(folder / file)
        assert len(part) == 1 or sum(tensor.nbytes for tensor in part.values()) <= limit
        found |= part
    ours = ShardReader(folder)
    assert ours.slots.keys() == found.keys() == slots.keys()
    for name, tensor in tensors.items():
        for read in (found[name], ours.tensor(name)):
            assert read.dtype == tensor.dtype and read.shape == tensor.shape == ours.slots[name].shape
            assert read.reshape(-1).view(torch.uint8).equal(tensor.reshape(-1).view(torch.uint8))
    if len(writer.files) > 1:
        index = json.loads((folder / "model.safetensors.index.json").read_text())
        assert set(index["weight_map"]) == set(slots)
        assert index["metadata"]["total_size"] == sum(slot.size for slot in slots.values())


def test_transformers_reads_the_shards(tuned, tmp_path):
    weights = load_file(tuned / "model.safetensors")
    shutil.copy(tuned / "config.json", tmp_path)
    with ShardWriter(tmp_path, ShardReader(tuned).slots, limit=5000) as writer:
        for name, weight in weights.items():
            writer.add(name, weight)
    assert writer.files[0] == f"model-00001-of-{len(writer.files):05d}.safetensors" and len(writer.files) > 3
    assert same(dict(published_model(tmp_path).state_dict()), weights)


def test_a_writer_takes_what_was_announced_and_all_of_it(tmp_path):
    writer = ShardWriter(tmp_path, {"a": Slot(torch.float32, (2,)), "b": Slot(torch.float32, ())})
    writer.add("a", torch.zeros(2))
    for name, tensor in {"a": torch.zeros(2), "b": torch.zeros(1), "c": torch.zeros(())}.items():
        with pytest.raises(ValueError, match=f"^{name} is "):
            writer.add(name, tensor)
    with pytest.raises(ValueError, match="1 tensors were not written, such as b"):
        writer.close()
    with pytest.raises(ConfigError, match="cannot hold"):
        ShardWriter(tmp_path, {"a": Slot(torch.complex64, ())})


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("model.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "is a Git LFS pointer"),
        ("model.safetensors", (64).to_bytes(8, "little") + b'{"a":', "damaged or cut off"),
        ("pytorch_model.bin", b"\x80\x02nothing", "cannot be read as weights"),
        ("model.safetensors.index.json", b'{"weight_map": {"a": "model-1.safetensors"}}', "lacks 1 of 1 files"),
        ("model.safetensors.index.json", b"[]", "is no index of weights"),
        ("adapter_model.safetensors", b"", "holds no weights"),
    ],
)
def test_files_that_are_no_weights_are_told_apart(name, content, said, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AlpacaError, match=said):
        ShardReader(tmp_path)


# Memory.

MEASURE = """
import resource, sys
from pathlib import Path
from alpaca_fsdp import difference
import torch, safetensors.torch
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
folder = Path(sys.argv[1])
before = peak()
difference.make(folder / "base", folder / "tuned", folder / "diff")
difference.recover(folder / "base", folder / "diff", folder / "back")
print(peak() - before)
"""


def test_no_more_is_held_than_a_few_times_the_largest_tensor(tmp_path):
    """Both ways of a model of 190 MB in float32, pickled or not, whose largest tensor has 8 MB."""
    size, tensors = 2_000_000, 24
    weights = {f"t{i}": torch.arange(size).remainder_(1000 + i).half() for i in range(tensors)}
    for name in ("base", "tuned"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
    torch.save(weights, tmp_path / "base" / "pytorch_model.bin")
    save_file(weights, tmp_path / "tuned" / "model.safetensors")
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, tmp_path],
        # Else glibc would serve arrays of this size, unlike those of real models, from a heap that may fall to pieces.
        env={**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "1000000"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < 8 * size * 4 < size * 4 * tensors / 2


# The command.


def test_the_command_makes_and_recovers(base, tuned, tmp_path, capsys):
    made, back = str(tmp_path / "diff"), str(tmp_path / "back")
    assert main(["diff", "make", "--base", str(base), "--tuned", str(tuned), "--out", made, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["added_rows"] == 1
    assert main(["diff", "recover", "--base", str(base), "--diff", made, "--out", back]) == 0
    assert "tensors by their SHA-256" in capsys.readouterr().out
    assert same(load_file(tmp_path / "back" / "model.safetensors"), load_file(tuned / "model.safetensors"))
    assert main(["diff", "recover", "--base", made, "--diff", made, "--out", back, "--fresh"]) == 2
    assert main(["diff", "recover", "--base", str(tmp_path / "none"), "--diff", made, "--out", back]) == 2
    assert main(["--no-plugin", "fsdp", "diff", "make", "--base", made, "--tuned", made, "--out", back]) == 3
