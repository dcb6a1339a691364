"""The conformance kit: bundled plugins keep its laws, and a plugin that breaks one is told which, and what to do."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import distributions
import pytest
from click.testing import CliRunner

from alpaca_core import ConfigError, MissingError, testing
from alpaca_core.cli.main import cli
from alpaca_core.plugins import PluginHost
from alpaca_core.testing import FakeTeacher, NotApplicable, check, checks, requests, tiny_run

HOST = PluginHost(only=frozenset())
BUNDLED = [plugin.name for plugin in HOST.plugins if plugin.bundled]
BUNDLED.remove("transformers")  # which test_local_teacher.py tries, where torch is loaded anyway

# Why a law may not apply to a bundled plugin.
MAY_BE_AWAY = (
    "it has no options",
    "it comes with alpacakit",
    "only with --slow",
    "it does not ask the teacher",
    "it has no option base_url",
)


@pytest.fixture(scope="module")
def needed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Path]]:
    """What some bundled plugins have to be given, by the plugin's name."""
    folder = tmp_path_factory.mktemp("needed")
    (folder / "questions.jsonl").write_text('{"question": "How many moons does the planet Mars have in all?"}\n')
    (folder / "topics.txt").write_text("tides\nbread\n")
    (folder / "configs.yaml").write_text('a:\n  prompt_template: "{instruction}|{output_1}|{output_2}"\n')
    return {
        "contamination": {"filter.contamination.files": folder / "questions.jsonl"},
        "prompts": {"prompt.topics": folder / "topics.txt"},
        "judges": {"judge.config": folder / "configs.yaml"},
    }


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_plugin_keeps_the_laws_of_its_kit(name: str, needed: dict[str, dict[str, Path]]) -> None:
    found = check(name, needed.get(name), host=HOST)
    assert [finding for finding in found if finding.outcome == "failed"] == []
    away = [finding for finding in found if finding.outcome == "not applicable"]
    assert [finding for finding in away if not finding.detail.startswith(MAY_BE_AWAY)] == []


# ── plugins that break a law ──────────────────────────────────────────────────────────────────────────────────────

SPEC = """
import dataclasses, math, random, sys
@dataclasses.dataclass(frozen=True)
class Options:
    size: int = dataclasses.field(default=3, metadata={{"help": "How large."}})
    base_url: str = dataclasses.field(default="", metadata={{"help": "Where."}})
@hookimpl
def alpaca_{hook}():
    return [{spec}(name="bad", target="alpacakit_bad:Bad", summary="Is bad.", options=Options{more})]
class Bad:
    def __init__(self, options):
        self.options, self.seen, self.texts = options, 0, []
"""


def source(hook: str, body: str, more: str = "") -> str:
    spec = {"chat_templates": "ChatTemplateSpec"}.get(hook, hook.removesuffix("s").capitalize() + "Spec")
    methods = "".join(f"    {line}\n" for line in body.strip("\n").splitlines())
    return SPEC.format(hook=hook, spec=spec, more=more) + methods


KEPT = "def kept(self, example): self.texts.append(example.output)\n"
ASK = "async def aclose(self): pass\nasync def complete(self, request):\n    import urllib.request as r, asyncio\n"
CALL = "    await asyncio.to_thread(r.urlopen, self.options.base_url + '/completions', b'{}')\n"
PROMPT = "uses_kept = False\ndef parse(self, request, reply): return [Unparsed(reply.text, 'not read')]\n"
PLAIN = "def request(self, k, rng, seeds, kept): return Request(k, 'Write.')\n"
TEMPLATE = (
    "def prompt(self, example): return 'Q: ' + example.instruction + example.input + ' A:'\n"
    "def response(self, example): return example.output\n"
)
JINJA = (
    "jinja = \"{%- for m in messages -%}{%- if m['role'] == 'user' -%}{{- 'Q: ' + m['content'] + m['input'] + ' A:' -}}"
    "{%- else -%}{{- m['content'] + eos_token -}}{%- endif -%}{%- endfor -%}\"\n"
)

