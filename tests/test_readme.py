"""The README and the docs are true: their commands exist, their code runs."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from alpaca_core.cli.main import cli
from alpaca_core.config import load_config
from alpaca_core.plugins import PluginHost
from alpaca_core.settings import TABLES, options_of

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "CONTRIBUTING.md"]


def blocks(language: str) -> list[tuple[str, str]]:
    pattern = re.compile(rf"```{language}\n(.*?)```", re.DOTALL)
    return [(page.name, block) for page in PAGES for block in pattern.findall(page.read_text())]


def commands() -> list[str]:
    lines = (line for _, block in blocks("console") for line in block.replace("\\\n", "").splitlines())
    return [re.split("  #| > ", line[2:])[0] for line in lines if line.startswith("$ alpacakit ")]


@pytest.mark.parametrize("line", commands())
def test_every_command_shown_exists_with_its_flags(line):
    command: click.Command = cli
    words = shlex.split(line.partition(" -- ")[0])[1:]  # what follows is pip's
    root = {flag: option for option in command.params for flag in option.opts}
    while words[0] in root:
        words = words[1 if root[words[0]].is_flag else 2 :]
    while isinstance(command, click.Group):
        with click.Context(command) as ctx:
            found = command.get_command(ctx, words.pop(0))
        assert found is not None, line
        command = found
    flags = {flag for option in command.params for flag in option.opts}
    assert {word for word in words if word.startswith("-")} <= flags, line


@pytest.mark.parametrize("line", [line for line in commands() if "--set" in line])
def test_every_setting_shown_is_a_key(line, tmp_path):
    (tmp_path / "topics.txt").write_text("tides\n")
    words = shlex.split(line)
    sets = [words[at + 1] for at, word in enumerate(words) if word == "--set"]
    flags = {}
    for flag, key in (("--teacher", "teacher.name"), ("--trainer", "trainer.name"), ("--prompt", "prompt.name")):
        if flag in words:
            flags[key] = words[words.index(flag) + 1]
    load_config(PluginHost(), flags=flags, sets=sets, environ={}, folder=tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_key_that_a_page_names_is_one(page):
    keys = {f"{table}.{option.name}" for table, cls in TABLES.items() for option in options_of(cls)}
    for spec in PluginHost().specs():
        table = f"filter.{spec.name}" if spec.kind == "filter" else spec.kind.replace("-", "_")
        keys |= {f"{table}.{option.name}" for option in options_of(spec.options)}
    core, filters = r"(?:teacher|prompt|trainer|generation|evaluation)\.[a-z_]+", r"filter\.[a-z0-9-]+\.[a-z_]+"
    named = set(re.findall(rf"(?<!/)\b(?:{core}|{filters})", page.read_text()))
    not_set = {"filter.short-outputs.longest", "generation.learnt"}  # of a plugin on the page; of summary.json
    assert named <= keys | not_set


@pytest.mark.parametrize(("page", "code"), blocks("python"))
def test_every_python_block_runs(page, code):
    exec(compile(code, page, "exec"), {"__name__": "__main__"})


def test_the_plugin_in_the_readme_installs_and_filters(tmp_path):
    project, site = tmp_path / "project", tmp_path / "site"
    project.mkdir()
    (code,) = [block for page, block in blocks("python") if page == "README.md"]
    (about,) = [block for page, block in blocks("toml") if page == "README.md"]
    (project / "alpacakit_no_shouting.py").write_text(code)
    (project / "pyproject.toml").write_text(about)
    install = ["--no-deps", "--no-index", "--no-build-isolation", "--quiet", "--target", site, project]
    subprocess.run([sys.executable, "-m", "pip", "install", *install], check=True)
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-m", "alpaca_core", "generate", "--filter", "no-shouting", "-n", "20", "--out", out],
        env={"PYTHONPATH": str(site), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert '"no-shouting"' in (out / "run.toml").read_text()
    summary = json.loads((out / "summary.json").read_text())
    marked = " ".join(re.findall(r"`(.+?)`", (ROOT / "docs" / "run-folder.md").read_text()))
    made = summary["generation"]
    assert {*summary, *made, *made["account"]} <= set(re.findall(r"\w+", marked)), "docs/run-folder.md tells of all"


def test_links_between_the_pages_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_readme_names_the_two_commands_of_a_new_user():
    text = (ROOT / "README.md").read_text()
    assert re.search(r"^\$ python3 -m venv .*pip install .*alpacakit run$", text, re.MULTILINE)
    assert re.search(r"^\$ python3 -m venv .*pip install .*pytest.*$", text, re.MULTILINE)
