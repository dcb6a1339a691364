"""The text that many examples begin with: the lines of the template before the instruction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from alpaca_fsdp.examples import Tokens

_HEAD = 16  # tokens by which families are told apart; a shorter preamble is not worth sharing


def find(examples: Sequence[Tokens]) -> list[Tokens]:
    """The examples with ``preamble`` and ``family`` set. Those that begin with the same 16 tokens are a family; its
    preamble is as long as all of them agree, and ends before the last token of every prompt, which has to predict."""
    families: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for place, example in enumerate(examples):
        families[tuple(example.ids[:_HEAD].tolist())].append(place)
    found = list(examples)
    for family, members in enumerate(families.values(), 1):
        first = examples[members[0]].ids
        length = min(examples[place].prompt for place in members) - 1
        for place in members:
            differs = (examples[place].ids[:length] != first[:length]).nonzero()
            length = int(differs[0]) if len(differs) else length
        if len(members) > 1 and length >= _HEAD:
            for place in members:
                found[place] = replace(examples[place], preamble=length, family=family)
    return found
