"""Ten hostile plugins are installed, and every command does what it does without them, and names the culprits."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import commandlines
import distributions
import pytest
from verdicts import records, written

from alpaca_core.cli.main import COMMANDS

ROWS = [
    {"instruction": f"Name a {thing} that floats.", "input": "", "output": f"A {thing} of cork floats on water."}
    for thing in ("ball", "cup", "toy", "door", "key", "hat", "spoon", "box", "pen", "lid")
]

#: A light call of each command, in a folder with some data. Where a light one can only fail, it fails as ever.
CALLS: dict[str, list[list[str]]] = {
    "run": [["run", "--dry-run"]],
    "generate": [["generate", "-n", "20", "--out", "run"]],
    "estimate": [["estimate", "-n", "20"]],
    "filter": [["filter", "rows.json", "--out", "kept.json", "--filter", "length"]],
    "train": [["train", "rows.json", "--student", "new:tiny", "--out", "trained", "--dry-run"]],
    "evaluate": [["evaluate", "a.json", "--against", "b.json", "--judge", "length", "--out", "versus", "--json"]],
    "accept": [["accept", "./nowhere"]],
    "winrate": [["winrate", "annotations.json", "--json"]],
    "sheet": [["sheet", "a.json", "b.json", "--out", "blind.html"]],
    "report": [["report", "rows.json", "--out", "report.html"]],
    "trace": [["trace", "0", "--run", "run"]],
    "view": [["view", "nowhere.json"]],
    "chat": [["chat", "./nowhere", "--prompt", "Hello?"]],
    "serve": [["serve", "./nowhere"]],
    "export": [["export", "rows.json", "--out", "shared.json", "--format", "sharegpt"]],
    "import": [["import", "rows.json", "--out", "rows.jsonl"]],
    "diff": [["diff", "make", "--base", "./nowhere", "--tuned", "./nowhere", "--out", "diff"]],
    "plugins": [["plugins", "show", "anthropic"], ["plugins", "uninstall", "rouge"]],
    "config": [["config", "show", "--json"], ["config", "init"], ["config", "check"]],
    "doctor": [],  # looks for torch, which takes seconds: see below
}

CULPRITS = {
    "import-error": "is broken: ModuleNotFoundError: No module named 'a_package_that_is_not_there'",
    "junk": "is broken: TypeError: alpaca_filters returned 'junk', not a FilterSpec",
    "leaves": "is broken: SystemExit: 0",
    "newer": "is incompatible: it needs alpacakit>=99, and this is ",
    "patches": "is broken: it changes click, builtins.print, ",
    "raises": "is broken: Nothing: (its text cannot be read)",
    "signature": "is broken: PluginValidationError: Plugin 'alpacakit_signature' for hook 'alpaca_teachers'",
}


def folder_of(home: Path) -> str:
    """A folder with what the calls read."""
    home.mkdir()
    (home / "rows.json").write_text(json.dumps(ROWS))
    for name in "ab":
        answers = [{**row, "output": f"{name} {row['output']}", "generator": name} for row in ROWS]
        (home / f"{name}.json").write_text(json.dumps(answers))
    written(home / "annotations.json", records(12))
    return str(home)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(distributions.hostile(tmp_path_factory.mktemp("hostile")))


@pytest.fixture(scope="module")
def results(site: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[dict[str, Any], ...]]]:
    """By command: pairs of results, with the hostile plugins and without."""
    home = tmp_path_factory.mktemp("calls")
    modes = {
        "with": ({"SLOW": "0"}, folder_of(home / "with")),
        "without": ({"ALPACAKIT_PLUGINS": ""}, folder_of(home / "without")),
    }
    calls = [
        {"args": args, "folder": folder, "environ": environ}
        for command in COMMANDS
        for args in (*CALLS[command], [command, "--help"])
        for environ, folder in modes.values()
    ]
    done = iter(commandlines.run(calls, PYTHONPATH=site))
    return {command: [(next(done), next(done)) for _ in (*CALLS[command], "help")] for command in COMMANDS}


def steady(text: str) -> str:
    """``text`` without times of day and seconds that something took."""
    return re.sub(r"\d\d:\d\d:\d\d|\d+\.\d+ s\b|(?<=seconds\": )[\d.]+", "", text)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_does_what_it_does_without_hostile_plugins(command: str, results: Any) -> None:
    for hostile, alone in results[command]:
        assert hostile["code"] == alone["code"]
        assert steady(hostile["out"]).replace("/with", "/without") == steady(alone["out"])


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_names_each_culprit_once_or_loads_no_plugin(command: str, results: Any) -> None:
    for hostile, _ in results[command]:
        named = {name for name in CULPRITS if f"plugin {name} (" in hostile["err"]}
        assert named in (set(), set(CULPRITS)), hostile["err"]
        for name in named:
            assert hostile["err"].count(f"plugin {name} (alpacakit-{name} 1.0) {CULPRITS[name]}") == 1
        assert "Traceback" not in hostile["err"]


@pytest.mark.parametrize("command", ["run", "generate", "estimate", "filter", "train", "config"])
def test_a_command_that_uses_plugins_tells_of_them(command: str, results: Any) -> None:
    hostile, _ = results[command][0]
    assert all(f"plugin {name} (" in hostile["err"] for name in CULPRITS)


@pytest.fixture(scope="module")
def listed(site: str) -> subprocess.CompletedProcess[str]:
    """The real thing: a process, and an import of a second."""
    command = [sys.executable, "-m", "alpaca_core", "plugins", "list", "--json"]
    environ = {**commandlines.clean_environment(), "PYTHONPATH": site, "SLOW": "1.1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environ, check=True)


def test_the_list_has_a_status_and_a_reason_for_each(listed: subprocess.CompletedProcess[str]) -> None:
    plugins = {row["name"]: row for row in json.loads(listed.stdout)}
    for name, reason in CULPRITS.items():
        assert f"is {plugins[name]['status']}: {plugins[name]['error']}".startswith(reason)
    assert {row["status"] for row in plugins.values() if row["bundled"]} == {"active"}
    assert [plugins[name]["status"] for name in ("duplicate", "prints", "slow")] == ["active"] * 3


def test_the_list_tells_of_an_import_that_takes_its_time(listed: subprocess.CompletedProcess[str]) -> None:
    plugins = {row["name"]: row for row in json.loads(listed.stdout)}
    assert plugins["slow"]["load_ms"] >= 1100
    assert [row["name"] for row in plugins.values() if any("its import takes" in note for note in row["notes"])] == [
        "slow"
    ]


def test_the_list_names_what_clashes_by_its_distribution(listed: subprocess.CompletedProcess[str]) -> None:
    called = {part["called"] for row in json.loads(listed.stdout) for part in row["components"]}
    assert {"alpacakit:procedural", "alpacakit-duplicate:procedural", "openai"} <= called
    assert not {"procedural", "alpaca", "rouge", "fsdp"} & called


def test_what_a_plugin_prints_by_whatever_way_goes_to_stderr(listed: subprocess.CompletedProcess[str]) -> None:
    said = ["plugin prints: hello from the import", "plugin prints: grüß Gott"]
    said += ["past the redirection", "past Python", "from a child"]
    assert json.loads(listed.stdout) and set(said) <= set(listed.stderr.splitlines())


def test_a_name_that_was_typed_and_clashes_leads_to_the_choices(site: str, tmp_path: Path) -> None:
    calls = [
        {"args": ["estimate", "--filter", name], "folder": str(tmp_path)}
        for name in ("rouge", "alpacakit:rouge", "alpacakit-duplicate:rouge")
    ]
    both, ours, theirs = commandlines.run(calls, PYTHONPATH=site, SLOW="0")
    assert both["code"] == 2 and "Name one: alpacakit:rouge, alpacakit-duplicate:rouge" in both["err"]
    assert ours["code"] == 0
    assert theirs["code"] == 1 and "the duplicate was taken for the real one" in theirs["err"]


def test_strict_stops_and_names_all_of_them(site: str, tmp_path: Path) -> None:
    ways = [(["--strict", "config", "check"], {}), (["config", "check"], {"ALPACAKIT_STRICT": "1"})]
    calls = [{"args": args, "folder": str(tmp_path), "environ": environ} for args, environ in ways]
    for done in commandlines.run(calls, PYTHONPATH=site, SLOW="0"):
        assert done["code"] == 3 and done["out"] == ""
        assert all(f"plugin {name} (alpacakit-{name} 1.0) {reason}" in done["err"] for name, reason in CULPRITS.items())
