"""The trainer: a job becomes a folder with a script, its settings and the data, which TRL can run anywhere."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from alpaca_core import (
    AlpacaError,
    ConfigError,
    Example,
    MissingError,
    Plan,
    Stopped,
    TrainEvent,
    TrainJob,
    TrainResult,
)
from alpacakit_trl import TrlOptions

SCRIPT = Path(__file__).with_name("sft.py")


class TrlTrainer:
    def __init__(self, options: TrlOptions) -> None:
        self.options = options

    def plan(self, job: TrainJob) -> Plan:
        if job.student.startswith("new:"):
            raise ConfigError(
                "TRL trains a model that is there already.", hint="Give its folder or hub id as --student."
            )
        notes = () if find_spec("trl") else ("TRL is not installed here: pip install 'alpacakit-trl[trl]'",)
        return Plan((sys.executable, "-u", str(job.out / "trl" / SCRIPT.name)), notes=notes)

    def check(self, job: TrainJob) -> None:
        """Before the teacher is paid: TRL is there, unless the script alone is wanted."""
        self.plan(job)
        if self.options.launch and find_spec("trl") is None:
            raise MissingError(
                "The trainer 'trl' needs the package 'trl', which is not installed.",
                hint="Install it with: pip install 'alpacakit-trl[trl]', or write the script alone: "
                "--set trainer.launch=false",
            )

    def train(self, job: TrainJob, on_event: Callable[[TrainEvent], None]) -> TrainResult:
        """Write the folder ``trl``, run its script, and give what it left. What was run elsewhere is taken over."""
        plan, folder = self.plan(job), job.out / "trl"
        about = self._write(job, folder)
        if not (folder / "result.json").is_file():
            if not self.options.launch:
                raise Stopped(
                    f"{folder / SCRIPT.name} is written, with its data.",
                    hint=f"Run it where TRL is: python {folder / SCRIPT.name}. The same command then goes on.",
                )
            self.check(job)
            self._run(plan, folder, on_event)
        done = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        return TrainResult(model=job.out / "model", base=about["student"], strategy="trl", **done)

    def _write(self, job: TrainJob, folder: Path) -> dict[str, Any]:
        """The script, ``settings.json`` and ``data.jsonl``. Another job's leftovers are refused, or with ``fresh``
        taken away."""
        module, _, name = job.template.partition(":")
        made = getattr(import_module(module), name)
        template = made(SimpleNamespace(**job.template_options)) if job.template_options else made()
        rows = [
            Example(row["instruction"], row["input"], row["output"])
            for row in json.loads(job.data.read_text(encoding="utf-8"))
        ]
        pairs = [{"prompt": template.prompt(row), "completion": template.response(row)} for row in rows]
        data = "".join(json.dumps(pair, ensure_ascii=False) + "\n" for pair in pairs)
        options = {name: value for name, value in asdict(self.options).items() if name != "launch"}
        about = {"student": job.student, "seed": job.seed, "chat_template": template.jinja, **options}
        if job.fresh:
            shutil.rmtree(folder, ignore_errors=True)
        settings = folder / "settings.json"
        if settings.is_file():
            if json.loads(settings.read_text("utf-8")) != about or (folder / "data.jsonl").read_text("utf-8") != data:
                raise ConfigError(f"{folder} holds another job.", hint="Choose another --out, or start over: --fresh")
            return about
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "data.jsonl").write_text(data, encoding="utf-8")
        shutil.copyfile(SCRIPT, folder / SCRIPT.name)
        settings.write_text(json.dumps(about, indent=2, ensure_ascii=False), encoding="utf-8")
        return about

    def _run(self, plan: Plan, folder: Path, on_event: Callable[[TrainEvent], None]) -> None:
        """Run the script, and pass on the events that it tells, one JSON object a line; the rest goes into the log."""
        log = folder / "train.log"
        with log.open("a", encoding="utf-8") as file:
            process = subprocess.Popen(
                plan.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, text=True, encoding="utf-8"
            )
            try:
                for line in process.stdout or ():
                    if line.startswith('{"kind"'):
                        on_event(TrainEvent(**json.loads(line)))
                    else:
                        file.write(line)
                process.wait()
            finally:
                process.kill()
                process.wait()
        if process.returncode:
            raise AlpacaError(f"TRL ended with code {process.returncode}.", hint=f"What it said is in {log}")
