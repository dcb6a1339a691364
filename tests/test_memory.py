"""The memory plan: shapes as the models have them, parts that PyTorch agrees with, the order of plans, refusals."""

import json
import sys
from pathlib import Path

import pytest
import torch  # noqa: TID253
from alpaca_fsdp import devices, losses, memory, placement, shape
from alpaca_fsdp.examples import Tokens
from alpaca_fsdp.memory import GIB, Asked, Machine, Settings
from alpaca_fsdp.options import LocalOptions
from alpaca_fsdp.recipes import ARCHITECTURES, PRESETS
from alpaca_fsdp.world import World

from alpaca_core import ConfigError

sys.path.append(str(Path(__file__).parent / "benchmarks"))
import memory_plan

LLAMA_7B = shape.read(
    {
        "model_type": "llama",
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "vocab_size": 32000,
    }
)
FOUR_A100 = Machine("4 x A100-80GB", 79.1 * GIB, 4, sharded=True)


def machine(room: float, **more) -> Machine:
    return Machine("a test", room * GIB, **{"sharded": True, **more})


# ── shapes ────────────────────────────────────────────────────────────────────────────────────────────────────────

FAMILIES = {
    "llama": {},
    "qwen2": {"num_key_value_heads": 2},
    "qwen3": {"num_key_value_heads": 2, "head_dim": 16},
    "mistral": {"num_key_value_heads": 4, "tie_word_embeddings": True},
    "gpt2": {},
    "gpt_neox": {},
}


