"""The same number of rows of every kind of task."""

from __future__ import annotations

from collections import Counter

from alpaca_core import Candidate, Example, Keep, Reject, Verdict
from alpaca_procedural import QuotaOptions


class Quota:
    """Rejects a labelled candidate once ``per_label`` rows of its label are kept. What has no label passes."""

    def __init__(self, options: QuotaOptions) -> None:
        self._limit = options.per_label
        self._kept: Counter[str] = Counter()

    def judge(self, candidate: Candidate) -> Verdict:
        if candidate.label and self._kept[candidate.label] >= self._limit:
            return Reject(f"quota of {self._limit} for {candidate.label} reached")
        return Keep()

    def kept(self, example: Example) -> None:
        if example.label:
            self._kept[example.label] += 1
