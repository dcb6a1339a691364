"""The limits of the tests' provider: real buckets of so many a minute."""

from __future__ import annotations

import time

from provider_answers import Answer, Asked, tokens


class Bucket:
    """Full at the start, and refilled all the time. Without a number ``per_minute`` it never ends."""

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._level, self._at = float(per_minute), time.monotonic()

    @property
    def level(self) -> float:
        """What is there now; below 0 after a debt."""
        now = time.monotonic()
        self._level = min(self.per_minute, self._level + (now - self._at) * self.per_minute / 60)
        self._at = now
        return self._level

    def wait(self, amount: float) -> float:
        """Seconds until ``amount`` is there, or a full bucket if that is less."""
        if not self.per_minute:
            return 0.0
        return max(0.0, (min(amount, self.per_minute) - self.level) * 60 / self.per_minute)

    def take(self, amount: float) -> None:
        if self.per_minute:
            self._level = self.level - amount

    def left(self, unlimited: int) -> tuple[int, int, float]:
        """The limit, what is left of it, and the seconds until it is whole again; of the order of ``unlimited`` where
        there is no limit."""
        if not self.per_minute:
            return unlimited, unlimited - max(1, unlimited // 150_000), 0.006
        left = max(0, int(self.level))
        return self.per_minute, left, (self.per_minute - left) * 60 / self.per_minute


class Limits:
    """``rpm`` requests and ``tpm`` tokens a minute, or tokens in and out apart (``itpm``, ``otpm``). 0 is no limit.

    The tokens of a request count as soon as it is taken: its prompt, and for ``tpm`` the most that it may be answered
    with. Those of ``otpm`` count when they have been written, and until then nothing is known of them.
    """

    def __init__(self, rpm: int, tpm: int, itpm: int, otpm: int) -> None:
        self.requests, self.tokens = Bucket(rpm), Bucket(tpm)
        self.input, self.output = Bucket(itpm), Bucket(otpm)

    def admit(self, asked: Asked) -> float:
        """0.0, and the request is counted; or the seconds that it has to wait."""
        prompt = tokens(asked.prompt) + 1
        amounts = ((self.requests, 1), (self.tokens, prompt + (asked.most or 0)), (self.input, prompt))
        if wait := max(self.output.wait(1), *(bucket.wait(amount) for bucket, amount in amounts)):
            return wait
        for bucket, amount in amounts:
            bucket.take(amount)
        return 0.0

    def written(self, answer: Answer) -> None:
        self.output.take(answer.completion_tokens)
