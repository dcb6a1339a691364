"""metrics.jsonl: a line for each step, once."""

from __future__ import annotations

import json

from alpaca_core.records import TrainEvent
from alpaca_core.steplog import StepLog


def write(folder, *steps, loss=1.0):
    with StepLog(folder) as log:
        log.event(TrainEvent("ready", message="not a step"))
        for step in steps:
            log.event(TrainEvent("step", step=step, steps=9, loss=loss))


def read(folder):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [(row["step"], row["loss"]) for row in rows]


def test_every_step_has_its_loss(tmp_path):
    write(tmp_path, 1, 2, 3)
    assert read(tmp_path) == [(1, 1.0), (2, 1.0), (3, 1.0)]


def test_steps_done_again_after_a_resume_replace_the_old_ones(tmp_path):
    write(tmp_path, 1, 2, 3)
    write(tmp_path, 2, 3, 4, loss=0.5)
    assert read(tmp_path) == [(1, 1.0), (2, 0.5), (3, 0.5), (4, 0.5)]


def test_a_line_that_a_kill_cut_off_is_left_out(tmp_path):
    write(tmp_path, 1)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "lo')
    write(tmp_path, 2)
    assert read(tmp_path) == [(1, 1.0), (2, 1.0)]
