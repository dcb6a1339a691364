"""The way through: seed tasks to dataset, dataset to model, model to scores. Each stage skips what is already done."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, Protocol

from alpaca_core.acceptance import Acceptance, accept
from alpaca_core.account import account
from alpaca_core.config import Config
from alpaca_core.contact import Contact
from alpaca_core.dataset import split, write_jsonl, write_rows
from alpaca_core.errors import ConfigError, Stopped
from alpaca_core.evaluate import Scores, evaluate, most_frequent, nearest
from alpaca_core.generate import Plan as GenerationPlan
from alpaca_core.generate import generate
from alpaca_core.judging import Chain
from alpaca_core.ledger import Ledger
from alpaca_core.local import Gathered
from alpaca_core.marks import EDITS, read_marks
from alpaca_core.overlay import lay_over, run_rows
from alpaca_core.plugins import PluginHost
from alpaca_core.progress import Inquiry, Progress
from alpaca_core.protocols import BatchTeacher, Prompt, Teacher
from alpaca_core.records import Example, Price, Seed, TrainEvent, TrainResult
from alpaca_core.reuse import check_sources, described, take_over, taken
from alpaca_core.runs import (
    DATA,
    HELDOUT,
    JOURNAL,
    REJECTED,
    RunFolder,
    identity,
    read_summary,
    teacher_identity,
    write_summary,
)
from alpaca_core.seeds import read_seeds, seeds_hash
from alpaca_core.selection import Selection, asks
from alpaca_core.training import Models, check_trainer, run_training, train_job, training_summary


class Watcher(Protocol):
    """Whoever shows people what happens."""

    def stage(self, name: str) -> None: ...
    def generating(self, progress: Progress) -> None: ...
    def selecting(self, inquiry: Inquiry) -> None: ...
    def training(self, event: TrainEvent) -> None: ...
    def note(self, text: str) -> None: ...


@dataclass
class Outcome:
    """What a pipeline run leaves behind; ``summary`` is the run folder's summary.json."""

    summary: dict[str, Any]
    train: list[Example]
    held_out: list[Example]
    before: Scores | None = None
    after: Scores | None = None
    baselines: dict[str, Scores] = field(default_factory=dict)
    acceptance: Acceptance | None = None


def default_folder(config: Config) -> Path:
    """Where a run goes without ``--out``."""
    assert config.teacher is not None
    name = config.teacher.name
    return Path("runs") / ("practice" if name == "procedural" else name)


def make_teacher(config: Config, *, to_ask: bool = True) -> tuple[Teacher, Price | None]:
    """The teacher, ready to be asked, and its price in dollars per million tokens if known.

    Raises MissingError for a missing package, or a key unless it is not ``to_ask``, before anything is sent.
    """
    assert config.teacher is not None
    teacher = config.teacher.build()
    check = getattr(teacher, "check", None)
    if check is not None and to_ask:
        check()
    price = teacher.price() if hasattr(teacher, "price") else None
    if config.price_input is not None and config.price_output is not None:
        price = Price(config.price_input, config.price_output, source="configuration")
    elif (config.price_input is None) != (config.price_output is None):
        raise ConfigError("teacher.price_input and teacher.price_output belong together: give both, or neither.")
    teacher = Gathered(teacher) if hasattr(teacher, "complete_many") else teacher
    return teacher, price


@dataclass(frozen=True)
class Parts:
    """What a generation is made of, built and checked before anything is written or sent."""

    seeds: list[Seed]
    teacher: Teacher
    price: Price | None
    prompt: Prompt
    chain: Chain


def make_parts(config: Config, *, to_ask: bool = True) -> Parts:
    """Read the seed tasks and build the components. Raises ConfigError and MissingError for what is wrong.

    What is not ``to_ask`` needs no key.
    """
    assert config.teacher is not None and config.prompt is not None
    seeds = read_seeds(Path(config.generation.seed_tasks) if config.generation.seed_tasks else None)
    prompt = config.prompt.build()
    if to_ask:
        prompt.request(0, Random(), seeds, ())  # a prompt that lacks something says so now
    chain = Chain([(chosen.name, chosen.build()) for chosen in config.filters])
    teacher, price = make_teacher(config, to_ask=to_ask)
    Ledger(price, config.generation.budget)  # refuses a budget that cannot be kept
    if config.generation.batch and not isinstance(teacher, BatchTeacher):
        raise ConfigError(
            f"The teacher '{config.teacher.name}' has no batch API.",
            hint="Leave out --batch, or choose another teacher.",
        )
    return Parts(seeds, teacher, price, prompt, chain)


