"""The default prompt: examples first, then the order for new tasks, numbered from 1, without a stop string."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

from alpaca_core import Candidate, Completion, Example, Request, Seed, Unparsed
from alpaca_prompts import SelfInstructOptions
from alpaca_prompts.form import Options, ask, parse, words
from alpaca_prompts.render import numbered, objects

HEAD = """\
You write training data for an assistant that reads and answers in text. Each task has an instruction, an optional \
input, and the output that an excellent assistant would give.
"""

EXAMPLES = """
Here is how tasks look. These are examples only; they are not part of your list:

{examples}
"""

ORDER = """
Now write {items} new tasks of your own{numbered}.
{plan}
What makes a good list:
- No two tasks alike, and none a rewording of an example. Begin with different verbs, and mix questions with commands.
- Many kinds of work: explaining, rewriting, classifying, extracting, planning, calculating, coding, correcting, \
comparing, imagining, and whatever else people ask for. Vary subject, tone, difficulty and length.
- Each can be done in text alone: nothing to look at, hear, open, click or look up on the day.
- The instruction is clear by itself, in one or two sentences.
- Give an input where the task works on some particular material, and make it concrete and lifelike, at most 100 \
words, never a placeholder. Where the instruction says it all, the input is {no_input}. A good list has both.
- The output is complete, correct and to the point. It does what was asked, without remarks about the task.
- {language}
"""


class SelfInstruct:
    """Asks for ``items`` new tasks after showing ``examples`` seed tasks and ``kept_examples`` kept rows."""

    def __init__(self, options: SelfInstructOptions) -> None:
        self.options = options
        self.uses_kept = options.kept_examples > 0

    def request(self, k: int, rng: Random, seeds: Sequence[Seed], kept: Sequence[Example]) -> Request:
        """Request ``k``. The tasks shown are drawn by ``rng`` without repetition; fewer where there are fewer."""
        rows = rng.sample(kept, min(self.options.kept_examples, len(kept))) if self.uses_kept else []
        places = self.options.examples + self.options.kept_examples - len(rows)
        shown = [*rng.sample(list(seeds), min(places, len(seeds))), *rows]
        if rows:
            rng.shuffle(shown)
        return new_tasks(k, self.options, shown)

    def parse(self, request: Request, reply: Completion) -> Iterable[Candidate | Unparsed]:
        """See ``alpaca_prompts.form.parse``."""
        return parse(request, reply)


def new_tasks(k: int, options: Options, shown: Sequence[Seed | Example], plan: str = "") -> Request:
    """Request ``k``, with the tasks ``shown`` as examples and ``plan`` as words on what the new ones are about."""
    listed = f"{numbered(shown)}###" if options.form == "list" else objects(shown)
    examples = EXAMPLES.format(examples=listed) if shown else ""
    return ask(k, options, HEAD + examples + ORDER.format(plan=plan, **words(options)))
