"""``train`` and ``evaluate`` read what ``filter`` reads, and never rows that they should not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from alpaca_core.dataset import read_records, write_records

ROWS = [{"instruction": f"Say {n}.", "input": "", "output": str(n)} for n in range(8)]


def alpacakit(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ALPACAKIT_")}
    return subprocess.run(
        [sys.executable, "-m", "alpaca_core", *args],
        cwd=folder, env=environ, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


@pytest.mark.slow
def test_a_dataset_folder_is_trained_on_and_scored(tmp_path):
    write_records(tmp_path / "data" / "train-00000-of-00002.parquet", ROWS[:4])
    write_records(tmp_path / "data" / "train-00001-of-00002.parquet", ROWS[4:])
    tiny = ("--student", "new:tiny", "--set", "trainer.max_steps=1", "--set", "trainer.device=cpu")
    done = alpacakit(tmp_path, "train", "data", *tiny, "--out", "out")
    assert done.returncode == 0, done.stderr
    assert read_records(tmp_path / "out" / "training_rows.json") == ROWS
    done = alpacakit(tmp_path, "evaluate", "out/model", "--data", "data", "--json")
    assert (done.returncode, json.loads(done.stdout)["n"]) == (0, 8), done.stderr


def test_a_run_folder_is_scored_on_the_rows_set_aside_only(tmp_path):
    write_records(tmp_path / "run" / "alpaca_data.json", ROWS)
    done = alpacakit(tmp_path, "evaluate", "model", "--data", "run")
    assert done.returncode == 2
    assert done.stderr.startswith("error: There is no file run/heldout.json to read rows from.")