def has_replies(config: Config, out: Path, *, fresh: bool = False) -> bool:
    """Whether a run in ``out`` has stored replies to begin with. They may do: what asking takes, such as a key, is then
    looked for when something is missing."""
    return bool(config.generation.sources) or ((out / JOURNAL).exists() and not fresh)


def open_run(config: Config, parts: Parts, out: Path, *, fresh: bool = False) -> RunFolder:
    """The run folder ``out``: new, or the same run to go on with. See ``RunFolder.open``."""
    if not (out / JOURNAL).exists() or fresh:
        check_sources(config.generation.sources, out)
    return RunFolder.open(out, config, identity(config, seeds_hash(parts.seeds)), fresh=fresh)


def generate_stage(
    config: Config, host: PluginHost, parts: Parts, folder: RunFolder, watch: Watcher, *, heldout: bool
) -> Outcome:
    """Take over the replies of other runs, generate what is missing, and write the dataset into the run folder.

    With ``heldout`` some rows are set aside for evaluation. Whatever ends the generation early, the rows so far are
    written and the summary says so; then the error goes on to the caller. Marks made by hand are applied to the rows as
    they are written; a damaged file of them is refused before anything is sent.
    """
    read_marks(folder.path / EDITS)
    store, judging = folder.store, folder.judging(make=asks(config))
    heldout = heldout or (folder.path / HELDOUT).exists()  # what was set aside once stays so
    if not store.sources():
        check_sources(config.generation.sources, folder.path)
    take_over(store, config.generation.sources)
    before = store.totals()
    journals = [store, judging] if judging is not None else [store]
    ledger = Ledger(parts.price, config.generation.budget, sum(journal.totals().cost or 0 for journal in journals))
    ledger.settle_unpriced(*journals)
    selection = Selection(parts.chain, judging)
    plan = GenerationPlan(
        store=store,
        teacher=parts.teacher,
        prompt=parts.prompt,
        chain=parts.chain,
        seeds=parts.seeds,
        settings=config.generation,
        ledger=ledger,
        seed=config.seed,
        taken=taken(store, host),
        elsewhere=(judging.totals().cost or 0.0) if judging is not None else 0.0,
        on_progress=watch.generating,
        on_note=watch.note,
    )
    started = time.monotonic()
    try:
        asyncio.run(_generate(plan, selection, teacher_identity(config), watch))
        status = "done"
    except BaseException as exc:
        status = _status(exc)
        raise
    finally:
        seconds = float(store.get("seconds") or 0)
        if store.totals().attempts > before.attempts:  # judging stored replies again is not generating
            seconds += time.monotonic() - started - selection.seconds
            store.set("seconds", str(seconds))
        outcome = _write_dataset(config, folder, status, seconds, heldout, selection, watch)
        if not selection.complete:
            names = ", ".join(name for name, _ in parts.chain.selectors)
            watch.note(f"The rows are written as they are: {names} judges them when all is there.")
    return outcome


