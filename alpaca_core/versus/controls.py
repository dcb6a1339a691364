"""Controls of a win rate: what a judge would say of no answer at all, and what lengths alone would say.

A judge can be pleased by length, and by an answer that ignores the instruction: AlpacaEval's leaderboard was led by a
constant text (Zheng et al. 2024, "Cheating Automatic LLM Benchmarks"). So two results stand beside a model's own: that
of a *null model*, which gives one text to every instruction, and that of a *length-only judge*, to whom the longer
answer is the better one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from alpaca_core.versus.annotations import Annotation
from alpaca_core.versus.outputs import ModelOutput
from alpaca_core.versus.winrate import preference_of

NULL_MODEL = "null model"
NULL_TEXT = "This is the answer to every instruction, whatever it asks for."
LENGTH_JUDGE = "length"
NULL_LIMIT = 10.0  # percent: a null model that wins more often makes the judge's other verdicts doubtful


def null_outputs(outputs: Iterable[ModelOutput], text: str = NULL_TEXT) -> list[ModelOutput]:
    """What a model would have answered that gives ``text`` to each instruction of ``outputs``."""
    return [replace(row, output=text, generator=NULL_MODEL) for row in outputs]


def longer_wins(annotations: Iterable[Annotation]) -> list[Annotation]:
    """``annotations`` as a judge would have them that sees lengths alone, in characters: the longer answer wins,
    answers of one length are a draw. Rows without a verdict stay without."""
    return [
        row if row.preference is None else _judged(row, preference_of(_longer(row)), LENGTH_JUDGE)
        for row in annotations
    ]


@dataclass(frozen=True, slots=True)
class LengthBias:
    """``n`` verdicts that chose between answers of different lengths; ``longer`` percent of them the longer one
    (None where there are none)."""

    longer: float | None
    n: int


def length_bias(annotations: Sequence[Annotation]) -> LengthBias:
    """How often the verdicts go with the longer answer. 50 is what a judge without an eye for length comes to, if the
    better answers are not the longer ones."""
    chosen = [
        (row.preference > 1.5) == (_longer(row) == 2)
        for row in annotations
        if row.preference not in (None, 1.5) and _longer(row)
    ]
    return LengthBias(100 * sum(chosen) / len(chosen) if chosen else None, len(chosen))


def length_text(model: float, length_only: float, bias: LengthBias) -> str:
    """The length-only control in a sentence; ``model`` and ``length_only`` are win rates in percent."""
    text = f"A judge that sees lengths alone gives {length_only:.1f} %, this one gives {model:.1f} %."
    if bias.longer is not None:
        text += f" It chose the longer answer in {bias.longer:.0f} % of {bias.n:,} verdicts."
    return text


def null_text(null: float, judge: str) -> str:
    """The null-model control in a sentence; ``null`` is the null model's win rate in percent."""
    text = f"A null model, one text for every instruction, wins {null:.1f} % with {judge}."
    if null > NULL_LIMIT:
        text += f" That is over {NULL_LIMIT:.0f} %: this judge can be won without an answer, so trust no result of it."
    return text


def _longer(row: Annotation) -> int:
    """1 or 2, whichever answer has more characters; 0 where they are equally long."""
    one, two = len(row.output_1), len(row.output_2)
    return 0 if one == two else 1 if one > two else 2


def _judged(row: Annotation, preference: float, annotator: str) -> Annotation:
    """``row`` with another verdict, and nothing of the first judge's."""
    return Annotation(
        index=row.index,
        instruction=row.instruction,
        input=row.input,
        output_1=row.output_1,
        generator_1=row.generator_1,
        output_2=row.output_2,
        generator_2=row.generator_2,
        dataset=row.dataset,
        annotator=annotator,
        preference=preference,
        other=row.other,
    )
