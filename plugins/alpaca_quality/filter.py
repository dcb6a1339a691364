"""The quality filter: one question about each row, then a threshold.

After AlpaGasus (Chen and others 2023, arXiv 2307.08701), which had ChatGPT score 52,002 rows from 0 to 5 and kept those
from 4.5 on. How many these are depends on the judge, so here the threshold is a quantile unless one is given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from alpaca_core import Ask, Completion, Example, Flag, Reject, TeacherError, Verdict
from alpaca_quality import QualityOptions
from alpaca_quality.question import question
from alpaca_quality.scores import score


class Quality:
    """Keeps the best rows. One without a score is kept, and flagged with why."""

    def __init__(self, options: QualityOptions) -> None:
        self.options = options

    async def select(self, examples: Sequence[Example], ask: Ask) -> list[Verdict]:
        """Scores every row; raises what ``ask`` raises."""
        answers = await ask([question(example, self.options.max_tokens) for example in examples])
        scores = [None if isinstance(answer, TeacherError) else score(answer) for answer in answers]
        threshold = self.threshold([value for value in scores if value is not None])
        return [self._verdict(answer, value, threshold) for answer, value in zip(answers, scores, strict=True)]

    def threshold(self, scores: Sequence[float]) -> float:
        """The lowest score to keep: the option's, or that of the last row within the share to keep."""
        if self.options.threshold is not None or not scores:
            return self.options.threshold or 0.0
        count = math.ceil(round(self.options.keep * len(scores), 9))  # 0.1 * 30 is a hair above 3
        return sorted(scores, reverse=True)[count - 1]

    def _verdict(self, answer: Completion | TeacherError, value: float | None, threshold: float) -> Verdict:
        if value is None:
            return Flag(f"no score: {_why(answer)}")
        if value < threshold:
            return Reject(f"score {value:g}, below the threshold {threshold:g}")
        return Flag(f"score {value:g}, threshold {threshold:g}")


def _why(answer: Completion | TeacherError) -> str:
    """Why there is no score in ``answer``."""
    if isinstance(answer, TeacherError):
        return f"not judged, {answer.kind}: {answer.message}"
    if answer.finish in ("refusal", "content_filter"):
        return "the judge refused" if answer.finish == "refusal" else "withheld by a content filter"
    if answer.finish == "length":
        return "the answer was cut off: see filter.quality.max_tokens"
    words = " ".join(answer.text.split())
    if not words:
        return "an empty answer"
    return f"the answer begins “{words[:60]}”"
