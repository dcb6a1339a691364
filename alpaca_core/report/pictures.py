"""The figures of a report, each at the width of a page and, where that would be too small on a phone, at a phone's."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from alpaca_core.amounts import clock, dollars
from alpaca_core.diversity.sunburst import sunburst
from alpaca_core.report.facts import Facts, Step
from alpaca_core.report.figures import HALF, NARROW, WIDE, Bar, Dots, bars, curve, dots, histogram
from alpaca_core.report.measures import PARTS, Lengths, Measures

STAGES = {"generation": "generate", "selection": "select", "training": "train", "evaluation": "evaluate"}
SERIES = {"before": "before", "most_frequent": "most frequent", "nearest": "nearest row", "after": "after"}
FAMILIES = 30  # kinds of task in one figure
_COLUMNS = 20  # of a histogram
_POINTS = 240  # of a curve
_NAME = 40  # characters of a name that others gave
_DIVIDERS = 24  # of it, at most
_SHARES = {"exact_match": "exact match", "rouge_l": "ROUGE-L"}


@dataclass(frozen=True)
class Picture:
    """A figure: ``svg`` as it is written to a file, and ``narrow`` for a phone where that is another one."""

    svg: str
    narrow: str = ""


def pictures(facts: Facts, measures: Measures | None) -> dict[str, Picture]:
    """The figures that there is something to draw of, by name, in the order of the page."""
    found: dict[str, Picture | None] = {}
    if measures is not None:
        if measures.diversity.pairs or not measures.diversity.english:
            narrow = sunburst(measures.diversity, verbs=10, objects=3) if measures.diversity.english else ""
            found["sunburst"] = Picture(sunburst(measures.diversity), narrow)
        for part in PARTS:
            if measures.lengths[part].words:
                found[f"{part}-words"] = Picture(_words(part, measures.lengths[part]))
        if measures.similarity.nearest:
            found["similarity"] = Picture(*(_similarity(measures, threshold(facts), width) for width in (HALF, NARROW)))
    found["rejected"] = _rejected(facts)
    found["money"] = _money(facts.summary.get("generation", {}).get("account", {}))
    found["time"] = _time(facts.summary)
    steps = [step for step in facts.steps if math.isfinite(step.loss)]
    if len(steps) > 1:
        found["loss"] = Picture(*(_loss(steps, width) for width in (WIDE, NARROW)))
    found["scores"] = _scores(facts.summary)
    found["families"] = _families(facts.summary)
    return {name: picture for name, picture in found.items() if picture is not None}


def threshold(facts: Facts) -> float | None:
    """The similarity above which the run's filter `rouge` rejected; None where it had none."""
    value = facts.config.get("filter", {}).get("rouge", {}).get("threshold")
    return value if isinstance(value, (int, float)) and 0 < value < 1 else None


