"""What the verdicts of a comparison come to: the win rate, its controls, and why there was none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from alpaca_core.annotations import Annotation
from alpaca_core.controls import length_bias, longer_wins
from alpaca_core.errors import ConfigError
from alpaca_core.leaderboard import Entry, entry
from alpaca_core.lengthcontrol import Difficulty, length_controlled
from alpaca_core.records import Preference
from alpaca_core.winrate import win_rate

_MOST_REASONS = 10


def scores(verdicts: Sequence[Annotation], difficulty: Difficulty | None, seed: int) -> tuple[dict[str, Any], Entry]:
    """The part of the summary that follows from the verdicts alone, and the line of a leaderboard.

    Raises ConfigError where there is no verdict.
    """
    rate = win_rate(verdicts, seed=seed)
    try:
        controlled = length_controlled(verdicts, difficulty)
    except ConfigError:
        if difficulty is not None:
            raise
        controlled = None  # fewer than five verdicts
    lengths = win_rate(longer_wins(verdicts), seed=seed)
    summary = {
        "rows": len(verdicts),
        **rate.as_dict(),
        "length_controlled": controlled and controlled.as_dict(),
        "controls": {"length_only": {"win_rate": lengths.win_rate, **asdict(length_bias(verdicts))}},
    }
    return summary, entry(verdicts[0].generator_2, rate, controlled)


def share(verdicts: Sequence[Annotation], seed: int) -> dict[str, Any]:
    """The win rate of a part of the rows, if any has a verdict."""
    judged = [row for row in verdicts if row.preference is not None]
    rate = win_rate(judged, seed=seed) if judged else None
    return {
        "rows": len(verdicts),
        "judged": len(judged),
        **{name: getattr(rate, name, None) for name in ("win_rate", "low", "high")},
    }


def reasons(preferences: Sequence[Preference]) -> dict[str, int]:
    """Why there was no verdict, the commonest reasons first, with the number of pairs."""
    found = Counter(one.reason or "no reason given" for one in preferences if one.b is None)
    return dict(found.most_common(_MOST_REASONS))
