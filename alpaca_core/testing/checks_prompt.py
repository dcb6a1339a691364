"""Laws for prompts: a request is a pure function of its arguments, and no reply makes the parser fail."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import asdict
from random import Random
from typing import Any, get_args

from alpaca_core.errors import ConfigError, MissingError
from alpaca_core.records import Candidate, Completion, Finish, Request, Unparsed
from alpaca_core.testing.checks_plugin import require_methods
from alpaca_core.testing.findings import Check, Failed
from alpaca_core.testing.samples import examples, seeds, wild_texts
from alpaca_core.testing.subjects import Component


def prompt_checks(component: Component) -> Iterator[Check]:
    """Laws for ``component``, a prompt."""
    name = str(component)

    def protocol() -> None:
        prompt = component.build()
        require_methods(prompt, request=(4, False), parse=(2, False))
        if not isinstance(getattr(prompt, "uses_kept", None), bool):
            raise Failed(
                "it does not say uses_kept", "Write uses_kept = False, or True where requests look at kept rows."
            )

    def writes() -> str:
        prompt = component.build()
        for k in (0, 1, 70):
            _check_request(_request(prompt, k), k)
        return f"{len(_request(prompt, 0).prompt):,} characters the first"

    def pure() -> None:
        prompt, other = component.build(), component.build()
        state = random.getstate()
        try:
            for k in (0, 1, 70):
                random.seed(k)
                first = _request(prompt, k)
                random.seed(k + 1)
                if not first == _request(prompt, k) == _request(other, k):
                    raise Failed(
                        f"request {k} differs from one call to the next",
                        "Draw from the rng that it is given, and remember nothing: a resumed run asks again.",
                    )
        finally:
            random.setstate(state)
        given, kept = seeds(), examples()
        prompt.request(3, Random(3), given, kept)
        if (given, kept) != (seeds(), examples()):
            raise Failed("request changed the lists that it was given", "Copy what you shuffle: rng.sample(seeds, n).")

    def heeds() -> str:
        prompt = component.build()
        with_kept, without = (prompt.request(70, Random(70), seeds(), rows) for rows in (examples(), []))
        if with_kept != without and not prompt.uses_kept:
            raise Failed(
                "requests change with the kept rows, and uses_kept is False",
                "Write uses_kept = True: the core then waits for those rows.",
            )
        return "it looks at kept rows" if prompt.uses_kept else "it does not look at them"

    def parses() -> str:
        prompt = component.build()
        request = _request(prompt, 0)
        texts = wild_texts()
        for text in texts:
            for finish in get_args(Finish):
                reply = Completion(text, finish)
                try:
                    found = list(prompt.parse(request, reply))
                except (ConfigError, MissingError):
                    raise
                except Exception as exc:
                    raise Failed(
                        f"parse raised {type(exc).__name__}: {exc} on {text[:60]!r}",
                        "Take whatever a teacher writes: what is no whole task is Unparsed(text, reason).",
                    ) from exc
                _check_parsed(found, text)
                if found != list(prompt.parse(request, reply)):
                    raise Failed(
                        f"parse gives something else at the second time, on {text[:60]!r}", "Remember nothing."
                    )
        return f"{len(texts)} texts"

    yield Check(name, "has the methods of a prompt", protocol)
    yield Check(name, "writes a request that can be sent", writes)
    yield Check(name, "makes a request of its arguments alone", pure)
    yield Check(name, "says whether it looks at kept rows", heeds)
    yield Check(name, "reads any text without raising", parses)


def _request(prompt: Any, k: int) -> Request:
    found: Request = prompt.request(k, Random(k), seeds(), examples())
    return found


def _check_request(request: Any, k: int) -> None:
    if not isinstance(request, Request):
        raise Failed(f"request gave {request!r}", "Return a Request.")
    if request.k != k:
        raise Failed(f"request {k} says that it is number {request.k}", "Pass k on: Request(k, ...).")
    if not request.prompt.strip() and not request.input.strip():
        raise Failed("the prompt is empty", "Write what the teacher should read into prompt.")
    if min(request.items, request.first, request.max_tokens) < 1:
        numbers = f"{request.items}, {request.first} and {request.max_tokens}"
        raise Failed(f"items, first and max_tokens are {numbers}", "None of them can be under 1.")
    if isinstance(request.stop, str) or not all(isinstance(stop, str) and stop for stop in request.stop):
        raise Failed(f"stop is {request.stop!r}", "Give a tuple of texts: stop=('###',).")
    try:
        json.dumps(asdict(request))
    except (TypeError, ValueError) as exc:
        raise Failed(
            f"it is not JSON: {exc}", "The run's journal keeps requests as JSON; so must the schema be."
        ) from exc


def _check_parsed(found: list[Any], text: str) -> None:
    for item in found:
        if not isinstance(item, Candidate | Unparsed):
            raise Failed(f"parse gave {item!r} for {text[:60]!r}", "Yield Candidate and Unparsed only.")
        if isinstance(item, Unparsed) and not item.reason:
            raise Failed(f"an Unparsed without a reason, for {text[:60]!r}", "Say what is wrong with the piece.")
        if isinstance(item, Candidate) and not all(
            isinstance(part, str) for part in (item.instruction, item.input, item.output)
        ):
            raise Failed(f"a Candidate that is not of texts: {item!r}", "Give '' where there is nothing.")