#: The law, the hook, the class's body, more arguments of the spec, and words of what is told.
BREAKS = {
    "verdict": (
        "gives a verdict with",
        "filters",
        f"def judge(self, c): return True\n{KEPT}",
        "",
        "the verdict is True",
    ),
    "reason": ("gives a verdict with", "filters", f"def judge(self, c): return Reject('')\n{KEPT}", "", "no reason"),
    "counts": (
        *("changes nothing", "filters", f"def judge(self, c):\n    self.seen += 1\n    return Keep()\n{KEPT}", ""),
        "judge changed self.seen",
    ),
    "moody": (
        *("changes nothing", "filters", f"def judge(self, c): return Flag(str(random.random()))\n{KEPT}", ""),
        "asked twice",
    ),
    "remembers": (
        "gives the same verdicts when",
        "filters",
        f"def judge(self, c):\n    self.texts.append(c.output)\n    return Flag(str(len(self.texts)))\n{KEPT}",
        "",
        "a new one judges otherwise",
    ),
    "empty-text": (
        *("judges any text", "filters", f"def judge(self, c): return Flag(c.output[0])\n{KEPT}", ""),
        "raised IndexError",
    ),
    "no-kept": ("has the methods of a filter", "filters", "def judge(self, c): return Keep()", "", "no method kept"),
    "too-few": (
        "one verdict for each",
        "filters",
        "async def select(self, rows, ask): return [Keep()]",
        "",
        "on 0 rows",
    ),
    "unannounced": (
        "one verdict for each",
        "filters",
        "async def select(self, rows, ask):\n    await ask([Request(0, 'x')])\n    return [Keep() for _ in rows]",
        "",
        "unannounced",
    ),
    "swallows": (
        "lets through what stops the run",
        "filters",
        "async def select(self, rows, ask):\n    try: await ask([Request(0, 'x')])\n    except Exception: pass\n"
        "    return [Keep() for _ in rows]",
        ", asks=True",
        "swallowed",
    ),
    "impure": (
        "of its arguments alone",
        "prompts",
        f"def request(self, k, rng, seeds, kept): return Request(k, str(random.random()))\n{PROMPT}",
        "",
        "differs from one call to the next",
    ),
    "shuffles": (
        "of its arguments alone",
        "prompts",
        f"def request(self, k, rng, seeds, kept):\n    seeds.reverse()\n    return Request(k, 'Write.')\n{PROMPT}",
        "",
        "changed the lists",
    ),
    "looks": (
        "whether it looks at kept rows",
        "prompts",
        f"def request(self, k, rng, seeds, kept): return Request(k, f'not {{len(kept)}}')\n{PROMPT}".replace(
            "{{", "{"
        ).replace("}}", "}"),
        "",
        "uses_kept is False",
    ),
    "number": (
        "can be sent",
        "prompts",
        f"def request(self, k, rng, seeds, kept): return Request(0, 'Write.')\n{PROMPT}",
        "",
        "says that it is number 0",
    ),
    "raising": (
        "reads any text",
        "prompts",
        f"uses_kept = False\ndef parse(self, request, reply): return [Candidate(*reply.text.split('|'))]\n{PLAIN}",
        "",
        "parse raised TypeError",
    ),
    "jinja": ("renders the prompt", "chat_templates", TEMPLATE + JINJA.replace("Q: ", "Q:"), "", "jinja goes on"),
    "eos": ("the end of text", "chat_templates", TEMPLATE + JINJA.replace(" + eos_token", ""), "", "jinja goes on"),
    "half": (
        "renders the whole row",
        "chat_templates",
        TEMPLATE.replace(" + example.input", "") + JINJA,
        "",
        "lacks the input",
    ),
    "fields": (
        "as trainers do",
        "chat_templates",
        TEMPLATE.replace("'Q: '", "'Q' * dataclasses.asdict(self.options)['size']") + JINJA,
        "",
        "built from the values of its options, it fails",
    ),
    "places": (
        "both places alike",
        "judges",
        "async def compare(self, pairs, ask): return [Preference(0.0) for _ in pairs]",
        "",
        "the other way round",
    ),
    "range": (
        "a preference from 0 to 1",
        "judges",
        "async def compare(self, pairs, ask): return [Preference(7.0) for _ in pairs]",
        "",
        "a preference of 7.0",
    ),
    "hidden": (
        "both places alike",
        "judges",
        "async def compare(self, pairs, ask):\n"
        "    await ask([Request(0, pair.b + pair.a) for pair in pairs])\n    return [Preference(0.5) for _ in pairs]",
        ", asks=True",
        "does not show a before b",
    ),
    "usage": (
        "replies with text",
        "teachers",
        f"{ASK}    return Completion('yes')",
        "",
        "usage is Usage(prompt_tokens=0",
    ),
    "unmapped": (
        "provider's errors",
        "teachers",
        f"{ASK}{CALL}    return Completion('yes', usage=Usage(1, 1))",
        "",
        "brought HTTPError: HTTP Error 400",
    ),
    "stubborn": (
        "be cancelled",
        "teachers",
        f"{ASK}    try: {CALL.strip()}\n    except asyncio.CancelledError: raise KeyError('no')\n"
        "    return Completion('yes', usage=Usage(1, 1))",
        "",
        "cancelled, it raised KeyError",
    ),
    "blocking": (
        "be cancelled",
        "teachers",
        f"{ASK}    r.urlopen(self.options.base_url + '/completions', b'{{}}')\n"
        "    return Completion('yes', usage=Usage(1, 1))",
        "",
        "everybody else stood still",
    ),
    "writes": (
        "without touching",
        "trainers",
        "def train(self, job, on_event): pass\ndef plan(self, job):\n    job.out.mkdir()\n    return Plan(('true',))",
        "",
        "plan did more than plan: os.mkdir",
    ),
    "starts": (
        "without touching",
        "trainers",
        "def train(self, job, on_event): pass\n"
        "def plan(self, job):\n    import subprocess\n    subprocess.run(['true'])\n    return Plan(('true',))",
        "",
        "subprocess.Popen",
    ),
    "arguments": ("has the methods of a trainer", "trainers", "def plan(self): pass", "", "cannot be called with 1"),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for plugins, on ``sys.path``."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("alpacakit_"):
            del sys.modules[name]


def only(law: str, host: PluginHost) -> list:
    return [each for each in checks("bad", host=host) if law in each.law]


@pytest.mark.parametrize("case", BREAKS)
def test_a_plugin_that_breaks_a_law_is_told_which(case: str, folder: Path) -> None:
    law, hook, body, more, told = BREAKS[case]
    distributions.write(folder, "alpacakit-bad", source(hook, body, more))
    (broken,) = only(law, distributions.host(folder))
    with pytest.raises(AssertionError) as caught:
        broken.try_it()
    seen, _, todo = str(caught.value).partition("\n")
    assert told in seen and todo, seen


@pytest.mark.parametrize(
    ("law", "code", "told"),
    [
        ("light import", "import json, click\n", "it imports click"),
        ("prints nothing", "print('hello')\n", "it prints 'hello"),
        ("defaults and help", "Options.__dataclass_fields__['size'].metadata = {}\n", "without help: size"),
        ("defaults and help", "Options.__init__ = lambda self: 1 / 0\n", "the defaults are refused"),
        ("target that resolves", "del Bad\n", "alpacakit_bad:Bad leads nowhere"),
        ("loads", "raise OSError('no')\n", "it is broken: OSError: no"),
    ],
)
def test_what_is_wrong_with_an_import_or_a_spec_is_told(law: str, code: str, told: str, folder: Path) -> None:
    text = source("filters", "def judge(self, c): return Keep()")
    distributions.write(folder, "alpacakit-bad", text + code)
    (broken,) = only(law, distributions.host(folder))
    with pytest.raises(AssertionError, match=told):
        broken.try_it()


@pytest.mark.parametrize(
    ("requires", "told"),
    [([], "does not depend on alpacakit"), (["alpacakit>=0.1"], "any later version"), (["alpacakit>=0.1,<1"], "")],
)
def test_a_plugin_needs_an_upper_bound_on_alpacakit(requires: list[str], told: str, tmp_path: Path) -> None:
    write_sources(tmp_path, requires)
    (law,) = [each for each in checks(tmp_path, host=HOST) if "upper bound" in each.law]
    if not told:
        assert law.try_it()
        return
    with pytest.raises(AssertionError, match=told):
        law.try_it()


def write_sources(folder: Path, requires: list[str], module: str = "alpacakit_sources") -> None:
    text = source("filters", f"def judge(self, c): return Keep()\n{KEPT}").replace("alpacakit_bad", module)
    (folder / f"{module}.py").write_text("from alpaca_core import *\n" + text)
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "{module.replace("_", "-")}"\nversion = "1"\ndependencies = {json.dumps(requires)}\n'
        f'[project.entry-points.alpacakit]\nsources = "{module}"\n'
    )


