"""Laws for teachers. One with an option for its address is asked for real, over HTTP, on loopback; one that needs a key
and has no such option is never asked: it would cost money."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, get_args

from alpaca_core.errors import AlpacaError, TeacherError
from alpaca_core.local import Gathered
from alpaca_core.records import Completion, Finish, Price, Usage
from alpaca_core.testing.checks_plugin import require_methods
from alpaca_core.testing.findings import Check, Failed, NotApplicable
from alpaca_core.testing.provider import FakeProvider
from alpaca_core.testing.samples import requests
from alpaca_core.testing.subjects import Component

ADDRESSES = ("base_url", "api_base", "api_url", "endpoint", "url")  # what an option for the address may be called
PATIENCE = 30.0  # seconds for anything that a teacher does here
RETRY_AFTER = 7  # seconds
PROMPT = 3.0  # seconds in which it has to let go of what is cancelled
HELD = 1.0  # seconds that it may keep everybody else from working

#: An HTTP status, and the kinds of TeacherError that it may become.
KINDS = {
    400: {"bad_request"},
    401: {"auth", "permission"},
    403: {"permission", "auth"},
    404: {"not_found", "bad_request"},
    429: {"rate_limit", "quota"},
    500: {"server", "overloaded"},
    503: {"overloaded", "server"},
}


class _Asked:
    """How a teacher is reached here: with a provider of the kit's where it has an option for an address."""

    def __init__(self, component: Component, provider: FakeProvider | None) -> None:
        self.component = component
        self.provider = provider

    def teacher(self) -> Any:
        more = {}
        if self.provider is not None:
            more = {self.component.has(*ADDRESSES): self.provider.url}
        teacher = self.component.build(**more)
        return teacher if hasattr(teacher, "complete") else Gathered(teacher)


def teacher_checks(component: Component) -> Iterator[Check]:
    """Laws for ``component``, a teacher."""
    name = str(component)

    def protocol() -> None:
        with _asked(component, anyway=True) as asked:
            teacher = component.build(**_address(asked))
            if not hasattr(teacher, "complete_many"):
                require_methods(teacher, complete=(1, True), aclose=(0, True))
            else:
                require_methods(teacher, complete_many=(1, False))
                if not hasattr(type(teacher), "batch_size") and not hasattr(teacher, "batch_size"):
                    raise Failed("it has no batch_size", "Say how many requests it answers at once: batch_size = 8.")
            if hasattr(teacher, "submit"):
                require_methods(teacher, submit=(2, True), find=(3, True), status=(1, True), results=(1, False))

    def price() -> str:
        with _asked(component, anyway=True) as asked:
            teacher = component.build(**_address(asked))
            found = teacher.price() if hasattr(teacher, "price") else None
        if found is not None and not isinstance(found, Price):
            raise Failed(f"price() gave {found!r}", "Return a Price, in dollars per million tokens, or None.")
        if found is not None and not (found.input >= 0 and found.output >= 0):
            raise Failed(f"price() gave {found!r}", "A price is not negative.")
        return "not known" if found is None else f"${found.input:g} and ${found.output:g} per million tokens"

    def replies() -> str:
        with _asked(component) as asked:
            answers = _ended(_replies(asked))
        for answer in answers:
            _check_completion(answer)
        used = answers[0].usage
        return f"{len(answers)} of {len(answers)}; {used.prompt_tokens} + {used.completion_tokens} tokens the first"

    def errors() -> str:
        with _asked(component) as asked:
            found = _ended(_raised(asked, [(f"a server that answers {status}", status, "") for status in KINDS]))
        for status, (error, calls) in zip(KINDS, found, strict=True):
            if error.kind not in KINDS[status]:
                raise Failed(
                    f"an HTTP {status} became TeacherError {error.kind!r}",
                    f"Map it to {' or '.join(sorted(KINDS[status]))}: the core decides by it whether to try again.",
                )
            if status == 429 and error.retry_after != RETRY_AFTER:
                raise Failed(
                    f"Retry-After: {RETRY_AFTER} became retry_after={error.retry_after}",
                    f"Pass the header on: TeacherError(..., retry_after={RETRY_AFTER}). The core waits so long.",
                )
            if status in (429, 500) and calls != 1:
                raise Failed(
                    f"after an HTTP {status} it asked {calls} times by itself",
                    "Turn the client's own retries off (max_retries=0): the core retries, and counts the cost.",
                )
        return ", ".join(map(str, KINDS))

    def broken() -> None:
        with _asked(component) as asked:
            cases = [("a server that hangs up", 200, "hangup"), ("an answer that is no JSON", 200, "garbage")]
            (error, _), _ = _ended(_raised(asked, cases))
        if error.kind not in ("connection", "timeout", "server"):
            raise Failed(f"a broken connection became TeacherError {error.kind!r}", "Map it to 'connection'.")

    def cancelled() -> str:
        with _asked(component) as asked:
            if isinstance(asked.teacher(), Gathered):
                raise NotApplicable("the core sees to it for a teacher with complete_many")
            return _ended(_cancelled(asked))

    def closes() -> None:
        with _asked(component, anyway=True) as asked:

            async def twice() -> None:
                await asyncio.wait_for(asked.teacher().aclose(), PATIENCE)

            _ended(twice())

    yield Check(name, "has the methods of a teacher", protocol)
    yield Check(name, "gives a price or none", price)
    yield Check(name, "replies with text, finish and usage", replies)
    yield Check(name, "tells a provider's errors as TeacherError, without retries", errors)
    yield Check(name, "tells a broken connection and a broken answer as TeacherError", broken)
    yield Check(name, "can be cancelled at any moment", cancelled)
    yield Check(name, "closes without having been asked", closes)


