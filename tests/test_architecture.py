"""The shape of the code: layers that import downwards, light start-up, plugins that need only the public names."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import alpaca_core

ROOT = Path(__file__).parent.parent
CORE = sorted((ROOT / "alpaca_core").rglob("*.py"))
PLUGINS = sorted((ROOT / "plugins").rglob("*.py"))

# Each line may import from the lines above it. A new module takes its place here; a module of ``cli`` that is not named
# is a command.
LAYERS = """
    records errors tokens markers settings schema yields signals amounts bootstrap
    specs protocols steplog versus.__init__ versus.annotators
    hookspecs guard onefile
    __init__
    jsonfiles entries csvfiles datafolders locks sharing.__init__ sharing.conversations
    arrowfiles
    datafiles
    plugins
    installed seeds store dataset buckets evaluate local progress marks openai_form
    diversity.__init__ diversity.lexicon
    diversity.nouns
    diversity.imperatives
    diversity.counts
    diversity.sunburst
    versus.outputs
    versus.annotations
    versus.winrate versus.logistic
    versus.lengthcontrol
    versus.controls versus.leaderboard versus.sheet
    versus.standings
    ledger account pacing acceptance versus.pairing
    sources asking judging contact
    replies batches answers
    refilter
    validation
    config
    generate runs training
    reuse selection ablation trained versus.contenders talking
    serving
    overlay
    pipeline tracing versus.comparison
    sharing.exporting sharing.importing sharing.provenance sharing.hub
    sharing.datacards sharing.peerconfigs
    sharing.modelcards
    sharing.modelfolders
    report.__init__ report.texts report.figures report.similarity report.png
    report.facts report.measures
    report.pictures
    report.sections
    report.results report.provenance
    report.files report.page
    estimate newplugin view.__init__ view.browsing
    view.server
    testing.findings testing.samples
    testing.fakes testing.provider testing.subjects
    testing.checks_plugin
    testing.checks_teacher testing.checks_prompt testing.checks_filter testing.checks_chat_template
    testing.checks_trainer testing.checks_judge
    testing.kit
    testing.__init__
    cli.__init__ cli.console
    cli.options cli.progress cli.main cli.answers
    cli.spending cli.judge cli.installing cli.plugins_check cli.plugins_new
    cli.ending cli.ablation cli.page cli.comparison
    COMMANDS
    __main__
"""
RANK = {name: rank for rank, line in enumerate(LAYERS.split("\n")) for name in line.split()}

NEVER_IN_CORE = {"torch", "transformers", "accelerate", "sentencepiece", "numpy", "openai", "anthropic", "httpx"}
NOT_AT_MODULE_LEVEL = NEVER_IN_CORE | {
    *("rich", "pydantic", "rapidfuzz", "packaging", "pyarrow", "starlette", "uvicorn"),
}


def imports(path: Path, *, top_only: bool = False) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Modules imported in ``path`` with the names taken from them; not what is there for type checkers only."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in walk(tree, top_only):
        if isinstance(node, ast.Import):
            yield from ((alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or "", tuple(alias.name for alias in node.names)


def walk(node: ast.AST, top_only: bool) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and getattr(child.test, "id", "") == "TYPE_CHECKING":
            continue
        if top_only and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        yield child
        yield from walk(child, top_only)


def top(modules: Iterator[tuple[str, tuple[str, ...]]]) -> set[str]:
    return {module.partition(".")[0] for module, _ in modules}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT / "alpaca_core").with_suffix("").parts)


MODULES = set(map(name_of, CORE))


def rank_of(name: str) -> int:
    return RANK["COMMANDS"] if name.startswith("cli.") and name not in RANK else RANK[name]


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_the_core_imports_downwards(path: Path) -> None:
    for module, names in imports(path):
        if module.partition(".")[0] == "alpaca_core":
            package = module.removeprefix("alpaca_core").lstrip(".")
            for name in names or ("",):
                candidates = (f"{package}.{name}".strip("."), package, f"{package}.__init__".lstrip("."))
                used = next(module for module in candidates if module in MODULES)
                assert rank_of(used) < rank_of(name_of(path)), f"{name_of(path)} imports {used}"


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_the_core_imports_nothing_heavy(path: Path) -> None:
    assert top(imports(path)) & NEVER_IN_CORE == set()
    assert top(imports(path, top_only=True)) & NOT_AT_MODULE_LEVEL == set()


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_the_core_knows_no_plugin(path: Path) -> None:
    assert {name for name in top(imports(path)) if name.startswith("alpaca")} <= {"alpaca_core"}


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: str(path.relative_to(ROOT / "plugins")))
def test_a_bundled_plugin_could_live_in_its_own_repository(path: Path) -> None:
    """It takes only public names from the core, and nothing from other plugins."""
    own = path.relative_to(ROOT / "plugins").parts[0]
    for module, names in imports(path):
        package = module.partition(".")[0]
        assert package in (own, "alpaca_core") or not package.startswith("alpaca"), f"imports {module}"
        if package == "alpaca_core":
            assert module == "alpaca_core" and set(names) <= set(alpaca_core.__all__), f"imports {module}: {names}"


def third_party(modules: Iterator[tuple[str, tuple[str, ...]]]) -> set[str]:
    import sys

    return {name for name in top(modules) if name not in sys.stdlib_module_names and not name.startswith("alpaca")}


@pytest.mark.parametrize("path", [p for p in PLUGINS if p.name == "__init__.py"], ids=lambda path: path.parent.name)
def test_what_start_up_reads_of_a_plugin_imports_the_standard_library_only(path: Path) -> None:
    assert third_party(imports(path)) == set()


@pytest.mark.parametrize("path", CORE + PLUGINS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_has_400_lines_at_most(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("path", CORE + PLUGINS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_begins_with_what_it_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not text.strip() or ast.get_docstring(ast.parse(text))