def test_the_prefix_of_bundled_plugins_is_refused(tmp_path: Path) -> None:
    write_sources(tmp_path, [], "alpaca_sources")
    (law,) = [each for each in checks(tmp_path, host=HOST) if "legal names" in each.law]
    with pytest.raises(AssertionError, match="are the bundled plugins'"):
        law.try_it()


def test_a_missing_package_is_named_and_is_no_fault(folder: Path) -> None:
    text = source("filters", "def judge(self, c): return Keep()", ', extra="alpacakit-bad[x]", requires=("x_y_z",)')
    distributions.write(folder, "alpacakit-bad", text)
    (law,) = only("target that resolves", distributions.host(folder))
    with pytest.raises(NotApplicable, match=r"'x_y_z', which is not installed. Install it with: pip install .*\[x\]"):
        law.try_it()


# ── the command ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_command_has_a_line_per_law_and_ends_with_1_where_one_is_broken(tmp_path: Path) -> None:
    write_sources(tmp_path, ["alpacakit"])
    done = CliRunner().invoke(cli, ["plugins", "check", str(tmp_path)], standalone_mode=False)
    assert done.return_value == 1
    assert "  passed          changes nothing as it judges\n" in done.stdout
    assert "  failed          depends on alpacakit with an upper bound: it takes any later version" in done.stdout
    assert 'Write into pyproject.toml: dependencies = ["alpacakit>=0.1,<1"]' in done.stdout
    write_sources(tmp_path, ["alpacakit<1"])
    done = CliRunner().invoke(cli, ["plugins", "check", str(tmp_path), "--json"], standalone_mode=False)
    assert done.return_value == 0 and json.loads(done.stdout)["passed"]


