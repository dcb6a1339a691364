"""Start-up: help and listings import nothing heavy, and are quick."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

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


@pytest.mark.parametrize(("args", "target"), [(["--help"], 0.15), (["plugins", "list"], 0.25)])
def test_start_up_is_quick(args: list[str], target: float) -> None:
    """The median of several stays under three times the target, which leaves room for a busy machine."""
    times = []
    for _ in range(7):
        started = time.perf_counter()
        run("-m", "alpaca_core", *args)
        times.append(time.perf_counter() - started)
    assert statistics.median(times) < 3 * target, times
