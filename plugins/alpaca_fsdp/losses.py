"""The loss of each supervised token, by the fastest layout that provably keeps examples apart."""

# ruff: noqa: TID253 - loaded by the worker only

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F

from alpaca_fsdp import attention, head, rows
from alpaca_fsdp.examples import Tokens

# The mean difference that rounding explains, by dtype: an example alone against the same one in company.
_ROUNDING = {torch.float32: 1e-3, torch.bfloat16: 0.05}
_LEAK = 1e-5  # and when only its company changes: the sums are the same ones, in the same order


@dataclass(frozen=True)
class Layout:
    """How examples become a forward pass. ``lay`` makes the row; ``attention`` is what the model runs with."""

    name: str
    lay: Callable[[Sequence[Tokens], int, torch.device], rows.Row]
    attention: str | None = None  # None: the model's own
    fused: bool = True  # the output layer computes losses, see ``head``


RAGGED = Layout("packed rows, ragged attention", partial(rows.packed, attention="ragged"), attention.NAME)
PACKED = Layout("packed rows", partial(rows.packed, attention="grouped"), attention.NAME)
MASKED = Layout("packed rows, masked attention", partial(rows.packed, attention=None))
PADDED = Layout("padded rows", rows.padded, fused=False)
LAYOUTS = (RAGGED, PACKED, replace(PACKED, fused=False), MASKED, replace(MASKED, fused=False))


def token_losses(model: Any, row: rows.Row, fused: bool = True) -> torch.Tensor:
    """Cross-entropy of every supervised token of ``row``, in float32. Logits are computed for these alone where the
    row is a single one and the model offers it, and with ``fused`` never for many of them at once."""
    inputs = dict(row.inputs, use_cache=False)
    single = inputs["input_ids"].shape[0] == 1 and "logits_to_keep" in inspect.signature(model.forward).parameters
    if single:
        inputs["logits_to_keep"] = row.keep
    with head.scoring(model, row.targets if single and fused else None) as scored:
        logits = model(**inputs).logits
    if scored:
        return logits[0, :, 0]
    logits = logits[0] if single else logits.flatten(0, 1)[row.keep]
    return F.cross_entropy(logits.float(), row.targets, ignore_index=rows.IGNORE, reduction="none")


def choose(
    model: Any,
    examples: Sequence[Tokens],
    packing: bool,
    device: torch.device,
    dtype: torch.dtype,
    agreed: Callable[[bool], bool] = bool,
) -> Layout:
    """The first layout that passes the test with this very model, in every process (``agreed``); padded rows need none.
    Sets the model's attention.

    The test packs two examples that share a preamble, where there are such. The second's losses must be those it has
    alone by the model's own attention, and must not move when the first is replaced: so no attention passes between
    examples, whatever the architecture.
    """
    examples = [example for example in examples if example.supervised]
    if packing:
        own = model.config._attn_implementation
        first = examples[0]
        second = next(e for e in reversed(examples) if e.family == first.family)
        alone = _evaluated(model, PADDED, [second], device)
        for layout in LAYOUTS if device.type == "cuda" else LAYOUTS[1:]:
            model.set_attn_implementation(layout.attention or own)
            taken = model.config._attn_implementation == (layout.attention or own)
            if agreed(taken and _apart(model, layout, first, second, alone, device, _ROUNDING[dtype])):
                return layout
        model.set_attn_implementation(own)
    return PADDED


def _apart(
    model: Any,
    layout: Layout,
    first: Tokens,
    second: Tokens,
    alone: torch.Tensor,
    device: torch.device,
    rounding: float,
) -> bool:
    own = first.ids[first.preamble :].flip(0)
    other = replace(first, ids=torch.cat([first.ids[: first.preamble], own]))
    try:
        packed, changed = (
            _evaluated(model, layout, [company, second], device)[-second.supervised :] for company in (first, other)
        )
    except (NotImplementedError, TypeError, ValueError, RuntimeError):  # the model cannot take this layout
        return False
    return bool((packed - alone).abs().mean() < rounding and (packed - changed).abs().max() < _LEAK)


@torch.no_grad()
def _evaluated(model: Any, layout: Layout, examples: Sequence[Tokens], device: torch.device) -> torch.Tensor:
    was_training = model.training
    model.eval()
    try:
        return token_losses(model, layout.lay(examples, 0, device), layout.fused)
    finally:
        model.train(was_training)
