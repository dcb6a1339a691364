"""Teacher-side prompts: how new tasks are asked for, and how the answer is read."""

from __future__ import annotations

from dataclasses import dataclass, field

from alpaca_core import PromptSpec, hookimpl


@dataclass(frozen=True)
class SelfInstructOptions:
    """What ``self-instruct`` asks for."""

    items: int = field(default=20, metadata={"help": "New tasks asked for in one request."})
    examples: int = field(default=3, metadata={"help": "Seed tasks shown in one request, drawn at random."})

    def __post_init__(self) -> None:
        _within("items", self.items, 1, 100)
        _within("examples", self.examples, 0, 20)


@dataclass(frozen=True)
class Alpaca2023Options:
    """What ``alpaca-2023`` asks for. The published procedure shows 3 tasks and asks for 20 in all."""

    items: int = field(default=20, metadata={"help": "Tasks in the whole list, the examples counted."})
    examples: int = field(default=3, metadata={"help": "Seed tasks that the list begins with."})
    header: str = field(
        default="", metadata={"help": "A text file to use for the words before the list (the published prompt.txt)."}
    )

    def __post_init__(self) -> None:
        _within("examples", self.examples, 1, 20)
        _within("items", self.items, self.examples + 1, 100)


def _within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} must be {low} to {high}, not {value}")


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
            name="alpaca-2023",
            target="alpaca_prompts.alpaca_2023:Alpaca2023",
            summary="The procedure published with Stanford Alpaca: a list of 20 that begins with 3 seed tasks.",
            options=Alpaca2023Options,
        ),
    ]
