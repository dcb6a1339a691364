"""``plugins install`` and ``uninstall``: pip where it is, the line to type where it is not, and alpacakit untouched."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import distributions
import pytest
from environments import Environment

from alpaca_core.cli.installing import line_of_manager

TEACHER = """
@hookimpl
def alpaca_teachers():
    return [TeacherSpec(name="{0}", target="alpacakit_{0}:Teacher", summary="Answers.")]
"""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with wheels: a plugin, a broken one, one for the alpacakit of the future, and one that is no plugin."""
    folder = tmp_path_factory.mktemp("wheels")
    distributions.wheel(folder, "alpacakit-shout", TEACHER.format("shout"), requires=["alpacakit>=0.1,<1"])
    distributions.wheel(folder, "alpacakit-bad", "import nothing_here\n")
    distributions.wheel(folder, "alpacakit-newer", TEACHER.format("newer"), requires=["alpacakit>=99"])
    distributions.wheel(folder, "alpacakit-other", "", group="others")
    return folder


Call = Callable[..., Any]


@pytest.fixture
def alpacakit(bare: Environment, wheels: Path) -> Call:
    """The command of an environment without pip, in the folder of the wheels."""
    return lambda *args, **environ: bare.alpacakit(*args, folder=wheels, **environ)


@pytest.fixture
def with_pip(bare: Environment, alpacakit: Call) -> Iterator[Call]:
    """The same, with pip."""
    bare.lend(["pip"])
    yield alpacakit
    bare.take_back("pip")


def third_party(alpacakit: Call) -> dict[str, str]:
    listed = json.loads(alpacakit("plugins", "list", "--json").stdout)
    return {plugin["name"]: plugin["status"] for plugin in listed if not plugin["bundled"]}


def test_without_pip_the_line_to_type_is_told(alpacakit: Call, bare: Environment) -> None:
    done = alpacakit("plugins", "install", "alpacakit-shout")
    assert done.returncode == 3 and f"there is no pip in {bare.folder}" in done.stderr
    assert f"Type: uv pip install --python {bare.bin / 'python'} alpacakit-shout\n" in done.stderr
    assert f"or first: {bare.bin / 'python'} -m ensurepip\n" in done.stderr


def test_a_wheel_is_installed_told_of_and_uninstalled(with_pip: Call) -> None:
    done = with_pip("plugins", "install", "./alpacakit_shout-1.0-py3-none-any.whl", "--", "--no-index")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "plugin shout (alpacakit-shout 1.0) is active: teacher shout\n"
    assert third_party(with_pip) == {"shout": "active"}
    lines = with_pip("plugins", "list", "--requirements").stdout.splitlines()
    assert [line.partition(" @ file://")[0] for line in lines] == ["alpacakit", "alpacakit-shout"]
    done = with_pip("plugins", "uninstall", "shout")
    assert (done.returncode, done.stdout) == (0, "uninstalled alpacakit-shout\n"), done.stderr
    assert third_party(with_pip) == {}


def test_what_does_not_load_is_told_and_can_be_uninstalled(with_pip: Call) -> None:
    options = ["--", "--no-index", "--find-links", "."]
    done = with_pip("plugins", "install", "--json", "alpacakit-shout", "Alpacakit_Bad", *options)
    assert done.returncode == 3
    assert "error: installed, but not loaded: bad.\n" in done.stderr
    assert "To remove it again: alpacakit plugins uninstall bad\n" in done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert (rows["bad"]["status"], rows["shout"]["status"]) == ("broken", "active")
    assert "nothing_here" in rows["bad"]["error"]
    lines = with_pip("plugins", "list", "--requirements").stdout.splitlines()
    assert [
        line for line in lines if line.startswith("# alpacakit-bad==1.0 is broken")
    ] and "alpacakit-shout==1.0" in lines
    done = with_pip("plugins", "uninstall", "alpacakit-bad", "alpacakit-shout", ALPACAKIT_STRICT="1")
    assert done.returncode == 0, done.stderr
    assert third_party(with_pip) == {}


def test_a_plugin_for_another_alpacakit_is_not_installed(with_pip: Call) -> None:
    before = with_pip("--version").stdout
    done = with_pip(
        "plugins", "install", "./alpacakit_newer-1.0-py3-none-any.whl", "--", "--no-index", "--find-links", "."
    )
    assert done.returncode == 1 and "error: pip could not install this" in done.stderr
    assert with_pip("--version").stdout == before and third_party(with_pip) == {}


def test_what_is_no_plugin_is_told(with_pip: Call) -> None:
    done = with_pip("plugins", "install", "./alpacakit_other-1.0-py3-none-any.whl", "--", "--no-index")
    assert done.returncode == 3 and "alpacakit-other holds no plugin" in done.stderr


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["install", "alpacakit"], 2, "alpacakit itself is no plugin"),
        (["install", "alpacakit-shout", "AlpacaKit[openai]>=0"], 2, "-m pip install 'AlpacaKit[openai]>=0'"),
        (["uninstall", "alpacakit"], 2, "-m pip uninstall alpacakit"),
        (
            ["uninstall", "rouge"],
            2,
            "plugin 'rouge' comes with alpacakit and stays.\nLeave it out with: alpacakit --no",
        ),
        (["uninstall", "shout"], 3, "no plugin 'shout' is installed.\nSee: alpacakit plugins list"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_alpacakit_and_its_own_plugins_stay(args: list[str], code: int, says: str, alpacakit: Call) -> None:
    done = alpacakit("plugins", *args)
    assert done.returncode == code and says in done.stderr, done.stderr


def test_a_name_of_two_distributions_leads_to_the_choices(alpacakit: Call, tmp_path: Path) -> None:
    for name in ("one", "two"):
        distributions.write(tmp_path, f"alpacakit-{name}", TEACHER.format(name), plugin="mine")
    done = alpacakit("plugins", "uninstall", "mine", PYTHONPATH=str(tmp_path))
    assert done.returncode == 2 and "Name one: alpacakit-one, alpacakit-two" in done.stderr


RECEIPT = """
[tool]
requirements = [
    { name = "alpacakit", extras = ["openai"], specifier = ">=0.1" },
    { name = "alpacakit-shout" },
    { name = "alpacakit-echo", git = "https://example.org/echo" },
]
"""


@pytest.mark.parametrize(
    ("verb", "what", "line"),
    [
        ("install", "alpacakit-new", "--with alpacakit-shout --with 'ECHO' --with alpacakit-new"),
        ("install", "alpacakit_shout==2", "--with 'ECHO' --with alpacakit_shout==2"),
        ("uninstall", "alpacakit-shout", "--with 'ECHO'"),
    ],
)
def test_uv_is_told_of_all_plugins_that_stay(verb: str, what: str, line: str, tmp_path: Path) -> None:
    """``uv tool install`` keeps only what it is told of."""
    (tmp_path / "uv-receipt.toml").write_text(RECEIPT)
    line = line.replace("ECHO", "alpacakit-echo @ git+https://example.org/echo")
    assert line_of_manager(verb, [what], tmp_path) == f"uv tool install 'alpacakit[openai]>=0.1' {line}"


def test_pipx_injects(tmp_path: Path) -> None:
    (tmp_path / "pipx_metadata.json").write_text("{}")
    assert line_of_manager("install", ["a", "b"], tmp_path) == "pipx inject alpacakit a b"
    assert line_of_manager("uninstall", ["a"], tmp_path) == "pipx uninject alpacakit a"
