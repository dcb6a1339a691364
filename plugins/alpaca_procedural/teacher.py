"""A teacher that is a program: it reads the examples in the prompt and writes more tasks of their families."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from functools import cache
from math import log, sqrt
from random import Random

from alpaca_core import Completion, Price, Request, Usage
from alpaca_procedural.families import FAMILIES
from alpaca_procedural.wording import expand, write

_EXAMPLE = re.compile(r"^[ \t]*\d+\.[ \t]*Instruction:(.*?)(?=^[ \t]*\d+\.[ \t]*\w+:|^[ \t]*###|\Z)", re.M | re.S)
_WORD = re.compile(r"[a-z0-9]+")
_TOKEN = re.compile(r"\w+|[^\w\s]")


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.lower()))


@cache
def _requests() -> tuple[dict[frozenset[str], str], dict[str, float]]:
    """The words of every wording with its family, and how telling each word is: the fewer families use it, the more."""
    owner: dict[frozenset[str], str] = {}
    for family in FAMILIES.values():
        for wording in (*family.wordings, *family.cues):
            plain = wording.replace("<this>", "").replace("<these>", "").replace("%s", "")
            for text in expand(plain):
                owner.setdefault(_words(text), family.name)
    used = Counter(word for name in FAMILIES for word in {w for ws, o in owner.items() if o == name for w in ws})
    return owner, {word: log(1 + len(FAMILIES) / n) for word, n in used.items()}


@cache
def nearest_family(instruction: str) -> str:
    """The family whose wordings share most with ``instruction``: the largest sum of the weights of shared words over
    the root of the sum of all the wording's weights. Of equals, the family declared first."""
    owner, weight = _requests()
    words = _words(instruction)

    def score(wording: frozenset[str]) -> float:
        return sum(weight[word] for word in wording & words) / sqrt(sum(weight[word] for word in wording))

    return owner[max(owner, key=score)]


def families_wanted(prompt: str) -> list[str]:
    """One vote for each example task shown in ``prompt``; every family when it shows none."""
    shown = [match[1].strip() for match in _EXAMPLE.finditer(prompt)]
    return [nearest_family(instruction) for instruction in shown if instruction] or list(FAMILIES)


class ProceduralTeacher:
    """Answers in the numbered form with tasks of the families that the prompt's examples belong to.

    The answer is a function of the prompt and the request's number alone; the number stands where a language model
    has its sampling noise. Token counts are estimates: words and punctuation marks.
    """

    async def complete(self, request: Request) -> Completion:
        rng = Random(hashlib.sha256(f"{request.k}\n{request.prompt}".encode()).digest())
        wanted = families_wanted(request.prompt)
        pieces: list[str] = []
        labels: dict[int, str] = {}
        queue: list[str] = []
        for number in range(request.first, request.first + request.items):
            queue = queue or rng.sample(wanted, len(wanted))
            task = write(rng, FAMILIES[queue.pop()])
            labels[number] = task.family
            head = "" if request.prefix and number == request.first else f"{number}. Instruction:"
            pieces.append(
                f"{head} {task.instruction}\n{number}. Input:\n{task.input or '<noinput>'}\n"
                f"{number}. Output:\n{task.output}\n"
            )
        text = "###\n".join(pieces)
        asked = len(_TOKEN.findall(request.system + request.prompt))
        usage = Usage(prompt_tokens=asked, completion_tokens=len(_TOKEN.findall(text)))
        return Completion(text, usage=usage, model="procedural", labels=labels)

    async def aclose(self) -> None:
        """Nothing to give back."""

    def price(self) -> Price:
        """It costs nothing."""
        return Price(0.0, 0.0, source="a program in this process")
