"""Laws for trainers: planning touches nothing; with ``slow``, a training of a tiny student ends, and can be resumed."""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from alpaca_core.errors import AlpacaError, ConfigError, MissingError
from alpaca_core.plugins import PluginHost
from alpaca_core.records import Plan, Request, TrainEvent, TrainJob, TrainResult
from alpaca_core.testing.checks_plugin import require_methods
from alpaca_core.testing.findings import Check, Failed, NotApplicable
from alpaca_core.testing.samples import examples
from alpaca_core.testing.subjects import Component

#: Where a trainer has such an option, its own value for a quick training; what is given wins.
QUICK = {"device": "cpu", "max_steps": 6, "batch_size": 4, "save_steps": 2, "samples": 0, "processes": 1}
HEAVY = ("torch", "transformers", "jax", "tensorflow")
_STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "socket.connect")
_WRITES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "shutil.rmtree", "shutil.move")


def trainer_checks(component: Component, slow: bool, student: str) -> Iterator[Check]:
    """Laws for ``component``, a trainer. ``student`` is what is trained where ``slow`` says so."""
    name = str(component)

    def protocol() -> None:
        require_methods(component.build(), plan=(1, False), train=(2, False))

    def plans() -> str:
        trainer = component.build(**QUICK)
        with _job(component, student) as job:
            before = _tree(job.data.parent)
            heavy = {module for module in HEAVY if module in sys.modules}
            with _watched() as seen:
                job, plan = _planned(trainer, job)
            if seen or before != _tree(job.data.parent):
                raise Failed(
                    f"plan did more than plan: {'; '.join(seen) or 'files came or went'}",
                    "Work the command line out from the job; leave writing, starting and asking to train.",
                )
            came = sorted({module for module in HEAVY if module in sys.modules} - heavy)
        if came:
            raise Failed(f"plan imports {', '.join(came)}", "Import it in train, or in the process that train starts.")
        if not isinstance(plan, Plan) or not plan.argv or not all(isinstance(word, str) for word in plan.argv):
            raise Failed(f"plan gave {plan!r}", "Return Plan(argv=(...)): the command line, word by word.")
        if plan != trainer.plan(job):
            raise Failed("the same job gets another plan", "Let the plan depend on job and options alone.")
        return " ".join(plan.argv)[:60]

    def trains() -> str:
        if not slow:
            raise NotApplicable("only with --slow: it trains a tiny student")
        with _job(component, student) as job:
            outside = _tree(job.data.parent, but=job.out)
            events: list[TrainEvent] = []
            result = _train(component, job, events.append)
            if outside != _tree(job.data.parent, but=job.out):
                raise Failed("it wrote beside the folder of the job", "Keep everything in job.out.")
            _check_result(result, job, events)
            return f"{result.steps} steps, loss {result.final_loss:.2f}; {_answer(result.model)}"

    def resumes() -> str:
        if not slow:
            raise NotApplicable("only with --slow: it trains a tiny student")
        with _job(component, student) as job:
            last = _broken_off(component, job)
            events: list[TrainEvent] = []
            result = _train(component, job, events.append)
            steps = [event.step for event in events if event.kind == "step"]
            if steps and steps[0] <= 1:
                raise Failed(
                    f"broken off after step {last}, with a checkpoint, it began again with step {steps[0]}",
                    "Go on from the newest checkpoint in job.out, unless job.fresh.",
                )
            if not (result.model / "config.json").is_file():
                raise Failed("gone on with, it left no model", "Write job.out/model at the end of the resumed run too.")
            return f"broken off after step {last}, it went on with step {steps[0] if steps else result.steps}"

    yield Check(name, "has the methods of a trainer", protocol)
    yield Check(name, "plans without touching or starting anything", plans)
    yield Check(name, "writes a model that loads and answers", trains)
    yield Check(name, "goes on where it was broken off", resumes)


class _BrokenOff(KeyboardInterrupt):
    """What Ctrl-C is to a training."""


@contextmanager
def _job(component: Component, student: str) -> Iterator[TrainJob]:
    """A job on a few rows, in a folder of its own. Its chat template is the bundled one, if it is there."""
    templates = {spec.name: spec.target for spec in PluginHost(only=frozenset()).specs("chat-template")}
    component.build(**QUICK)  # raises NotApplicable where it cannot be
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data.json"
        rows = [{"instruction": row.instruction, "input": row.input, "output": row.output} for row in examples(26)]
        data.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
        template = templates.get("alpaca") or next(iter(templates.values()), "")
        yield TrainJob(data, Path(folder) / "out", student, template, 0, component.options(**QUICK))


