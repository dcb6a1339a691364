"""Sample answers while a student learns: ``samples.jsonl``."""

# ruff: noqa: TID253 - loaded by the worker only

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch.distributed.fsdp import FSDPModule

from alpaca_core import ChatTemplate, ConfigError, Example
from alpaca_fsdp.examples import Tokens, tokenize
from alpaca_fsdp.world import World

NAME = "samples.jsonl"
ROUNDS = 5  # at most, in one training
LONGEST = 128  # tokens of an answer
SHORT = LONGEST // 2  # rows whose own answer has no more are taken first: a cut answer then says something
AT_THE_END = 20  # answers on which the stop rate rests
EXPECTED = 0.95  # of answers end by themselves, or people are warned


@dataclass(frozen=True)
class Sample:
    """A row with the student's answer to it. ``stopped``: the answer ended by the end-of-text token."""

    example: Example
    row: int
    answer: str
    stopped: bool

    def as_dict(self, heldout: bool) -> dict[str, Any]:
        """The line of ``samples.jsonl``. ``heldout``: the row is not trained on, and ``row`` counts in heldout.json."""
        given = self.example.input
        return {
            "row": self.row,
            "id": self.example.id,
            "heldout": heldout,
            "prompt": self.example.instruction + (f"\n{given}" if given else ""),
            "answer": self.answer,
            "reference": self.example.output,
            "stopped": self.stopped,
        }


def due(step: int, steps: int, steps_per_epoch: int) -> bool:
    """Whether there are samples after ``step``: at each epoch's end, or, where there are more than ``ROUNDS`` epochs,
    at the first such end in each ``ROUNDS``-th part of the training; and at the very end."""
    if step == steps:
        return True
    if step % steps_per_epoch or step > steps - steps_per_epoch // 2:  # no two rounds within half an epoch at the end
        return False
    return steps <= ROUNDS * steps_per_epoch or step * ROUNDS // steps > (step - steps_per_epoch) * ROUNDS // steps


class Samples:
    """Asks the student ``count`` fixed rows now and then: held-out ones where there are any, else rows of the data.

    Answers are greedy, and at most twice as long as the longest reference (``LONGEST`` at most). Nothing of the
    training changes: no random number is drawn, and the model is left as it was found.
    """

    def __init__(self, count: int, tokens: Sequence[Tokens], examples: Sequence[Example], words: Any, heldout: bool):
        self.count, self.words, self.heldout = count, words, heldout
        short = [example for example in tokens if 0 < example.supervised <= SHORT]
        most = max(count, AT_THE_END)
        pool = short if len(short) >= most else list(tokens)
        self.asked = Random(0).sample(pool, min(most, len(pool)))
        self.examples = examples

    @classmethod
    def of(
        cls,
        count: int,
        heldout: Path | None,
        tokens: Sequence[Tokens],
        examples: Sequence[Example],
        template: ChatTemplate,
        words: Any,
        max_length: int,
    ) -> Samples:
        """From the rows of ``heldout``, a JSON list, or from the ``tokens`` of the training's own ``examples``."""
        if heldout is not None and heldout.is_file():
            rows = json.loads(heldout.read_text(encoding="utf-8"))
            unseen = [Example(r["instruction"], r["input"], r["output"], id=r.get("id", "")) for r in rows]
            try:
                found, _ = tokenize(unseen, template, words, max_length)
                return cls(count, found, unseen, words, True)
            except ConfigError:  # none of them fits
                pass
        return cls(count, tokens, examples, words, False)

    def take(self, model: Any, world: World, casting: AbstractContextManager, *, all: bool = False) -> list[Sample]:
        """The answers to the first ``count`` rows, or to ``all``. Every process takes part, with the same prompts."""
        asked = self.asked if all else self.asked[: self.count]
        with answering(model, world), casting:
            return list(self._answers(model, asked, world))

    def _answers(self, model: Any, asked: Sequence[Tokens], world: World) -> Iterator[Sample]:
        prompts = [example.ids[: example.prompt] for example in asked]
        longest = max(len(prompt) for prompt in prompts)
        room = (getattr(model.config, "max_position_embeddings", None) or 1 << 30) - longest
        limit = min(LONGEST, 2 * max(example.supervised for example in asked), room)
        filler = self.words.pad_token_id if self.words.pad_token_id is not None else self.words.eos_token_id
        ids = torch.full((len(asked), longest), filler)
        mask = torch.zeros_like(ids)
        for place, prompt in enumerate(prompts):  # padded on the left, where answers do not grow
            ids[place, longest - len(prompt) :] = prompt
            mask[place, longest - len(prompt) :] = 1
        made = model.generate(
            ids.to(world.device),
            attention_mask=mask.to(world.device),
            max_new_tokens=max(1, limit),
            do_sample=False,
            num_beams=1,
            use_cache=True,
            eos_token_id=self.words.eos_token_id,
            pad_token_id=filler,
            synced_gpus=world.size > 1,  # all go on until all are done: a sharded model needs every process each time
        )[:, longest:].tolist()
        for example, tokens in zip(asked, made, strict=True):
            stopped = self.words.eos_token_id in tokens
            tokens = tokens[: tokens.index(self.words.eos_token_id)] if stopped else tokens
            text = self.words.decode(tokens, skip_special_tokens=True).strip()
            yield Sample(self.examples[example.row], example.row, text, stopped)


@contextmanager
def answering(model: Any, world: World) -> Iterator[None]:
    """The model as generation needs it: an attention that knows a cache, no dropout, no gradient, nothing compiled for
    shapes of one moment; its shards gathered once and not for each token, where there is room. Afterwards as it was."""
    own, was_training = model.config._attn_implementation, model.training
    model.eval()
    model.set_attn_implementation("sdpa" if model._supports_sdpa else "eager")
    shards = {module: _parts(module) for module in model.modules() if isinstance(module, FSDPModule)}
    whole = bool(shards) and _has_room(model, world)
    for module in shards if whole else ():
        module.set_reshard_after_forward(False, recurse=False)
    devices = [world.device] if world.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices), torch.compiler.set_stance("force_eager"), torch.no_grad():
            yield
    finally:
        for module, parts in shards.items():
            if whole:
                module.set_reshard_after_forward(parts, recurse=False)
            module.reshard()  # the root's stay whole after a forward pass
        model.set_attn_implementation(own)
        model.train(was_training)


def _parts(module: FSDPModule) -> bool:
    """Whether ``module`` gives its gathered parameters back after a forward pass; FSDP2 has a setter only."""
    return any(group.post_forward_mesh_info is not None for group in module._get_fsdp_state()._fsdp_param_groups)


def _has_room(model: Any, world: World) -> bool:
    """Whether the whole model, counted in float32, fits beside what every process holds."""
    if world.device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(world.device)
    free += torch.cuda.memory_reserved(world.device) - torch.cuda.memory_allocated(world.device)
    room = free > 4 * sum(parameter.numel() for parameter in model.parameters())
    return world.sum(torch.tensor([float(room)], device=world.device)).item() == world.size


def stop_rate(taken: Sequence[Sample]) -> float:
    """The share of the answers that ended by themselves."""
    return sum(sample.stopped for sample in taken) / len(taken)
