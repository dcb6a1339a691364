"""The win rate that a model would have if its answers were as long as the baseline's.

Length-controlled AlpacaEval (Dubois, Galambosi, Liang and Hashimoto 2024, arXiv:2404.04475), computed as
``alpaca_eval.metrics.get_length_controlled_winrate`` does (github.com/tatsu-lab/alpaca_eval, version 0.6.6). A logistic
regression without a free intercept predicts the preference, from 0 to 1, from

    length      tanh((len(output_1) - len(output_2)) / their standard deviation over the rows)
    difficulty  the instruction's difficulty, fitted by the authors on many models
    model       1: how good the model is

and the rate is the mean of its predictions with length at 0. The form ``length_controlled_v1`` needs the authors'
``df_gamed.csv`` (dataset ``tatsu-lab/alpaca_eval``): for the difficulties, and because comparisons of models that were
told to be long or short are fitted along, at a tenth of a row's weight and without the term for the model.
Without that file there is the form ``length_controlled_minimal``: no difficulty, no other models.

Each weight costs its absolute value (L1), the loss C times as much. C is the best of ten from 1e-4 to 1e4 by the log
loss in five-fold cross-validation. ``logistic`` finds the weights, to the digits that the package's solver finds.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from operator import mul
from pathlib import Path
from statistics import stdev
from typing import Any

from alpaca_core.errors import ConfigError
from alpaca_core.versus.annotations import Annotation
from alpaca_core.versus.logistic import log_loss, path, sigmoid

FULL, MINIMAL = "length_controlled_v1", "length_controlled_minimal"

FOLDS = 5
COSTS = tuple(10 ** (-4 + 8 * place / 9) for place in range(10))
GAMED_WEIGHT = 0.2 / 2  # the regularisation of the authors, over their two models
_COLUMNS = ("index", "instruction_difficulty", "preference", "std_delta_len", "not_gamed_baseline")

Rows = Sequence[tuple[tuple[float, ...], float, float]]  # features, the preference from 0 to 1, the row's weight


@dataclass(frozen=True, slots=True)
class LengthControlled:
    """A length-controlled win rate in percent, with the ``form`` that it is of.

    ``standard_error`` is the authors': how the predictions vary over the instructions. In the minimal form they do not,
    and it is None. ``weights`` are those of the regression by name, ``cost`` is the C that was chosen (0 where a model
    is compared with itself: 50 by definition).
    """

    win_rate: float
    standard_error: float | None
    form: str
    weights: dict[str, float]
    cost: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Difficulty:
    """``df_gamed.csv``: the difficulty of each instruction by its index, and the rows of the gamed models."""

    of: dict[int, float]
    gamed: tuple[tuple[tuple[float, ...], float, float], ...]


def read_difficulty(path: Path) -> Difficulty:
    """The authors' ``df_gamed.csv``. Raises ConfigError with the line and the column of what is not as expected."""
    of: dict[int, float] = {}
    gamed, problems = [], []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if missing := [name for name in _COLUMNS if name not in (reader.fieldnames or ())]:
                raise ConfigError(
                    f"{path} has no column {', '.join(map(repr, missing))}.",
                    hint="What is needed is df_gamed.csv of the dataset tatsu-lab/alpaca_eval.",
                )
            for row in reader:
                try:
                    index, difficulty = int(_number(row, "index")), _number(row, "instruction_difficulty")
                    features = (math.tanh(_number(row, "std_delta_len")), difficulty, _truth(row))
                    if row["preference"].strip().lower() not in ("", "nan"):
                        gamed.append((features, _number(row, "preference"), GAMED_WEIGHT))
                    of.setdefault(index, difficulty)
                except (TypeError, ValueError, AttributeError) as exc:
                    problems.append(f"line {reader.line_num}: {exc}")
    except (OSError, UnicodeDecodeError, csv.Error) as exc:
        raise ConfigError(f"{path} cannot be read: {getattr(exc, 'strerror', None) or exc}.") from exc
    if problems:
        raise ConfigError(f"The rows of {path} cannot be used:", problems=problems[:20])
    return Difficulty(of, tuple(gamed))


