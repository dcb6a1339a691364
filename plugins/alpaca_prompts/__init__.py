"""Teacher-side prompts: how new tasks are asked for, and how the answer is read."""

from __future__ import annotations

from alpaca_core import PromptSpec, hookimpl
from alpaca_prompts.options import Alpaca2023Options, EvolOptions, SelfInstructOptions, TopicsOptions

__all__ = ["Alpaca2023Options", "EvolOptions", "SelfInstructOptions", "TopicsOptions"]


@hookimpl
def alpaca_prompts() -> list[PromptSpec]:
    return [
        PromptSpec(
            name="self-instruct",
            target="alpaca_prompts.self_instruct:SelfInstruct",
            summary="Shows a few seed tasks and asks for 20 new ones.",
            options=SelfInstructOptions,
        ),
        PromptSpec(
            name="topics",
            target="alpaca_prompts.topics:Topics",
            summary="As self-instruct, on the topics of a list of yours, all of them evenly.",
            options=TopicsOptions,
        ),
        PromptSpec(
            name="evol",
            target="alpaca_prompts.evol:Evol",
            summary="Asks for harder and rarer tasks from those that were kept so far.",
            options=EvolOptions,
        ),
        PromptSpec(
            name="alpaca-2023",
            target="alpaca_prompts.alpaca_2023:Alpaca2023",
            summary="The procedure published with Stanford Alpaca: a list of 20 that begins with 3 seed tasks.",
            options=Alpaca2023Options,
        ),
    ]
