"""From rows to token ids, and the order in which training sees them."""

# ruff: noqa: TID253 - loaded by the worker only

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch

from alpaca_core import ChatTemplate, ConfigError, Example
from alpaca_fsdp import data
from alpaca_fsdp.encoding import encode


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
    examples: Sequence[Example], template: ChatTemplate, tokenizer: Any, max_length: int, encoding: str = "ids"
) -> tuple[list[Tokens], list[int]]:
    """The examples to train on, and the rows whose prompt alone fills ``max_length`` tokens. Those are left out, as
    they teach nothing, but for the encoding ``text``, whose batches they belong to.

    ``ids``: prompt and prompt + response are tokenised as texts, and as many tokens as the prompt has are not learnt.
    A BOS comes first where the tokenizer has one. The end of text is appended by id, so a row cut off on the right has
    none. What looks like a control token in the data stays text, unless the template itself uses them.

    ``text``: as published. The end of text is a text too, the tokenizer itself adds what it adds to every text and cuts
    at ``max_length``, and control tokens in the data are control tokens. Of the prompt's tokens those count that are
    not the pad token.
    """
    prompts = [template.prompt(example) for example in examples]
    responses = [template.response(example) for example in examples]
    ids_and_lengths = _published if encoding == "text" else _by_id
    all_ids, masked = ids_and_lengths(prompts, responses, template, tokenizer, max_length)
    # One tensor and parts of it: 9,000 made one by one took a sixth of all the time.
    flat = torch.frombuffer(array("q", chain.from_iterable(all_ids)) or array("q", [0]), dtype=torch.long)
    at = 0
    found, too_long = [], []
    for row, (ids, prompt) in enumerate(zip(all_ids, masked, strict=True)):
        at += len(ids)
        prompt = max(prompt, 1)  # the very first token has nothing to be predicted from
        if prompt >= len(ids):
            too_long.append(row)
        if prompt < len(ids) or (encoding == "text" and ids):
            found.append(Tokens(flat[at - len(ids) : at], min(prompt, len(ids)), row))
    if len(too_long) == len(examples):
        raise ConfigError(
            f"Every prompt of the training data fills max_length = {max_length} tokens: nothing is left to learn.",
            hint="Raise trainer.max_length.",
        )
    return found, too_long


def _by_id(
    prompts: list[str], responses: list[str], template: ChatTemplate, tokenizer: Any, max_length: int
) -> tuple[list[list[int]], list[int]]:
    lines = data.fixed_lines(template)
    split = not any(token in line for line in lines for token in tokenizer.all_special_tokens)
    wholes = [prompt + response for prompt, response in zip(prompts, responses, strict=True)]
    found, lengths = encode(prompts, wholes, tokenizer, add_special_tokens=False, split_special_tokens=split)
    bos = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    ids = [(bos + each + [tokenizer.eos_token_id])[:max_length] for each in found]
    return ids, [len(bos) + length for length in lengths]


def _published(
    prompts: list[str], responses: list[str], template: ChatTemplate, tokenizer: Any, max_length: int
) -> tuple[list[list[int]], list[int]]:
    wholes = [prompt + response + tokenizer.eos_token for prompt, response in zip(prompts, responses, strict=True)]
    return encode(prompts, wholes, tokenizer, tokenizer.pad_token_id, truncation=True, max_length=max_length)
