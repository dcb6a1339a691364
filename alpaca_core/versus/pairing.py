"""How the answers of two models are put before a judge, and what its preferences say of the models.

Judges favour a place: the answer that is shown first, or the second (Wang and others 2023, arXiv 2305.17926). So which
model's answer comes first is drawn for each row, or each row is shown in both orders.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from alpaca_core.records import Pair, Preference
from alpaca_core.versus.annotations import DRAW, Annotation
from alpaca_core.versus.outputs import ModelOutput

Orders = Literal["random", "both"]
Rows = Sequence[tuple[ModelOutput, ModelOutput]]  # the baseline's answer and the model's, to the same instruction

SAME = "the same answer"
_MOST_REASONS = 10


@dataclass(frozen=True, slots=True)
class Showing:
    """Row number ``row`` as the judge sees it; ``swapped``: the model's answer comes first."""

    row: int
    swapped: bool
    pair: Pair


@dataclass(frozen=True, slots=True)
class Position:
    """How far the verdicts went with the place. ``first`` percent of the ``decided`` ones, those that were no ties,
    preferred the answer that was shown first: 50 is fair. Of the ``both`` rows with a verdict in both orders
    ``disagreed`` had the answer win in one order that lost in the other."""

    first: float | None
    decided: int
    both: int
    disagreed: int

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def showings(rows: Rows, orders: Orders, seed: int) -> list[Showing]:
    """What is put before the judge, row by row: once or in both orders, the baseline's answer first.

    The order that is drawn is a function of ``seed`` and the task alone, whatever other rows there are. Rows whose
    answers are the same, white space at the ends aside, are left out: they are ties.
    """
    found = []
    for place, (baseline, model) in enumerate(rows):
        if baseline.output.strip() == model.output.strip():
            continue
        for swapped in (False, True) if orders == "both" else (_drawn(seed, baseline),):
            a, b = (model, baseline) if swapped else (baseline, model)
            found.append(Showing(place, swapped, Pair(baseline.instruction, baseline.input, a.output, b.output)))
    return found


def annotated(
    rows: Rows, shown: Sequence[Showing], preferences: Sequence[Preference], annotator: str
) -> list[Annotation]:
    """One annotation for each of ``rows``: the mean over its orders, a draw for the same answers.

    A row that lacks a verdict in one of its orders has none: that of the other order alone would speak for a place.
    """
    said: dict[int, list[tuple[float | None, Preference]]] = defaultdict(list)
    for showing, preference in zip(shown, preferences, strict=True):
        said[showing.row].append((_for_model(showing, preference), preference))
    found = []
    for place, (baseline, model) in enumerate(rows):
        scores = [score for score, _ in said[place]]
        texts = [preference.raw or preference.reason for _, preference in said[place]]
        known = [score for score in scores if score is not None]
        whole = 1 + sum(known) / len(known) if known and len(known) == len(scores) else None
        found.append(
            Annotation(
                index=place,
                instruction=baseline.instruction,
                input=baseline.input,
                output_1=baseline.output,
                generator_1=baseline.generator,
                output_2=model.output,
                generator_2=model.generator,
                dataset=baseline.dataset,
                annotator=annotator,
                preference=whole if texts else DRAW,
                raw_completion=(texts[0] if len(texts) == 1 else texts) if texts else SAME,
            )
        )
    return found


def position(shown: Sequence[Showing], preferences: Sequence[Preference]) -> Position:
    """How far ``preferences`` went with the place."""
    first = [preference.b < 0.5 for preference in preferences if preference.b not in (None, 0.5)]
    rows: dict[int, list[float]] = defaultdict(list)
    for showing, preference in zip(shown, preferences, strict=True):
        if (score := _for_model(showing, preference)) is not None:
            rows[showing.row].append(score)
    both = [scores for scores in rows.values() if len(scores) == 2]
    return Position(
        first=100 * sum(first) / len(first) if first else None,
        decided=len(first),
        both=len(both),
        disagreed=sum(min(scores) < 0.5 < max(scores) for scores in both),
    )


def reasons(preferences: Sequence[Preference]) -> dict[str, int]:
    """Why there was no verdict, the commonest reasons first, with the number of pairs."""
    found = Counter(one.reason or "no reason given" for one in preferences if one.b is None)
    return dict(found.most_common(_MOST_REASONS))


def sample(rows: Rows, n: int, seed: int) -> list[int]:
    """The places of ``n`` of ``rows`` at most, drawn by the task as the order is."""
    drawn = sorted(range(len(rows)), key=lambda place: _hash(seed, "sample", rows[place][0]))
    return sorted(drawn[:n])


def _for_model(showing: Showing, preference: Preference) -> float | None:
    """The preference for the model, from 0 to 1."""
    if preference.b is None:
        return None
    return 1 - preference.b if showing.swapped else preference.b


def _drawn(seed: int, row: ModelOutput) -> bool:
    return bool(_hash(seed, "order", row)[0] & 1)


def _hash(seed: int, use: str, row: ModelOutput) -> bytes:
    text = f"{use}/{seed}/{row.instruction}\0{row.input}"
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).digest()
