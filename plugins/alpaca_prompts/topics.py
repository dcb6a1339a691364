"""New tasks on the topics of a list, all of them evenly."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import groupby
from random import Random

from alpaca_core import Candidate, Completion, ConfigError, Example, Request, Seed, Unparsed
from alpaca_prompts import TopicsOptions
from alpaca_prompts.form import parse
from alpaca_prompts.options import read_topics
from alpaca_prompts.self_instruct import new_tasks

PLAN = """
Each task is about a topic that is given for it, and could not be about another. Tasks on the same topic are different \
kinds of work on different sides of it. The topics are:
{lines}
"""
_LINE = re.compile(r"^Tasks? (\d+)(?: to (\d+))?: (.+)$", re.MULTILINE)


class Topics:
    """As ``self-instruct``, with a topic given for each task. The topics take turns in a fixed, shuffled order."""

    uses_kept = False

    def __init__(self, options: TopicsOptions) -> None:
        self.options = options

    @cached_property
    def topics(self) -> list[str]:
        """The topics in their order of turns. Read when the first request is made: reading replies takes none."""
        if self.options.topics is None:
            raise ConfigError(
                "The prompt 'topics' needs a list of topics, one a line in a text file.",
                hint="Name it: --set prompt.topics=topics.txt",
            )
        topics = read_topics(self.options.topics)
        Random("topics").shuffle(topics)  # what stands together in a file is often alike
        return topics

    def request(self, k: int, rng: Random, seeds: Sequence[Seed], kept: Sequence[Example]) -> Request:
        """Request ``k``, with its share of the topics, and seed tasks as examples as in ``self-instruct``."""
        shown = rng.sample(list(seeds), min(self.options.examples, len(seeds)))
        lines = []
        for topic, group in groupby(range(self.options.items), lambda place: self.topic(k, place)):
            numbers = [place + 1 for place in group]
            tasks = f"Tasks {numbers[0]} to {numbers[-1]}" if numbers[1:] else f"Task {numbers[0]}"
            lines.append(f"{tasks}: {topic}")
        return new_tasks(k, self.options, shown, PLAN.format(lines="\n".join(lines)))

    def topic(self, k: int, place: int) -> str:
        """The topic of the task at ``place`` (from 0) of request ``k``."""
        turn = (k * self.options.items + place) // self.options.tasks_per_topic
        return self.topics[turn % len(self.topics)]

    def parse(self, request: Request, reply: Completion) -> Iterator[Candidate | Unparsed]:
        """See ``alpaca_prompts.form.parse``. The label of a task is its topic, as the request itself names it.

        Where the teacher's numbers do not rise it is not known which task was meant, and there is no label.
        """
        plan = request.prompt.rpartition(PLAN.partition("{")[0])[2].partition("\n\n")[0]
        topics = {
            number: topic
            for first, last, topic in _LINE.findall(plan)
            for number in range(int(first), int(last or first) + 1)
        }
        highest = 0
        for item in parse(request, reply):
            if isinstance(item, Candidate) and item.number > highest:
                item = replace(item, label=topics.get(item.number, ""))
            highest = max(highest, item.number)
            yield item
