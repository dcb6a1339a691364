"""The procedure published with Stanford Alpaca (generate_instruction.py, 2023), for reproduction.

The seed tasks are items 1 to 3 of a list of 20 that the teacher continues, and generation stops before item 20, so a
reply holds at most 16 whole items. The words before the list are ours; ``header`` puts others in their place, and
with the published prompt.txt the prompt is the published one byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from random import Random

from alpaca_core import Candidate, Completion, ConfigError, Example, Request, Seed, Unparsed
from alpaca_prompts import Alpaca2023Options
from alpaca_prompts.parse import parse_list
from alpaca_prompts.render import numbered
from alpaca_prompts.thoughts import after_thoughts

HEADER = """\
Below is the beginning of a list of {items} varied tasks for a text-only assistant. Continue it to the end in the same \
form, with a line of ### before each task.

Rules of the list:
1. Verbs differ from task to task, as do subjects; both questions and commands occur.
2. Every task can be done by a language model alone: nothing to see, hear or do outside the text.
3. Instructions are in English, one or two sentences long.
4. The input is realistic material for the instruction, no placeholder, and no longer than 100 words. A task that \
needs no material has <noinput> there.
5. The output is a fitting answer to instruction and input, shorter than 100 words.

The list of {items} tasks:
"""


class Alpaca2023:
    """Shows ``examples`` seed tasks as the beginning of a list of ``items`` and has it continued."""

    uses_kept = False

    def __init__(self, options: Alpaca2023Options) -> None:
        self.options = options

    @cached_property
    def header(self) -> str:
        """The words before the list. Read when the first request is made: reading replies takes none."""
        return _read(self.options.header) if self.options.header else HEADER.format(items=self.options.items)

    def request(self, k: int, rng: Random, seeds: Sequence[Seed], kept: Sequence[Example]) -> Request:
        """Request ``k``, with seed tasks drawn by ``rng`` without repetition; fewer where there are fewer."""
        shown = rng.sample(list(seeds), min(self.options.examples, len(seeds)))
        first = len(shown) + 1
        last = self.options.items
        return Request(
            k=k,
            prompt=f"{self.header}\n{numbered(shown)}###\n",
            prefix=f"{first}. Instruction:",
            items=last - len(shown),
            first=first,
            # As published, where the second of them stands twice. It also stops at "$20.00" and "in 2020.", which is
            # why an item is only taken when its end was seen.
            stop=(f"\n{last}", f"{last}."),
        )

    def parse(self, request: Request, reply: Completion) -> Iterable[Candidate | Unparsed]:
        """See ``alpaca_prompts.parse.parse_list`` and ``alpaca_prompts.thoughts.after_thoughts``."""
        return after_thoughts(parse_list, request, reply)


def _read(path: str) -> str:
    try:
        return Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(
            f"Cannot read prompt.header {path!r}: {exc}", hint="Give the path of a UTF-8 text file."
        ) from exc
