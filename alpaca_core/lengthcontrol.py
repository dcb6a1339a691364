"""The win rate that a model would have if its answers were as long as the baseline's.

Length-controlled AlpacaEval (Dubois, Galambosi, Liang and Hashimoto 2024, arXiv:2404.04475), computed as
``alpaca_eval.metrics.get_length_controlled_winrate`` does (github.com/tatsu-lab/alpaca_eval, version 0.6.6). A logistic
regression without a free intercept predicts the preference, from 0 to 1, from

    length      tanh((len(output_1) - len(output_2)) / their standard deviation over the rows)
    difficulty  the instruction's difficulty, fitted by the authors on many models
    model       1: how good the model is

and the rate is the mean of its predictions with length at 0. The form ``length_controlled_v1`` needs the authors'
``df_gamed.csv`` (dataset ``tatsu-lab/alpaca_eval``), for the difficulties and because 805 comparisons each of two models
that were told to be long or short are fitted along, at a tenth of a row's weight and without the term for the model.
Without that file there is the form ``length_controlled_minimal``: no difficulty, no other models.

Each weight costs its absolute value (L1), the loss C times as much. C is the best of ten from 1e-4 to 1e4 by the log
loss in five-fold cross-validation. The minimum is found by Newton's method, the package's solver comes to within 1e-4.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import stdev
from typing import Any

from alpaca_core.annotations import Annotation
from alpaca_core.errors import ConfigError

FULL, MINIMAL = "length_controlled_v1", "length_controlled_minimal"

FOLDS = 5
COSTS = tuple(10 ** (-4 + 8 * place / 9) for place in range(10))
GAMED_WEIGHT = 0.2 / 2  # the regularisation of the authors, over their two models
_CLOSE = 1e-9  # of the optimality conditions, relative to the gradient at zero
_COLUMNS = ("index", "instruction_difficulty", "preference", "std_delta_len", "not_gamed_baseline")

Rows = Sequence[tuple[tuple[float, ...], float, float]]  # features, the preference from 0 to 1, the row's weight
Vector = list[float]


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
                    index, difficulty = int(row["index"]), _number(row, "instruction_difficulty")
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
    predicted = [100 * _logistic(_dot(weights, (0.0, *known, 1.0))) for known in hard]
    mean = math.fsum(predicted) / len(predicted)
    error = stdev(predicted) / math.sqrt(len(predicted)) if difficulty else None
    return LengthControlled(mean, error, form, dict(zip(names, weights, strict=True)), cost)


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


def _fitted(rows: Rows) -> tuple[Vector, float]:
    """The weights with the best C, and that C. Folds are those of scikit-learn's GroupKFold over rows."""
    losses = [0.0] * len(COSTS)
    for fold in range(FOLDS):
        inside = [row for place, row in enumerate(rows) if (len(rows) - 1 - place) % FOLDS != fold]
        outside = [row for place, row in enumerate(rows) if (len(rows) - 1 - place) % FOLDS == fold]
        weights: Vector | None = None
        for place, cost in enumerate(COSTS):
            weights = minimum(inside, cost, weights)
            losses[place] += _loss(outside, weights) / len(outside)
    cost = COSTS[losses.index(min(losses))]
    return minimum(rows, cost), cost


def minimum(rows: Rows, cost: float, start: Vector | None = None) -> Vector:
    """The weights w that minimise ``sum(|w|) + cost * log loss of rows``, to nine digits of the gradient.

    Newton steps on the loss, each with the L1 term solved by coordinates, halved until the whole falls (Lee, Sun and
    Saunders 2014, "Proximal Newton-type methods").
    """
    size = len(rows[0][0])
    weights = list(start) if start else [0.0] * size
    scale = max(map(abs, _derivatives(rows, [0.0] * size)[0])) * cost + 1.0
    value = _objective(rows, weights, cost)
    for _ in range(100):
        gradient, hessian = _derivatives(rows, weights)
        gradient = [cost * slope for slope in gradient]
        if max(map(_violation, weights, gradient)) <= _CLOSE * scale:
            break
        step = _step(weights, gradient, [[cost * bend for bend in line] for line in hessian])
        share = 1.0
        while share > 1e-10:
            tried = [weight + share * change for weight, change in zip(weights, step, strict=True)]
            if (found := _objective(rows, tried, cost)) < value:
                break
            share /= 2
        else:
            break  # nothing smaller can be told in floating point
        weights, value = tried, found
    return weights


def _step(weights: Vector, gradient: Vector, hessian: list[Vector]) -> Vector:
    """The change that minimises the second-order model of the loss plus L1, one coordinate after the other."""
    step = [0.0] * len(weights)
    for _ in range(1000):
        largest = 0.0
        for j, line in enumerate(hessian):
            bend = line[j] + 1e-12
            slope = gradient[j] + _dot(line, step)
            target = weights[j] + step[j] - slope / bend
            shrunk = math.copysign(max(abs(target) - 1 / bend, 0.0), target)
            change = shrunk - weights[j] - step[j]
            step[j] += change
            largest = max(largest, abs(change))
        if largest < 1e-14 * (1 + max(map(abs, weights))):
            break
    return step


def _derivatives(rows: Rows, weights: Vector) -> tuple[Vector, list[Vector]]:
    """The gradient and the second derivatives of the log loss."""
    size = len(weights)
    gradient, hessian = [0.0] * size, [[0.0] * size for _ in range(size)]
    for features, target, share in rows:
        p = _logistic(_dot(weights, features))
        slope, bend = share * (p - target), share * p * (1 - p)
        for i in range(size):
            gradient[i] += slope * features[i]
            for j in range(i + 1):
                hessian[i][j] += bend * features[i] * features[j]
    for i in range(size):
        for j in range(i):
            hessian[j][i] = hessian[i][j]
    return gradient, hessian


def _violation(weight: float, slope: float) -> float:
    """How far the optimality condition of one weight is from holding."""
    return abs(slope + math.copysign(1.0, weight)) if weight else max(abs(slope) - 1.0, 0.0)


def _objective(rows: Rows, weights: Vector, cost: float) -> float:
    return sum(map(abs, weights)) + cost * _loss(rows, weights)


def _loss(rows: Rows, weights: Vector) -> float:
    """The log loss, summed over ``rows`` by their weights."""
    total = 0.0
    for features, target, share in rows:
        z = _dot(weights, features)
        total += share * (math.log1p(math.exp(-abs(z))) + max(z, 0.0) - target * z)
    return total


def _dot(a: Sequence[float], b: Sequence[float]) -> float:
    return sum([x * y for x, y in zip(a, b, strict=True)])


def _logistic(z: float) -> float:
    if z >= 0:
        return 1 / (1 + math.exp(-z))
    grown = math.exp(z)
    return grown / (1 + grown)