def configured(kind: str, **more):
    """A small config of the family, with the keys that its config.json has."""
    from transformers import AutoConfig

    if kind == "gpt2":
        sizes = {"n_embd": 64, "n_layer": 3, "n_head": 4, "vocab_size": 300}
        return AutoConfig.for_model(kind, **sizes, bos_token_id=1, eos_token_id=2, **more)
    sizes = {"hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 3, "num_attention_heads": 8}
    return AutoConfig.for_model(kind, **sizes, **{"vocab_size": 300, **more})


def modelled(kind: str, **more):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_config(configured(kind, **more))


@pytest.mark.parametrize("kind", FAMILIES)
def test_the_parameters_of_a_family_are_counted_as_its_model_has_them(kind):
    from alpaca_fsdp import student

    with torch.device("meta"):
        model = modelled(kind, **FAMILIES[kind])
    found = shape.read(model.config.to_dict())
    layers = student.layers(model)
    assert found.parameters == model.num_parameters() and found.known
    assert found.layer == sum(parameter.numel() for parameter in layers[0].parameters())
    assert found.layers == len(layers) == 3


def test_the_first_llama_has_six_point_seven_billion_parameters():
    assert LLAMA_7B.parameters == 6_738_415_616


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_new_student_has_a_shape_before_it_is_made(name):
    new = ARCHITECTURES[name]
    found = shape.of(name)
    assert (found.layers, found.hidden, found.vocabulary, found.tied) == (new.layers, new.hidden, new.vocabulary, True)


def test_an_unknown_family_is_counted_in_the_headers_of_its_weights(tmp_path):
    model = modelled("llama")
    model.save_pretrained(tmp_path, max_shard_size="100KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "some_other"}))
    assert shape.of(str(tmp_path)).parameters == model.num_parameters()
    for file in tmp_path.glob("*.safetensors"):  # the index alone tells bytes, and the config of which kind
        file.unlink()
    assert shape.stored(tmp_path) == model.num_parameters()


def test_a_model_whose_config_is_not_at_hand_is_refused_with_what_to_type(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ConfigError, match="not in the hub's cache") as error:
        shape.of("someone/some-model")
    assert error.value.hint == "Fetch that one small file with: hf download someone/some-model config.json"


def test_a_config_without_a_size_names_what_it_lacks():
    with pytest.raises(ConfigError, match="none of num_hidden_layers, n_layer, n_layers"):
        shape.read({"model_type": "llama", "hidden_size": 64})


# ── parts ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("checkpointing", ["none", "full"])
@pytest.mark.parametrize("arithmetic", ["float32", "bfloat16", "autocast"])
@pytest.mark.parametrize("kind", ["llama", "qwen2", "gpt_neox", "gpt2"])
def test_the_activations_are_those_that_autograd_keeps(kind, arithmetic, checkpointing):
    if (kind, arithmetic) == ("gpt2", "autocast"):
        pytest.skip("a GPU's autocast takes powers in float32, a CPU's does not")
    counted, planned = memory_plan.kept(kind, arithmetic, checkpointing, tokens=300)
    assert planned == pytest.approx(counted, rel=0.15)


def test_the_parts_of_the_published_training_are_sixteen_bytes_a_parameter_shared_by_four():
    found = memory.parts(LLAMA_7B, FOUR_A100, Settings(4096))
    states = found["weights"] + found["gradients"] + found["optimizer"]
    assert states == 16 * LLAMA_7B.parameters / 4
    assert memory.weigh(LLAMA_7B, FOUR_A100, Settings(4096)).total == sum(found.values())


def test_every_way_to_save_memory_saves_some():
    plain = memory.weigh(LLAMA_7B, FOUR_A100, Settings(4096)).total
    for less in (
        Settings(2048),
        Settings(4096, reshard=True),
        Settings(4096, checkpointing="full"),
        Settings(4096, optimizer_bits=8),
        Settings(4096, offload=True),
        Settings(4096, lora_rank=16),
    ):
        assert memory.weigh(LLAMA_7B, FOUR_A100, less).total < plain


# ── plans ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_with_less_and_less_memory_the_plan_gives_up_speed_in_order():
    """Gathered weights, tokens of a pass, activations, the bits of the optimizer, the device."""
    tried = []
    for room in range(90, 1, -1):
        try:
            found = memory.plan(LLAMA_7B, machine(room, processes=4), Asked(4096))
        except ConfigError:
            break
        assert found.total <= room * GIB
        if found.settings not in tried:
            tried.append(found.settings)
    assert tried[0] == Settings(4096)
    kinds = [(s.offload, s.optimizer_bits == 8, s.checkpointing == "full") for s in tried]
    assert kinds == sorted(kinds)
    assert {True, False} == {s.reshard for s in tried} and len({s.micro_tokens for s in tried}) > 1
    assert tried[-1].offload


def test_what_the_user_set_wins():
    for fixed in ({"checkpointing": "full"}, {"micro_tokens": 700}, {"reshard": True}, {"optimizer_bits": 8}):
        found = memory.plan(LLAMA_7B, machine(200, processes=4), Asked(4096, fixed=fixed))
        assert {name: getattr(found.settings, name) for name in fixed} == fixed


def test_one_process_on_a_cpu_neither_gathers_nor_offloads():
    for settings in memory.candidates(machine(1, sharded=False, gpu=False), Asked(4096)):
        assert not settings.reshard and not settings.offload


def test_a_refusal_says_what_is_needed_what_there_is_and_what_to_type():
    with pytest.raises(ConfigError) as error:
        memory.plan(LLAMA_7B, Machine("1 x RTX4090", 23.5 * GIB), Asked(2048))
    least = min(
        memory.weigh(LLAMA_7B, Machine("", 23.5 * GIB), settings).total
        for settings in memory.candidates(Machine("", 23.5 * GIB), Asked(2048))
    )
    assert f"needs {memory.gib(least)} GiB on each device, and there are 23.5" in error.value.message
    assert "take 4 such devices with --trainer fsdp" in error.value.hint
    assert error.value.exit_code == 2


def test_a_refusal_names_the_options_that_are_in_the_way():
    with pytest.raises(ConfigError) as error:
        memory.plan(LLAMA_7B, FOUR_A100, Asked(4096, fixed={"micro_tokens": 65536, "checkpointing": "none"}))
    assert "leave trainer.micro_tokens, trainer.checkpointing to the plan" in error.value.hint


@pytest.mark.parametrize(
    ("preset", "device"),
    [("a100-4x80", "A100-80GB"), ("h200", "H200"), ("consumer-24gb", "RTX4090"), ("consumer-24gb", "RTX3090")],
)
def test_a_preset_holds_a_llama_of_seven_billion_parameters_on_its_machine(preset, device):
    said = dict(PRESETS[preset])
    count = said.pop("processes")
    room = devices.DEVICES[device].memory * GIB
    there = Machine(device, room, count, sharded=count > 1)
    found = memory.plan(LLAMA_7B, there, Asked(said["micro_tokens"], fixed=said))
    assert found.total <= room and found.settings == Settings(**{"reshard": False, **said})


# ── devices ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "count", "name"),
    [
        ("4xA100-80GB", 4, "A100-80GB"),
        ("H200", 1, "H200"),
        ("8 x nvidia a100-40gb", 8, "A100-40GB"),
        ("2xRTX 4090", 2, "RTX4090"),
        ("GeForce RTX 3090", 1, "RTX3090"),
        ("cpu", 1, "cpu"),
    ],
)
def test_devices_are_named_as_people_write_them(text, count, name):
    assert devices.named(text)[:2] == (count, name)


@pytest.mark.parametrize("text", ["A100", "4xTPU", "0xH200", ""])
def test_a_device_that_is_not_known_lists_those_that_are(text):
    with pytest.raises(ConfigError) as error:
        devices.named(text)
    assert "A100-80GB" in error.value.hint


# ── what the settings do ──────────────────────────────────────────────────────────────────────────────────────────


def losses_and_gradients(model, lengths=(30, 9, 17)):
    made = torch.Generator().manual_seed(1)
    company = [Tokens(torch.randint(4, 300, (length,), generator=made), 3, row) for row, length in enumerate(lengths)]
    model.set_attn_implementation(losses.PACKED.attention)
    each = losses.token_losses(model, losses.PACKED.lay(company, 0, torch.device("cpu")))
    each.mean().backward()
    return each.detach(), [parameter.grad.clone() for parameter in model.parameters()]


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_computing_the_layers_twice_changes_no_loss_and_no_gradient(kind):
    found = []
    for twice in (False, True):
        torch.manual_seed(0)
        model = modelled(kind).train()
        if twice:
            placement.compute_twice(model)
        torch.manual_seed(0)  # gpt2 has dropout
        found.append(losses_and_gradients(model))
    (once, gradients), (again, others) = found
    assert once.equal(again)
    assert all(one.equal(other) for one, other in zip(gradients, others, strict=True))


@pytest.fixture
def group():
    """A process group of this process alone, so that FSDP2 shards for real."""
    import torch.distributed as dist

    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield World(0, 1, torch.device("cpu"), sharded=True)
    dist.destroy_process_group()


def test_under_fsdp_no_memory_setting_changes_a_loss_or_a_gradient(group):
    found = []
    for checkpointing, reshard in (("none", False), ("none", True), ("full", False), ("full", True)):
        torch.manual_seed(0)
        options = LocalOptions(checkpointing=checkpointing, reshard=reshard)
        model, fact = placement.place(modelled("llama").train(), group, torch.float32, options)
        assert fact.startswith("sharded: 4 FSDPModule x 1")
        found.append(losses_and_gradients(model))
    for each, gradients in found[1:]:
        assert each.equal(found[0][0])
        assert all(
            one.full_tensor().equal(other.full_tensor()) for one, other in zip(gradients, found[0][1], strict=True)
        )


def test_eight_bit_states_learn_like_those_of_32():
    pytest.importorskip("torchao")
    from alpaca_fsdp import optimizer, recipes

    def learn(bits: int) -> tuple[list[float], torch.optim.Optimizer]:
        torch.manual_seed(0)
        model = modelled("llama", num_hidden_layers=1)
        adam = optimizer.build(model, recipes.resolved(LocalOptions(optimizer_bits=bits), "some"))
        seen = []
        for step in range(5):
            optimizer.set_rate(adam, 1e-3 * (step + 1))
            loss = losses_and_gradients(model)[0].mean()
            adam.step()
            adam.zero_grad()
            seen.append(loss.item())
        return seen, adam

    (exact, _), (rough, adam) = learn(32), learn(8)
    assert rough == pytest.approx(exact, rel=0.01) and exact[-1] < exact[0]
    assert float(adam.param_groups[0]["lr"]) == pytest.approx(5e-3)