def _planned(trainer: Any, job: TrainJob) -> tuple[TrainJob, Any]:
    """A plan, and its job: with the kit's student or, where the trainer takes no such, one that nobody looks for."""
    try:
        return job, trainer.plan(job)
    except AlpacaError:
        job = replace(job, student="some/model")
        return job, _plan(trainer, job)


def _plan(trainer: Any, job: TrainJob) -> Any:
    try:
        return trainer.plan(job)
    except AlpacaError as exc:
        raise NotApplicable(f"it does not take the kit's job: {exc.message} {exc.hint}".strip()) from exc


def _train(component: Component, job: TrainJob, on_event: Any) -> TrainResult:
    trainer = component.build(**QUICK)
    _plan(trainer, job)
    try:
        result = trainer.train(job, on_event)
    except (ConfigError, MissingError):
        raise
    except AlpacaError as exc:
        logs = [
            line for log in sorted(job.out.rglob("*.log")) for line in log.read_text("utf-8", "replace").splitlines()
        ]
        raise Failed(
            f"it failed: {exc.message}", "\n".join(["The last lines of its log:", *logs[-5:]]) if logs else exc.hint
        ) from exc
    if not isinstance(result, TrainResult):
        raise Failed(f"train gave {result!r}", "Return a TrainResult.")
    return result


def _check_result(result: TrainResult, job: TrainJob, events: list[Any]) -> None:
    if result.model.resolve() != (job.out / "model").resolve() or not (result.model / "config.json").is_file():
        raise Failed(f"the model is said to be {result.model}", "Write it into job.out/model, as save_pretrained does.")
    if result.steps < 1 or not math.isfinite(result.final_loss):
        raise Failed(f"{result.steps} steps, loss {result.final_loss}", "Say what it took, and the last loss.")
    if not all(isinstance(event, TrainEvent) for event in events):
        raise Failed("on_event was given something else than TrainEvents", "Tell TrainEvent('step', step=..., ...).")
    if not any(event.kind == "step" and event.loss is not None for event in events):
        raise Failed(
            "no step was told with its loss", "Tell TrainEvent('step', step=1, steps=9, loss=2.3) as they come."
        )


def _answer(model: Path) -> str:
    """Ask the model something, through its own chat template."""
    spec = PluginHost(only=frozenset()).find("teacher", "transformers")
    if spec.missing():
        return "not loaded: pip install 'alpacakit[transformers]'"
    teacher = spec.load()(spec.options(model=str(model), temperature=0.0))  # type: ignore[misc]
    (answer,) = teacher.complete_many([Request(0, "Say yes.", max_tokens=8)])
    return f"it loads and answers, {answer.usage.completion_tokens} tokens"


def _broken_off(component: Component, job: TrainJob) -> int:
    """Train until a checkpoint is told, and break off; gives the step."""
    reached = 0

    def interrupt(event: TrainEvent) -> None:
        nonlocal reached
        reached = max(reached, event.step)
        if event.kind == "checkpoint":
            raise _BrokenOff

    try:
        _train(component, job, interrupt)
    except KeyboardInterrupt:
        return reached
    raise NotApplicable("it told of no checkpoint before it was done (with save_steps = 2, if it has that option)")


def _tree(folder: Path, but: Path | None = None) -> dict[str, int]:
    """Every file under ``folder`` with its size, but for those in ``but``."""
    return {
        str(path): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file() and (but is None or but not in path.parents)
    }


# ── what plan does, as the interpreter's audit events tell ────────────────────────────────────────────────────────

_watch: list[str] | None = None
_thread = 0
_hooked = False


@contextmanager
def _watched() -> Iterator[list[str]]:
    """What this thread starts and writes meanwhile. An audit hook cannot be taken away again, so there is one."""
    global _watch, _thread, _hooked
    if not _hooked:
        sys.addaudithook(_seen)
        _hooked = True
    found: list[str] = []
    _watch, _thread = found, threading.get_ident()
    try:
        yield found
    finally:
        _watch = None


def _seen(event: str, args: tuple[Any, ...]) -> None:
    if _watch is None or threading.get_ident() != _thread:
        return
    writes = os.O_WRONLY | os.O_RDWR | os.O_CREAT
    if event == "open":
        if not (isinstance(args[2], int) and args[2] & writes):
            return
    elif event not in _STARTS and event not in _WRITES:
        return
    what = str(args[0]) if args else ""
    if "__pycache__" not in str(args) and what != os.devnull:
        _watch.append(f"{event} {what}"[:120])
