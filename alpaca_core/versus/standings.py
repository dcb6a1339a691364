"""What verdicts come to: a standing for each model and judge, with its controls beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from alpaca_core.errors import ConfigError
from alpaca_core.versus.annotations import Annotation
from alpaca_core.versus.controls import NULL_MODEL, LengthBias, length_bias, length_text, longer_wins, null_text
from alpaca_core.versus.leaderboard import Entry, entry
from alpaca_core.versus.lengthcontrol import Difficulty, LengthControlled, length_controlled
from alpaca_core.versus.winrate import WinRate, comparisons, percent, win_rate

ALL = "all"


@dataclass(frozen=True, slots=True)
class Standing:
    """How ``model`` stands against ``baseline`` with ``judge``; ``all`` are all its judges together.

    ``controlled`` is None where there is no length control, and ``why_not`` says why. ``length_only`` is the win rate,
    in percent, with a judge that sees lengths alone.
    """

    model: str
    baseline: str
    judge: str
    rate: WinRate
    controlled: LengthControlled | None
    why_not: str
    length_only: float
    bias: LengthBias

    @property
    def name(self) -> str:
        """The model and, where it is needed to tell, the judge."""
        return f"{self.model or 'model'} ({self.judge})" if self.judge else self.model or "model"

    @property
    def controls(self) -> list[str]:
        """The controls in sentences."""
        lines = [length_text(self.rate.win_rate, self.length_only, self.bias)]
        return (
            [null_text(self.rate.win_rate, self.judge or "this judge"), *lines] if self.model == NULL_MODEL else lines
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "model": self.model,
            "baseline": self.baseline,
            "judge": self.judge,
            **self.rate.as_dict(),
            "length_controlled": self.controlled.as_dict() if self.controlled else None,
            "length_only": {"win_rate": self.length_only, "chose_longer": self.bias.longer, "n": self.bias.n},
        }


def standings(annotations: Iterable[Annotation], difficulty: Difficulty | None = None) -> list[Standing]:
    """The standings of each model against each baseline, in the order in which they first come: one with each judge,
    and one with all of them where there are several. Raises ConfigError where a comparison has no verdict at all."""
    found = []
    for (model, baseline), rows in comparisons(annotations).items():
        judges = dict.fromkeys(row.annotator for row in rows)
        for judge in judges:
            own = [row for row in rows if row.annotator == judge]
            found.append(_standing(model, baseline, judge, own, difficulty))
        if len(judges) > 1:
            found.append(_standing(model, baseline, ALL, rows, difficulty))
    return found


def entries(standings: Sequence[Standing]) -> list[Entry]:
    """The lines of a leaderboard: one for each model, with all its judges together.

    Raises ConfigError where a model stands against several baselines: a leaderboard has one.
    """
    last = {(one.model, one.baseline): one for one in standings}  # "all" comes last
    models = [model for model, _ in last]
    if twice := sorted({model for model in models if models.count(model) > 1}):
        raise ConfigError(
            f"A leaderboard has one baseline, and {', '.join(twice)} stands against several.",
            hint="Give the files of one baseline at a time, each with a leaderboard of its own.",
        )
    return [entry(model or "model", one.rate, one.controlled) for (model, _), one in last.items()]


def _standing(
    model: str, baseline: str, judge: str, rows: Sequence[Annotation], difficulty: Difficulty | None
) -> Standing:
    rate, controlled, why_not = win_rate(rows), None, ""
    if rate.n_total >= 5:
        controlled = length_controlled(rows, difficulty)
    else:
        why_not = "it takes five verdicts at least."
    length_only = percent(longer_wins(rows))
    return Standing(model, baseline, judge, rate, controlled, why_not, length_only, length_bias(rows))
