"""Win rates, as AlpacaEval counts them, with an interval.

The definitions are those of ``alpaca_eval.metrics.get_winrate`` (github.com/tatsu-lab/alpaca_eval, version 0.6.6):
a preference of 1 + p counts p for the model, rows without a verdict do not count, everything is in percent.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from random import Random
from typing import Any

from alpaca_core.errors import ConfigError
from alpaca_core.versus.annotations import DRAW, Annotation

RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class WinRate:
    """How often a model's answers are preferred to the baseline's; rates are in percent, lengths in characters.

    ``standard_error`` is that of ``win_rate`` over the rows (nan for one row). ``n_total`` are the rows with a
    verdict, ``n_missing`` those without; a win is a preference over 1.5, a draw one of exactly 1.5.
    ``discrete_win_rate`` counts a win as one and a draw as half. ``low`` and ``high`` bound ``win_rate`` at 95 %.
    ``avg_length`` and ``avg_length_base`` are mean lengths of the model's and the baseline's answers, over all rows.
    """

    win_rate: float
    standard_error: float
    low: float
    high: float
    n_wins: int
    n_wins_base: int
    n_draws: int
    n_total: int
    n_missing: int
    discrete_win_rate: float
    avg_length: float
    avg_length_base: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON: what is no number there becomes None."""
        return {name: None if value != value else value for name, value in asdict(self).items()}


def win_rate(annotations: Sequence[Annotation], *, seed: int = 0) -> WinRate:
    """The win rate of generator 2 over generator 1. Raises ConfigError where no row has a verdict."""
    scores = [row.preference - 1 for row in annotations if row.preference is not None]
    if not scores:
        raise ConfigError(
            f"None of the {len(annotations):,} comparisons has a verdict.",
            hint="The preferences are all null: see what the judge wrote in preference_raw_completion.",
        )
    n, mean = len(scores), math.fsum(scores) / len(scores)
    error = math.sqrt(math.fsum((score - mean) ** 2 for score in scores) / (n - 1) / n) if n > 1 else math.nan
    wins, draws = sum(score > 0.5 for score in scores), sum(score == 0.5 for score in scores)
    low, high = interval(annotations, seed=seed)
    return WinRate(
        win_rate=100 * mean,
        standard_error=100 * error,
        low=low,
        high=high,
        n_wins=wins,
        n_wins_base=n - wins - draws,
        n_draws=draws,
        n_total=n,
        n_missing=len(annotations) - n,
        discrete_win_rate=100 * (wins + draws / 2) / n,
        avg_length=_mean(len(row.output_2) for row in annotations),
        avg_length_base=_mean(len(row.output_1) for row in annotations),
    )


def percent(annotations: Iterable[Annotation]) -> float:
    """The ``win_rate`` of a WinRate alone: nan where no row has a verdict."""
    scores = [row.preference - 1 for row in annotations if row.preference is not None]
    return 100 * math.fsum(scores) / len(scores) if scores else math.nan


def interval(
    annotations: Sequence[Annotation], *, seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL
) -> tuple[float, float]:
    """Bounds of the win rate in percent: the percentile bootstrap over instructions, a function of ``seed``.

    All verdicts on one ``index`` (of several people, or in both orders) are drawn together, so that judging an
    instruction twice does not make the interval narrower than the instructions allow.
    """
    by_index: dict[int, list[float]] = defaultdict(list)
    for row in annotations:
        if row.preference is not None:
            by_index[row.index].append(row.preference - 1)
    sums = [math.fsum(scores) for scores in by_index.values()]
    counts = [len(scores) for scores in by_index.values()]
    draw, n = Random(seed).random, len(sums)
    means = []
    for _ in range(resamples):
        places = [int(draw() * n) for _ in range(n)]
        means.append(sum([sums[place] for place in places]) / sum([counts[place] for place in places]))
    means.sort()
    return tuple(100 * _quantile(means, share) for share in ((1 - level) / 2, (1 + level) / 2))  # type: ignore[return-value]


def preference_of(winner: int) -> float:
    """The preference that says that answer ``winner`` (1 or 2) is better; 0 is a draw."""
    return (DRAW, 1.0, 2.0)[winner]


def comparisons(annotations: Iterable[Annotation]) -> dict[tuple[str, str], list[Annotation]]:
    """``annotations`` by (model, baseline), in the order in which these first come."""
    found: dict[tuple[str, str], list[Annotation]] = defaultdict(list)
    for row in annotations:
        found[row.generator_2, row.generator_1].append(row)
    return dict(found)


def _mean(values: Iterable[float]) -> float:
    known = list(values)
    return math.fsum(known) / len(known)


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Linear between the two nearest, as numpy's default."""
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
