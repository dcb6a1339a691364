"""Causal attention inside each example of a packed row, and nowhere else.

A row is ``[1, tokens]``: whole examples one after another, position ids counting from 0 in each. Examples that begin
with the same preamble may share one copy of it: the row then holds the preamble once and the rest of each example after
it. That is exact. Under causal attention the states of a preamble depend on nothing behind it, so they are the same in
every example, and its gradient is the sum over them.

Linear layers run on the row as it is, without padding and without repetition. Only inside the attention are examples
whole again. Where the device has a kernel for ragged sequences they lie one after another for it; elsewhere those of
like length are laid side by side as ``[examples, longest]``, with one causal ``scaled_dot_product_attention`` for each
group. Padding there sits on the right, where causality hides it from every real token, so no mask is needed at all and
the kernels that need none are used.
"""

# ruff: noqa: TID253 - loaded by the worker only

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from transformers import AttentionInterface

NAME = "alpaca_packed"
_WASTE = 1.25  # a group's padded size over its real size, at most


@dataclass(frozen=True)
class Span:
    """The part of an example that is its own, ``[start, start + length)`` of the row, and the preamble before it."""

    start: int
    length: int
    preamble_start: int = 0
    preamble: int = 0  # tokens; 0: all of the example is its own

    @property
    def whole(self) -> int:
        return self.preamble + self.length


class Groups:
    """Where the examples of a row lie, for the attention. Built once per row and used by every layer.

    ``gather`` makes slots of tokens, ``back`` tokens of slots. With ``ragged`` the slots are the examples one after
    another, ``offsets`` says where they begin, and ``longest`` bounds them; without, they are groups of ``shapes``.
    ``copies`` holds, for each preamble, its first token and the slots ``[examples, preamble]`` of all its copies.
    """

    def __init__(self, spans: Sequence[Span], device: torch.device | str = "cpu", ragged: bool = False) -> None:
        tokens = max(max(span.start + span.length, span.preamble_start + span.preamble) for span in spans)
        back = torch.zeros(tokens, dtype=torch.long)
        gather, slot = [], 0
        copies: dict[tuple[int, int], list[torch.Tensor]] = {}
        self.shapes: list[tuple[int, int]] = []
        groups = [list(range(len(spans)))] if ragged else _alike([span.whole for span in spans])
        for group in groups:
            longest = max(spans[i].whole for i in group)
            for i in group:
                span, width = spans[i], spans[i].whole if ragged else longest
                own = torch.arange(span.start, span.start + span.length)
                before = torch.arange(span.preamble_start, span.preamble_start + span.preamble)
                padding = own[-1:].expand(width - span.whole)  # the last token again; nobody looks at it
                gather += [before, own, padding]
                slots = torch.arange(slot, slot + span.whole)
                back[own] = slots[span.preamble :]
                if span.preamble:
                    back[before] = slots[: span.preamble]  # of whichever example comes last: they are all the same
                    copies.setdefault((span.preamble_start, span.preamble), []).append(slots[: span.preamble])
                slot += width
            self.shapes.append((len(group), longest))
        self.gather = torch.cat(gather).to(device)
        self.back = back.to(device)
        self.copies = [(start, torch.stack(slots).to(device)) for (start, _), slots in copies.items()]
        self.ragged = ragged
        if ragged:
            ends = torch.tensor([0, *(span.whole for span in spans)]).cumsum(0)
            self.offsets = ends.to(torch.int32).to(device)
            self.longest = max(span.whole for span in spans)


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
    """Row to slots. Padding gets no gradient and copies of a preamble add theirs up, so the way back is made of
    gathers and one sum, not of a slow scatter-add."""

    @staticmethod
    def forward(ctx, flat: torch.Tensor, groups: Groups) -> torch.Tensor:
        ctx.groups = groups
        return flat.index_select(0, groups.gather)

    @staticmethod
    def backward(ctx, grad: torch.Tensor):  # type: ignore[override]
        out = grad.index_select(0, ctx.groups.back)
        for start, slots in ctx.groups.copies:
            copies = grad.index_select(0, slots.flatten()).view(*slots.shape, *grad.shape[1:])
            out[start : start + slots.shape[1]] = copies.sum(0)
        return out, None


@torch.compiler.disable  # rows differ in their groups: a compiled layer would be compiled for each
def packed_attention(
    module, query, key, value, attention_mask, dropout=0.0, scaling=None, groups=None, sliding_window=None, **extra
):
    """The attention function for transformers: ``query`` is ``[1, heads, tokens, size]``."""
    if groups is None or attention_mask is not None or query.shape[0] != 1:
        raise NotImplementedError("packed attention reads one packed row at a time")
    if extra.get("softcap") is not None or extra.get("s_aux") is not None:
        raise NotImplementedError("packed attention knows neither soft caps nor sinks")
    if torch.is_autocast_enabled(query.device.type):  # rotary embeddings leave queries and keys in float32
        narrow = torch.get_autocast_dtype(query.device.type)
        query, key, value = (states.to(narrow) for states in (query, key, value))
    # [1, heads, tokens, size] -> [slots, heads, size]
    queries, keys, values = (_Spread.apply(states[0].transpose(0, 1), groups) for states in (query, key, value))
    attend = _ragged if groups.ragged else _grouped
    return attend(queries, keys, values, groups, dropout, scaling, sliding_window).index_select(0, groups.back)[
        None
    ], None


def _ragged(queries, keys, values, groups: Groups, dropout, scaling, sliding_window) -> torch.Tensor:
    """All examples in one call of PyTorch's flash attention for sequences of any lengths."""
    from torch.nn.attention.varlen import varlen_attn

    if dropout:
        raise NotImplementedError("ragged attention knows no dropout")
    back = -1 if sliding_window is None else sliding_window - 1
    offsets, longest = groups.offsets, groups.longest
    return varlen_attn(
        queries,
        keys,
        values,
        offsets,
        offsets,
        longest,
        longest,
        scale=scaling,
        window_size=(back, 0),
        enable_gqa=queries.shape[1] != keys.shape[1],
    )


def _grouped(queries, keys, values, groups: Groups, dropout, scaling, sliding_window) -> torch.Tensor:
    """One causal call for each group of examples of like length."""
    heads, shared = queries.shape[1], queries.shape[1] // keys.shape[1]
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
    return torch.cat(outs)


AttentionInterface.register(NAME, packed_attention)  # without a mask of its own: transformers then makes none
