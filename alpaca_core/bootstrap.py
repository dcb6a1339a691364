"""How far a mean may be off, as far as the rows that it is over can tell: the percentile bootstrap."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

RESAMPLES = 1000
LEVEL = 0.95


def interval(
    values: Sequence[float], weights: Sequence[float] = (), seed: int = 0, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """The ends of the 95 % interval of ``sum(values) / sum(weights)``; without weights, of the mean.

    The rows, each a value with its weight, are drawn ``resamples`` times with replacement (Efron 1979, "Bootstrap
    methods: another look at the jackknife"). The same values and ``seed`` give the same ends. For paired scores, as of
    two models on the same rows (Koehn 2004), ``values`` are the differences. Raises ValueError where there are no rows.
    """
    if not values:
        raise ValueError("an interval needs at least one row")
    rng, n = Random(f"bootstrap/{seed}"), len(values)
    if weights:
        rows = list(zip(values, weights, strict=True))
        means = []
        for _ in range(resamples):
            above, below = zip(*rng.choices(rows, k=n), strict=True)
            means.append(sum(above) / (sum(below) or 1.0))
    else:
        means = [sum(rng.choices(values, k=n)) / n for _ in range(resamples)]
    means.sort()
    outside = (1 - LEVEL) / 2
    return means[round(outside * resamples)], means[round((1 - outside) * resamples) - 1]
