"""The trainers as the core sees them: they start the worker, pass its events on and see that it ends."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import alpaca_core
from alpaca_core import (
    AlpacaError,
    ConfigError,
    Example,
    MissingError,
    Plan,
    Stopped,
    TrainEstimate,
    TrainEvent,
    TrainJob,
    TrainResult,
)
from alpaca_fsdp import forecast, nodes, reports, soundness
from alpaca_fsdp import job as jobs
from alpaca_fsdp.memory import TooMuch
from alpaca_fsdp.options import LocalOptions
from alpaca_fsdp.recipes import ARCHITECTURES, resolved
from alpaca_fsdp.task import as_word

_EVENT = "\x1e"  # the worker's mark of an event among other lines (world.EVENT, which imports torch)
# How long OpenMP's threads spin before they sleep. By libgomp's default two trainings on the same two cores took
# 1,300 ms a step instead of 120; spinning less costs a training alone about 4 %.
_SPINS = "1000"
_PATIENCE = 10.0  # seconds that workers of a dead launcher get to end by themselves


class LocalTrainer:
    """Trains in one process of its own."""

    sharded = False

    def __init__(self, options: Any) -> None:
        self.options = options

    def plan(self, job: TrainJob) -> Plan:
        """The command line of the worker, to paste: it needs no file but the data. Raises ConfigError when there is no
        such student, MissingError when LoRA is asked for and peft is not there."""
        check_student(job.student)
        _check_lora(resolved(self.options, job.student))
        argv = (sys.executable, *self._launch(), "-m", "alpaca_fsdp.train", "--job", as_word(job))
        env = {"GOMP_SPINCOUNT": _SPINS, **self._environment()}
        return Plan(argv, {name: os.environ.get(name, value) for name, value in env.items()}, self._notes())

    def check(self, job: TrainJob) -> None:
        """What would stop the job later: a GPU that is asked for and missing, a hub model that cannot be had."""
        reports.require(self.options.report_to)
        if self.options.device == "cuda":
            import torch

            if not torch.cuda.is_available():
                raise ConfigError("trainer.device is cuda, and PyTorch finds no GPU.", hint="Use trainer.device=cpu.")
        if not job.student.startswith("new:") and not Path(job.student).is_dir():
            from huggingface_hub import hf_hub_download
            from huggingface_hub.utils import logging

            logging.set_verbosity_error()  # it would tell of every retry
            try:
                hf_hub_download(job.student, "config.json")
            except Exception as exc:  # whatever the network makes of it, the user needs one sentence
                said = (str(exc).strip().splitlines() or [type(exc).__name__])[0]
                raise MissingError(
                    f"The student {job.student} is no folder here, and getting it from the hub failed: {said}",
                    hint="Check the name and the connection, or give the path of a folder.",
                ) from exc

    def estimate(
        self, job: TrainJob, gpus: str = "", rows: Sequence[Example] | int | None = None, price: float | None = None
    ) -> TrainEstimate:
        """What ``job`` will take on ``gpus``: see ``forecast.estimate``."""
        check_student(job.student)
        return forecast.estimate(job, self.sharded, gpus, rows, price)

    def train(self, job: TrainJob, on_event: Callable[[TrainEvent], None]) -> TrainResult:
        """Train, from the newest checkpoint of the same job if there is one; see ``job.begin``.

        SIGINT, SIGTERM and SIGHUP (a closed terminal) make the worker write a checkpoint; then the first raises
        KeyboardInterrupt, the others Stopped. A second one ends the worker at once.
        """
        plan = self.plan(job)
        decided = jobs.decide(job, self.sharded)
        decided.out.mkdir(parents=True, exist_ok=True)
        _await_others(decided.out / ".training.lock")
        done = jobs.begin(decided, job.fresh)
        if done is not None:
            on_event(TrainEvent("note", message=f"{decided.model} is there already: nothing to do"))
            return done
        file = decided.checkpoints / "job.json"
        jobs.write(decided, file)
        plan = replace(plan, argv=(*plan.argv[:-1], str(file)))
        result = None
        while result is None:
            try:
                result = _Worker(plan, decided.log, on_event).run()
            except TooMuch as exc:
                on_event(TrainEvent("note", message=f"{exc.message} Starting again with less."))
        jobs.clear(decided)
        return result

    def _launch(self) -> tuple[str, ...]:
        return ()

    def _environment(self) -> dict[str, str]:
        return {}

    def _notes(self) -> tuple[str, ...]:
        return ()


class FsdpTrainer(LocalTrainer):
    """Trains in processes started by torchrun, the model sharded over them."""

    sharded = True

    def _launch(self) -> tuple[str, ...]:
        meeting = nodes.rendezvous(self.options)
        return ("-m", "torch.distributed.run", *meeting, f"--nproc_per_node={self._processes()}")

    def check(self, job: TrainJob) -> None:
        super().check(job)
        if self.options.nodes > 1:
            raise ConfigError(
                f"trainer.nodes is {self.options.nodes}, and this command starts processes on one machine only.",
                hint="Start them with --launcher slurm, or type what --dry-run prints on each node.",
            )

    def slurm(self, job: TrainJob) -> str:
        """The script that runs ``job`` under Slurm. Raises ConfigError where the GPUs of a node are not known."""
        if self.options.processes is None and not self._gpus() and self.options.device != "cpu":
            raise ConfigError(
                "There is no GPU here to tell how many a node has.", hint="Say it: --set trainer.processes=8"
            )
        there = replace(self.options, rendezvous=f"{nodes.HEAD}:{nodes.PORT}")
        plan = FsdpTrainer(there).plan(job)
        return nodes.slurm(plan, self.options, self._processes())

    def _environment(self) -> dict[str, str]:
        several = nodes.ENVIRONMENT if self.options.nodes > 1 else {}
        if self._gpus():
            return {**several}
        # torchrun would give each process a single thread.
        return {**several, "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // self._processes()))}

    def _notes(self) -> tuple[str, ...]:
        return () if self._gpus() else ("No GPU: FSDP2 runs on CPU processes over gloo.",)

    def _processes(self) -> int:
        return resolved(self.options, "").processes or self._gpus() or 2

    def _gpus(self) -> int:
        if self.options.device == "cpu":
            return 0
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        if visible is not None:
            return len([name for name in visible.split(",") if name.strip() not in ("", "-1")])
        return len(list(Path("/proc/driver/nvidia/gpus").glob("*")))


def check_student(student: str) -> None:
    """Refuse what can be neither a new student, nor a model's folder, nor a hub id."""
    folder = Path(student)
    if student.startswith("new:"):
        if student not in ARCHITECTURES:
            raise ConfigError(f"There is no student {student!r}; new ones are {', '.join(ARCHITECTURES)}.")
    elif folder.is_dir():
        if not (folder / "config.json").is_file():
            raise ConfigError(f"The student {student!r} holds no model: it has no config.json.")
        soundness.check_files(folder)
    elif not re.fullmatch(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?", student):
        raise ConfigError(
            f"The student {student!r} is not a folder.",
            hint=f"Give a model folder, a hub id such as huggyllama/llama-7b, {' or '.join(ARCHITECTURES)}.",
        )


def _check_lora(options: LocalOptions) -> None:
    if options.lora_rank and find_spec("peft") is None:
        raise MissingError(
            "trainer.lora_rank needs the package 'peft', which is not installed.",
            hint="Install it with: pip install 'alpacakit[lora]'",
        )


def _await_others(lock: Path) -> None:
    """Wait for workers whose launcher died; end them if they do not end. Raises ConfigError if their launcher lives."""
    with lock.open("a+") as file:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                pass
            file.seek(0)
            worker, launcher = (int(word) for word in (file.read().split() + ["0", "0"])[:2])
            if _alive(launcher):
                raise ConfigError(
                    f"Another training (process {launcher}) is writing to {lock.parent}.",
                    hint="Wait for it or stop it, or choose another --out.",
                )
            if time.monotonic() > deadline and worker:
                os.kill(worker, signal.SIGKILL)
            time.sleep(0.1)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return process > 0


class _Worker:
    """The worker's process, from its start to its end."""

    def __init__(self, plan: Plan, log: Path, on_event: Callable[[TrainEvent], None]) -> None:
        self.log, self.on_event = log, on_event
        self.tail: deque[str] = deque(maxlen=20)
        self.result: TrainResult | None = None
        self.error: AlpacaError | None = None
        self.stopped_at: int | None = None
        self.asked_to_stop: int | None = None  # by this signal
        self.process = subprocess.Popen(
            plan.argv,
            env={**os.environ, **plan.env, "ALPACAKIT_LAUNCHED": str(os.getpid())},
            stdin=subprocess.PIPE,  # a byte means stop; its end means that we are gone
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is ours to pass on
        )

    def run(self) -> TrainResult:
        try:
            with self._signals():
                self._read()
        finally:
            self._end()
        if self.error is not None:
            raise self.error
        if self.result is not None:
            return self.result
        if self.asked_to_stop == signal.SIGINT:
            raise KeyboardInterrupt
        if self.asked_to_stop or self.stopped_at is not None:
            where = "" if self.stopped_at is None else f" after step {self.stopped_at}, with a checkpoint"
            raise Stopped(f"Training stopped{where}.", hint="The same command goes on from the last checkpoint.")
        raise AlpacaError(
            f"The training process ended with code {self.process.returncode}:\n" + "".join(self.tail).rstrip(),
            hint=f"All that it said is in {self.log}",
        )

    def _read(self) -> None:
        with self.log.open("a", encoding="utf-8") as log:
            for raw in self.process.stdout:  # type: ignore[union-attr]
                text = raw.decode("utf-8", "replace")
                said, mark, event = text.partition(_EVENT)
                if said:
                    log.write(said)
                    log.flush()
                    self.tail.append(said)
                if mark:
                    self._take(json.loads(event))
        self.process.wait()

    def _take(self, event: dict[str, Any]) -> None:
        match event.pop("kind"):
            case "result":
                self.result = TrainResult(**dict(event, model=Path(event["model"])))
            case "error":
                kind = TooMuch if event["type"] == "TooMuch" else getattr(alpaca_core, event["type"], AlpacaError)
                self.error = self.error or kind(event["message"], hint=event["hint"])
            case "stopped":
                self.stopped_at = event["step"]
            case kind:
                try:
                    self.on_event(TrainEvent(kind, **event))
                except OSError as exc:
                    if exc.errno != errno.EIO:
                        raise
                    if not self.asked_to_stop:  # the terminal is gone, and SIGHUP is on its way
                        self._stop(signal.SIGHUP)

    @contextmanager
    def _signals(self):
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        names = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
        # Ignored already: nohup.
        before = {name: signal.signal(name, self._stop) for name in names if signal.getsignal(name) != signal.SIG_IGN}
        try:
            yield
        finally:
            for name, handler in before.items():
                signal.signal(name, handler)

    def _stop(self, name: int, *_: Any) -> None:
        pipe = self.process.stdin
        if self.asked_to_stop or pipe is None or pipe.closed:
            self._end()
            return
        self.asked_to_stop = name
        try:
            os.write(pipe.fileno(), b"s")
        except BrokenPipeError:
            pass

    def _end(self) -> None:
        """Close the pipe, at whose end workers exit; then make sure of the whole group."""
        try:
            self.process.stdin.close()  # type: ignore[union-attr]
            self.process.wait(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        except BrokenPipeError:
            self.process.wait()
