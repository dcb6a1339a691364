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
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from alpaca_core.config import Config
from alpaca_core.errors import AlpacaError, ConfigError
from alpaca_core.locks import take_lock
from alpaca_core.plugins import PluginHost
from alpaca_core.progress import Inquiry
from alpaca_core.protocols import Ask, Judge, Teacher
from alpaca_core.records import Completion, Preference, Price, Request
from alpaca_core.runs import JUDGING, LOCK, SUMMARY, judge_identity, read_summary, write_summary
from alpaca_core.selection import account, asking, nobody
from alpaca_core.store import Store
from alpaca_core.versus.annotations import Annotation, write_annotations
from alpaca_core.versus.contenders import Contender, answers
from alpaca_core.versus.controls import null_outputs
from alpaca_core.versus.leaderboard import write_leaderboard
from alpaca_core.versus.lengthcontrol import Difficulty
from alpaca_core.versus.outputs import paired, read_outputs, write_outputs
from alpaca_core.versus.pairing import Orders, Rows, Showing, annotated, position, reasons, sample, showings
from alpaca_core.versus.standings import entries, standings
from alpaca_core.versus.winrate import percent

MODEL, REFERENCE = "model_outputs.json", "reference_outputs.json"
ANNOTATIONS, LEADERBOARD = "annotations.json", "leaderboard.csv"
RESULTS = (MODEL, REFERENCE, ANNOTATIONS, LEADERBOARD, SUMMARY)


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
    with _opened(folder), ExitStack() as stack:
        summary, rows = _begun(config, host, terms, folder, on_stage, on_note)
        journal = stack.enter_context(closing(Store(folder / JUDGING))) if terms.asked else None
        work = _Work(config, judge, terms, folder, rows, summary, journal)
        on_stage("judge")
        on_note(work.outlook())

        async def at_work() -> None:
            if journal is None or terms.asked is None:
                return await work.judge(nobody)
            async with asking(journal, config, *terms.asked, on_progress=on_progress, on_note=on_note) as answers:
                await work.judge(answers.ask)

        try:
            asyncio.run(at_work())
        finally:
            work.clock()
        return summary


class _Work:
    """The judging of one comparison. What is there is written before more is asked."""

    def __init__(
        self,
        config: Config,
        judge: Judge,
        terms: Terms,
        folder: Path,
        rows: Rows,
        summary: dict[str, Any],
        journal: Store | None,
    ) -> None:
        assert config.judge is not None
        self.folder, self.summary, self.journal = folder, summary, journal
        self.seed, self.difficulty = config.seed, terms.difficulty
        self.name, self.price = config.judge.name, terms.asked[1] if terms.asked else None
        self.rows, self._judge, self._started = rows, judge, time.monotonic()
        self.drawn = sample(rows, terms.controls, config.seed)
        bases = [rows[place][0] for place in self.drawn]
        self.nothing = list(zip(bases, null_outputs(bases), strict=True))
        self.shown = showings(rows, terms.orders, config.seed)
        self.shown_nothing = showings(self.nothing, terms.orders, config.seed)

    def outlook(self) -> str:
        """What will be compared."""
        more = f", and {len(self.shown_nothing):,} with a null model's (--controls)" if self.nothing else ""
        return f"The judge compares {len(self.shown):,} pairs of answers{more}."

    async def judge(self, ask: Ask) -> None:
        """Judge the rows, then the null model on some of them."""
        part = _Part(ask, self.price)
        preferences = await self._preferences(self.shown, part)
        verdicts = annotated(self.rows, self.shown, preferences, self.name)
        write_annotations(self.folder / ANNOTATIONS, verdicts)
        if preferences and all(one.b is None for one in preferences):
            raise AlpacaError(
                f"The judge gave no verdict on any of {len(preferences):,} pairs: {next(iter(reasons(preferences)))}.",
                hint=f"What it wrote is in {self.folder / ANNOTATIONS}, as preference_raw_completion.",
            )
        found = standings(verdicts, self.difficulty)
        write_leaderboard(self.folder / LEADERBOARD, entries(found))
        self.summary.pop("null_model", None)
        self._write(
            "unfinished",
            **found[0].as_dict(),
            rows=len(verdicts),
            same_answers=len(self.rows) - len({showing.row for showing in self.shown}),
            no_verdict=reasons(preferences),
            position=position(self.shown, preferences).as_dict(),
            questions=part.as_dict(),
        )
        if self.nothing:
            part = _Part(ask, self.price)
            preferences = await self._preferences(self.shown_nothing, part)
            null = annotated(self.nothing, self.shown_nothing, preferences, self.name)
            self.summary["null_model"] = {
                "rows": len(null),
                "win_rate": _percent(null),
                "model_on_these_rows": _percent([verdicts[place] for place in self.drawn]),
                "no_verdict": sum(row.preference is None for row in null),
                "questions": part.as_dict(),
            }
        self._write("done")

    def clock(self) -> None:
        """Add the time since the last call to what the journal has."""
        now = time.monotonic()
        if self.journal is not None:
            self.journal.set("seconds", str(float(self.journal.get("seconds") or 0) + now - self._started))
        self._started = now

    def _write(self, status: str, **parts: Any) -> None:
        self.clock()
        asked = account(self.journal) if self.journal is not None else {}
        self.summary.update(parts, asked=asked, status=status)
        write_summary(self.folder, self.summary)

    async def _preferences(self, shown: Sequence[Showing], ask: Ask) -> list[Preference]:
        """What the judge says of ``shown``. Raises AlpacaError when it fails."""
        try:
            found = list(await self._judge.compare([showing.pair for showing in shown], ask))
            if len(found) != len(shown):
                raise ValueError(f"it gave {len(found):,} preferences on {len(shown):,} pairs")
            if wrong := [one.b for one in found if one.b is not None and not 0 <= one.b <= 1]:
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


def _percent(verdicts: Sequence[Annotation]) -> float | None:
    """The win rate, where there is a verdict."""
    return percent(verdicts) if any(row.preference is not None for row in verdicts) else None


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
) -> tuple[dict[str, Any], Rows]:
    """The summary to go on with, and the rows to judge. Answers that the folder has of the same models are taken."""
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
    for file, side in sides.items():
        if outputs[file] is None:
            if not side.is_file:
                on_stage(f"answers of {side.given}")
            outputs[file] = answers(config, host, side)
    baseline, model = outputs[REFERENCE] or [], outputs[MODEL] or []
    if {row.generator for row in baseline} == {row.generator for row in model}:  # as two files of one model's
        baseline = [replace(row, generator=terms.baseline.given) for row in baseline]
        model = [replace(row, generator=terms.model.given) for row in model]
    rows = paired(baseline, model)
    if not rows:
        raise ConfigError("There is nothing to compare: neither side answers any instruction of the data.")
    summary = before
    if known != identity:
        if before:
            on_note(f"The results of another comparison in {folder} are kept in {_set_aside(folder)}.")
        summary = {"kind": "comparison", "status": "unfinished", "identity": identity}
        write_summary(folder, summary)
    write_outputs(folder / REFERENCE, baseline)
    write_outputs(folder / MODEL, model)
    return summary | {"orders": terms.orders, "seed": config.seed}, rows


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