@contextmanager
def _asked(component: Component, *, anyway: bool = False) -> Iterator[_Asked]:
    """The teacher in surroundings where it cannot spend: no real key, no hub, addresses on loopback. ``anyway``: it
    will not be asked anything."""
    keys = getattr(component.spec, "keys", ())
    if component.has(*ADDRESSES):
        with FakeProvider() as provider, _environment(dict.fromkeys(keys, "a-key-of-the-kit")):
            yield _Asked(component, provider)
    elif keys and not anyway:
        raise NotApplicable(f"it needs {' or '.join(keys)} and has no option base_url, so nothing here can answer it")
    else:
        with _environment({}):
            yield _Asked(component, None)


@contextmanager
def _environment(more: dict[str, str]) -> Iterator[None]:
    values = {"HF_HUB_OFFLINE": "1", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", **more}
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _address(asked: _Asked) -> dict[str, str]:
    return {asked.component.has(*ADDRESSES): asked.provider.url} if asked.provider else {}


def _ended(work: Coroutine[Any, Any, Any]) -> Any:
    """What ``work`` gives. Raises Failed where it takes forever."""
    try:
        return asyncio.run(asyncio.wait_for(work, 3 * PATIENCE))
    except TimeoutError as exc:
        raise Failed(
            f"nothing came in {PATIENCE:.0f} seconds", "A call has to end, with an answer or a TeacherError."
        ) from exc


async def _answers(asked: _Asked, teacher: Any) -> list[Completion]:
    """Its answers to the kit's requests, all at once."""
    try:
        if hasattr(teacher, "check"):
            teacher.check()
        return list(await asyncio.gather(*(teacher.complete(request) for request in requests())))
    except AlpacaError as exc:
        if asked.provider is not None and asked.provider.unknown:
            paths = ", ".join(sorted(asked.provider.unknown))
            raise NotApplicable(f"the kit's provider does not speak its protocol ({paths})") from exc
        if asked.provider is not None:
            raise
        raise NotApplicable(f"it could not answer here: {exc.message} {exc.hint}".strip()) from exc


async def _replies(asked: _Asked) -> list[Completion]:
    """The same, of a teacher that is closed then."""
    teacher = asked.teacher()
    try:
        return await _answers(asked, teacher)
    finally:
        await asyncio.wait_for(teacher.aclose(), PATIENCE)


def _check_completion(answer: Any) -> None:
    if not isinstance(answer, Completion):
        raise Failed(f"complete gave {answer!r}", "Return a Completion.")
    if not isinstance(answer.text, str) or not answer.text:
        raise Failed(f"the text of an answer is {answer.text!r}", "Return what the model wrote, as str.")
    if answer.finish not in get_args(Finish):
        raise Failed(
            f"finish is {answer.finish!r}", f"It is one of {', '.join(get_args(Finish))}; only 'stop' ends an item."
        )
    used = answer.usage
    if not isinstance(used, Usage) or used.prompt_tokens < 1 or used.completion_tokens < 1:
        raise Failed(
            f"usage is {used!r}",
            "Return Usage(prompt_tokens=..., completion_tokens=...) as the provider counts them, or words where nobody"
            " counts: budget, limits and cost rest on it.",
        )


async def _raised(asked: _Asked, cases: Sequence[tuple[str, int, str]]) -> list[tuple[TeacherError, int]]:
    """For each case, a name, a status and a trouble of the provider's: what the teacher raises, and how often it asked.

    Raises NotApplicable without a provider that it understands, Failed for anything but a TeacherError.
    """
    provider = asked.provider
    if provider is None:
        raise NotApplicable("it has no option base_url, so no provider is there to fail")
    teacher, found = asked.teacher(), []
    try:
        await _answers(asked, teacher)
        for what, status, trouble in cases:
            provider.status, provider.trouble = status, trouble
            provider.headers = {"Retry-After": str(RETRY_AFTER)} if status == 429 else {}
            before = len(provider.paths)
            try:
                await asyncio.wait_for(teacher.complete(requests()[0]), PATIENCE)
                seen = "an answer"
            except TeacherError as exc:
                found.append((exc, len(provider.paths) - before))
                continue
            except Exception as exc:
                seen = f"{type(exc).__name__}: {exc}"
            raise Failed(
                f"{what} brought {seen}",
                "Catch the client's exceptions and raise TeacherError(kind, message): whatever else comes ends the"
                " run.",
            )
    finally:
        await teacher.aclose()
    return found


async def _cancelled(asked: _Asked) -> str:
    """Cancel a request that is on its way, then ask again."""
    provider, teacher, watch = asked.provider, asked.teacher(), None
    try:
        if provider is not None:
            await _answers(asked, teacher)  # raises NotApplicable where it cannot be asked at all
            provider.trouble = "stall"
            watch = asyncio.create_task(_longest_gap())
        asking = asyncio.create_task(teacher.complete(requests()[0]))
        for _ in range(100):
            await asyncio.sleep(0.01)
            if provider is None or provider.paths[3:]:
                break
        started = time.perf_counter()
        asking.cancel()
        await asyncio.wait([asking], timeout=PATIENCE)
        took = time.perf_counter() - started
        if watch is not None and watch.done():
            raise Failed(
                f"everybody else stood still for {watch.result():.1f} s", "Use an async client, or asyncio.to_thread."
            )
        if not asking.done() or took > PROMPT:
            raise Failed(
                f"it went on for {took:.1f} s after it was cancelled",
                "Let asyncio.CancelledError through, and end what was started (a process, a thread) in a finally.",
            )
        if not asking.cancelled() and (error := asking.exception()) is not None and provider is not None:
            raise Failed(f"cancelled, it raised {type(error).__name__}: {error}", "Let asyncio.CancelledError through.")
        if provider is not None:
            provider.release()
            _check_completion(await asyncio.wait_for(teacher.complete(requests()[0]), PATIENCE))
        return f"after {took * 1000:.0f} ms; the next request was answered" if provider else "nothing was held up"
    finally:
        if watch is not None:
            watch.cancel()
        if provider is not None:
            provider.release()  # a thread that waits for it would keep the loop from ending
        await teacher.aclose()


async def _longest_gap() -> float:
    """Ends with the first moment for which nothing else could run."""
    while True:
        before = time.perf_counter()
        await asyncio.sleep(0.05)
        if (gap := time.perf_counter() - before) > HELD:
            return gap
