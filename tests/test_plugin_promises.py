"""Plugins of other times: the oldest one works as it is, what is deprecated is told, what is too old is not imported;
and plugins of one file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import commandlines
import distributions
import pytest

from alpaca_core import ConfigError, MissingError, hookspecs
from alpaca_core.plugins import KINDS, PluginHost

ROWS = [{"instruction": f"Say {word}.", "input": "", "output": word} for word in ("one", "two", "three")]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    distributions.lay(folder, "alpacakit-outdated")
    return distributions.lay(folder, "alpacakit-oldest")


def alpacakit(folder: Path, *calls: list[str], **environ: str) -> list[dict[str, Any]]:
    (folder / "rows.json").write_text(json.dumps(ROWS))
    return commandlines.run([{"args": args, "folder": str(folder)} for args in calls], **environ)


def test_the_oldest_plugin_is_active_with_all_kinds_and_nothing_to_tell(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(site)
    oldest, outdated = distributions.host(site).plugins
    assert (oldest.status, oldest.notes) == ("active", ())
    assert {spec.kind for spec in oldest.specs} == set(KINDS)
    assert (outdated.status, outdated.error) == ("incompatible", outdated.error)
    assert outdated.error and outdated.error.startswith("it needs alpacakit<0.1, and this is ")


def test_the_oldest_components_do_their_work(site: Path, tmp_path: Path) -> None:
    for name, times in (("short", 1), ("long", 9)):
        answers = [{**row, "output": row["output"] * times, "generator": name} for row in ROWS]
        (tmp_path / f"{name}.json").write_text(json.dumps(answers))
    generated, trained, compared = alpacakit(
        tmp_path,
        [
            *("generate", "--teacher", "oldest", "--prompt", "oldest", "--filter", "oldest", "-n", "5", "--out", "run"),
            *("--set", "filter.oldest.longest=6", "--set", "generation.block=8", "--json"),
        ],
        ["train", "rows.json", "--trainer", "oldest", "--chat-template", "oldest", "--out", "trained"],
        ["evaluate", "long.json", "--against", "short.json", "--judge", "oldest", "--out", "versus", "--json"],
        PYTHONPATH=str(site),
    )
    assert generated["code"] == 0, generated["err"]
    rows = json.loads((tmp_path / "run/alpaca_data.json").read_text())
    assert [len(row["output"].split()) for row in rows] == [1, 2, 3, 4, 5]
    assert trained["code"] == 0 and (tmp_path / "trained/model/rows.json").read_text() == "3", trained["err"]
    assert compared["code"] == 0 and json.loads(compared["out"])["win_rate"] == 100, compared["err"]


def test_what_is_deprecated_is_told_once_and_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    """By pluggy's own means: a mark on the hook's specification."""
    old = hookspecs.hookspec(warn_on_impl=DeprecationWarning("use alpaca_judges instead"))
    monkeypatch.setattr(hookspecs, "alpaca_teachers", old(lambda: []))
    distributions.write(
        tmp_path,
        "alpacakit-old",
        "@hookimpl\ndef alpaca_teachers():\n    return [TeacherSpec(name='old', target='a:B', summary='')]\n",
    )
    monkeypatch.syspath_prepend(tmp_path)
    host = distributions.host(tmp_path)
    assert host.plugins[0].status == "active"
    assert host.complaints() == ["plugin old (alpacakit-old 1.0): deprecated: use alpaca_judges instead"]
    assert not recwarn.list


# One file

SHOUT = """
from alpaca_core import ChatTemplateSpec, FilterSpec, Keep, Reject, hookimpl

print("imported")


class NoShouting:
    def judge(self, candidate):
        return Reject("shouting") if candidate.instruction.isupper() else Keep()

    def kept(self, example):
        pass


@hookimpl
def alpaca_filters():
    return [FilterSpec(name="no-shouting", target="shout:NoShouting", summary="Rejects capitals.")]
"""


def test_a_plugin_of_one_file_is_used_and_named_by_its_file(tmp_path: Path) -> None:
    (tmp_path / "shout.py").write_text(SHOUT)
    (tmp_path / "loud.json").write_text(json.dumps([*ROWS, {"instruction": "SAY FOUR.", "input": "", "output": "4"}]))
    flags = ["filter", "loud.json", "--filter", "no-shouting", "--out"]
    used, listed, without = alpacakit(
        tmp_path,
        ["--plugin", "./shout.py", *flags, "kept.json"],
        ["--plugin", "shout.py", "plugins", "list", "--json"],
        [*flags, "other.json"],
    )
    assert used["code"] == 0, used["err"]
    assert len(json.loads((tmp_path / "kept.json").read_text())) == 3
    assert "plugin shout: imported" in used["err"]
    (row,) = [row for row in json.loads(listed["out"]) if not row["bundled"]]
    assert (row["name"], row["distribution"], row["status"]) == ("shout", "shout.py", "active")
    assert len(row["version"]) == 12
    assert without["code"] == 3 and not (tmp_path / "other.json").exists()


def test_processes_that_are_started_find_the_module_of_the_file(tmp_path: Path) -> None:
    """As a trainer's workers must, for a chat template; and nothing else that lies beside it."""
    (tmp_path / "shout.py").write_text(SHOUT)
    (tmp_path / "json.py").write_text("raise SystemExit('hidden')")
    code = (
        "import pathlib, subprocess, sys; from alpaca_core.onefile import import_file;"
        f"import_file(pathlib.Path({str(tmp_path / 'shout.py')!r}));"
        "subprocess.run([sys.executable, '-c', 'import json, shout; print(shout.NoShouting)'], check=True)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ["imported", "imported", "<class 'shout.NoShouting'>"], done.stderr


@pytest.mark.parametrize(
    ("name", "text", "error", "says"),
    [
        ("nowhere.py", None, ConfigError, "there is no such Python file"),
        ("shout.txt", SHOUT, ConfigError, "there is no such Python file"),
        ("my-shout.py", SHOUT, ConfigError, "'my-shout' cannot be the name of a module"),
        ("json.py", SHOUT, ConfigError, "there is another module called 'json', which it would hide"),
        (
            "one_file_bad.py",
            "import nothing_here\n",
            MissingError,
            "ModuleNotFoundError: No module named 'nothing_here'",
        ),
        ("one_file_none.py", "", MissingError, "it implements no hook"),
    ],
)
def test_a_file_that_cannot_be_used_ends_the_command(
    name: str, text: str | None, error: type[Exception], says: str, tmp_path: Path
) -> None:
    """It was named: a row in a list would not be enough."""
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(error, match=says):
        PluginHost(entry_points=(), files=[tmp_path / name])
