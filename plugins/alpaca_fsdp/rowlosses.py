"""The mean loss of every row in every epoch: ``row_losses.jsonl``."""

# ruff: noqa: TID253 - loaded by the worker only

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from alpaca_fsdp.examples import Tokens
from alpaca_fsdp.rows import Row

NAME = "row_losses.jsonl"

#: What a process has computed of a step: the examples of each row, the row, the loss of each of its targets.
Found = Sequence[tuple[Sequence[Tokens], Row, torch.Tensor]]


def sums(found: Found, batch: Sequence[Tokens], device: torch.device) -> torch.Tensor:
    """``[len(batch)]``, float64: the summed loss of each example of ``batch`` that this process has computed, 0 for
    the others. Added up over the processes it is whole. Waits for no device."""
    places = {example.row: place for place, example in enumerate(batch)}
    total = torch.zeros(len(batch), dtype=torch.float64, device=device)
    mine = [(examples, row, each) for examples, row, each in found if examples]
    if mine:
        owners = [torch.tensor([places[e.row] for e in examples])[row.owners.cpu()] for examples, row, _ in mine]
        total.index_add_(0, torch.cat(owners).to(device), torch.cat([each for *_, each in mine]).double())
    return total


def lines(
    step: int, epoch: int, batch: Sequence[Tokens], summed: Sequence[float], ids: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """One line for each row of a step: the mean over its supervised ``tokens``, with its id where that is known."""
    for example, loss in zip(batch, summed, strict=True):
        if example.supervised <= 0:  # it teaches nothing
            continue
        name = {"id": ids[example.row]} if ids else {}
        mean = round(loss / example.supervised, 6)
        yield {"epoch": epoch, "step": step, "row": example.row, **name, "loss": mean, "tokens": example.supervised}
