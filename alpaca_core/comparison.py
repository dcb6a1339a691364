"""A model against another: what both answered, what a judge made of it, and what that is worth, in one folder.

model_outputs.json       the model's answers          reference_outputs.json   the other's, the baseline's
annotations.json         the verdicts, row by row     leaderboard.csv          the scores in AlpacaEval's columns
judging.db               the journal of what the judge asked, where it asks
summary.json             scores, controls, cost
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from alpaca_core.annotations import Annotation, write_annotations
from alpaca_core.config import Config
from alpaca_core.contenders import Contender, answers
from alpaca_core.controls import length_bias, longer_wins, null_outputs
from alpaca_core.errors import AlpacaError, ConfigError
from alpaca_core.lengthcontrol import Difficulty, length_controlled
from alpaca_core.locks import take_lock
from alpaca_core.outputs import ModelOutput, paired, read_outputs, write_outputs
from alpaca_core.pairing import Orders, Rows, Showing, annotated, position, sample, showings
from alpaca_core.plugins import PluginHost
from alpaca_core.progress import Inquiry
from alpaca_core.protocols import Ask, Judge, Teacher
from alpaca_core.records import Completion, Preference, Price, Request
from alpaca_core.runs import JUDGING, LOCK, SUMMARY, judge_identity, read_summary, write_summary
from alpaca_core.selection import account, asking, nobody
from alpaca_core.store import Store
from alpaca_core.winrate import win_rate

MODEL, REFERENCE = "model_outputs.json", "reference_outputs.json"
ANNOTATIONS, LEADERBOARD = "annotations.json", "leaderboard.csv"
RESULTS = (MODEL, REFERENCE, ANNOTATIONS, LEADERBOARD, SUMMARY)
CONTROLS = 50  # rows on which the null model is judged
_MOST_REASONS = 10


@dataclass(frozen=True)
class Terms:
    """What is compared, and how. ``controls`` is how many rows a null model is judged on too; ``asked`` the teacher and
    its price, where the judge asks one."""

    model: Contender
    baseline: Contender
    orders: Orders
    controls: int
    asked: tuple[Teacher, Price | None] | None
    difficulty: Difficulty | None = None


def compare(
    config: Config,
    host: PluginHost,
    terms: Terms,
    folder: Path,
    *,
    on_stage: Callable[[str], None],
    on_progress: Callable[[Inquiry], None],
    on_note: Callable[[str], None],
) -> dict[str, Any]:
    """Compare, and leave everything in ``folder``; gives its summary.json.

    The same comparison goes on where it ended. The results of another one in this folder are moved aside, to
    ``folder/1`` and so on, and whatever the judge said for it counts again. Raises ConfigError where the folder holds
    something else, and what ``Answers.ask`` raises: then the verdicts so far are in the journal, and the summary says
    that it is ``unfinished``.
    """
    assert config.judge is not None
    judge: Judge = config.judge.build()
    with _opened(folder):
        summary, (baseline, model) = _begun(config, host, terms, folder, on_stage, on_note)
        rows = paired(baseline, model)
        work = _Work(config, judge, terms, folder, rows, summary)
        on_stage("judge")
        if terms.asked is None:
            asyncio.run(work.all(nobody, lambda: {}, on_note))
            return summary
        journal = Store(folder / JUDGING)
        started = time.monotonic()
        try:

            async def ask_all() -> None:
                teacher, price = terms.asked or (None, None)
                assert teacher is not None
                told = {"on_progress": on_progress, "on_note": on_note}
                async with asking(journal, config, teacher, price, **told) as answers:
                    await work.all(answers.ask, lambda: account(journal), on_note)

            asyncio.run(ask_all())
        finally:
            journal.set("seconds", str(float(journal.get("seconds") or 0) + time.monotonic() - started))
            journal.close()
        return summary


class _Work:
    """The judging of one comparison, part by part; each is written as soon as it is there."""

    def __init__(
        self, config: Config, judge: Judge, terms: Terms, folder: Path, rows: Rows, summary: dict[str, Any]
    ) -> None:
        assert config.judge is not None
        self.config, self.judge, self.terms, self.folder, self.rows = config, judge, terms, folder, rows
        self.name, self.summary = config.judge.name, summary

    async def all(self, ask: Ask, spent: Callable[[], dict[str, Any]], on_note: Callable[[str], None]) -> None:
        """Judge the rows, then the null model on some of them; ``spent`` is the account so far."""
        terms, seed = self.terms, self.config.seed
        shown = showings(self.rows, terms.orders, seed)
        drawn = sample(self.rows, terms.controls, seed)
        nothing = null_outputs([self.rows[place][0] for place in drawn])
        control = [(self.rows[place][0], null) for place, null in zip(drawn, nothing, strict=True)]
        control_shown = showings(control, terms.orders, seed)
        if terms.asked is not None:
            more = f", and {len(control_shown):,} with a null model's (--controls)" if control_shown else ""
            on_note(f"The judge compares {len(shown):,} pairs of answers{more}.")
        part = _Part(ask, terms.asked[1] if terms.asked else None)
        preferences = await self._preferences(shown, part)
        verdicts = annotated(self.rows, shown, preferences, self.name)
        write_annotations(self.folder / ANNOTATIONS, verdicts)
        self.summary |= scores(verdicts, terms.difficulty, seed)
        self.summary |= {
            "same_answers": len(self.rows) - len({showing.row for showing in shown}),
            "no_verdict": dict(_reasons(preferences)),
            "position": position(shown, preferences).as_dict(),
            "questions": part.as_dict(),
            "asked": spent(),
        }
        self.summary["controls"].pop("null_model", None)
        write_summary(self.folder, self.summary)
        if control:
            part = _Part(ask, part.price)
            preferences = await self._preferences(control_shown, part)
            null = annotated(control, control_shown, preferences, self.name)
            self.summary["controls"]["null_model"] = {
                **_share(null, seed),
                "model_on_these_rows": _share([verdicts[place] for place in drawn], seed)["win_rate"],
                "questions": part.as_dict(),
            }
        self.summary |= {"asked": spent(), "status": "done"}
        write_summary(self.folder, self.summary)

    async def _preferences(self, shown: Sequence[Showing], ask: Ask) -> list[Preference]:
        """What the judge says of ``shown``. Raises AlpacaError when it fails."""
        try:
            found = list(await self.judge.compare([showing.pair for showing in shown], ask))
            if len(found) != len(shown):
                raise ValueError(f"it gave {len(found):,} preferences on {len(shown):,} pairs")
            wrong = [one.b for one in found if one.b is not None and not 0 <= one.b <= 1]
            if wrong:
                raise ValueError(f"it gave the preference {wrong[0]!r}, which is not from 0 to 1")
            return found
        except AlpacaError:
            raise
        except Exception as exc:
            raise AlpacaError(
                f"judge '{self.name}' failed: {type(exc).__name__}: {exc}",
                hint="Take another one (--judge), or tell its author; --debug shows the traceback.",
            ) from exc


class _Part:
    """An ``Ask`` that counts what goes through it, whenever it was answered."""

    def __init__(self, ask: Ask, price: Price | None) -> None:
        self.ask, self.price = ask, price
        self.asked = self.failed = 0
        self.cost = 0.0

    async def __call__(self, requests: Sequence[Request]) -> list[Completion | Any]:
        answers = await self.ask(requests)
        replies = [answer for answer in answers if isinstance(answer, Completion)]
        self.asked += len(answers)
        self.failed += len(answers) - len(replies)
        self.cost += sum(self.price.cost(reply.usage) for reply in replies) if self.price else 0.0
        return answers

    def as_dict(self) -> dict[str, Any]:
        return {"asked": self.asked, "failed": self.failed, "cost_usd": round(self.cost, 8) if self.price else None}


def scores(verdicts: Sequence[Annotation], difficulty: Difficulty | None, seed: int) -> dict[str, Any]:
    """The part of the summary that follows from the verdicts alone. Raises ConfigError where there is none."""
    lengths = longer_wins(verdicts)
    try:
        controlled: dict[str, Any] | None = length_controlled(verdicts, difficulty).as_dict()
    except ConfigError:
        if difficulty is not None:
            raise
        controlled = None  # fewer than five verdicts
    return {
        "rows": len(verdicts),
        **win_rate(verdicts, seed=seed).as_dict(),
        "length_controlled": controlled,
        "controls": {
            "length_only": {"win_rate": win_rate(lengths, seed=seed).win_rate, **asdict(length_bias(verdicts))},
        },
    }


def _share(verdicts: Sequence[Annotation], seed: int) -> dict[str, Any]:
    """The win rate of a part of the rows, if any has a verdict."""
    judged = [row for row in verdicts if row.preference is not None]
    rate = win_rate(judged, seed=seed) if judged else None
    return {
        "rows": len(verdicts),
        "judged": len(judged),
        **{name: getattr(rate, name, None) for name in ("win_rate", "low", "high")},
    }


def _reasons(preferences: Sequence[Preference]) -> list[tuple[str, int]]:
    """Why there was no verdict, the commonest reasons first."""
    return Counter(one.reason or "no reason given" for one in preferences if one.b is None).most_common(_MOST_REASONS)


# ── the folder ──────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _opened(folder: Path) -> Iterator[None]:
    """Hold ``folder``, which is made where it is missing. Raises ConfigError where it is for something else."""
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder.", hint="A comparison needs one: --out DIR")
    others = {entry.name for entry in folder.iterdir()} - {LOCK} if folder.exists() else set()
    if others and read_summary(folder).get("kind") != "comparison":
        raise ConfigError(f"{folder} is not empty and holds no comparison.", hint="Choose another one with --out DIR")
    with take_lock(folder / LOCK, folder):
        yield


def _begun(
    config: Config,
    host: PluginHost,
    terms: Terms,
    folder: Path,
    on_stage: Callable[[str], None],
    on_note: Callable[[str], None],
) -> tuple[dict[str, Any], tuple[list[ModelOutput], list[ModelOutput]]]:
    """The summary to go on with, and the answers of baseline and model: those in the folder, where they are of the
    same, and new ones otherwise."""
    sides = {REFERENCE: terms.baseline, MODEL: terms.model}
    identity = {
        **{file: dict(side.source) for file, side in sides.items()},
        "orders": terms.orders,
        "seed": config.seed,
        "judge": judge_identity(config),
    }
    before = read_summary(folder)
    known = before.get("identity", {})
    outputs = {
        file: read_outputs(folder / file) if known.get(file) == identity[file] and (folder / file).exists() else None
        for file in sides
    }
    summary = before
    if known != identity:
        if before:
            on_note(f"The results of another comparison in {folder} are kept in {_set_aside(folder)}.")
        summary = {"kind": "comparison", "status": "unfinished", "identity": identity}
        write_summary(folder, summary)
    for file, side in sides.items():
        if outputs[file] is None:
            if not side.is_file:
                on_stage(f"answers of {side.given}")
            outputs[file] = answers(config, host, side)
    baseline, model = outputs[REFERENCE] or [], outputs[MODEL] or []
    if {row.generator for row in baseline} == {row.generator for row in model}:  # as two files of one model's
        baseline = [replace(row, generator=terms.baseline.given) for row in baseline]
        model = [replace(row, generator=terms.model.given) for row in model]
    write_outputs(folder / REFERENCE, baseline)
    write_outputs(folder / MODEL, model)
    summary |= {
        "model": model[0].generator if model else terms.model.given,
        "against": baseline[0].generator if baseline else terms.baseline.given,
        "judge": config.judge.name if config.judge else "",
        "orders": terms.orders,
        "seed": config.seed,
    }
    return summary, (baseline, model)


def _set_aside(folder: Path) -> Path:
    """Move the results in ``folder`` into a new folder in it; the journal stays."""
    number = 1
    while (aside := folder / str(number)).exists():
        number += 1
    aside.mkdir()
    for name in RESULTS:
        if (folder / name).exists():
            os.rename(folder / name, aside / name)
    return aside
