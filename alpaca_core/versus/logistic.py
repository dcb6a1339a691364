"""Logistic regression with an L1 penalty, for targets from 0 to 1, as a published evaluation fits it.

It minimises ``sum(|w|) + C * sum(share * log loss)`` by Newton steps, each solved coordinate by coordinate: newGLMNET
(Yuan, Ho and Lin 2012, "An Improved GLMNET for L1-regularized Logistic Regression", JMLR 13), the solver of LIBLINEAR
that scikit-learn's ``LogisticRegression(penalty="l1", solver="liblinear")`` calls. At that solver's tolerance two
implementations differ by some hundredths of a percent in a win rate. So this one also stops where LIBLINEAR does, and
takes the coordinates in its random order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from operator import mul
from random import Random

TOLERANCE = 1e-4  # scikit-learn's default: the violation left, over that at zero
RANDOM_STATE = 123  # AlpacaEval's
_MOST_STEPS = 100
_MOST_SWEEPS = 1000
_MOST_HALVINGS = 20
_ENOUGH = 0.01  # of the decrease that is foreseen
_RIDGE = 1e-12
_LEAP = 10.0

Columns = Sequence[Sequence[float]]
Vector = list[float]


def path(columns: Columns, targets: Sequence[float], shares: Sequence[float], costs: Sequence[float]) -> list[Vector]:
    """``fit`` for each of ``costs``. As in scikit-learn, each has a random order of its own, drawn in their order."""
    seeds = _drawn(RANDOM_STATE)
    return [fit(columns, targets, shares, cost, seed=next(seeds) % 2**31) for cost in costs]


def fit(
    columns: Columns,
    targets: Sequence[float],
    shares: Sequence[float],
    cost: float,
    *,
    seed: int = 0,
    tolerance: float = TOLERANCE,
) -> Vector:
    """One weight for each of ``columns``. ``targets`` are from 0 to 1, ``shares`` are the weights of the rows, ``cost``
    is C. There is no intercept: a column of ones is one, penalised as the others are."""
    size = len(columns)
    # To LIBLINEAR a row is an instance of each class, but for those whose weight is nothing.
    positive, negative = sum(target > 0 for target in targets), sum(target < 1 for target in targets)
    instances = positive + negative
    tolerance *= max(min(positive, negative), 1) / instances
    order, drawn = list(range(size)), _drawn(seed)
    weights, z = [0.0] * size, [0.0] * len(targets)
    loss = _loss(z, targets, shares)
    at_zero, highest, inner = 0.0, math.inf, 1.0
    for step in range(_MOST_STEPS):
        p = [sigmoid(value) for value in z]
        slopes = [cost * share * (q - target) for q, target, share in zip(p, targets, shares, strict=True)]
        bends = [cost * share * q * (1 - q) for q, share in zip(p, shares, strict=True)]
        gradient = [sum(map(mul, column, slopes)) for column in columns]
        active = _active(order, weights, gradient, highest / instances)
        violations = [_violation(weights[j], gradient[j]) for j in order[:active]]
        if step == 0:
            at_zero = sum(violations)
        if sum(violations) <= tolerance * at_zero:
            break
        hessian = _hessian(columns, bends)
        change, sweeps = _descent(weights, gradient, hessian, order, active, drawn, inner * at_zero, instances)
        foreseen = sum(map(mul, gradient, change)) - sum(map(abs, weights))
        foreseen += sum(abs(weight + move) for weight, move in zip(weights, change, strict=True))
        for halving in range(_MOST_HALVINGS):
            share = 0.5**halving
            tried = [weight + share * move for weight, move in zip(weights, change, strict=True)]
            new_z = _products(columns, tried)
            new_loss = _loss(new_z, targets, shares)
            grown = sum(map(abs, tried)) - sum(map(abs, weights)) + cost * (new_loss - loss)
            if grown <= _ENOUGH * share * foreseen:
                weights, z, loss = tried, new_z, new_loss
                break
        if sweeps == 1:
            inner /= 4
        highest = max(violations)
    return weights


def _active(order: list[int], weights: Vector, gradient: Vector, margin: float) -> int:
    """How many coordinates of ``order`` are to be moved; those that are sure to stay at zero are put behind them."""
    place, active = 0, len(order)
    while place < active:
        j = order[place]
        if weights[j] == 0 and abs(gradient[j]) < 1 - margin:
            active -= 1
            order[place], order[active] = order[active], j
        else:
            place += 1
    return active


def _descent(
    weights: Vector,
    gradient: Vector,
    hessian: list[Vector],
    order: list[int],
    active: int,
    drawn: Iterator[int],
    enough: float,
    instances: int,
) -> tuple[Vector, int]:
    """The change of ``weights`` that about minimises the second-order model, and the sweeps that it took.

    A sweep takes the active coordinates in a new random order; ``order`` keeps it. The last one left a violation of
    ``enough`` at most.
    """
    change = [0.0] * len(weights)
    awake, highest = active, math.inf
    for sweeps in range(1, _MOST_SWEEPS + 1):  # noqa: B007 # it is returned
        largest = total = 0.0
        for place in range(awake):
            other = place + _below(awake - place, drawn)
            order[place], order[other] = order[other], order[place]
        place = 0
        while place < awake:
            j = order[place]
            weight, bend = weights[j] + change[j], hessian[j][j] + _RIDGE
            slope = gradient[j] + change[j] * _RIDGE + sum(map(mul, hessian[j], change))
            if weight == 0 and abs(slope) < 1 - highest / instances:
                awake -= 1
                order[place], order[awake] = order[awake], j
                continue
            place += 1
            move = max(abs(bend * weight - slope) - 1, 0.0) / bend
            move = math.copysign(move, bend * weight - slope) - weight
            if abs(move) < 1e-12:
                continue
            violation = _violation(weight, slope)
            largest, total = max(largest, violation), total + violation
            change[j] += min(max(move, -_LEAP), _LEAP)
        if total <= enough:
            if awake == active:
                break
            awake, highest = active, math.inf
        else:
            highest = largest
    return change, sweeps


def _violation(weight: float, slope: float) -> float:
    """How far the optimality condition of one weight is from holding."""
    return abs(slope + math.copysign(1.0, weight)) if weight else max(abs(slope) - 1.0, 0.0)


def _hessian(columns: Columns, bends: Vector) -> list[Vector]:
    size = len(columns)
    hessian = [[0.0] * size for _ in range(size)]
    for i, column in enumerate(columns):
        bent = list(map(mul, column, bends))
        for j in range(i + 1):
            hessian[i][j] = hessian[j][i] = sum(map(mul, bent, columns[j]))
    return hessian


def _products(columns: Columns, weights: Vector) -> Vector:
    """``w x`` of each row."""
    return [sum(map(mul, weights, row)) for row in zip(*columns, strict=True)]


def log_loss(columns: Columns, targets: Sequence[float], shares: Sequence[float], weights: Vector) -> float:
    """The log loss of the rows under ``weights``, summed by their shares."""
    return _loss(_products(columns, weights), targets, shares)


def sigmoid(z: float) -> float:
    """``1 / (1 + exp(-z))``."""
    return 1 / (1 + math.exp(-z)) if z > -700 else 0.0


def _loss(z: Vector, targets: Sequence[float], shares: Sequence[float]) -> float:
    return math.fsum(
        share * (math.log1p(math.exp(-abs(value))) + (value if value > 0 else 0.0) - target * value)
        for value, target, share in zip(z, targets, shares, strict=True)
    )


def _drawn(seed: int) -> Iterator[int]:
    """The 32-bit numbers of a Mersenne Twister seeded as C++ and numpy do, and ``random.seed`` does not."""
    state = [seed]
    for place in range(1, 624):
        state.append((1812433253 * (state[-1] ^ state[-1] >> 30) + place) % 2**32)
    random = Random()
    random.setstate((3, (*state, 624), None))
    while True:
        yield random.getrandbits(32)


def _below(limit: int, drawn: Iterator[int]) -> int:
    """A number under ``limit``, each as likely (Lemire 2019, "Fast Random Integer Generation in an Interval")."""
    for number in drawn:
        if number * limit % 2**32 >= 2**32 % limit:
            return number * limit >> 32
    raise AssertionError("the numbers never end")
