"""``plugins new``: what it writes installs, and passes its own tests and its linter, untouched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import distributions
import pytest
from click.testing import CliRunner

from alpaca_core import ConfigError
from alpaca_core.cli.main import cli
from alpaca_core.newplugin import LONGEST
from alpaca_core.plugins import KINDS


def new(*args: str) -> tuple[str, str]:
    done = CliRunner().invoke(cli, ["plugins", "new", *args], standalone_mode=False)
    if done.exception:
        raise done.exception
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a new plugin of each kind."""
    folder = tmp_path_factory.mktemp("made")
    for kind in KINDS:
        new(f"my-{kind}", "--kind", kind, "--out", str(folder / f"alpacakit-my-{kind}"))
    return folder


def test_new_plugins_install_and_pass_their_tests(made: Path, tmp_path: Path) -> None:
    site = distributions.pip_install(tmp_path / "site", *map(str, made.iterdir()))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--import-mode=importlib", "-p", "no:cacheprovider", "-rf", str(made)],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=made,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH", "")]))},
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert " failed" not in done.stdout and " passed" in done.stdout


def test_new_plugins_pass_ruff_whatever_they_are_called(made: Path, tmp_path: Path) -> None:
    for kind in KINDS:
        for name in ("z", "a" * LONGEST):
            new(name, "--kind", kind, "--out", str(tmp_path / f"{kind}-{name}"))
    for command in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--no-cache", str(made), str(tmp_path)]
        done = subprocess.run(ruff, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def test_it_says_what_it_wrote_and_what_to_type_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told, said = new("no-politics", "--kind", "filter", "--json")
    about = json.loads(told)
    assert about["folder"] == "alpacakit-no-politics"
    assert {"alpacakit_no_politics.py", "tests/test_conformance.py", ".github/workflows/ci.yml"} <= set(about["files"])
    assert "pip install -e '.[test]'" in said and "alpacakit generate --filter no-politics" in said
    texts = [path.read_text() for path in (tmp_path / "alpacakit-no-politics").rglob("*") if path.is_file()]
    assert not [text for text in texts if "$" in text.replace("${{ matrix.python }}", "")]
    assert any('dependencies = ["alpacakit>=0.1,<1"]' in text for text in texts)


@pytest.mark.parametrize(
    ("name", "better"),
    [
        *(("NoPolitics", "no-politics"), ("alpacakit-polite", "polite"), ("no_politics", "no-politics")),
        *(("3d", "my-3d"), ("a b", "a-b"), ("ends-", "ends"), ("", "my"), ("é", "my"), ("a" * 99, "a" * LONGEST)),
        ("rouge", "my-rouge"),
    ],
)
def test_a_bad_name_is_refused_with_a_better_one(name: str, better: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        new(name, "--kind", "filter", "--out", str(tmp_path / "x"))
    assert f"plugins new {better} --kind filter" in caught.value.hint
    assert not (tmp_path / "x").exists()
    new(better, "--kind", "filter", "--out", str(tmp_path / "x"))


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is there already"):
        new("polite", "--kind", "filter", "--out", str(tmp_path))
    assert list(tmp_path.iterdir()) == []
