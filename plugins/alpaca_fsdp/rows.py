"""Examples laid out for one forward pass: packed without padding, or padded."""

# ruff: noqa: TID253 - loaded by the worker only

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from alpaca_fsdp.attention import Groups
from alpaca_fsdp.examples import Tokens

IGNORE = -100


@dataclass(frozen=True)
class Row:
    """``inputs`` go to the model. ``keep`` are the flat positions whose logits predict ``targets``; ``owners`` are the
    examples that these belong to, by place in the row's list."""

    inputs: dict[str, Any]
    keep: torch.Tensor
    targets: torch.Tensor
    owners: torch.Tensor


def share(lengths: Sequence[int], processes: int, capacity: int) -> list[list[int]]:
    """Examples (by place) in rows of at most ``capacity`` tokens, longest first into the emptiest row.

    As few rows as can be, as many for every process (rows ``rank::processes`` are for ``rank``), about equally full.
    A row may be empty where there are fewer examples than processes; an example over ``capacity`` has its own.
    """
    each = max(1, -(-sum(lengths) // (capacity * processes)))
    while True:
        rows: list[list[int]] = [[] for _ in range(each * processes)]
        fill = [(0, row) for row in range(len(rows))]
        for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
            tokens, row = fill[0]
            heapq.heapreplace(fill, (tokens + lengths[i], row))
            rows[row].append(i)
        if all(tokens <= capacity or len(rows[row]) == 1 for tokens, row in fill):
            return rows
        each += 1


def packed(examples: Sequence[Tokens], filler: int, device: torch.device, grouped: bool) -> Row:
    """One row ``[1, tokens]`` with position ids from 0 in every example. ``grouped`` adds what our attention needs.

    There is deliberately no attention mask: with one, transformers no longer sees examples in the position ids, and
    attention leaks between them.
    """
    lengths = [len(example.ids) for example in examples] or [1]
    ids = torch.cat([example.ids for example in examples]) if examples else torch.tensor([filler])
    positions = torch.cat([torch.arange(length) for length in lengths])
    keep, at = [], 0
    for example in examples:
        keep.append(torch.arange(at + example.prompt - 1, at + len(example.ids) - 1))
        at += len(example.ids)
    inputs: dict[str, Any] = {"input_ids": ids[None].to(device), "position_ids": positions[None].to(device)}
    if grouped:
        inputs["groups"] = Groups(lengths, device)
    return _row(inputs, examples, keep, lambda kept: ids[kept + 1], device)


def padded(examples: Sequence[Tokens], filler: int, device: torch.device) -> Row:
    """``[examples, longest]``, padded on the right with ``filler`` under an attention mask."""
    lengths = torch.tensor([len(example.ids) for example in examples] or [1])
    longest = int(lengths.max())
    ids = torch.full((len(lengths), longest), filler)
    keep = []
    for i, example in enumerate(examples):
        ids[i, : len(example.ids)] = example.ids
        keep.append(torch.arange(example.prompt - 1, len(example.ids) - 1) + i * longest)
    mask = (torch.arange(longest) < lengths[:, None]).long()
    inputs = {"input_ids": ids.to(device), "attention_mask": mask.to(device)}
    return _row(inputs, examples, keep, lambda kept: ids.flatten()[kept + 1], device)


def _row(inputs: dict[str, Any], examples: Sequence[Tokens], keep: list, target: Any, device: torch.device) -> Row:
    if not examples:  # a process without work still takes part, with a token that nobody is asked about
        nothing = torch.zeros(1, dtype=torch.long)
        return Row(inputs, nothing.to(device), torch.full((1,), IGNORE).to(device), nothing)
    kept = torch.cat(keep)
    owners = torch.repeat_interleave(torch.tensor([len(places) for places in keep]))
    return Row(inputs, kept.to(device), target(kept).to(device), owners)
