"""The default prompt: examples first, then the order for new tasks, numbered from 1, without a stop string."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

from alpaca_core import Candidate, Completion, Example, Request, Seed, Unparsed
from alpaca_prompts import SelfInstructOptions
from alpaca_prompts.parse import parse_list
from alpaca_prompts.render import numbered

HEAD = """\
You write training data for an assistant that reads and answers in text. Each task has an instruction, an optional \
input, and the output that an excellent assistant would give.
"""

EXAMPLES = """
Here is how tasks look. These are examples only; they are not part of your list:

{examples}###
"""

ORDER = """
Now write {items} new tasks of your own, numbered from 1 to {items}.

What makes a good list:
- No two tasks alike, and none a rewording of an example. Begin with different verbs, and mix questions with commands.
- Many kinds of work: explaining, rewriting, classifying, extracting, planning, calculating, coding, correcting, \
comparing, imagining, and whatever else people ask for. Vary subject, tone, difficulty and length.
- Each can be done in text alone: nothing to look at, hear, open, click or look up on the day.
- The instruction is clear by itself, in one or two sentences.
- Give an input where the task works on some particular material, and make it concrete and lifelike, at most 100 \
words, never a placeholder. Where the instruction says it all, the input is <noinput>. A good list has both.
- The output is complete, correct and to the point. It does what was asked, without remarks about the task.
- Write in English, unless a task is about another language.

Use exactly this form for every task, with a line of ### between tasks and nothing before or after the list:

N. Instruction: the instruction
N. Input:
the input, or <noinput>
N. Output:
the output

The {items} new tasks:
"""


class SelfInstruct:
    """Asks for ``items`` new tasks after showing ``examples`` seed tasks."""

    uses_kept = False

    def __init__(self, options: SelfInstructOptions) -> None:
        self.options = options

    def request(self, k: int, rng: Random, seeds: Sequence[Seed], kept: Sequence[Example]) -> Request:
        """Request ``k``. The seed tasks shown are drawn by ``rng`` without repetition; fewer where there are fewer."""
        shown = rng.sample(list(seeds), min(self.options.examples, len(seeds)))
        examples = EXAMPLES.format(examples=numbered(shown)) if shown else ""
        return Request(
            k=k,
            prompt=HEAD + examples + ORDER.format(items=self.options.items),
            prefix="1. Instruction:",
            items=self.options.items,
            first=1,
        )

    def parse(self, request: Request, reply: Completion) -> Iterable[Candidate | Unparsed]:
        """See ``alpaca_prompts.parse.parse_list``."""
        return parse_list(request, reply)