def _status(error: BaseException) -> str:
    """summary.json's ``status`` after ``error``."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return "stopped" if getattr(error, "exit_code", 1) == Stopped.exit_code else "failed"


async def _generate(plan: GenerationPlan, selection: Selection, identity: str, watch: Watcher) -> None:
    """Generate, and have the dataset filters judge what was kept: the same teacher at the same pace."""
    try:
        plan.contact = Contact(plan.teacher, plan.store, plan.settings, plan.on_note)
        await generate(plan)
        if plan.chain.selectors:
            watch.stage("select")
            await selection.judge_run(plan, identity, watch.selecting)
    finally:
        await plan.teacher.aclose()


def _write_dataset(
    config: Config,
    folder: RunFolder,
    status: str,
    seconds: float,
    heldout: bool,
    selection: Selection,
    watch: Watcher,
) -> Outcome:
    """alpaca_data.json, heldout.json, rejected.jsonl and the summary so far, all from the journal and the marks.

    Which rows are held out is drawn before the marks are applied, so that a mark moves no other row; what is taken in
    by hand is trained on.
    """
    totals = folder.store.totals()
    judged = run_rows(folder.store.rows)
    laid = lay_over(judged, read_marks(folder.path / EDITS))
    rows, rejected = laid.kept, laid.counts
    drawn = [row.example for row in judged if row.kept]
    unseen = {row.id for row in split(drawn, config.evaluation.heldout, config.seed)[1]} if heldout else set()
    train = [row for row in rows if row.id not in unseen]
    held_out = [row for row in rows if row.id in unseen]
    for line in laid.told(folder.path / EDITS):
        watch.note(line)
    files = [folder.path / DATA, folder.path / HELDOUT]
    made = {"training": files[:1], "evaluation": files, "acceptance": files}
    old = read_summary(folder.path)
    stages = {stage: (old.pop(stage), _bytes(of)) for stage, of in made.items() if stage in old}
    if stages:  # what was made of other rows is void, also if this process ends between the two files
        write_summary(folder.path, old)
    write_rows(folder.path / DATA, train)
    if heldout:
        write_rows(folder.path / HELDOUT, held_out, labels=True)
    write_jsonl(folder.path / REJECTED, (row.rejection for row in laid.rejected))
    if laid.marks or folder.store.get("edits"):  # what `trace` tells of these files
        by_hand = {"dropped": laid.dropped, "taken_in": laid.taken_in, "edited": dict(laid.edited)}
        folder.store.set("edits", json.dumps({**by_hand, "aside": sorted(unseen.intersection(laid.dropped))}))
    summary: dict[str, Any] = {
        "status": status,
        "teacher": config.teacher.name,
        "notice": getattr(config.teacher.spec, "notice", ""),
        "generation": {
            "requests": totals.requests,
            "attempts": totals.attempts,
            "replies": totals.replies,
            "failed": totals.failed,
            "candidates": len(judged),
            "kept": len(rows),
            "rejected": rejected,
            "prompt_tokens": totals.prompt_tokens,
            "completion_tokens": totals.completion_tokens,
            "cached_tokens": totals.cached_tokens,
            "reasoning_tokens": totals.reasoning_tokens,
            "cost_usd": totals.cost,
            "seconds": round(seconds, 2),
            **account(folder.store.rows),
            **({"learnt": json.loads(learnt)} if (learnt := folder.store.get("learnt")) else {}),
            **({"sources": sources} if (sources := described(folder.store)) else {}),
            **({"edits": laid.summary()} if laid.marks else {}),
        },
        **({"selection": selection.summary()} if selection.chain.selectors or selection.journal else {}),
        **{stage: said for stage, (said, before) in stages.items() if _bytes(made[stage]) == before},
    }
    write_summary(folder.path, summary)
    return Outcome(summary, train, held_out)


def _bytes(files: Sequence[Path]) -> list[bytes]:
    return [file.read_bytes() if file.exists() else b"" for file in files]


def run_pipeline(config: Config, host: PluginHost, out: Path, watch: Watcher, *, fresh: bool = False) -> Outcome:
    """Generate, train and evaluate in the run folder ``out``."""
    if config.trainer is not None:
        config.trainer.spec.require()
        host.find("teacher", "transformers").require()
        check_trainer(config, train_job(config, out / DATA, out))
    parts = make_parts(config, to_ask=not has_replies(config, out, fresh=fresh))
    with open_run(config, parts, out, fresh=fresh) as folder:
        watch.stage("generate")
        outcome = generate_stage(config, host, parts, folder, watch, heldout=True)
        if config.trainer is None:
            return outcome
        summary = outcome.summary
        try:
            summary["status"] = "training"
            write_summary(out, summary)
            watch.stage("train")
            result = train_stage(config, folder, outcome, watch)
            summary["training"] = training_summary(result)
            watch.stage("evaluate")
            if outcome.held_out:
                models = Models(config, host, result, outcome.held_out)
                evaluate_stage(config, folder, models, outcome)
                watch.stage("accept")
                accept_stage(config, folder, models, outcome)
            else:
                watch.note("No rows were held out: nothing to evaluate.")
            summary["status"] = "done"
        except BaseException as exc:
            summary["status"] = _status(exc)
            raise
        finally:
            write_summary(out, summary)
    return outcome


def train_stage(config: Config, folder: RunFolder, outcome: Outcome, watch: Watcher) -> TrainResult:
    """Train on the run's dataset. A trainer, a setting or a dataset that changed since starts the training anew."""
    assert config.trainer is not None
    job = train_job(config, folder.path / DATA, folder.path)
    settings = repr((config.trainer.name, replace(job, data=Path(), out=Path())))  # wherever the folder lies
    wanted = hashlib.sha256(job.data.read_bytes() + settings.encode()).hexdigest()
    before = folder.store.get("training")
    if before not in (None, wanted):
        watch.note("The data or the training settings have changed: the training starts anew.")
        job = replace(job, fresh=True)
    heldout = folder.path / HELDOUT if outcome.held_out else None
    job = replace(job, ids=[row.id for row in outcome.train], heldout=heldout)

    def on_event(event: TrainEvent) -> None:
        if event.kind == "ready":
            folder.store.set("training", wanted)
        watch.training(event)

    result = run_training(config, job, on_event)
    folder.store.set("training", wanted)
    return result