def test_a_file_can_be_checked(tmp_path: Path) -> None:
    write_sources(tmp_path, [], "one_file")
    found = check(tmp_path / "one_file.py", host=HOST)
    assert {finding.outcome for finding in found} == {"passed", "not applicable"}


def test_sources_are_checked_and_not_the_plugin_as_it_was_installed(folder: Path, tmp_path: Path) -> None:
    sources, module = tmp_path / "sources", "alpacakit_sources"
    sources.mkdir()
    write_sources(sources, [])
    (folder / f"{module}.py").write_text("from alpaca_core import *\n" + source("filters", "pass"))
    sys.modules.pop(module, None)
    assert __import__(module).__file__ == str(folder / f"{module}.py")
    (law,) = [each for each in checks(sources, host=HOST) if "has the methods" in each.law]
    law.try_it()


@pytest.mark.parametrize(
    ("target", "options", "kind", "told"),
    [
        ("rouges", {}, MissingError, "Did you mean 'rouge'"),
        ("./nowhere", {}, ConfigError, "cannot be read"),
        ("rouge", {"filter.rouge.treshold": 1}, ConfigError, "has no such option"),
    ],
)
def test_what_is_not_there_is_told_before_anything_is_tried(target, options, kind, told) -> None:
    with pytest.raises(kind, match=told):
        checks(target, options, host=HOST)


# ── fakes ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_component_is_found_by_its_name_alone() -> None:
    assert {each.subject for each in checks("local", host=HOST)} == {"plugin fsdp", "trainer local"}


def test_the_kit_is_public_and_explained() -> None:
    page = (Path(__file__).parent.parent / "docs" / "plugin-kit.md").read_text(encoding="utf-8")
    for name in testing.__all__:
        assert (getattr(testing, name).__doc__ or "").strip() and f"`{name}" in page, name


@pytest.mark.parametrize("module", ["alpacakit_lines", "alpacakit_plain"])
def test_the_plugins_on_the_page_keep_the_laws(module: str, tmp_path: Path) -> None:
    page = (Path(__file__).parent.parent / "docs" / "plugin-kit.md").read_text(encoding="utf-8")
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if f"{module}:" in block]
    (tmp_path / f"{module}.py").write_text(code)
    assert [finding for finding in check(tmp_path / f"{module}.py", host=HOST) if finding.outcome == "failed"] == []


def test_a_fake_teacher_says_its_replies_and_then_refuses() -> None:
    import asyncio

    teacher = FakeTeacher(["yes"])
    first, second = asyncio.run(teacher.ask(requests(2)))
    assert (first.text, second.kind) == ("yes", "bad_request")
    assert [request.k for request in teacher.requests] == [0, 1]


def test_a_tiny_run_says_why_it_failed(tmp_path: Path) -> None:
    made = tiny_run(tmp_path, "--filter", "nothing-like-it")
    assert (made.code, made.rows) == (3, []) and "nothing-like-it" in made.said
