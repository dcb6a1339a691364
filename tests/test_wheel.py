"""What is published: the wheel and the sdist, and the wheel at work alone, outside of the repository."""

from __future__ import annotations

import json
import tomllib
import zipfile
from collections.abc import Callable
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Any

import distributions
import environments
import pytest
from environments import ROOT, Environment
from packaging.requirements import Requirement

from alpaca_core.cli.main import COMMANDS

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def names(built: tuple[Path, Path]) -> set[str]:
    """The files in the wheel."""
    return set(zipfile.ZipFile(built[0]).namelist())


@pytest.fixture(scope="module")
def about(built: tuple[Path, Path], names: set[str]) -> Message:
    """The wheel's metadata."""
    (path,) = (name for name in names if name.endswith(".dist-info/METADATA"))
    return message_from_bytes(zipfile.ZipFile(built[0]).read(path))


def test_the_wheel_holds_the_core_and_the_plugins_whole_and_nothing_else(names: set[str]) -> None:
    source = {
        path.relative_to(root).as_posix()
        for root, tops in ((ROOT, [ROOT / "alpaca_core"]), (ROOT / "plugins", (ROOT / "plugins").glob("alpaca_*")))
        for top in tops
        for path in top.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in names if ".dist-info/" not in name} == source
    data = {Path(name).suffix for name in source}
    assert {".py", ".jsonl", ".html", ".css", ".js", ".typed"} <= data  # so that this test can fail


def test_every_package_is_marked_as_typed(names: set[str]) -> None:
    packages = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    assert {package for package in packages if f"{package}/py.typed" not in names} == set()


def test_the_metadata_says_what_it_is_and_what_it_needs(about: Message) -> None:
    assert (about["Name"], about["Version"]) == ("alpacakit", PROJECT["version"])
    assert about["Requires-Python"] == PROJECT["requires-python"] and about["License-Expression"] == PROJECT["license"]
    assert about["Summary"] and about.get_payload().startswith("# alpacakit")  # type: ignore[union-attr]
    assert set(about.get_all("Provides-Extra", [])) == set(PROJECT["optional-dependencies"])
    core = {Requirement(line).name for line in about.get_all("Requires-Dist", []) if "extra ==" not in line}
    assert core == {Requirement(line).name for line in PROJECT["dependencies"]}


def test_the_sdist_makes_the_same_wheel_and_can_be_tested(
    built: tuple[Path, Path], names: set[str], tmp_path: Path
) -> None:
    tree = environments.unpacked(built[1], tmp_path)
    again, _ = environments.build(tmp_path / "dist", tree)
    assert set(zipfile.ZipFile(again).namelist()) == names
    for path in ("tests/conftest.py", "tests/plugins/alpacakit-parrot/pyproject.toml", "docs/plugins.md", "LICENSE"):
        assert (tree / path).is_file()


@pytest.fixture
def alpacakit(bare: Environment, tmp_path: Path) -> Callable[..., Any]:
    """The installed command, in an empty folder."""
    return lambda *args, **environ: bare.alpacakit(*args, folder=tmp_path, **environ)


def test_the_wheel_alone_has_help_and_plugins(alpacakit: Callable[..., Any]) -> None:
    shown = alpacakit("--help")
    assert (shown.returncode, shown.stderr) == (0, "") and all(command in shown.stdout for command in COMMANDS)
    plugins = json.loads(alpacakit("plugins", "list", "--json").stdout)
    assert {plugin["name"] for plugin in plugins} == set(PROJECT["entry-points"]["alpacakit"])
    assert {plugin["status"] for plugin in plugins} == {"active"}


def test_the_wheel_alone_makes_a_configuration_and_looks_around(alpacakit: Callable[..., Any], tmp_path: Path) -> None:
    assert alpacakit("config", "init").returncode == 0 and (tmp_path / "alpacakit.toml").is_file()
    done = alpacakit("doctor")
    assert done.returncode == 0 and done.stderr == ""
    assert "To add fsdp: pip install 'alpacakit[fsdp]'" in done.stdout


def test_doctor_names_hostile_plugins_and_what_to_type(alpacakit: Callable[..., Any], tmp_path: Path) -> None:
    site = distributions.hostile(tmp_path / "site")
    done = alpacakit("doctor", "--json", PYTHONPATH=str(site), SLOW="0")
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert done.returncode == 0
    for name in ("import-error", "junk", "leaves", "newer", "patches", "raises", "signature"):
        assert checks[f"plugin {name}"]["status"] == "warning" and checks[f"plugin {name}"]["detail"]
        assert f"alpacakit plugins uninstall alpacakit-{name}" in checks[f"plugin {name}"]["hint"]


def test_the_wheel_alone_generates_and_filters(alpacakit: Callable[..., Any], tmp_path: Path) -> None:
    made = alpacakit("generate", "--teacher", "procedural", "-n", "30", "--out", "run")
    assert made.returncode == 0, made.stderr
    assert len(json.loads((tmp_path / "run/alpaca_data.json").read_text())) == 30
    kept = alpacakit("filter", "run/alpaca_data.json", "--out", "kept.json", "--filter", "alpaca")
    assert kept.returncode == 0, kept.stderr
    assert json.loads((tmp_path / "kept.json").read_text())


ROWS = [{"instruction": f"Say {word}.", "input": "", "output": word} for word in ("one", "two", "three")]

#: What a command needs that the wheel alone has not, and says how to get.
NEEDS = {
    "train": (["train", "rows.json", "--out", "trained"], "pip install 'alpacakit[fsdp]'"),
    "evaluate": (["evaluate", "./model", "--data", "rows.json"], "pip install 'alpacakit[transformers]'"),
    "accept": (["accept", "./model", "--data", "rows.json"], "pip install 'alpacakit[transformers]'"),
    "chat": (["chat", "./model", "--prompt", "Hello?"], "pip install 'alpacakit[transformers]'"),
    "view": (["view", "rows.json"], "pip install 'alpacakit[web]'"),
    "serve": (["serve", "./model"], "pip install 'alpacakit["),
    "export": (["export", "rows.json", "--out", "rows.parquet"], "pip install 'alpacakit[parquet]'"),
    "generate": (["generate", "--teacher", "openai", "--out", "paid"], "pip install 'alpacakit[openai]'"),
    "run": (["run", "--out", "practice"], "pip install 'alpacakit[fsdp]'"),
}


@pytest.mark.parametrize("command", [command for command in NEEDS if command in COMMANDS])
def test_the_wheel_alone_says_what_to_install_for_the_rest(
    command: str, alpacakit: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "rows.json").write_text(json.dumps(ROWS))
    (tmp_path / "model").mkdir()
    args, line = NEEDS[command]
    done = alpacakit(*args, OPENAI_API_KEY="sk-test")
    assert done.returncode == 3 and line in done.stderr, done.stderr
    assert done.stdout == "" and "Traceback" not in done.stderr


def test_the_wheel_alone_writes_a_report_and_a_file_for_others(alpacakit: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text(json.dumps(ROWS))
    for args in (["report", "rows.json", "--out", "page.html"], ["export", "rows.json", "--out", "rows.jsonl"]):
        done = alpacakit(*args)
        assert done.returncode == 0, done.stderr
    assert "<html" in (tmp_path / "page.html").read_text() and (tmp_path / "rows.jsonl").is_file()
