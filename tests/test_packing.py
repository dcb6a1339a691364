"""Packed rows: full and fair, and nothing passes from one example to another, whatever the architecture."""

from dataclasses import replace

import pytest
import torch  # noqa: TID253
import torch.nn.functional as F  # noqa: TID253
from alpaca_fsdp import head, losses, preambles, rows
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
    found = losses.token_losses(model, layout.lay(company, 0, device), layout.fused)
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


def with_preambles(*lengths: int) -> list[Tokens]:
    """Examples of two families, whose preambles have 17 and 20 tokens, and one of none."""
    made = []
    for row, length in enumerate(lengths):
        begin = torch.arange(40, 57) if row % 2 else torch.arange(60, 80)
        (own,) = examples(length, seed=row + 7)
        made.append(Tokens(torch.cat([begin, own.ids]), len(begin) + own.prompt, row))
    return [*preambles.find(made), *examples(40)]


def test_a_preamble_is_found_as_long_as_its_family_agrees():
    first, second, third, fourth, alone = with_preambles(9, 30, 17, 30)
    assert (first.preamble, third.preamble) == (20, 20) and first.family == third.family
    assert (second.preamble, fourth.preamble) == (17, 17) and second.family == fourth.family != first.family
    assert alone.preamble == 0


def test_a_preamble_ends_before_the_last_token_of_any_prompt():
    """That one predicts the first token of the response, so each example needs its own."""
    ids = torch.arange(50)
    found = preambles.find([Tokens(ids, 30, 0), Tokens(ids, 25, 1)])
    assert [example.preamble for example in found] == [24, 24]


def test_a_row_holds_each_preamble_once(model):
    company = with_preambles(9, 30, 17, 30, 5)
    row = losses.PACKED.lay(company, 0, CPU)
    assert row.inputs["input_ids"].shape[1] == 20 + 17 + sum((9, 30, 17, 30, 5)) + 40


def test_a_shared_preamble_changes_no_loss_and_no_gradient(model):
    for parameter in model.parameters():  # of usual size again
        parameter.data /= 6 if parameter.ndim > 1 else 1
    company = with_preambles(9, 30, 17, 30, 5)
    found = []
    for examples_ in (company, [replace(example, preamble=0, family=0) for example in company]):
        model.zero_grad()
        per_example = each(model, losses.PACKED, examples_)
        torch.cat(per_example).sum().backward()
        found.append((torch.cat(per_example).detach(), [p.grad.clone() for p in model.parameters()]))
    (shared, shared_gradients), (repeated, repeated_gradients) = found
    assert torch.allclose(shared, repeated, atol=2e-6)
    for a, b in zip(shared_gradients, repeated_gradients, strict=True):
        assert torch.allclose(a, b, atol=1e-5 * b.abs().max().item() + 1e-6)


def test_what_comes_before_in_the_row_changes_no_example_with_a_shared_preamble(model):
    before = with_preambles(9, 30, 17, 30)
    after = [replace(before[0], ids=torch.cat([before[0].ids[:20], before[0].ids[20:].flip(0)])), *before[1:]]
    for old, new in zip(each(model, losses.PACKED, before)[1:], each(model, losses.PACKED, after)[1:], strict=True):
        assert torch.allclose(old, new, atol=1e-5)


def test_ragged_rows_are_grouped_rows(model, monkeypatch):
    """A GPU's kernel for ragged sequences, here replaced by one that follows its description."""

    def varlen(q, k, v, starts, _, longest, __, *, scale, window_size, enable_gqa):
        assert starts.dtype == torch.int32 and enable_gqa == (q.shape[1] != k.shape[1])
        outs = []
        for a, b in zip(starts.tolist(), starts.tolist()[1:], strict=False):
            assert b - a <= longest
            near = torch.arange(b - a)
            ahead = near[:, None] - near
            mask = (ahead >= 0) & ((ahead <= window_size[0]) if window_size[0] >= 0 else True)
            states = (s[a:b].transpose(0, 1)[None] for s in (q, k, v))
            out = F.scaled_dot_product_attention(*states, attn_mask=mask, scale=scale, enable_gqa=enable_gqa)
            outs.append(out[0].transpose(0, 1))
        return torch.cat(outs)

    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", varlen)
    company = with_preambles(9, 30, 17, 30, 5)
    grouped, ragged = (each(model, layout, company) for layout in (losses.PACKED, losses.RAGGED))
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(grouped, ragged, strict=True))


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_the_output_layer_and_its_loss_in_one_are_the_two_apart(chunk, monkeypatch):
    monkeypatch.setattr(head, "_LOGITS", chunk * 50)
    torch.manual_seed(0)
    hidden, weight = torch.randn(20, 8, requires_grad=True), torch.randn(50, 8, requires_grad=True)
    targets = torch.randint(0, 50, (20,))
    targets[3] = rows.IGNORE
    found = []
    for fused in (True, False):
        hidden.grad = weight.grad = None
        if fused:
            each_ = head.scores(hidden, weight, targets, torch.float32)
        else:
            each_ = F.cross_entropy(hidden @ weight.T, targets, reduction="none", ignore_index=rows.IGNORE)
        (each_.sum() * 0.37).backward()
        found.append((each_.detach(), hidden.grad, weight.grad))
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(*found, strict=True))