def evaluate_stage(config: Config, folder: RunFolder, models: Models, outcome: Outcome) -> None:
    """Score the student before and after training on the held-out rows, beside two baselines that need no model.

    Scores of the same model on the same rows are taken from the journal.
    """
    train, held_out = outcome.train, outcome.held_out
    key = f"evaluation of {_judged(config, folder, held_out)}"
    stored = json.loads(folder.store.get(key) or "{}")
    if not stored:
        started = time.monotonic()
        scores = {
            "before": evaluate(models.before, held_out, config.evaluation.max_new_tokens),
            "after": models.measured.scores,
            "most_frequent": most_frequent(train, held_out),
            "nearest": nearest(train, held_out),
        }
        stored = {name: of.as_dict() for name, of in scores.items()}
        stored["seconds"] = round(time.monotonic() - started, 2)
        folder.store.set(key, json.dumps(stored))
    outcome.before, outcome.after = Scores.from_dict(stored["before"]), Scores.from_dict(stored["after"])
    baselines = {name: stored[name] for name in ("most_frequent", "nearest")}
    outcome.baselines = {name: Scores.from_dict(of) for name, of in baselines.items()}
    said = {"before": stored["before"], "after": stored["after"], "baselines": baselines, "seconds": stored["seconds"]}
    outcome.summary["evaluation"] = {"heldout": len(held_out), **said}


def _judged(config: Config, folder: RunFolder, held_out: Sequence[Example]) -> str:
    """What the scores of a model and its acceptance depend on: the training, the settings, the held-out rows."""
    edited = any(json.loads(folder.store.get("edits") or "{}").values())  # they may not be as they were drawn
    rows = f", {hashlib.sha256(repr(held_out).encode()).hexdigest()}" if edited else ""
    return f"{folder.store.get('training')}, {config.evaluation}{rows}"


def accept_stage(config: Config, folder: RunFolder, models: Models, outcome: Outcome) -> None:
    """Accept the student, or refuse it, with what it said to the held-out rows. From the journal, as its scores are."""
    assert config.chat_template is not None
    key = f"acceptance of {_judged(config, folder, outcome.held_out)}"
    stored = json.loads(folder.store.get(key) or "{}")
    if not stored:
        started = time.monotonic()
        adapter = (models.result.lora or {}).get("adapter")
        found = accept(
            models.after,
            outcome.held_out,
            lambda: models.measured,
            lambda jinja: models.before.losses(outcome.held_out, jinja),  # type: ignore[attr-defined]
            template=config.chat_template.build(),
            exported=[str(adapter)] if adapter and Path(adapter) != models.result.model else [],
            outputs=[row.output for row in outcome.train],
            floor=outcome.baselines["most_frequent"],
        )
        stored = {**found.as_dict(), "seconds": round(time.monotonic() - started, 2)}
        folder.store.set(key, json.dumps(stored))
    outcome.summary["acceptance"] = stored
    outcome.acceptance = Acceptance.from_dict(stored)