def length_controlled(annotations: Sequence[Annotation], difficulty: Difficulty | None = None) -> LengthControlled:
    """The length-controlled win rate of generator 2, in the full form with ``difficulty`` and the minimal one without.

    Where all answers differ from the baseline's by one length there is nothing to tell length and model apart, and
    length is left out. Raises ConfigError where there are fewer than five verdicts, where the rows are of several
    comparisons, and where ``difficulty`` lacks an instruction.
    """
    form = FULL if difficulty else MINIMAL
    names = ("length", "difficulty", "model") if difficulty else ("length", "model")
    pairs = {(row.generator_1, row.generator_2) for row in annotations}
    if len(pairs) > 1:
        raise ConfigError(f"A length-controlled win rate is of one comparison, and these rows are of {len(pairs)}.")
    if annotations and annotations[0].generator_1 == annotations[0].generator_2:
        return LengthControlled(50.0, 0.0 if difficulty else None, form, dict.fromkeys(names, 0.0), 0.0)
    if sum(row.preference is not None for row in annotations) < FOLDS:
        raise ConfigError(f"A length-controlled win rate needs {FOLDS} comparisons with a verdict at least.")
    hard = _difficulties(annotations, difficulty) if difficulty else [()] * len(annotations)
    deltas = [len(row.output_1) - len(row.output_2) for row in annotations]
    spread = stdev(deltas)
    lengths = [math.tanh(delta / spread) if spread else 0.0 for delta in deltas]
    rows = [
        ((length, *known, 1.0), row.preference - 1, 1.0)
        for row, length, known in zip(annotations, lengths, hard, strict=True)
        if row.preference is not None
    ]
    weights, cost = _fitted([*(difficulty.gamed if difficulty else ()), *rows])
    predicted = [100 * sigmoid(sum(map(mul, weights, (0.0, *known, 1.0)))) for known in hard]
    mean = math.fsum(predicted) / len(predicted)
    error = stdev(predicted) / math.sqrt(len(predicted)) if difficulty else None
    return LengthControlled(mean, error, form, dict(zip(names, weights, strict=True)), cost)


def is_extreme(rate: float, controlled: float) -> bool:
    """Whether length control moves a win rate (both in percent) so far that AlpacaEval's package warns: by over ten
    points, and by over a quarter of the way to 0 or to 100."""
    low, high = min(rate * 3 / 4, rate - 10), max(rate + (100 - rate) / 4, rate + 10)
    return not low <= controlled <= high


def _difficulties(annotations: Sequence[Annotation], difficulty: Difficulty) -> list[tuple[float, ...]]:
    unknown = [row for row in annotations if row.index not in difficulty.of]
    if unknown:
        raise ConfigError(
            f"The difficulty file has nothing on {len(unknown):,} of {len(annotations):,} instructions, such as number"
            f" {unknown[0].index}.",
            hint="It is of AlpacaEval's 805 instructions; leave it out for any other set: the minimal form needs none.",
        )
    return [(difficulty.of[row.index],) for row in annotations]


def _number(row: dict[str, str], name: str) -> float:
    try:
        value = float(row[name])
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{name}: expected a number, found {row[name]!r}")
    return value


def _truth(row: dict[str, str]) -> float:
    text = row["not_gamed_baseline"].strip().lower()
    if text not in ("true", "false"):
        raise ValueError(f"not_gamed_baseline: expected True or False, found {row['not_gamed_baseline']!r}")
    return float(text == "true")


# -- the regression


def _fitted(rows: Rows) -> tuple[list[float], float]:
    """The weights with the best C, and that C. Folds are those of scikit-learn's GroupKFold over rows."""
    losses = [0.0] * len(COSTS)
    for fold in range(FOLDS):
        fits = {True: [], False: []}
        for place, row in enumerate(reversed(rows)):
            fits[place % FOLDS != fold].append(row)
        inside, outside = _columns(fits[True]), _columns(fits[False])
        for place, weights in enumerate(path(*inside, COSTS)):
            losses[place] += log_loss(*outside, weights) / len(fits[False])
    cost = COSTS[losses.index(min(losses))]
    return path(*_columns(rows), [cost])[0], cost


def _columns(rows: Rows) -> tuple[list[tuple[float, ...]], list[float], list[float]]:
    """Features by column, targets and shares."""
    features, targets, shares = zip(*rows, strict=True)
    return list(zip(*features, strict=True)), list(targets), list(shares)
