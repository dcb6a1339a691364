"""Outside plugins, installed by pip as users would, keep the laws of the kit and do the work of bundled ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import distributions
import pytest

from alpaca_core.testing import check

TASKS = [
    ("Name a fruit that is yellow when ripe.", "A banana is yellow when it is ripe."),
    ("EXPLAIN WHY THE SKY IS BLUE AT NOON.", "Air scatters short waves of light more than long ones."),
    ("Suggest a quiet hobby for a rainy afternoon.", "Try drawing what you can see from the window."),
    ("Convert 3 kilometres into metres.", "3 kilometres are 3000 metres."),
    ("WRITE A SHORT GREETING TO A NEIGHBOUR.", "Good morning! It is good to see you."),
    ("Describe how bread dough should feel after kneading.", "It should be smooth, springy and not sticky."),
]
NAMES = sorted(path.name for path in distributions.OUTSIDE.glob("alpacakit-*"))


def reply(tasks: list[tuple[str, str]]) -> str:
    """A teacher's reply in the published numbered form, with its end seen."""
    items = [
        f"{number}. Instruction: {instruction}\n{number}. Input:\n<noinput>\n{number}. Output:\n{output}\n###"
        for number, (instruction, output) in enumerate(tasks, 1)
    ]
    return "\n".join(items)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return distributions.pip_install(tmp_path_factory.mktemp("site"), *NAMES)


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


@pytest.fixture
def given(tmp_path: Path) -> dict[str, dict[str, str]]:
    """What some of them have to be given, by distribution."""
    (tmp_path / "replies.jsonl").write_text(json.dumps({"text": reply(TASKS)}) + "\n")
    (tmp_path / "words.txt").write_text("ripe  # of fruit\nshort waves\n\n")
    return {
        "alpacakit-banned-words": {"filter.banned-words.file": str(tmp_path / "words.txt")},
        "alpacakit-command": {"teacher.run": "cat"},
        "alpacakit-parrot": {"teacher.replies": str(tmp_path / "replies.jsonl")},
    }


@pytest.mark.parametrize("name", NAMES)
def test_an_outside_plugin_keeps_the_laws_of_the_kit(
    name: str, site: Path, given: dict[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(site)
    found = check(name, given.get(name), host=distributions.host(site))
    assert [finding for finding in found if finding.outcome == "failed"] == []
    assert [finding for finding in found if finding.law.startswith("has the methods") and finding.outcome == "passed"]


def test_a_command_is_a_teacher_and_banned_words_are_kept_out(
    site: Path, tmp_path: Path, given: dict[str, dict[str, str]]
) -> None:
    (tmp_path / "answers.txt").write_text(reply(TASKS))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "alpaca_core", "generate", "--out", "run", "-n", "4", "--json"),
            *("--teacher", "command", "--set", "teacher.run=cat answers.txt", "--filter", "banned-words"),
            *("--set", f"filter.banned-words.file={given['alpacakit-banned-words']['filter.banned-words.file']}"),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "run" / "alpaca_data.json").read_text(encoding="utf-8"))
    assert [row["instruction"] for row in rows] == [task for task, _ in TASKS[2:]]
    rejected = [json.loads(line) for line in (tmp_path / "run" / "rejected.jsonl").read_text().splitlines()]
    assert [row["reason"] for row in rejected[:2]] == ["the instruction holds 'ripe'", "the output holds 'short waves'"]


def test_a_trl_script_is_written_with_its_data_for_another_machine(site: Path, tmp_path: Path) -> None:
    rows = [{"instruction": task, "input": "", "output": answer} for task, answer in TASKS]
    (tmp_path / "data.json").write_text(json.dumps(rows))
    train = ["train", "data.json", "--out", "out", "--trainer", "trl", "--student", "some/model"]
    done = subprocess.run(
        [sys.executable, "-m", "alpaca_core", *train, "--set", "trainer.launch=false"],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
    )
    assert done.returncode == 4 and "sft.py is written" in done.stderr, done.stderr
    folder = tmp_path / "out" / "trl"
    compile((folder / "sft.py").read_text(), "sft.py", "exec")
    assert json.loads((folder / "settings.json").read_text())["student"] == "some/model"
    pairs = [json.loads(line) for line in (folder / "data.jsonl").read_text().splitlines()]
    assert [pair["completion"] for pair in pairs] == [answer for _, answer in TASKS]
    assert all(pair["prompt"].endswith("### Response:") for pair in pairs)
