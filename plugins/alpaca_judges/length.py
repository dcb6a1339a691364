"""The longer answer is better: what a judge should not come down to.

Judges that are models prefer long answers, so much that a win rate can be raised by length alone (Dubois and others
2024, arXiv 2404.04475). What this judge says of the same pairs shows how far another one's verdicts go beyond that.
"""

from __future__ import annotations

from collections.abc import Sequence

from alpaca_core import Ask, Pair, Preference


class Length:
    """Counts characters."""

    async def compare(self, pairs: Sequence[Pair], ask: Ask) -> list[Preference]:
        """Asks nobody."""
        return [Preference((len(pair.b) > len(pair.a)) + 0.5 * (len(pair.b) == len(pair.a))) for pair in pairs]
