"""What the training tests share: a little data, a little student of any architecture, and a job."""

import json
import os
import subprocess
import sys
from pathlib import Path
from random import Random

from alpaca_fsdp.options import FsdpOptions, LocalOptions
from alpaca_fsdp.trainer import FsdpTrainer, LocalTrainer

from alpaca_core import TrainJob

TEMPLATE = "alpaca_templates.alpaca:AlpacaTemplate"
WORDS = "red green blue one two three four apple pear plum river stone cloud café naïve 東京 ok <s> </s>".split()


def rows(n: int, seed: int = 0) -> list[dict[str, str]]:
    """Small tasks of various lengths, every third with an input."""
    rng = Random(seed)
    found = []
    for i in range(n):
        words = rng.choices(WORDS, k=rng.randint(2, 12))
        given = " ".join(words)
        instruction = "Write the words backwards" + (f": {given}" if i % 3 else ".")
        found.append(
            {"instruction": instruction, "input": "" if i % 3 else given, "output": "\n".join(reversed(words))}
        )
    return found


def write(folder: Path, n: int = 24, seed: int = 0) -> Path:
    path = folder / f"data-{n}-{seed}.json"
    path.write_text(json.dumps(rows(n, seed)))
    return path


def job(
    data: Path, out: Path, student: str = "new:tiny", fsdp: bool = False, fresh: bool = False, **options
) -> TrainJob:
    """A job on the CPU, by ``fsdp`` in two processes unless said otherwise."""
    options = {"device": "cpu", "batch_size": 6, "max_steps": 6, **options}
    made = FsdpOptions(**{"processes": 2, **options}) if fsdp else LocalOptions(**options)
    return TrainJob(
        data=data, out=out, student=student, template=TEMPLATE, seed=3, options=made, notice="a test", fresh=fresh
    )


def train(what: TrainJob, on_event=lambda event: None):
    """The result and the events of a job."""
    events = []
    trainer = (FsdpTrainer if isinstance(what.options, FsdpOptions) else LocalTrainer)(what.options)
    result = trainer.train(what, lambda event: (events.append(event), on_event(event)))
    return result, events


def losses(events) -> list[float]:
    return [event.loss for event in events if event.kind == "step"]


def message(events, kind: str = "ready") -> str:
    return next(event.message for event in events if event.kind == kind)


def student_folder(folder: Path, config, data: Path) -> Path:
    """A random model of ``config`` (its vocabulary is set here) with a tokenizer trained on ``data``."""
    import torch
    from alpaca_fsdp import tokenizer
    from transformers import AutoModelForCausalLM

    texts = [text for row in json.loads(data.read_text()) for text in row.values() if text]
    words = tokenizer.build(tokenizer.train(texts, 400))
    config.vocab_size = len(words)
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def processes_naming(text: str) -> list[int]:
    """Ids of the running processes (not this one) whose command line holds ``text``."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            named = text in (entry / "cmdline").read_text().replace("\0", " ")
        except OSError:  # it has just ended
            continue
        if named and int(entry.name) != os.getpid():
            found.append(int(entry.name))
    return found


def in_background(code: str, *arguments: Path) -> subprocess.Popen:
    """Another Python that runs ``code`` and finds the modules of these tests."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
