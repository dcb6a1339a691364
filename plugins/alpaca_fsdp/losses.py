"""The loss of each supervised token, by the fastest layout that provably keeps examples apart."""

# ruff: noqa: TID253 - loaded by the worker only

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F

from alpaca_fsdp import attention, rows
from alpaca_fsdp.examples import Tokens

# The largest difference that rounding explains, by dtype: an example alone against the same one in company.
_ROUNDING = {torch.float32: 1e-3, torch.bfloat16: 0.25}
_LEAK = 1e-5  # and when only its company changes: the sums are the same ones, in the same order


@dataclass(frozen=True)
class Layout:
    """How examples become a forward pass. ``lay`` makes the row; ``attention`` is what the model runs with."""

    name: str
    lay: Callable[[Sequence[Tokens], int, torch.device], rows.Row]
    attention: str | None = None  # None: the model's own


PACKED = Layout("packed rows", partial(rows.packed, grouped=True), attention.NAME)
MASKED = Layout("packed rows, masked attention", partial(rows.packed, grouped=False))
PADDED = Layout("padded rows", rows.padded)


def token_losses(model: Any, row: rows.Row) -> torch.Tensor:
    """Cross-entropy of every supervised token of ``row``, in float32. Logits are computed for these alone where the
    row is a single one and the model offers it."""
    inputs = dict(row.inputs, use_cache=False)
    if inputs["input_ids"].shape[0] == 1 and "logits_to_keep" in inspect.signature(model.forward).parameters:
        logits = model(**inputs, logits_to_keep=row.keep).logits[0]
    else:
        logits = model(**inputs).logits.flatten(0, 1)[row.keep]
    return F.cross_entropy(logits.float(), row.targets, ignore_index=rows.IGNORE, reduction="none")


def choose(model: Any, examples: Sequence[Tokens], packing: bool, device: torch.device, dtype: torch.dtype) -> Layout:
    """The first layout that passes the test with this very model; padded rows need none. Sets the model's attention.

    The test packs two examples. The second's losses must be those it has alone, and must not move when the first is
    replaced: so no attention passes between examples, whatever the architecture.
    """
    examples = [example for example in examples if example.supervised]
    if packing:
        own = model.config._attn_implementation
        for layout in (PACKED, MASKED):
            model.set_attn_implementation(layout.attention or own)
            if model.config._attn_implementation == (layout.attention or own) and _apart(
                model, layout, examples, device, dtype
            ):
                return layout
        model.set_attn_implementation(own)
    return PADDED


@torch.no_grad()
def _apart(model: Any, layout: Layout, examples: Sequence[Tokens], device: torch.device, dtype: torch.dtype) -> bool:
    first, second = examples[0], examples[-1]
    other = Tokens(first.ids.flip(0), first.prompt, first.row)

    def of_second(*company: Tokens) -> torch.Tensor:
        losses = token_losses(model, layout.lay([*company, second], 0, device))
        return losses[len(losses) - second.supervised :]

    was_training = model.training
    model.eval()
    try:
        alone, packed, changed = of_second(), of_second(first), of_second(other)
    except (NotImplementedError, TypeError, ValueError):  # the model cannot take this layout
        return False
    finally:
        model.train(was_training)
    return bool((packed - alone).abs().max() < _ROUNDING[dtype] and (packed - changed).abs().max() < _LEAK)
