"""Whether a filter helps: what it keeps, what it drops, and as many rows drawn at random, trained on and scored alike.

kept.json      rows that the whole chain keeps
dropped.json   rows that this filter rejects
random.json    as many rows as are kept, drawn from both of these
heldout.json   rows set aside before anything was judged, to score on
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any

from alpaca_core.bootstrap import interval
from alpaca_core.config import Config
from alpaca_core.dataset import example, split, write_rows, write_text
from alpaca_core.errors import ConfigError
from alpaca_core.evaluate import ask_model, mark
from alpaca_core.plugins import PluginHost
from alpaca_core.records import Example, TrainEvent, TrainJob
from alpaca_core.refilter import Judged
from alpaca_core.training import open_model, run_training, train_job, training_summary

SETS = ("kept", "random", "dropped")  # in the order of training: the first decides how many steps the others take
MEASURES = ("exact_match", "rouge_l")
RESAMPLES = 10_000


@dataclass(frozen=True)
class Sets:
    """The rows of an ablation. ``others`` counts those that other filters of the chain rejected: they are in no set."""

    kept: list[Example]
    dropped: list[Example]
    random: list[Example]
    heldout: list[Example]
    others: int


def set_aside(
    records: Sequence[Mapping[str, Any]], heldout: int | Sequence[Example], seed: int
) -> tuple[list[Example], list[tuple[int, Mapping[str, Any]]]]:
    """The rows to score on, and the others with their numbers.

    ``heldout`` is how many to set aside, as a run does, or the rows themselves: then the others are those that ask
    something else.
    """
    examples = [example(record, number) for number, record in enumerate(records, start=1)]
    if isinstance(heldout, int):
        rest, aside = split(examples, heldout, seed)
    else:
        aside, asked = list(heldout), {(row.instruction, row.input) for row in heldout}
        rest = [row for row in examples if (row.instruction, row.input) not in asked]
    left = {id(row) for row in rest}
    pairs = enumerate(zip(records, examples, strict=True), start=1)
    return aside, [(number, record) for number, (record, row) in pairs if id(row) in left]


def part(judged: Sequence[Judged], names: Collection[str], heldout: list[Example], seed: int) -> Sets:
    """The sets of the filters called ``names``. Raises ConfigError where these have rejected nothing, or everything."""
    both = [row for row in judged if row.kept or row.judgement.filter in names]
    texts = [row.judgement.candidate for row in both]
    rows = [Example(text.instruction, text.input, text.output, text.id, text.label) for text in texts]
    kept = [row for row, found in zip(rows, both, strict=True) if found.kept]
    dropped = [row for row, found in zip(rows, both, strict=True) if not found.kept]
    if not kept or not dropped:
        raise ConfigError(
            f"There is nothing to compare: {', '.join(sorted(names))} rejected {len(dropped):,} of {len(both):,} rows.",
            hint="Take a filter, or an option of it, that keeps some rows and rejects others.",
        )
    drawn = sorted(Random(f"ablation/{seed}").sample(range(len(rows)), len(kept)))
    return Sets(kept, dropped, [rows[place] for place in drawn], heldout, len(judged) - len(both))


def write_sets(folder: Path, sets: Sets) -> None:
    """Write the four files into ``folder``, or find them there as they are. Raises ConfigError where others are."""
    for name in (*SETS, "heldout"):
        file = folder / f"{name}.json"
        draft = folder / f".{name}.json"
        write_rows(draft, getattr(sets, name), labels=True)
        if file.exists() and file.read_bytes() != draft.read_bytes():
            draft.unlink()
            raise ConfigError(f"{file} holds the rows of another ablation.", hint="Choose another folder: --out DIR")
        draft.replace(file)


def jobs(config: Config, folder: Path, steps: int | None = None) -> Iterator[tuple[str, TrainJob]]:
    """The training of each set, in order. All but the first take the ``steps`` that it took."""
    for name in SETS:
        job = train_job(config, folder / f"{name}.json", folder / name)
        if steps is not None and is_dataclass(job.options) and "max_steps" in {f.name for f in fields(job.options)}:
            job = replace(job, options=replace(job.options, max_steps=steps))
        yield name, job


def train_and_score(
    config: Config,
    host: PluginHost,
    folder: Path,
    heldout: Sequence[Example],
    on_stage: Callable[[str], None],
    on_event: Callable[[TrainEvent], None],
) -> dict[str, dict[str, Any]]:
    """Train on each set in ``folder`` and score on ``heldout``: what ``training`` took, the mean of each measure, and
    its ``marks``, row by row.

    Goes on where it ended: trainings as their trainer does, and scores of the same model on the same rows are read from
    SET/scores.json.
    """
    results: dict[str, dict[str, Any]] = {}
    steps: int | None = None
    for place, name in enumerate(SETS):
        job = dict(jobs(config, folder, steps))[name]
        settings = repr((config.trainer and config.trainer.name, replace(job, data=Path(), out=Path())))
        training = hashlib.sha256(job.data.read_bytes() + settings.encode()).hexdigest()
        file = job.out / "scores.json"
        stored = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        if stored and stored["of"] != training:  # other settings
            job, stored = replace(job, fresh=True), {}
        on_stage(f"train on {name}")
        result = run_training(config, job, _begun(on_event, file, "" if stored else training))
        if place == 0:
            steps = result.steps
        rows = hashlib.sha256(repr((list(heldout), config.evaluation)).encode("utf-8", "replace")).hexdigest()
        if stored.get("on") != rows:
            on_stage(f"score {name}")
            stored = {"of": training, "on": rows, "rows": _score(config, host, result.model, heldout)}
            write_text(file, json.dumps(stored, indent=1, ensure_ascii=False) + "\n")
        marks = {measure: [row[measure] for row in stored["rows"]] for measure in MEASURES}
        results[name] = {
            "training": training_summary(result),
            **{measure: fmean(values) for measure, values in marks.items()},
            "marks": marks,
        }
    return results


def _begun(on_event: Callable[[TrainEvent], None], file: Path, training: str) -> Callable[[TrainEvent], None]:
    """``on_event``, after noting in ``file`` which ``training`` has begun, unless that is empty."""

    def noting(event: TrainEvent) -> None:
        if event.kind == "ready" and training:
            write_text(file, json.dumps({"of": training}))
        on_event(event)

    return noting


def _score(config: Config, host: PluginHost, model: Path, heldout: Sequence[Example]) -> list[dict[str, Any]]:
    opened = open_model(host, str(model), batch_size=config.evaluation.batch_size)
    answers = ask_model(opened, heldout, config.evaluation.max_new_tokens)
    return [
        {"id": row.id, **dict(zip(MEASURES, mark(row, answer), strict=True)), "answer": answer.text}
        for row, answer in zip(heldout, answers, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class Difference:
    """A mean difference and the ends of its 95 % interval."""

    mean: float
    low: float
    high: float


def difference(one: Sequence[float], other: Sequence[float], seed: int = 0) -> Difference:
    """``one`` less ``other``, both marks of the same rows in the same order.

    The interval is the paired bootstrap's (``bootstrap.interval``) over ``RESAMPLES`` draws. It tells of the held-out
    rows, and nothing of how scores differ from one training to the next. Raises ValueError where there are no rows.
    """
    pairs = [a - b for a, b in zip(one, other, strict=True)]
    low, high = interval(pairs, seed=seed, resamples=RESAMPLES)
    return Difference(fmean(pairs), low, high)


def report(name: str, sets: Sets, seed: int, results: Mapping[str, Mapping[str, Any]] | None) -> dict[str, Any]:
    """ablation.json: the rows of each set, and where they were trained on, scores and differences."""
    found: dict[str, Any] = {
        "filter": name,
        "seed": seed,
        "rows": {part: len(getattr(sets, part)) for part in (*SETS, "heldout")} | {"others": sets.others},
    }
    if results is not None:
        found["sets"] = {part: {k: v for k, v in results[part].items() if k != "marks"} for part in SETS}
        found["differences"] = {
            f"kept - {other}": {
                measure: asdict(difference(results["kept"]["marks"][measure], results[other]["marks"][measure], seed))
                for measure in MEASURES
            }
            for other in SETS[1:]
        }
    return found
