"""The plugin host: each plugin alone, a status for each, names that lead to one component or to a clear text."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import distributions
import pytest

from alpaca_core import ConfigError, MissingError, Stopped
from alpaca_core.plugins import PluginHost

TEACHER = """
@hookimpl
def alpaca_teachers():
    return [TeacherSpec(name="{name}", target="{target}", summary="Answers.")]
"""

GOOD = TEACHER.format(name="good", target="alpacakit_good:Good")

RETURNING = "@hookimpl\ndef alpaca_teachers():\n    return {}\n"

BROKEN = {
    "import": ("import nothing_here\n", "ModuleNotFoundError: No module named 'nothing_here'"),
    "exit": ("raise SystemExit('bye')\n", "SystemExit: bye"),
    "typo": ("@hookimpl\ndef alpaca_teacher():\n    return []\n", "Did you mean 'alpaca_teachers'?"),
    "signature": ("@hookimpl\ndef alpaca_teachers(registry):\n    return []\n", "registry"),
    "unmarked": ("def alpaca_teachers():\n    return []\n", "no function of the module is marked @hookimpl"),
    "raises": (RETURNING.format("{}['who']"), "KeyError: 'who'"),
    "not-iterable": (RETURNING.format("7"), "TypeError: 'int' object is not iterable"),
    "not-specs": (RETURNING.format("['good']"), "not a TeacherSpec"),
    "wrong-kind": (RETURNING.format("[FilterSpec(name='x', target='x:X', summary='')]"), "not a TeacherSpec"),
    "bad-name": (RETURNING.format("[TeacherSpec(name='A B', target='a:B', summary='')]"), "A B"),
    "required-option": (
        "import dataclasses\n@dataclasses.dataclass(frozen=True)\nclass Options:\n    size: int\n"
        + RETURNING.format("[TeacherSpec(name='x', target='x:X', summary='', options=Options)]"),
        "its option 'size' has no default",
    ),
    "twice": (RETURNING.format("[TeacherSpec(name='x', target='x:X', summary='')] * 2"), "offers teacher 'x' twice"),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for plugins, on ``sys.path``."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("alpacakit"):
            del sys.modules[name]


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_plugin_is_a_row_and_harms_no_other(kind: str, folder: Path) -> None:
    source, error = BROKEN[kind]
    distributions.write(folder, "alpacakit-bad", source)
    distributions.write(folder, "alpacakit-good", GOOD)
    host = distributions.host(folder)
    bad, good = host.plugins
    assert bad.status == "broken" and error in bad.error
    assert good.status == "active"
    assert host.find("teacher", "good").name == "good"
    assert [line for line in host.complaints() if "bad" in line and error in line]


def test_strict_raises_the_error_of_a_broken_plugin(folder: Path) -> None:
    distributions.write(folder, "alpacakit-bad", "import nothing_here\n")
    with pytest.raises(MissingError, match="nothing_here"):
        distributions.host(folder, strict=True)


@pytest.mark.parametrize(
    ("requires", "status"),
    [
        (["alpacakit>=99"], "incompatible"),
        (["alpacakit<0.0.1"], "incompatible"),
        (["alpacakit>=0.0.1,<99"], "active"),
        (["alpacakit"], "active"),
        (["alpacakit-other>=99"], "active"),
        (["alpacakit>=99; extra == 'test'"], "active"),
        ([], "active"),
    ],
)
def test_a_plugin_for_another_alpacakit_is_incompatible(requires: list[str], status: str, folder: Path) -> None:
    distributions.write(folder, "alpacakit-good", GOOD, requires=requires)
    (plugin,) = distributions.host(folder).plugins
    assert plugin.status == status
    assert status == "active" or requires[0] in plugin.error


def test_an_incompatible_plugin_is_not_imported(folder: Path) -> None:
    distributions.write(folder, "alpacakit-good", "raise Exception('imported')\n", requires=["alpacakit>=99"])
    assert distributions.host(folder).plugins[0].status == "incompatible"


@pytest.mark.parametrize("name", ["good", "alpacakit-good", "alpacakit-good:good"])
def test_a_disabled_plugin_is_not_imported(name: str, folder: Path) -> None:
    distributions.write(folder, "alpacakit-good", "raise Exception('imported')\n")
    (plugin,) = distributions.host(folder, disabled=frozenset({name})).plugins
    assert plugin.status == "disabled"


def test_only_the_named_third_party_plugins_are_loaded(folder: Path) -> None:
    distributions.write(folder, "alpacakit-good", GOOD)
    distributions.write(folder, "alpacakit-other", TEACHER.format(name="other", target="alpacakit_other:Other"))
    host = distributions.host(folder, only=frozenset({"other"}))
    assert {plugin.name: plugin.status for plugin in host.plugins} == {"good": "disabled", "other": "active"}


def test_the_environment_chooses_third_party_plugins_and_leaves_bundled_ones() -> None:
    host = PluginHost.from_environment(environ={"ALPACAKIT_PLUGINS": ""})
    assert {plugin.status for plugin in host.plugins if plugin.bundled} == {"active"}
    assert {plugin.status for plugin in host.plugins if not plugin.bundled} <= {"disabled"}


@pytest.mark.parametrize("how", ["disabled", "only"])
def test_leaving_out_a_plugin_that_does_not_exist_suggests_names(how: str, folder: Path) -> None:
    distributions.write(folder, "alpacakit-good", GOOD)
    with pytest.raises(ConfigError, match="no plugin 'goood'. Did you mean 'good'?"):
        distributions.host(folder, **{how: frozenset({"goood"})})


def test_plugins_come_in_the_order_of_their_distributions_bundled_first(folder: Path) -> None:
    for name in ("zebra", "ant"):
        distributions.write(folder, f"alpacakit-{name}", TEACHER.format(name=name, target="a:B"))
    distributions.write(folder, "alpacakit", TEACHER.format(name="ours", target="a:B"), plugin="ours")
    assert [plugin.name for plugin in distributions.host(folder).plugins] == ["ours", "ant", "zebra"]


def test_an_unknown_name_suggests_and_lists(folder: Path) -> None:
    distributions.write(folder, "alpacakit-good", GOOD)
    with pytest.raises(MissingError, match="teacher 'goood' not found. Did you mean 'good'?") as caught:
        distributions.host(folder).find("teacher", "goood")
    assert "plugins list" in caught.value.hint


def test_a_name_is_found_only_among_its_kind(folder: Path) -> None:
    distributions.write(folder, "alpacakit-good", GOOD)
    with pytest.raises(MissingError):
        distributions.host(folder).find("filter", "good")


def test_an_unknown_name_quotes_the_plugins_that_may_have_had_it(folder: Path) -> None:
    distributions.write(folder, "alpacakit-bad", "import nothing_here\n")
    with pytest.raises(MissingError, match="plugin bad is broken: ModuleNotFoundError: No module named 'nothing_here'"):
        distributions.host(folder).find("teacher", "bad")


@pytest.fixture
def clash(folder: Path) -> PluginHost:
    """Two distributions that offer the same teacher."""
    for name in ("one", "two"):
        distributions.write(folder, f"alpacakit-{name}", TEACHER.format(name="echo", target=f"alpacakit_{name}:Echo"))
    return distributions.host(folder)


def test_a_clash_is_an_error_only_when_the_name_is_asked_for(clash: PluginHost) -> None:
    assert [plugin.status for plugin in clash.plugins] == ["active", "active"]
    with pytest.raises(ConfigError, match="offered by 2 plugins") as caught:
        clash.find("teacher", "echo")
    assert "alpacakit-one:echo, alpacakit-two:echo" in caught.value.hint


def test_a_clash_is_settled_by_naming_the_distribution(clash: PluginHost) -> None:
    assert clash.find("teacher", "alpacakit-two:echo").target == "alpacakit_two:Echo"
    assert clash.find("teacher", "echo", prefer="alpacakit-one").target == "alpacakit_one:Echo"


def test_two_plugins_may_have_the_same_name(folder: Path) -> None:
    """pluggy would drop the second entry point of a name in silence."""
    for name in ("one", "two"):
        distributions.write(folder, f"alpacakit-{name}", TEACHER.format(name=name, target="a:B"), plugin="my-plugin")
    host = distributions.host(folder)
    assert {spec.name for spec in host.specs("teacher")} == {"one", "two"}


def test_what_a_plugin_prints_when_it_is_imported_stays_out_of_stdout(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    distributions.write(folder, "alpacakit-good", "print('hello')\n" + GOOD)
    distributions.host(folder)
    assert capsys.readouterr() == ("", "plugin good: hello\n")


def test_a_missing_package_gives_the_pip_line_and_a_bug_in_the_plugin_does_not(folder: Path) -> None:
    source = """
        @hookimpl
        def alpaca_teachers():
            return [
                TeacherSpec(name="far", target="alpacakit_far_code:Far", summary="", extra="alpacakit-far[sdk]"),
                TeacherSpec(name="bug", target="alpacakit_far.nowhere:Bug", summary="", extra="alpacakit-far[sdk]"),
            ]
    """
    distributions.write(folder, "alpacakit-far", source)
    (folder / "alpacakit_far_code.py").write_text("import some_sdk\n")
    host = distributions.host(folder)
    with pytest.raises(MissingError) as caught:
        host.find("teacher", "far").load()
    assert "'some_sdk'" in caught.value.message and "pip install 'alpacakit-far[sdk]'" in caught.value.hint
    with pytest.raises(ImportError):
        host.find("teacher", "bug").load()


def test_all_bundled_plugins_are_active() -> None:
    bundled = [plugin for plugin in PluginHost(only=frozenset()).plugins if plugin.bundled]
    assert bundled and {(plugin.name, plugin.error) for plugin in bundled if plugin.status != "active"} == set()


def test_what_bundled_teachers_recommend_are_keys_that_exist() -> None:
    """A recommendation for a component that was not chosen is passed over, so nothing else would notice a typo."""
    from alpaca_core.config import load_config

    host = PluginHost(only=frozenset())
    for spec in host.specs("teacher"):
        values = load_config(host, flags={"teacher.name": spec.name}, folder=Path("/nowhere"), environ={}).values
        assert set(spec.defaults) <= set(values), spec.name


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed two third-party plugins."""
    return distributions.pip_install(tmp_path_factory.mktemp("site"), "alpacakit-parrot", "alpacakit-no-shouting")


