"""An outside teacher and an outside filter, installed by pip as users would, do the work of bundled ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import distributions
import pytest

TASKS = [
    ("Name a fruit that is yellow when ripe.", "A banana is yellow when it is ripe."),
    ("EXPLAIN WHY THE SKY IS BLUE AT NOON.", "Air scatters short waves of light more than long ones."),
    ("Suggest a quiet hobby for a rainy afternoon.", "Try drawing what you can see from the window."),
    ("Convert 3 kilometres into metres.", "3 kilometres are 3000 metres."),
    ("WRITE A SHORT GREETING TO A NEIGHBOUR.", "Good morning! It is good to see you."),
    ("Describe how bread dough should feel after kneading.", "It should be smooth, springy and not sticky."),
]


def reply(tasks: list[tuple[str, str]]) -> str:
    """A teacher's reply in the published numbered form, with its end seen."""
    items = [
        f"{number}. Instruction: {instruction}\n{number}. Input:\n<noinput>\n{number}. Output:\n{output}\n###"
        for number, (instruction, output) in enumerate(tasks, 1)
    ]
    return "\n".join(items)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return distributions.pip_install(tmp_path_factory.mktemp("site"), "alpacakit-parrot", "alpacakit-no-shouting")


def test_generate_with_an_outside_teacher_and_an_outside_filter(site: Path, tmp_path: Path) -> None:
    record = tmp_path / "replies.jsonl"
    record.write_text("".join(json.dumps({"text": reply(tasks)}) + "\n" for tasks in (TASKS[:3], TASKS[3:])))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "alpaca_core", "generate", "--out", "run", "-n", "4", "--json"),
            *("--teacher", "parrot", "--set", "teacher.replies=replies.jsonl"),
            *("--filter", "no-shouting", "--filter", "alpaca"),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "run" / "alpaca_data.json").read_text(encoding="utf-8"))
    assert [row["instruction"] for row in rows] == [task for task, _ in TASKS if not task.isupper()]
    rejected = [json.loads(line) for line in (tmp_path / "run" / "rejected.jsonl").read_text().splitlines()]
    assert [row["filter"] for row in rejected] == ["no-shouting", "no-shouting"]
    assert json.loads(done.stdout)["generation"]["rejected"] == {"no-shouting": 2}


def test_the_run_goes_on_from_its_own_toml(site: Path, tmp_path: Path) -> None:
    """run.toml holds the outside plugins' options, and loads with them installed."""
    record = tmp_path / "replies.jsonl"
    record.write_text(json.dumps({"text": reply(TASKS)}) + "\n")
    environ = {**os.environ, "PYTHONPATH": str(site)}
    command = [sys.executable, "-m", "alpaca_core", "generate", "--json", "--out"]
    flags = ["--teacher", "parrot", "--set", f"teacher.replies={record}", "--filter", "no-shouting", "-n", "4"]
    options = {"capture_output": True, "text": True, "timeout": 120, "cwd": tmp_path, "env": environ}
    assert subprocess.run([*command, "one", *flags], **options).returncode == 0
    again = subprocess.run([*command, "two", "--config", "one/run.toml"], **options)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "two/alpaca_data.json").read_bytes() == (tmp_path / "one/alpaca_data.json").read_bytes()
