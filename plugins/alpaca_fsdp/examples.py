"""From rows to token ids, and the order in which training sees them."""

# ruff: noqa: TID253 - loaded by the worker only

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Any

import torch

from alpaca_core import ChatTemplate, ConfigError, Example
from alpaca_fsdp import data


@dataclass(frozen=True)
class Tokens:
    """A tokenised example: ``ids`` of prompt and response, of which the first ``prompt`` are not learnt. ``row`` is its
    place in the data. All examples of a ``family`` begin with the same ``preamble`` tokens; see ``preambles``."""

    ids: torch.Tensor
    prompt: int
    row: int
    preamble: int = 0
    family: int = 0

    @property
    def supervised(self) -> int:
        return len(self.ids) - self.prompt


def tokenize(
    examples: Sequence[Example], template: ChatTemplate, tokenizer: Any, max_length: int
) -> tuple[list[Tokens], list[int]]:
    """The examples that teach something, and the rows whose prompt alone fills ``max_length`` tokens.

    As published: prompt and prompt + response are tokenised as texts, and as many tokens as the prompt has are not
    learnt. A BOS comes first where the tokenizer has one. The end of text is appended by id, so a row cut off on the
    right has none. What looks like a control token in the data stays text, unless the template itself uses them.
    """
    lines = data.fixed_lines(template)
    split = not any(token in line for line in lines for token in tokenizer.all_special_tokens)

    def encode(texts: list[str]) -> list[list[int]]:
        return tokenizer(texts, add_special_tokens=False, split_special_tokens=split)["input_ids"]

    bos = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    prompts = [template.prompt(example) for example in examples]
    whole = [prompt + template.response(example) for prompt, example in zip(prompts, examples, strict=True)]
    found, too_long = [], []
    for row, (prompt, ids) in enumerate(zip(encode(prompts), encode(whole), strict=True)):
        ids = (bos + ids + [tokenizer.eos_token_id])[:max_length]
        masked = max(len(bos) + len(prompt), 1)  # the very first token has nothing to be predicted from
        if masked < len(ids):
            found.append(Tokens(torch.tensor(ids), masked, row))
        else:
            too_long.append(row)
    if not found:
        raise ConfigError(
            f"Every prompt of the training data fills max_length = {max_length} tokens: nothing is left to learn.",
            hint="Raise trainer.max_length.",
        )
    return found, too_long


@dataclass(frozen=True)
class Order:
    """Which examples each optimizer step sees: a pure function of (number of examples, batch size, seed, step).

    Every epoch is a new shuffle; the last batch of an epoch may be smaller.
    """

    examples: int
    batch_size: int
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        return -(-self.examples // self.batch_size)

    def batch(self, step: int) -> list[int]:
        epoch, place = divmod(step, self.steps_per_epoch)
        return _shuffled(self.examples, self.seed, epoch)[place * self.batch_size :][: self.batch_size]


@lru_cache(maxsize=2)
def _shuffled(n: int, seed: int, epoch: int) -> list[int]:
    order = list(range(n))
    Random(f"{seed} {epoch}").shuffle(order)
    return order