@pytest.fixture
def alpacakit(outside: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The installed command line, with the third-party plugins beside it."""

    def call(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "alpaca_core", *args],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "PYTHONPATH": str(outside)},
        )

    return call


def test_pip_installed_plugins_are_listed(alpacakit: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    plugins = {plugin["name"]: plugin for plugin in json.loads(alpacakit("plugins", "list", "--json").stdout)}
    parrot = plugins["parrot"]
    assert parrot.pop("load_ms") >= 0
    assert parrot == {
        "name": "parrot",
        "distribution": "alpacakit-parrot",
        "version": "0.2.0",
        "bundled": False,
        "status": "active",
        "error": None,
        "notes": [],
        "module": "alpacakit_parrot",
        "components": [
            {
                "kind": "teacher",
                "name": "parrot",
                "called": "parrot",
                "summary": "Repeats recorded replies.",
                "extra": None,
                "ready": True,
                "missing": [],
            }
        ],
    }
    assert plugins["no-shouting"]["status"] == "active"


def test_a_component_is_shown_with_its_options(alpacakit: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    shown = alpacakit("plugins", "show", "no-shouting").stdout
    assert "filter no-shouting: Rejects instructions in capitals." in shown
    assert "[filter.no-shouting]" in shown and "longest  int  Letters that may be capitals" in shown
    (component,) = json.loads(alpacakit("plugins", "show", "parrot", "--json").stdout)["components"]
    assert component["options"] == [
        {"name": "replies", "type": "path", "default": "replies.jsonl", "help": "The record: one reply per line."}
    ]


def test_no_plugin_leaves_a_plugin_out(alpacakit: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    plugins = json.loads(alpacakit("--no-plugin", "parrot", "plugins", "list", "--json").stdout)
    assert {plugin["status"] for plugin in plugins if plugin["name"] == "parrot"} == {"disabled"}
    failed = alpacakit("--no-plugin", "parrot", "config", "check")
    assert failed.returncode == 0
    failed = alpacakit("--no-plugin", "parrot", "config", "show", "--teacher", "parrot")
    assert failed.returncode == 3 and "left out by --no-plugin" in failed.stderr


def test_an_error_of_many_lines_becomes_one_that_cannot_steer_a_terminal(folder: Path) -> None:
    distributions.write(folder, "alpacakit-bad", "raise ValueError('one\\n\\x1b[31mtwo\\n' + 'x' * 1000)\n")
    (plugin,) = distributions.host(folder).plugins
    assert plugin.error and plugin.error.startswith("ValueError: one [31mtwo xxx") and len(plugin.error) == 300


@pytest.mark.parametrize("error", ["KeyboardInterrupt", "Stopped('a signal')"])
def test_a_signal_during_an_import_is_no_fault_of_the_plugin(error: str, folder: Path) -> None:
    distributions.write(folder, "alpacakit-good", f"raise {error}\n")
    with pytest.raises((KeyboardInterrupt, Stopped)):
        distributions.host(folder)


def test_metadata_in_pieces_are_a_broken_plugin(folder: Path) -> None:
    """As an installation leaves them that was interrupted."""
    for name, points in (("gone", "gone = alpacakit_gone"), ("odd", "odd = not a module")):
        (folder / f"alpacakit_{name}-1.0.dist-info").mkdir()
        (folder / f"alpacakit_{name}-1.0.dist-info/entry_points.txt").write_text(f"[alpacakit]\n{points}\n")
    distributions.write(folder, "alpacakit-good", GOOD)
    assert {plugin.name: plugin.status for plugin in distributions.host(folder).plugins} == {
        "good": "active",
        "gone": "broken",
        "odd": "broken",
    }


def test_two_plugins_of_one_distribution_cannot_offer_the_same(folder: Path) -> None:
    distributions.write(folder, "alpacakit-good", GOOD)
    (folder / "alpacakit_good-1.0.dist-info/entry_points.txt").write_text(
        "[alpacakit]\none = alpacakit_good\ntwo = alpacakit_good\n"
    )
    one, two = distributions.host(folder).plugins
    assert (one.status, two.status) == ("active", "broken")
    assert two.error == "it offers teacher 'good', as does plugin 'one' of its distribution"


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ("requires=('nothing_here.sub',)", None),
        ("requires=('',)", "ValueError"),
        ("options=Unresolved", "NameError: name 'Nowhere' is not defined"),
    ],
)
def test_a_spec_that_listings_could_not_show_is_found_at_once(more: str, error: str | None, folder: Path) -> None:
    source = "import dataclasses\n@dataclasses.dataclass(frozen=True)\nclass Unresolved:\n    size: 'Nowhere' = 1\n"
    source += RETURNING.format(f"[TeacherSpec(name='x', target='x:X', summary='', {more})]")
    distributions.write(folder, "alpacakit-x", source)
    (plugin,) = distributions.host(folder).plugins
    assert error in plugin.error if error and plugin.error else plugin.specs[0].missing() == ("nothing_here.sub",)


def test_a_name_that_nobody_typed_means_the_bundled_component(folder: Path) -> None:
    distributions.write(folder, "alpacakit-mine", TEACHER.format(name="mine", target="a:Mine"))
    distributions.write(folder, "alpacakit", TEACHER.format(name="mine", target="a:Ours"))
    host = distributions.host(folder)
    assert host.find("teacher", "mine").target == "a:Ours"
    with pytest.raises(ConfigError, match="offered by 2 plugins"):
        host.find("teacher", "mine", prefer="")