def _words(part: str, lengths: Lengths) -> str:
    """Columns up to the length that 99 of 100 rows do not exceed; the last one takes the longer ones, too."""
    most = max(lengths.at(0.99), 1)
    step = -(-most // _COLUMNS)
    columns = -(-most // step)
    counts = [0] * columns
    for words in lengths.words:
        counts[min(columns - 1, (words - 1) // step if words else 0)] += 1
    last = f"{columns * step:,}" + ("+" if lengths.words[-1] > columns * step else "")
    edges = ["1" if not place else "" for place in range(columns)] + [last]
    edges[columns // 2] = f"{columns // 2 * step:,}" if columns > 3 else edges[columns // 2]
    return histogram(f"Lengths of the {part}s in words", counts, edges, below="words across, rows up")


def _similarity(measures: Measures, limit: float | None, width: int) -> str:
    """Each column takes its right end in and leaves its left one out: a filter keeps what is exactly at its limit."""
    counts = [0] * _COLUMNS
    for score in measures.similarity.nearest:
        counts[max(0, math.ceil(score * _COLUMNS - 1e-9) - 1)] += 1
    edges = [f"{place / _COLUMNS:g}" if place % 5 == 0 else "" for place in range(_COLUMNS + 1)]
    title = "ROUGE-L of instructions with the nearest other one"
    line = None if limit is None else (limit, f"filter: {limit:g}")
    below = "ROUGE-L with the nearest other instruction"
    return histogram(title, counts, edges, width=width, below=below, line=line)


def _rejected(facts: Facts) -> Picture | None:
    made = facts.summary.get("generation", {})
    counts = made.get("rejected") or {name: of.count for name, of in facts.rejected.items()}
    if not counts:
        return None
    whole = made.get("candidates") or sum(counts.values())
    parts = [Bar("kept", made["kept"], _of(made["kept"], whole))] if "kept" in made else []
    parts += [Bar(str(name)[:_NAME], count, _of(count, whole), "other") for name, count in _largest(counts)]
    return _bars("Candidates kept, and rejected by each filter", parts)


def _money(account: Mapping[str, Any]) -> Picture | None:
    """What became of the dollars, or of the tokens where the price is unknown."""
    parts = {name: of for name, of in _spent(account) if of["amount"]}
    if not parts:
        return None
    text = dollars if account.get("unit") == "usd" else lambda amount: f"{amount:,.0f} tokens"
    largest = sorted(parts.items(), key=lambda part: -part[1]["amount"])[:12]
    return _bars("What was paid for", [Bar(name[:_NAME], of["amount"], text(of["amount"])) for name, of in largest])


def _spent(account: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    names = {"kept": "rows kept", "surplus": "not needed", "not_judged": "not judged yet"}
    yield from ((title, account[name]) for name, title in names.items() if name in account)
    yield from ((f"rejected: {name}", of) for name, of in account.get("rejected", {}).items())
    yield from ((f"no task: {why}", of) for why, of in account.get("without_tasks", {}).items())
    yield from ((f"lost: {error}", of) for error, of in account.get("lost", {}).items())


def _time(summary: Mapping[str, Any]) -> Picture | None:
    spent = {name: summary[stage]["seconds"] for stage, name in STAGES.items() if "seconds" in summary.get(stage, {})}
    if not any(spent.values()):
        return None
    return _bars("Time of each stage", [Bar(name, value, clock(value)) for name, value in spent.items()])


def _bars(title: str, items: Sequence[Bar]) -> Picture:
    return Picture(bars(title, items, width=HALF), bars(title, items, width=NARROW))


def smoothed(losses: Sequence[float]) -> list[float]:
    """Each loss as the mean of those around it, a hundredth of the training before it and as much after; near the ends
    fewer, as many on either side, so that the line neither lags nor begins elsewhere."""
    sums = [0.0, *accumulate(losses)]
    reach, last = len(losses) // 100, len(losses) - 1
    found = []
    for place in range(len(losses)):
        side = min(reach, place, last - place)
        found.append((sums[place + side + 1] - sums[place - side]) / (2 * side + 1))
    return found


def _loss(steps: Sequence[Step], width: int) -> str:
    """At most so many points: each stands for the steps beside it, with the lowest and the highest loss of them."""
    most = _POINTS if width == WIDE else _POINTS // 2
    size = -(-len(steps) // most)
    means = smoothed([step.loss for step in steps])
    groups = [steps[at : at + size] for at in range(0, len(steps), size)]
    first = steps[0]
    band = [(first.step, first.loss, first.loss)]
    band += [(of[-1].step, min(s.loss for s in of), max(s.loss for s in of)) for of in groups]
    places = [*range(0, len(steps), size), len(steps) - 1]
    line = [(steps[place].step, means[place]) for place in places]
    ends: dict[int, int] = {}  # the first step at or behind the end of each epoch
    for step in steps:
        ends.setdefault(int(step.epoch + 1e-3), step.step)
    epochs = [epoch for epoch in ends if epoch]
    every = -(-len(epochs) // (6 if width == WIDE else 3)) or 1
    if len(epochs) > _DIVIDERS:
        epochs = [epoch for epoch in epochs if epoch % every == 0]
    said = [(ends[epoch], f"epoch {epoch}" if epoch % every == 0 else "") for epoch in epochs]
    return curve("Loss of each step of the training", band, line, width=width, below="steps", dividers=said)


def _series(summary: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The scores that there are, by their place in ``SERIES``."""
    scores = summary.get("evaluation", {})
    both = {"before": scores.get("before"), "after": scores.get("after"), **scores.get("baselines", {})}
    return {name: both[name] for name in SERIES if both.get(name)}


def _scores(summary: Mapping[str, Any]) -> Picture | None:
    series = _series(summary)
    items = [
        Dots(title, [float(of[name]) for of in series.values()])
        for name, title in _SHARES.items()
        if series and all(isinstance(of.get(name), (int, float)) for of in series.values())
    ]
    return _dots("Scores on the held-out rows", series, items)


def families(summary: Mapping[str, Any]) -> list[tuple[str, int, list[float]]]:
    """Each kind of task with its rows and the exact match of each series; the best after training first."""
    series = _series(summary)
    names = series["after"].get("by_family", {}) if "after" in series else {}
    found = [
        (
            name,
            int(of["n"]),
            [float(s.get("by_family", {}).get(name, {}).get("exact_match", 0)) for s in series.values()],
        )
        for name, of in names.items()
    ]
    return sorted(found, key=lambda family: (-family[2][-1], family[0]))


def _families(summary: Mapping[str, Any]) -> Picture | None:
    items = [Dots(name.replace("_", " ")[:_NAME], shares) for name, _, shares in families(summary)[:FAMILIES]]
    return _dots("Exact match of each kind of task", _series(summary), items)


def _dots(title: str, series: Mapping[str, Any], items: Sequence[Dots]) -> Picture | None:
    if not items:
        return None
    names = [SERIES[name] for name in series]
    return Picture(*(dots(title, names, items, width=width) for width in (WIDE, NARROW)))


def _largest(counts: Mapping[str, int], most: int = 12) -> list[tuple[str, int]]:
    ordered = sorted(counts.items(), key=lambda part: -part[1])
    rest = sum(count for _, count in ordered[most:])
    return ordered[:most] + ([(f"{len(ordered) - most} more filters", rest)] if rest else [])


def _of(count: int, whole: int) -> str:
    return f"{count:,} ({count / whole:.1%})" if whole else f"{count:,}"
