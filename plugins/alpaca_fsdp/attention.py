"""Causal attention inside each example of a packed row, and nowhere else.

A row is ``[1, tokens]``: whole examples one after another, position ids counting from 0 in each. Linear layers run on
the row as it is, without padding. Only inside the attention are examples laid side by side: those of like length are
gathered into ``[examples, longest]``, one causal ``scaled_dot_product_attention`` call per group, and scattered back.
Padding there sits on the right, where causality hides it from every real token, so no mask is needed at all and the
kernels that need none are used.
"""

# ruff: noqa: TID253 - loaded by the worker only

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from transformers import AttentionInterface, AttentionMaskInterface

NAME = "alpaca_packed"
_WASTE = 1.25  # a group's padded size over its real size, at most


class Groups:
    """Where the examples of a row lie, for the attention. Built once per row and used by every layer."""

    def __init__(self, lengths: Sequence[int], device: torch.device | str = "cpu") -> None:
        starts, at = [], 0
        for length in lengths:
            starts.append(at)
            at += length
        self.shapes: list[tuple[int, int]] = []
        gather, back, slot = [], torch.empty(at, dtype=torch.long), 0
        for group in _alike(lengths):
            longest = max(lengths[i] for i in group)
            columns = torch.arange(longest)
            begin = torch.tensor([starts[i] for i in group])[:, None]
            last = torch.tensor([lengths[i] - 1 for i in group])[:, None]
            index = begin + torch.minimum(columns, last)  # padding repeats the last token; nobody looks at it
            real = columns <= last
            gather.append(index.flatten())
            back[index[real]] = slot + real.flatten().nonzero().squeeze(1)
            slot += index.numel()
            self.shapes.append((len(group), longest))
        self.gather = torch.cat(gather).to(device)
        self.back = back.to(device)


def _alike(lengths: Sequence[int]) -> list[list[int]]:
    """The examples, longest first, cut into groups that waste little when padded to their longest."""
    groups: list[list[int]] = []
    real = 0
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if groups:
            group = groups[-1]
            if lengths[group[0]] * (len(group) + 1) <= _WASTE * (real + lengths[i]):
                group.append(i)
                real += lengths[i]
                continue
        groups.append([i])
        real = lengths[i]
    return groups


class _Spread(torch.autograd.Function):
    """Row to groups. Padding slots get no gradient, so the way back is a gather too, not a slow scatter-add."""

    @staticmethod
    def forward(ctx, flat: torch.Tensor, gather: torch.Tensor, back: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(back)
        return flat.index_select(0, gather)

    @staticmethod
    def backward(ctx, grad: torch.Tensor):  # type: ignore[override]
        (back,) = ctx.saved_tensors
        return grad.index_select(0, back), None, None


def packed_attention(
    module, query, key, value, attention_mask, dropout=0.0, scaling=None, groups=None, sliding_window=None, **extra
):
    """The attention function for transformers: ``query`` is ``[1, heads, tokens, size]``."""
    if groups is None or attention_mask is not None or query.shape[0] != 1:
        raise NotImplementedError("packed attention reads one packed row at a time")
    if extra.get("softcap") is not None or extra.get("s_aux") is not None:
        raise NotImplementedError("packed attention knows neither soft caps nor sinks")
    heads, shared = query.shape[1], query.shape[1] // key.shape[1]

    def spread(states: torch.Tensor) -> torch.Tensor:  # [1, heads, tokens, size] -> [slots, heads, size]
        return _Spread.apply(states[0].transpose(0, 1), groups.gather, groups.back)

    queries, keys, values = spread(query), spread(key), spread(value)
    if shared > 1:
        keys, values = keys.repeat_interleave(shared, 1), values.repeat_interleave(shared, 1)
    outs, at = [], 0
    for examples, longest in groups.shapes:
        q, k, v = (
            states[at : at + examples * longest].view(examples, longest, heads, -1).transpose(1, 2)
            for states in (queries, keys, values)
        )
        mask = None
        if sliding_window is not None and sliding_window < longest:
            near = torch.arange(longest, device=q.device)
            ahead = near[:, None] - near
            mask = (ahead >= 0) & (ahead < sliding_window)
        out = F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, dropout_p=dropout, scale=scaling, is_causal=mask is None
        )
        outs.append(out.transpose(1, 2).reshape(examples * longest, heads, -1))
        at += examples * longest
    return torch.cat(outs).index_select(0, groups.back)[None], None


AttentionInterface.register(NAME, packed_attention)
AttentionMaskInterface.register(NAME, lambda *args, **kwargs: None)
