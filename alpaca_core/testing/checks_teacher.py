"""Laws for teachers. One with an option for its address is asked for real, over HTTP, on loopback; one that needs a key
and has no such option is never asked: it would cost money."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Coroutine, Iterator
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
            answers = _ended(_answers(asked))
        for answer in answers:
            _check_completion(answer)
        used = answers[0].usage
        return f"{len(answers)} of {len(answers)}; {used.prompt_tokens} + {used.completion_tokens} tokens the first"

    def errors() -> str:
        with _asked(component) as asked:
            provider = _provider(asked)
            for status, kinds in KINDS.items():
                provider.status = status
                provider.headers = {"Retry-After": "7"} if status == 429 else {}
                before = len(provider.paths)
                error = _error(asked, f"a server that answers {status}")
                if error.kind not in kinds:
                    raise Failed(
                        f"an HTTP {status} became TeacherError {error.kind!r}",
                        f"Map it to {' or '.join(sorted(kinds))}: the core decides by the kind whether to try again.",
                    )
                if status == 429 and error.retry_after != 7:
                    raise Failed(
                        f"Retry-After: 7 became retry_after={error.retry_after}",
                        "Pass the header on: TeacherError(..., retry_after=7.0). The core waits so long.",
                    )
                if status in (429, 500) and len(provider.paths) != before + 1:
                    raise Failed(
                        f"after an HTTP {status} it asked {len(provider.paths) - before} times by itself",
                        "Turn the client's own retries off (max_retries=0): the core retries, and counts the cost.",
                    )
        return ", ".join(map(str, KINDS))

    def broken() -> None:
        with _asked(component) as asked:
            provider = _provider(asked)
            provider.trouble = "hangup"
            error = _error(asked, "a server that hangs up")
            if error.kind not in ("connection", "timeout", "server"):
                raise Failed(f"a broken connection became TeacherError {error.kind!r}", "Map it to 'connection'.")
            provider.trouble = "garbage"
            _error(asked, "an answer that is no JSON")

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


def _provider(asked: _Asked) -> FakeProvider:
    """The kit's provider, once the teacher is known to understand it. Raises NotApplicable."""
    if asked.provider is None:
        raise NotApplicable("it has no option base_url, so no provider is there to fail")
    _ended(_answers(asked))
    return asked.provider


def _ended(work: Coroutine[Any, Any, Any]) -> Any:
    """What ``work`` gives. Raises Failed where it takes forever."""
    try:
        return asyncio.run(asyncio.wait_for(work, 3 * PATIENCE))
    except TimeoutError as exc:
        raise Failed(
            f"nothing came in {PATIENCE:.0f} seconds", "A call has to end, with an answer or a TeacherError."
        ) from exc


async def _answers(asked: _Asked) -> list[Completion]:
    """Its answers to the kit's requests, all at once."""
    teacher = asked.teacher()
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


def _error(asked: _Asked, what: str) -> TeacherError:
    """The TeacherError that the teacher raises."""

    async def ask() -> Any:
        teacher = asked.teacher()
        try:
            return await asyncio.wait_for(teacher.complete(requests()[0]), PATIENCE)
        except TeacherError as exc:
            return exc
        except TimeoutError:
            return "nothing, for as long as the kit waited"
        except Exception as exc:
            return f"{type(exc).__name__}: {exc}"
        finally:
            await teacher.aclose()

    found = _ended(ask())
    if not isinstance(found, TeacherError):
        seen = "an answer" if isinstance(found, Completion) else found
        raise Failed(
            f"{what} brought {seen}",
            "Catch the client's exceptions and raise TeacherError(kind, message): whatever else comes ends the run.",
        )
    return found


async def _cancelled(asked: _Asked) -> str:
    """Cancel a request that is on its way, then ask again."""
    provider = asked.provider
    if provider is not None:
        await _answers(asked)  # raises NotApplicable where it cannot be asked at all
        provider.trouble = "stall"
    teacher = asked.teacher()
    watch = asyncio.create_task(_longest_gap())
    try:
        asking = asyncio.create_task(teacher.complete(requests()[0]))
        for _ in range(100):
            await asyncio.sleep(0.01)
            if provider is None or provider.paths[3:]:
                break
        started = time.perf_counter()
        asking.cancel()
        await asyncio.wait([asking], timeout=PATIENCE)
        took = time.perf_counter() - started
        if not asking.done() or took > PROMPT:
            raise Failed(
                f"it went on for {took:.1f} s after it was cancelled",
                "Let asyncio.CancelledError through, and end what was started (a process, a thread) in a finally.",
            )
        if not asking.cancelled() and (error := asking.exception()) is not None and provider is not None:
            raise Failed(f"cancelled, it raised {type(error).__name__}: {error}", "Let asyncio.CancelledError through.")
        held = watch.result() if watch.done() else 0.0
        if not watch.done():
            watch.cancel()
        if provider is not None:
            provider.trouble = ""
            _check_completion(await asyncio.wait_for(teacher.complete(requests()[0]), PATIENCE))
        if held > HELD:
            raise Failed(f"everybody else stood still for {held:.1f} s", "Use an async client, or asyncio.to_thread.")
        return f"after {took * 1000:.0f} ms; the next request was answered" if provider else "nothing was held up"
    finally:
        watch.cancel()
        await teacher.aclose()


async def _longest_gap() -> float:
    """Ends with the first moment for which nothing else could run."""
    while True:
        before = time.perf_counter()
        await asyncio.sleep(0.05)
        if (gap := time.perf_counter() - before) > HELD:
            return gap
