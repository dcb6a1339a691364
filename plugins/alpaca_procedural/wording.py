"""How a practice task is worded: a request with alternatives in braces, its data inside the sentence or as an input."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from random import Random

from alpaca_procedural.lexicon import ASKERS, ERRANDS

_CHOICE = re.compile(r"\{([^{}]*)\}")
_WITH_INPUT = 0.2  # share of the tasks that carry their data as an input


@dataclass(frozen=True, slots=True)
class Draft:
    """One task before it is worded: what to fill into the request's ``%s``, the data, and the computed answer."""

    data: str
    output: str
    argument: str = ""


@dataclass(frozen=True, slots=True)
class Family:
    """A kind of task.

    ``wordings`` are requests without their full stop. ``{a|b}`` stands for either; ``<this>`` and ``<these>`` also
    become "the following" where the data come after; ``%s`` is the draft's argument. ``title`` names the data in an
    input (``Words: apple, plum``). ``prose`` data are whole sentences, other data are a list. ``bare`` data ask
    their own question and may stand without a request. ``lookup`` families only recall facts; all others compute
    over the data that they are given.
    """

    name: str
    draft: Callable[[Random], Draft]
    wordings: tuple[str, ...]
    title: str
    prose: bool = False
    bare: bool = False
    lookup: bool = False
    cues: tuple[str, ...] = ()  # the fixed words of bare data, for telling families apart


@dataclass(frozen=True, slots=True)
class Task:
    """A finished task of ``family``."""

    family: str
    instruction: str
    input: str
    output: str


def expand(wording: str) -> list[str]:
    """Every way of reading ``wording``'s braces."""
    parts = [part.split("|") if i % 2 else [part] for i, part in enumerate(_CHOICE.split(wording))]
    return ["".join(choice) for choice in product(*parts)]


def _request(rng: Random, family: Family, draft: Draft, *, before: bool) -> str:
    """One of the family's requests; ``before`` says that the data come after it."""
    text = _CHOICE.sub(lambda match: rng.choice(match[1].split("|")), rng.choice(family.wordings))
    following = before and rng.random() < 0.4
    text = text.replace("<this>", "the following" if following else "this")
    text = text.replace("<these>", "the following" if following else "these")
    return text.replace("%s", draft.argument)


def _opening(rng: Random) -> str:
    """A sentence that says who wants to know."""
    asker, errand = rng.choice(ASKERS), rng.choice(ERRANDS)
    return rng.choice(
        (
            f"{asker[0].upper()}{asker[1:]} is {errand}.",
            f"Help {asker} who is {errand}.",
            f"This is for {asker} {errand}.",
            f"I am {errand} with {asker}.",
        )
    )


def write(rng: Random, family: Family) -> Task:
    """A new task of ``family``: mostly with the data in the instruction, sometimes with an opening and an input."""
    draft = family.draft(rng)
    if rng.random() < _WITH_INPUT:
        instruction = f"{_opening(rng)} {_request(rng, family, draft, before=True)}."
        return Task(family.name, instruction, f"{family.title}: {draft.data}", draft.output)
    first = rng.random() < 0.5
    if first and family.bare:
        instruction = draft.data
    elif first:
        data = draft.data if family.prose else f"{family.title}: {draft.data}."
        instruction = f"{data} {_request(rng, family, draft, before=False)}."
    else:
        stop = "" if family.prose else "."
        instruction = f"{_request(rng, family, draft, before=True)}: {draft.data}{stop}"
    return Task(family.name, instruction, "", draft.output)
