"""A teacher as the judge: one question about each pair, in words of our own."""

from __future__ import annotations

from collections.abc import Sequence

from alpaca_core import Ask, Pair, Preference
from alpaca_judges import PairwiseOptions
from alpaca_judges.question import question
from alpaca_judges.verdicts import preference


class Pairwise:
    """Asks for A, B or a tie."""

    def __init__(self, options: PairwiseOptions) -> None:
        self.options = options

    async def compare(self, pairs: Sequence[Pair], ask: Ask) -> list[Preference]:
        """Asks about every pair; raises what ``ask`` raises."""
        answers = await ask([question(pair, self.options.max_tokens) for pair in pairs])
        return [preference(answer) for answer in answers]
