"""Packed rows: full and fair, and nothing passes from one example to another, whatever the architecture."""

import pytest
import torch  # noqa: TID253
from alpaca_fsdp import losses, rows
from alpaca_fsdp.examples import Tokens
from alpaca_fsdp.order import Order
from alpaca_fsdp.rows import share
from hypothesis import given
from hypothesis import strategies as st

CPU = torch.device("cpu")
LAYOUTS = {"packed": losses.PACKED, "masked": losses.MASKED}


def examples(*lengths: int, seed: int = 0) -> list[Tokens]:
    made = torch.Generator().manual_seed(seed)
    return [
        Tokens(torch.randint(4, 100, (length,), generator=made), max(1, length // 3), row)
        for row, length in enumerate(lengths)
    ]


def tiny(kind: str, attention: str = "sdpa", **extra):
    """A random model with large weights, so that a leak shows."""
    from transformers import AutoConfig, AutoModelForCausalLM

    shape = {"vocab_size": 100, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3}
    if kind == "gpt2":
        shape |= {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128}
        shape |= {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    else:
        shape |= {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
        shape |= {"num_key_value_heads": 2, "max_position_embeddings": 128}
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(
        AutoConfig.for_model(kind, **shape, **extra), attn_implementation=attention
    )
    for parameter in model.parameters():
        parameter.data *= 6 if parameter.ndim > 1 else 1
    return model


def each(model, layout, company, device=CPU) -> list[torch.Tensor]:
    """The token losses of every example of one row."""
    model.set_attn_implementation(layout.attention or model.own)
    found = losses.token_losses(model, layout.lay(company, 0, device))
    return list(found.split([example.supervised for example in company]))


@pytest.fixture(
    params=[
        ("llama", "sdpa", {}),
        ("llama", "eager", {}),
        ("qwen2", "sdpa", {}),
        ("gpt2", "sdpa", {}),
        ("mistral", "sdpa", {"sliding_window": 7}),
    ],
    ids=lambda made: f"{made[0]}-{made[1]}",
)
def model(request):
    kind, attention, extra = request.param
    made = tiny(kind, attention, **extra)
    made.own = attention
    return made


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_changing_one_example_changes_no_other(model, layout):
    before = examples(9, 30, 17, 30, 5)
    for changed in range(len(before)):
        after = list(before)
        after[changed] = examples(*[len(e.ids) for e in before], seed=1)[changed]
        for i, (old, new) in enumerate(zip(each(model, layout, before), each(model, layout, after), strict=True)):
            same = torch.allclose(old, new, atol=1e-5)
            assert same == (i != changed)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_an_example_has_the_loss_that_it_has_alone(model, layout):
    company = examples(9, 30, 17, 30, 5)
    for example, packed in zip(company, each(model, layout, company), strict=True):
        (alone,) = each(model, losses.PADDED, [example])
        assert torch.allclose(packed, alone, atol=1e-4)  # weights are times 6, and so is rounding


def test_packed_and_padded_rows_have_equal_losses_and_gradients():
    model = tiny("llama")
    model.own = "sdpa"
    for parameter in model.parameters():  # of usual size again
        parameter.data /= 6 if parameter.ndim > 1 else 1
    company = examples(9, 30, 17, 30, 5)
    found = []
    for layout in (losses.PACKED, losses.PADDED):
        model.zero_grad()
        total = torch.cat(each(model, layout, company)).mean()
        total.backward()
        found.append((total.item(), [p.grad.clone() for p in model.parameters()]))
    (packed, packed_gradients), (padded, padded_gradients) = found
    assert packed == pytest.approx(padded, abs=1e-5)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(packed_gradients, padded_gradients, strict=True))


def test_a_model_takes_the_fastest_layout_that_it_can(model):
    chosen = losses.choose(model, examples(9, 30), True, CPU, torch.float32)
    assert chosen is losses.PACKED


def test_a_layout_that_leaks_is_not_chosen():
    """Without position ids that start again, attention passes between examples; the test on the model sees it."""

    def leaky(company, filler, device):
        row = rows.packed(company, filler, device, grouped=False)
        return rows.Row({"input_ids": row.inputs["input_ids"]}, row.keep, row.targets, row.owners)

    layout = losses.Layout("leaky", leaky)
    assert not losses._apart(tiny("llama"), layout, examples(9, 30), CPU, torch.float32)


def test_a_model_that_reads_no_packed_rows_gets_padded_ones():
    """Its recurrent state would run on from one example into the next."""
    from transformers import AutoModelForCausalLM, MambaConfig

    model = AutoModelForCausalLM.from_config(
        MambaConfig(vocab_size=100, hidden_size=32, state_size=4, num_hidden_layers=2)
    )
    assert losses.choose(model, examples(9, 30), True, CPU, torch.float32) is losses.PADDED


@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=40),
    processes=st.integers(1, 5),
    capacity=st.integers(20, 200),
)
def test_rows_share_all_examples_among_the_processes(lengths, processes, capacity):
    found = share(lengths, processes, capacity)
    assert sorted(i for row in found for i in row) == list(range(len(lengths)))
    assert len(found) % processes == 0
    assert all(len(row) == 1 or sum(lengths[i] for i in row) <= capacity for row in found)


@given(examples=st.integers(1, 50), batch_size=st.integers(1, 20), seed=st.integers(0, 9))
def test_every_epoch_sees_every_example_once(examples, batch_size, seed):
    order = Order(examples, batch_size, seed)
    for epoch in range(3):
        steps = range(epoch * order.steps_per_epoch, (epoch + 1) * order.steps_per_epoch)
        assert sorted(i for step in steps for i in order.batch(step)) == list(range(examples))


def test_epochs_are_shuffled_apart():
    order = Order(50, 50, 0)
    assert order.batch(0) != order.batch(1) != list(range(50))
