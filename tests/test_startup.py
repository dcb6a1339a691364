"""Start-up: help and listings import nothing heavy, and little else."""

from __future__ import annotations

import subprocess
import sys

import pytest

from alpaca_core.cli.main import COMMANDS

HEAVY = {
    *("torch", "transformers", "accelerate", "sentencepiece", "numpy", "openai", "anthropic", "httpx"),
    *("pydantic", "rich", "rapidfuzz", "pyarrow", "sqlite3", "asyncio"),
}


def run(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *args], capture_output=True, text=True, timeout=60, check=True)


def imported(*args: str) -> set[str]:
    """The top-level modules that a command has imported when it ends."""
    code = f"import sys; from alpaca_core.cli.main import main; main({list(args)!r}); print('', *sys.modules)"
    return {name.partition(".")[0] for name in run("-c", code).stdout.splitlines()[-1].split()}


def test_loading_all_plugins_imports_nothing_heavy() -> None:
    code = "import sys; from alpaca_core.plugins import PluginHost; PluginHost(only=frozenset()); print(*sys.modules)"
    names = run("-c", code).stdout.split()
    assert "alpaca_rules" in names  # so that this test can fail
    assert HEAVY & {name.partition(".")[0] for name in names} == set()


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["plugins", "list"], ["plugins", "show", "alpaca"]])
def test_help_and_listings_import_nothing_heavy(args: list[str]) -> None:
    assert HEAVY & imported(*args) == set()


def test_root_help_imports_no_command_and_no_plugin() -> None:
    code = "import sys; from alpaca_core.cli.main import main; main(['--help']); print('', *sys.modules)"
    names = set(run("-c", code).stdout.splitlines()[-1].split())
    assert not {target.partition(":")[0] for target, _ in COMMANDS.values()} & names
    assert not {"alpaca_core.plugins", "alpaca_rules"} & names


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_that_starts_light(command: str) -> None:
    names = imported(command, "--help")
    assert {"torch", "transformers", "numpy", "openai", "rich", "rapidfuzz", "pyarrow"} & names == set()


@pytest.mark.parametrize("command", COMMANDS)
def test_the_table_says_what_the_command_says(command: str) -> None:
    """Root help shows lines from a table, which must not drift from the commands' own."""
    from importlib import import_module

    target, line = COMMANDS[command]
    module, _, attribute = target.partition(":")
    assert getattr(import_module(module), attribute).name == command
    assert line.endswith(".") and len(line) <= 80


@pytest.mark.parametrize(("args", "most"), [(["--help"], 200), (["plugins", "list"], 280)])
def test_start_up_imports_little(args: list[str], most: int) -> None:
    """Modules of every kind, the interpreter's own 33 included; ``tests/benchmarks/startup.py`` has the seconds."""
    code = f"import sys; from alpaca_core.cli.main import main; main({args!r}); print('', len(sys.modules))"
    assert int(run("-c", code).stdout.splitlines()[-1]) <= most
