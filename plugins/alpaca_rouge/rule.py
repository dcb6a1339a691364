"""The decision rule: how many common tokens reject a pair, in rouge_score's own float arithmetic."""

from __future__ import annotations

from math import floor


def fmeasure(common: int, m: int, n: int) -> float:
    """ROUGE-L F of texts with ``m`` and ``n`` tokens whose LCS has ``common``: rouge_score's own float operations."""
    if not common:
        return 0.0
    precision = common / n
    recall = common / m
    return 2 * precision * recall / (precision + recall)


class Need:
    """``need(m, n)``: the least LCS length with ``fmeasure > threshold``, or more than ``min(m, n)`` if none has.

    The float expression itself decides, because it does not round evenly: at 0.7, seven common tokens of 10 and 10
    give exactly 0.7 and are kept, while seven of 9 and 11 give 0.7000000000000001 and are rejected.
    """

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self._known: dict[tuple[int, int], int] = {}
        self._least: dict[int, int] = {}

    def __call__(self, m: int, n: int) -> int:
        known = self._known.get((m, n))
        if known is None:
            # The exact rational bound, less a margin for rounding.
            known = max(1, floor(self.threshold * (m + n) / 2) - 1)
            while known <= min(m, n) and not fmeasure(known, m, n) > self.threshold:
                known += 1
            self._known[m, n] = known
        return known

    def least(self, m: int) -> int:
        """The least ``need(m, n)`` over all ``n``, or more than ``m`` if no partner is close enough."""
        known = self._least.get(m)
        if known is None:
            # need grows with n, so the shortest partner that can be close enough gives the least.
            known = next((self(m, n) for n in range(1, m + 1) if self(m, n) <= n), m + 1)
            self._least[m] = known
        return known