def test_losses_of_unequal_weight_are_refused():
    """The gradients were made on the way forward, for one weight."""
    hidden, weight = torch.randn(3, 8, requires_grad=True), torch.randn(50, 8, requires_grad=True)
    with pytest.raises(RuntimeError, match="weigh the same"):
        (head.scores(hidden, weight, torch.tensor([1, 2, 3]), torch.float32) * torch.tensor([1, 2, 3])).sum().backward()


def test_a_model_that_does_more_than_a_matrix_product_at_the_end_is_not_fused():
    """Gemma caps its logits: losses in their place would be capped."""
    model = tiny("gemma2", "eager", head_dim=8, attn_logit_softcapping=None, final_logit_softcapping=5.0)
    chosen = losses.choose(model, examples(9, 30), True, CPU, torch.float32)
    assert not chosen.fused


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


def test_a_layout_that_leaks_is_not_chosen(monkeypatch):
    """Without position ids that start again, attention passes between examples; the test on the model sees it."""

    def leaky(company, filler, device):
        row = rows.packed(company, filler, device, attention=None)
        return rows.Row({"input_ids": row.inputs["input_ids"]}, row.keep, row.targets, row.owners)

    monkeypatch.setattr(losses, "LAYOUTS", (losses.RAGGED, losses.Layout("leaky", leaky)))
    assert losses.choose(tiny("llama"), examples(9, 30), True, CPU, torch.float32) is losses.PADDED


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
    found = share([Tokens(torch.zeros(length), 1, 0) for length in lengths], processes, capacity)
    assert sorted(i for row in found for i in row) == list(range(len(lengths)))
    assert len(found) % processes == 0
    assert all(len(row) == 1 or sum(lengths[i] for i in row) <= capacity for row in found)


@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=40),
    processes=st.integers(1, 5),
    capacity=st.integers(20, 200),
)
def test_padded_rows_hold_no_more_with_their_padding(lengths, processes, capacity):
    found = share([Tokens(torch.zeros(length), 1, 0) for length in lengths], processes, capacity, padded=True)
    assert sorted(i for row in found for i in row) == list(range(len(lengths)))
    assert len(found) % processes == 0
    assert all(len(row) <= 1 or max(lengths[i] for i in row) * len(row) <= capacity for row in found)


def test_many_families_make_no_empty_rows():
    """Their preambles together may be longer than a row."""
    crowd = [Tokens(torch.zeros(150), 140, i, preamble=120, family=i // 3 + 1) for i in range(128)]
    assert all(share(crowd, 1, 4096)) and len(share(crowd, 1, 4096)) <= 128


def test_queries_that_autocast_left_wide_are_made_narrow(monkeypatch):
    """Rotary embeddings give float32; a GPU's kernel for ragged sequences takes none."""
    seen = []
    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", lambda q, k, v, *a, **b: seen.extend((q, k, v)) or q)
    model = tiny("llama")
    with torch.autocast("cpu", torch.bfloat16):
        each(model, losses.RAGGED, with_preambles(9, 30))
    assert {states.dtype for states in seen} == {torch.bfloat16}


def test_a_row_that_teaches_nothing_has_no_gradient():
    hidden, weight = torch.randn(0, 8, requires_grad=True), torch.randn(50, 8, requires_grad=True)
    head.scores(hidden, weight, torch.zeros(0, dtype=torch.long), torch.float32).sum().backward()
    assert not weight.grad.any()


@given(examples=st.integers(1, 50), batch_size=st.integers(1, 20), seed=st.integers(0, 9))
def test_every_epoch_sees_every_example_once(examples, batch_size, seed):
    order = Order(examples, batch_size, seed)
    for epoch in range(3):
        steps = range(epoch * order.steps_per_epoch, (epoch + 1) * order.steps_per_epoch)
        assert sorted(i for step in steps for i in order.batch(step)) == list(range(examples))


def test_epochs_are_shuffled_apart():
    order = Order(50, 50, 0)
    assert order.batch(0) != order.batch(1) != list(range(50))
