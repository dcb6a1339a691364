"""What a minute has left: the provider's limits as its headers tell them, and the user's own ceilings.

A request takes its size from buckets that refill all the time. The size is an estimate, for nobody knows the length of
an answer before it comes, and providers count it in different ways and at different moments: so the headers of every
reply set the provider's buckets right again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from alpaca_core.records import Completion, Limits, Request

CHARACTERS = 4.0  # of a prompt in a token, until replies tell
NAMES = ("requests", "tokens", "input_tokens", "output_tokens")  # as in Limits


@dataclass(frozen=True, slots=True)
class Taken:
    """What a request took from the buckets, by name; ``ended`` is what those that were over by then had taken."""

    request: Request
    amounts: Mapping[str, float]
    ended: Mapping[str, float]


class Bucket:
    """So much a minute, refilled all the time; a full bucket holds ``burst``. Without a limit it is always open."""

    def __init__(self, clock: Callable[[], float], limit: float | None = None, burst: float = 0.0) -> None:
        self._clock = clock
        self._limit = limit
        self._full = self._level = burst
        self._at = clock()
        self._taken = 0.0  # in all
        self.ended = 0.0  # of that, by requests that are over

    def wait(self, amount: float) -> float:
        """Seconds until ``amount`` is there, or until the bucket is full if that is less."""
        if self._limit is None:
            return 0.0
        self._refill()
        return max(0.0, (min(amount, self._full) - self._level) * 60 / self._limit)

    def take(self, amount: float) -> None:
        """A request of this size is sent."""
        self._taken += amount
        self._level -= amount

    def correct(self, amount: float) -> None:
        """A request has turned out smaller than estimated by ``amount``; larger, if that is negative."""
        self._refill()
        self._level = min(self._full, self._level + amount)

    def follow(self, limit: int | None, left: int | None, amount: float, ended: float) -> None:
        """Learn from the headers that answer a request of ``amount``; ``ended`` is as it was when that was sent.

        A limit of 0 is none, as some servers write it. ``left`` was true at some moment since then. All that it may
        not count is what was in flight at some time since: without that, the rest is there at least. And at most there
        is one request's worth more than ``left``: by so much a bucket in use rises from one request to the next, and
        the reply comes anywhere between the two.
        """
        if not limit:
            return
        self._refill()
        uncounted = self._taken - ended
        if self._limit is None:
            self._level = (limit if left is None else left) - uncounted
        elif left is not None:
            self._level = max(self._level, left - uncounted)
        self._limit = self._full = float(limit)
        self._level = min(self._level, limit if left is None else left + amount, limit)

    def restart(self, at: float, amount: float) -> None:
        """Hold no more than ``amount`` at the time ``at``."""
        self._refill()
        self._level = min(self._level, amount)
        self._at = max(self._at, at)

    def _refill(self) -> None:
        now = self._clock()
        if now > self._at:
            if self._limit is not None:
                self._level = min(self._full, self._level + (now - self._at) * self._limit / 60)
            self._at = now


class Sizes:
    """How many tokens a request will take, learnt from the replies so far."""

    def __init__(self) -> None:
        self._characters = self._prompt_tokens = 0
        self._answers = self._answer_tokens = 0
        self.counted = 0  # for every answer at least, whatever its length, where the provider is known to count so

    def of(self, request: Request) -> tuple[float, float]:
        """Tokens of the prompt and of the answer: by the characters in a token and by the mean answer so far."""
        characters = self._characters / self._prompt_tokens if self._prompt_tokens else CHARACTERS
        # One answer of the greatest length is thought of as well, lest a short first one be the measure of all others.
        mean = (self._answer_tokens + request.max_tokens) / (self._answers + 1)
        return _characters(request) / characters, max(mean, min(self.counted, request.max_tokens))

    def learn(self, request: Request, reply: Completion) -> None:
        """Take in what was billed; zeros are a provider that does not tell."""
        if reply.usage.prompt_tokens:
            self._characters += _characters(request)
            self._prompt_tokens += reply.usage.prompt_tokens
        if reply.usage.completion_tokens:
            self._answers += 1
            self._answer_tokens += reply.usage.completion_tokens

    def learn_counting(self, request: Request, reply: Completion) -> None:
        """From a reply whose request was the only one: whether the provider takes off more than it bills.

        Some take off the longest answer beforehand, with the prompt or instead of it, and leave it at that. By the time
        of the reply the bucket may have risen again, so what is gone is rounded up to one of the two. If more is gone,
        somebody else was there, and nothing can be told.
        """
        limits, used, longest = reply.limits or Limits(), reply.usage, request.max_tokens
        instead = longest - used.prompt_tokens
        for gone in (
            (limits.tokens or 0) - (limits.tokens_left or 0) - used.prompt_tokens,
            (limits.output_tokens or 0) - (limits.output_tokens_left or 0),
        ):
            if 1.25 * used.completion_tokens < gone < 1.25 * longest:
                self.counted = max(self.counted, longest if gone > 1.01 * instead else instead)


def _characters(request: Request) -> int:
    return len(request.system) + len(request.prompt) + len(request.input) + len(request.prefix)


def _amounts(prompt: float, answer: float) -> dict[str, float]:
    return {"requests": 1.0, "tokens": prompt + answer, "input_tokens": prompt, "output_tokens": answer}


class Allowance:
    """All buckets of a run.

    The user's ceilings, ``max_rpm`` and ``max_tpm`` (prompt and answer together), hold in any minute, so there is no
    free burst: at most a second's worth goes out at once.
    """

    def __init__(self, clock: Callable[[], float], max_rpm: int | None, max_tpm: int | None) -> None:
        self._provider = {name: Bucket(clock) for name in NAMES}
        self._user = {
            "requests": Bucket(clock, max_rpm, max(1.0, (max_rpm or 0) / 60)),
            "tokens": Bucket(clock, max_tpm, (max_tpm or 0) / 60),
        }
        self._sizes = Sizes()
        self._spare = 1.0  # requests' worth

    def wait(self, request: Request) -> float:
        """Seconds until ``request`` may be sent.

        Something stays in reserve of what the provider allows: the worth of one request, and of one more for each that
        was refused. Nothing would be left after every request otherwise, and no header tells of less than nothing:
        that somebody uses the same key, or that the provider counts more than we do, would show in refusals only.
        """
        amounts = self._amounts(request)
        return max(
            *(bucket.wait((1 + self._spare) * amounts[name]) for name, bucket in self._provider.items()),
            *(bucket.wait(amounts[name]) for name, bucket in self._user.items()),
        )

    def take(self, request: Request) -> Taken:
        """``request`` is sent."""
        taken = Taken(request, self._amounts(request), {name: bucket.ended for name, bucket in self._provider.items()})
        for name, bucket in self._each():
            bucket.take(taken.amounts[name])
        return taken

    def ended(self, taken: Taken) -> None:
        """The request is over, however it ended."""
        for name, bucket in self._each():
            bucket.ended += taken.amounts[name]

    def answered(self, taken: Taken, reply: Completion, *, alone: bool) -> None:
        """A reply is here, with what its tokens really are: errors of the estimate do not pile up. ``alone``: it is the
        first, and nothing else was sent."""
        if alone:
            self._sizes.learn_counting(taken.request, reply)
        self._sizes.learn(taken.request, reply)
        prompt, answer = reply.usage.prompt_tokens, reply.usage.completion_tokens
        if prompt or answer:
            for buckets, counted in ((self._provider, max(answer, self._sizes.counted)), (self._user, answer)):
                amounts = _amounts(prompt, counted)
                for name, bucket in buckets.items():
                    bucket.correct(taken.amounts[name] - amounts[name])
        self.learn(taken, reply.limits)

    def refused(self, taken: Taken, limits: Limits | None) -> bool | None:
        """The provider turned the request down for now. Whether its headers explain that by what is left, if the answer
        counts at its longest, as some providers count it; None where they say nothing."""
        self.learn(taken, limits)
        most = _amounts(taken.amounts["input_tokens"], taken.request.max_tokens)
        lefts = {name: getattr(limits, f"{name}_left", None) for name in NAMES}
        known = {name: left for name, left in lefts.items() if left is not None}
        short = [name for name, left in known.items() if left <= most[name]]
        if short and all(known[name] >= taken.amounts[name] for name in short):
            self._sizes.counted = taken.request.max_tokens
        self._spare += bool(short)
        return bool(short) if known else None

    def learn(self, taken: Taken, limits: Limits | None) -> None:
        """Follow the headers that came back."""
        if limits is not None:
            for name, bucket in self._provider.items():
                limit, left = getattr(limits, name), getattr(limits, f"{name}_left")
                bucket.follow(limit, left, taken.amounts[name], taken.ended[name])

    def restart(self, at: float, taken: Taken) -> None:
        """Hold one request's worth at the end of a pause, so that what waited goes out at the limits' pace."""
        for name, bucket in self._each():
            bucket.restart(at, taken.amounts[name])

    def _amounts(self, request: Request) -> dict[str, float]:
        return _amounts(*self._sizes.of(request))

    def _each(self) -> list[tuple[str, Bucket]]:
        return [*self._provider.items(), *self._user.items()]
