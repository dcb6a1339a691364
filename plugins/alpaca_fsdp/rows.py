"""Examples laid out for one forward pass: packed without padding, or padded."""

# ruff: noqa: TID253 - loaded by the worker only

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from alpaca_fsdp.attention import Groups, Span
from alpaca_fsdp.examples import Tokens

IGNORE = -100
Attention = Literal["grouped", "ragged"] | None  # ours, in one of its two forms, or the model's own


@dataclass(frozen=True)
class Row:
    """``inputs`` go to the model. ``keep`` are the flat positions whose logits predict ``targets``; ``owners`` are the
    examples that these belong to, by place in the row's list."""

    inputs: dict[str, Any]
    keep: torch.Tensor
    targets: torch.Tensor
    owners: torch.Tensor


def share(examples: Sequence[Tokens], processes: int, capacity: int, padded: bool = False) -> list[list[int]]:
    """Examples (by place) in rows of at most ``capacity`` tokens, longest first into the emptiest row; ``padded``:
    those of like length together, padding counted.

    As few rows as can be, as many for every process (rows ``rank::processes`` are for ``rank``), about equally full.
    A row may be empty where there are fewer examples than processes; an example over ``capacity`` has its own. Room for
    every preamble is kept in every row.
    """
    if padded:
        return _side_by_side([len(example.ids) for example in examples], processes, capacity)
    own = [len(example.ids) - example.preamble for example in examples]
    capacity -= sum({example.family: example.preamble for example in examples}.values())
    most = -(-len(own) // processes)  # one example in each row
    each = min(most, max(1, -(-sum(own) // (max(capacity, 1) * processes))))
    while True:
        rows: list[list[int]] = [[] for _ in range(each * processes)]
        fill = [(0, row) for row in range(len(rows))]
        for i in sorted(range(len(own)), key=lambda i: -own[i]):
            tokens, row = fill[0]
            heapq.heapreplace(fill, (tokens + own[i], row))
            rows[row].append(i)
        if all(tokens <= capacity or len(rows[row]) <= 1 for tokens, row in fill):
            return rows
        each += 1


def _side_by_side(lengths: Sequence[int], processes: int, capacity: int) -> list[list[int]]:
    rows: list[list[int]] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if rows and lengths[rows[-1][0]] * (len(rows[-1]) + 1) <= capacity:
            rows[-1].append(i)
        else:
            rows.append([i])
    return rows + [[] for _ in range(-len(rows) % processes)]


def packed(examples: Sequence[Tokens], filler: int, device: torch.device, attention: Attention) -> Row:
    """One row ``[1, tokens]`` with position ids from 0 in every example; with our attention, each preamble once.

    There is deliberately no attention mask: with one, transformers no longer sees examples in the position ids, and
    attention leaks between them.
    """
    if not examples:
        return _nothing(filler, device, attention)
    parts, positions, keep, targets, spans = [], [], [], [], []
    at = 0
    preambles: dict[int, int] = {}  # where each family's begins
    for example in examples:
        shared = example.preamble if attention is not None else 0
        if shared and example.family not in preambles:
            preambles[example.family] = at
            parts.append(example.ids[:shared])
            positions.append(torch.arange(shared))
            at += shared
        length = len(example.ids) - shared
        parts.append(example.ids[shared:])
        positions.append(torch.arange(shared, shared + length))
        keep.append(torch.arange(at + example.prompt - 1 - shared, at + length - 1))
        targets.append(example.ids[example.prompt :])
        spans.append(Span(at, length, preambles.get(example.family, 0) if shared else 0, shared))
        at += length
    inputs: dict[str, Any] = {
        "input_ids": torch.cat(parts)[None].to(device),
        "position_ids": torch.cat(positions)[None].to(device),
    }
    if attention is not None:
        inputs["groups"] = Groups(spans, device, attention == "ragged")
    return _row(inputs, keep, targets, device)


def padded(examples: Sequence[Tokens], filler: int, device: torch.device) -> Row:
    """``[examples, longest]``, padded on the right with ``filler`` under an attention mask."""
    if not examples:
        row = _nothing(filler, device, None)
        del row.inputs["position_ids"]
        return row
    lengths = torch.tensor([len(example.ids) for example in examples])
    longest = int(lengths.max())
    ids = torch.full((len(lengths), longest), filler)
    keep = []
    for i, example in enumerate(examples):
        ids[i, : len(example.ids)] = example.ids
        keep.append(torch.arange(example.prompt - 1, len(example.ids) - 1) + i * longest)
    mask = (torch.arange(longest) < lengths[:, None]).long()
    inputs = {"input_ids": ids.to(device), "attention_mask": mask.to(device)}
    return _row(inputs, keep, [example.ids[example.prompt :] for example in examples], device)


def _row(inputs: dict[str, Any], keep: list[torch.Tensor], targets: list[torch.Tensor], device: torch.device) -> Row:
    owners = torch.repeat_interleave(torch.tensor([len(places) for places in keep]))
    return Row(inputs, torch.cat(keep).to(device), torch.cat(targets).to(device), owners)


def _nothing(filler: int, device: torch.device, attention: Attention) -> Row:
    """A process without work still takes part, with a token that nobody is asked about."""
    zero = torch.zeros(1, dtype=torch.long)
    one = torch.zeros(1, 1, dtype=torch.long, device=device)
    inputs: dict[str, Any] = {"input_ids": one + filler, "position_ids": one}
    if attention is not None:
        inputs["groups"] = Groups([Span(0, 1)], device, attention == "ragged")
    return Row(inputs, zero.to(device), torch.full((1,), IGNORE).to(device), zero)
