"""Harder and rarer tasks, each grown from one that is there already.

The operations are those of Evol-Instruct (Xu et al., WizardLM, 2023, arXiv:2304.12244, §3.2), in words of our own: in
depth one of five, or in breadth. The base is a kept row, so the tasks go on growing; while there is none, a seed task.
Where the published procedure asks twice, for the instruction and then for its answer, one request here brings several
whole tasks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from random import Random

from alpaca_core import Candidate, Completion, Example, Request, Seed, Unparsed
from alpaca_prompts import EvolOptions
from alpaca_prompts.form import ask, parse, words
from alpaca_prompts.render import one_line
from alpaca_prompts.self_instruct import HEAD

DEEPER = (
    "Harder: add one or two demands that the answer has to meet at the same time, such as a limit, an order, a layout, "
    "or something that must not occur.",
    "Deeper: stay with the matter and ask for what lies under it, such as causes, mechanisms, exceptions or "
    "consequences.",
    "More concrete: put a particular case in the place of what is general, with people, places, amounts or dates on "
    "which the answer depends.",
    "Longer thought: turn it so that the answer takes several steps, each of which needs the one before.",
    "Richer material: give it an input that has to be worked through, such as a table, a log, a conversation, some "
    "code, or notes with gaps in them.",
)
WIDER = "Rarer: leave this task, and write quite another one from the same field, of a kind that few people think of."

BASES = """
Here are {items} tasks that exist already. They are bases, and none of them is part of your list. Each has a direction \
in which to go on from it:

{bases}
"""

ORDER = """
Now write {items} new tasks{numbered}, one from each basis and in the same order.

What makes a good list:
- Each new task goes a real step in its direction. Word it afresh: who knows the basis should not feel reminded of its \
sentences.
- Each stands on its own. Its reader sees nothing of the bases and directions, so it says all that is needed, brings \
its own material, and speaks neither of a basis nor of a given, original or rewritten task.
- Each makes sense, can be done with what it gives, and in text alone: nothing to look at, hear, open, click or look \
up on the day.
- The instruction has at most 80 words. What is harder need not be longer.
- Give an input where the task works on some particular material, and make it concrete and lifelike, at most 150 \
words, never a placeholder. Where the instruction says it all, the input is {no_input}.
- The output does all that was asked, completely and correctly, without remarks about the task.
- {language}
"""

# Words of the request that a new task has no use for: an instruction that has them means what its reader cannot see.
_LEAK = re.compile(
    r"\b(?:the|this|that|your) (?:original|initial|base|rewritten) (?:tasks?|prompts?|instruction)\b"
    r"|\bbasis \d+\b"
    r"|\A(?:new task|direction|basis|harder|deeper|more concrete|longer thought|richer material|rarer)\s?:"
    r"|#\s{0,3}(?:given|rewritten|created|new|original) prompt\s{0,3}#",
    re.IGNORECASE,
)
# Is there an input that it may mean?
_GIVEN = re.compile(r"\bthe (?:given|previous|above|original|rewritten) (?:task|prompt|instruction)s?\b", re.IGNORECASE)
_REFUSAL = re.compile(
    r"(?:i['’]?m (?:very )?sorry|i am (?:very )?sorry|sorry|i apologi[sz]e|unfortunately)\b[^.\n]{0,80}?"
    r"\bi(?:['’]m| am)? (?:\w{1,12} )?(?:can['’]t|can ?not|unable to|not able to|won['’]t)\b[^.\n]{0,20}"
    r"\b(?:help|assist|provide|fulfil|complete|answer|comply|create|write|do that)"
    r"|(?:i['’]m sorry[,.]? (?:but )?)?as an ai\b",
    re.IGNORECASE,
)


class Evol:
    """Asks for ``items`` new tasks, each from another kept row, or from a seed task while there is no kept row."""

    uses_kept = True

    def __init__(self, options: EvolOptions) -> None:
        self.options = options

    def request(self, k: int, rng: Random, seeds: Sequence[Seed], kept: Sequence[Example]) -> Request:
        """Request ``k``. Bases are drawn by ``rng``, without repetition where there are enough, and so are directions:
        each is the wider one with the probability ``widening``."""
        pool: Sequence[Seed | Example] = kept or seeds
        items = self.options.items
        bases = rng.sample(pool, items) if len(pool) >= items else rng.choices(pool, k=items)
        parts = []
        for number, basis in enumerate(bases, 1):
            wider = rng.random() < self.options.widening
            given = f"\nwith the input\n{basis.input}" if basis.input else ""
            direction = WIDER if wider else rng.choice(DEEPER)
            parts.append(f"Basis {number}: {one_line(basis.instruction)}{given}\nDirection {number}: {direction}")
        texts = words(self.options)
        prompt = HEAD + BASES.format(items=items, bases="\n\n".join(parts)) + ORDER.format(**texts)
        return ask(k, self.options, prompt, max_tokens=4096)

    def parse(self, request: Request, reply: Completion) -> Iterator[Candidate | Unparsed]:
        """See ``alpaca_prompts.form.parse``. Two failures of the method are no tasks either: ``speaks of its basis``
        and ``refuses``."""
        for item in parse(request, reply):
            reason = _wrong(item) if isinstance(item, Candidate) else ""
            if isinstance(item, Candidate) and reason:
                whole = "\n".join(filter(None, (item.instruction, item.input, item.output)))
                yield Unparsed(whole, reason, item.number)
            else:
                yield item


def _wrong(task: Candidate) -> str:
    if _LEAK.search(task.instruction) or (not task.input and _GIVEN.search(task.instruction)):
        return "speaks of its basis"
    return "refuses" if _REFUSAL.match(task.output) else ""
