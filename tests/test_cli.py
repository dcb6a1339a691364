"""The command line's manners: where output goes, how errors end, and the commands config and doctor."""

from __future__ import annotations

import errno
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from alpaca_core import AlpacaError, ConfigError, MissingError, Stopped, TeacherError
from alpaca_core.cli import main as cli
from alpaca_core.config import load_config, to_toml
from alpaca_core.plugins import PluginHost

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def alpacakit(tmp_path: Path) -> Run:
    """The command line in an empty folder, in a process of its own."""

    def call(*args: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "alpaca_core", *args],
            capture_output=True,
            text=True,
            timeout=150,
            cwd=tmp_path,
            env={**clean_environment(), **environ},
        )

    return call


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("ALPACAKIT_")}


# How a command ends


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (AlpacaError("it failed", hint="Try again."), 1, "error: it failed\nTry again.\n"),
        (ConfigError("wrong:", problems=["a", "b"]), 2, "error: wrong:\n  a\n  b\n"),
        (MissingError("no such thing"), 3, "error: no such thing\n"),
        (Stopped("budget spent"), 4, "error: budget spent\n"),
        (TeacherError("auth", "wrong key"), 3, "error: wrong key\n"),
        (click.UsageError("no such flag"), 2, "error: no such flag\nSee: alpacakit --help\n"),
        (KeyboardInterrupt(), 130, "\ninterrupted: the same command goes on\n"),
        (OSError(errno.ENOSPC, "No space", "run.db"), 1, "error: the disk is full: run.db\n"),
        (OSError(errno.EACCES, "Denied", "run.db"), 3, "error: permission denied: run.db\n"),
        (OSError(errno.EROFS, "Read-only", "run.db"), 3, "error: this cannot be written to, it is read-only: run.db\n"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "a/b"), 1, "error: Not a directory: a/b\n"),
        (KeyError("who"), 1, "error: KeyError: 'who'\nRun again with --debug for the traceback.\n"),
    ],
    ids=repr,
)
def test_every_error_is_a_short_text_and_an_exit_code(
    error: BaseException,
    code: int,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    @click.command()
    def fails() -> None:
        raise error

    monkeypatch.setattr(cli.LazyGroup, "get_command", lambda *_: fails)
    assert cli.main(["run"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(says.replace("alpacakit --help", "alpacakit run --help")), err
    assert "Traceback" not in err


def full_journal(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE t (x)")
        db.execute("PRAGMA max_page_count = 2")
        db.execute("INSERT INTO t VALUES (zeroblob(100000))")


def read_only_journal(path: Path) -> None:
    sqlite3.connect(path).execute("CREATE TABLE t (x)")
    sqlite3.connect(f"file:{path}?mode=ro", uri=True).execute("INSERT INTO t VALUES (1)")


@pytest.mark.parametrize(
    ("fails", "code", "says"),
    [(full_journal, 1, "the disk is full"), (read_only_journal, 3, "it is read-only")],
)
def test_sqlites_own_errors_are_told_like_the_systems(
    fails: Callable[[Path], None],
    code: int,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = click.Command("run", callback=lambda: fails(tmp_path / "db"))
    monkeypatch.setattr(cli.LazyGroup, "get_command", lambda *_: command)
    assert cli.main(["run"]) == code
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("args", [["--debug", "run"], ["run", "--debug"]])
def test_debug_shows_the_traceback_wherever_it_stands(
    args: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command()
    def fails() -> None:
        raise KeyError("who")

    monkeypatch.setattr(cli.LazyGroup, "get_command", lambda *_: fails)
    assert cli.main(args) == 1
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setenv("ALPACAKIT_DEBUG", "1")
    assert cli.main(["run"]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["rum"], "no such command 'rum'. Did you mean 'run'?"),
        (["plugins", "lst"], "lst"),
        (["--verson"], "Did you mean '--version'?"),
        (["run", "--num-example", "x"], "Did you mean '--num-examples'?"),
    ],
)
def test_misspelt_commands_and_flags_are_usage_errors_with_a_suggestion(
    args: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(args) == 2
    out, err = capsys.readouterr()
    assert out == "" and says in err and "--help" in err


def test_a_reader_that_goes_away_is_met_with_silence() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "alpaca_core", "plugins", "list", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout and process.stderr
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(timeout=60) == 1


def test_a_full_disk_under_stdout_is_told_shortly() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "alpaca_core", "plugins", "list"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1
    assert done.stderr.startswith("error: the disk is full") and "Traceback" not in done.stderr


def test_an_interrupt_ends_with_130(tmp_path: Path) -> None:
    """A real SIGINT in the middle of a command."""
    reached = tmp_path / "reached"
    (tmp_path / "sitecustomize.py").write_text(
        "import alpaca_core.plugins, pathlib, time\n"
        "def wait(*_):\n"
        f"    pathlib.Path({str(reached)!r}).touch()\n"
        "    time.sleep(60)\n"
        "alpaca_core.plugins.PluginHost.specs = wait\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "alpaca_core", "plugins", "show", "x"],
        stderr=subprocess.PIPE,
        text=True,
        env={**clean_environment(), "PYTHONPATH": str(tmp_path)},
    )
    deadline = time.monotonic() + 30
    while not reached.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.strip() == "interrupted: the same command goes on"


def test_version(alpacakit: Run) -> None:
    from importlib.metadata import version

    assert alpacakit("--version").stdout == f"alpacakit {version('alpacakit')}\n"


# A broken plugin


def test_a_broken_plugin_is_one_line_on_stderr_for_commands_that_look_up_components(
    alpacakit: Run, tmp_path: Path
) -> None:
    import distributions

    distributions.write(tmp_path / "site", "alpacakit-bad", "import nothing_here\n")
    site = {"PYTHONPATH": str(tmp_path / "site")}
    done = alpacakit("config", "show", "--json", **site)
    assert done.returncode == 0 and json.loads(done.stdout)
    assert done.stderr == (
        "plugin bad (alpacakit-bad 1.0) is broken: ModuleNotFoundError: No module named 'nothing_here'\n"
    )
    assert alpacakit("--help", **site).stderr == ""
    listed = alpacakit("plugins", "list", **site)
    assert listed.stderr == "" and "broken" in listed.stdout
    assert alpacakit("config", "check", ALPACAKIT_STRICT="1", **site).returncode == 3
    assert alpacakit("config", "check", ALPACAKIT_PLUGINS="", **site).stderr == ""
    assert alpacakit("doctor", "--json", **site).returncode == 0


# config


def test_config_init_writes_a_file_that_changes_nothing(alpacakit: Run, tmp_path: Path) -> None:
    before = json.loads(alpacakit("config", "show", "--json").stdout)
    assert alpacakit("config", "init").returncode == 0
    assert json.loads(alpacakit("config", "show", "--json").stdout) == before


def test_config_init_lists_every_key_with_its_effective_value(tmp_path: Path, alpacakit: Run) -> None:
    """With the comment signs taken away the file gives the same configuration."""
    alpacakit("config", "init", "all.toml", "--teacher", "openai", "--trainer", "fsdp")
    lines = (tmp_path / "all.toml").read_text().splitlines()
    keys = "\n".join(line.removeprefix("# ") for line in lines if " = " in line or line.startswith("["))
    (tmp_path / "all.toml").write_text(keys)
    host, environ = PluginHost(only=frozenset()), {}
    flags = {"teacher.name": "openai", "trainer.name": "fsdp"}
    expected = load_config(host, flags=flags, folder=tmp_path, environ=environ)
    assert to_toml(load_config(host, file=tmp_path / "all.toml", folder=tmp_path, environ=environ)) == to_toml(expected)


def test_config_init_sets_what_was_given_by_flag(alpacakit: Run, tmp_path: Path) -> None:
    alpacakit("config", "init", "--teacher", "openai", "-n", "7", "--set", "teacher.temperature=0.5")
    text = (tmp_path / "alpacakit.toml").read_text()
    active = [line for line in text.splitlines() if line and line[0] not in "#["]
    assert sorted(active) == ['name = "openai"', "num_examples = 7", "temperature = 0.5"]


def test_config_init_never_overwrites(alpacakit: Run, tmp_path: Path) -> None:
    (tmp_path / "alpacakit.toml").write_text("seed = 9\n")
    done = alpacakit("config", "init")
    assert done.returncode == 2 and "exists already" in done.stderr
    assert (tmp_path / "alpacakit.toml").read_text() == "seed = 9\n"


def test_config_show_tells_value_and_source(alpacakit: Run, tmp_path: Path) -> None:
    (tmp_path / "alpacakit.toml").write_text("[trainer]\nstudent = 'mine'\n")
    shown = alpacakit("config", "show", "--json", "--seed", "4", ALPACAKIT_CONCURRENCY="3")
    values = json.loads(shown.stdout)
    assert values["seed"] == {"value": 4, "source": "--seed"}
    assert values["generation.concurrency"] == {"value": 3, "source": "ALPACAKIT_CONCURRENCY"}
    assert values["trainer.student"] == {"value": "mine", "source": "alpacakit.toml:2"}
    assert values["generation.timeout"] == {"value": 120.0, "source": "default"}
    rows = {line.split()[0]: line.split()[1:] for line in alpacakit("config", "show").stdout.splitlines()}
    assert rows["trainer.student"] == ['"mine"', "alpacakit.toml:2"]


def test_config_check_tells_of_all_mistakes_and_ends_with_2(alpacakit: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("sede = 1\n[generation]\nnum_examples = 0\n")
    done = alpacakit("config", "check", "bad.toml")
    assert (done.returncode, done.stdout) == (2, "")
    assert "sede (bad.toml:1): unknown key. Did you mean 'seed'?" in done.stderr
    assert "generation.num_examples (bad.toml:3): num_examples must be at least 1, not 0" in done.stderr
    assert alpacakit("config", "check").returncode == 0


def test_an_unknown_component_ends_with_3(alpacakit: Run) -> None:
    done = alpacakit("config", "show", "--teacher", "opnai")
    assert done.returncode == 3
    assert "teacher 'opnai' not found. Did you mean 'openai'?" in done.stderr
    assert "See: alpacakit plugins list --kind teacher" in done.stderr


# doctor


def test_doctor_names_keys_and_never_shows_them(alpacakit: Run) -> None:
    done = alpacakit("doctor", "--json", OPENAI_API_KEY="sk-12345", ALPACAKIT_TEACHER__API_KEY="sk-67890")
    assert done.returncode == 0
    report = json.loads(done.stdout)
    checks = {check["name"]: check for check in report["checks"]}
    assert report["ok"] is True
    assert checks["key OPENAI_API_KEY"]["status"] == "ok"
    assert checks["configuration"]["status"] == "warning"
    assert not {"sk-12345", "sk-67890"} & set(done.stdout.split()) and "sk-" not in done.stdout + done.stderr


def test_doctor_says_what_to_type(alpacakit: Run) -> None:
    done = alpacakit("doctor", OPENAI_API_KEY="")
    assert done.returncode == 0 and "export OPENAI_API_KEY=..." in done.stdout


# What people read and what programs read


def test_json_never_holds_colour_and_talk_never_reaches_stdout(alpacakit: Run) -> None:
    for args in (["plugins", "list"], ["plugins", "show", "rouge"], ["config", "show"]):
        done = alpacakit(*args, "--json", FORCE_COLOR="1")
        assert json.loads(done.stdout) and "\x1b" not in done.stdout and done.stderr == ""


def test_no_color_is_obeyed_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from alpaca_core.cli import console

    monkeypatch.setattr(console, "is_terminal", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    console.say("dim", dim=True)
    monkeypatch.setenv("NO_COLOR", "1")
    console.say("plain", dim=True)
    assert capsys.readouterr().err == "\x1b[2mdim\x1b[0m\nplain\n"


def test_a_table_is_aligned_and_has_no_empty_cells(capsys: pytest.CaptureFixture[str]) -> None:
    from alpaca_core.cli.console import table

    table(["name", "n"], [("a", 1), ("long name", ""), ("c", 0)])
    assert capsys.readouterr().out == "name       n\na          1\nlong name  -\nc          0\n"
