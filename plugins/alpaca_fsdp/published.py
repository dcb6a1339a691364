"""What the published training (train.py of tatsu-lab/stanford_alpaca) did otherwise than ours: order, learning rate,
loss and the row for padding. Its token ids are in ``examples``. See docs/training-parity.md."""

# ruff: noqa: TID253 - loaded by the worker only

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from alpaca_core import ConfigError
from alpaca_fsdp.examples import Tokens
from alpaca_fsdp.options import LocalOptions
from alpaca_fsdp.order import Order, TrainerOrder

# What the published code names where a tokenizer lacks it.
_TOKENS = {"eos_token": "</s>", "bos_token": "<s>", "unk_token": "<unk>"}
_PAD = "[PAD]"


def order(options: LocalOptions, examples: int, seed: int, processes: int) -> Order | TrainerOrder:
    """The order that ``options.stepping`` names. Raises ConfigError when the batch is no whole number of the
    micro-batches that all processes read together."""
    if options.stepping != "trainer":
        return Order(examples, options.batch_size, seed)
    together = options.micro_batch * processes
    if options.batch_size % together:
        raise ConfigError(
            f"trainer.batch_size is {options.batch_size}, which is no multiple of {together}: trainer.micro_batch"
            f" {options.micro_batch} x {processes} process(es).",
            hint="transformers' Trainer cannot make such batches. Set trainer.micro_batch or trainer.stepping=own.",
        )
    return TrainerOrder(examples, options.batch_size, seed, options.micro_batch, processes)


def done(step: int, steps: int, options: LocalOptions) -> float:
    """How far training is at ``step`` (from 0) of ``steps``, as a share, for ``optimizer.learning_rate``.

    Ours is one step ahead, so that the first step learns too. transformers' Trainer warms up over whole
    steps and begins with a rate of 0.
    """
    if options.stepping != "trainer":
        return (step + 1) / (steps + 1)
    warmup = options.warmup or 0.0
    rising = math.ceil(steps * warmup)
    if step < rising:
        return warmup * step / rising
    return warmup + (1 - warmup) * (step - rising) / max(1, steps - rising)


def factors(options: LocalOptions, batch: Sequence[Tokens]) -> torch.Tensor | None:
    """What each example's token losses are multiplied by, before the mean over all supervised tokens of ``batch`` is
    taken; None where that mean is meant.

    With ``loss`` "micro-batches" the result is the mean over the micro-batches of the mean over each one's tokens, so a
    token among few counts more: so it was in 2023. A micro-batch without supervised tokens counts as 0.
    """
    if options.loss != "micro-batches":
        return None
    size = options.micro_batch
    micro = [sum(example.supervised for example in batch[i : i + size]) for i in range(0, len(batch), size)]
    everything = sum(micro)
    return torch.tensor([everything / (len(micro) * max(1, micro[i // size])) for i in range(len(batch))])


@torch.no_grad()
def add_pad_row(model: Any, words: Any) -> None:
    """Give a tokenizer without a pad token one, [PAD], and the model a row for it: the mean of the other rows, in input
    and output embeddings. The row is never a target, but it is among the words that the softmax runs over."""
    if words.pad_token is not None:
        return
    missing = {name: token for name, token in _TOKENS.items() if getattr(words, name) is None}
    new = words.add_special_tokens({"pad_token": _PAD, **missing})
    model.resize_token_embeddings(len(words), mean_resizing=False)
    if new:
        for embeddings in (model.get_input_embeddings(), model.get_output_embeddings()):
            rows = embeddings.weight
            rows[-new:] = rows[:-new].mean(dim=0, keepdim=True)
