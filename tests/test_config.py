"""Configuration: which source wins, what is a mistake and how it is told, and a TOML that loads back."""

from __future__ import annotations

import math
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import distributions
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alpaca_core import AlpacaError, ConfigError, MissingError
from alpaca_core.config import STAGES, Config, load_config, to_toml, toml_value
from alpaca_core.plugins import PluginHost
from alpaca_core.settings import FLAGS, TABLES, is_secret, known_keys, without_userinfo
from alpaca_core.sources import Setting
from alpaca_core.validation import build

PLUGIN = """
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

def option(default, **more):
    return field(default=default, metadata={"help": "Words."} | more)

@dataclass(frozen=True)
class TeacherOptions:
    model: str = option("base")
    temperature: float = option(1.0)
    top_p: float | None = option(None)
    mode: Literal["chat", "complete"] = option("chat")
    base_url: str = option("")
    record: Path = option(Path("record.jsonl"))
    stop: tuple[str, ...] = option(())
    cache: bool = option(False)
    api_key: str = option("")

    def __post_init__(self):
        if not 0 <= self.temperature <= 2:
            raise ValueError(f"temperature must be from 0 to 2, not {self.temperature}")
        if self.api_key == "refused":
            raise ValueError(f"api_key {self.api_key} is no key")

@dataclass(frozen=True)
class TrainerOptions:
    epochs: float = option(3.0)
    steps: int | None = option(100)

@dataclass(frozen=True)
class LimitOptions:
    limit: int = option(1)

@hookimpl
def alpaca_teachers():
    return [
        TeacherSpec(name="procedural", target="a:B", summary="Plain."),
        TeacherSpec(name="rich", target="a:B", summary="With options.", options=TeacherOptions, keys=("RICH_KEY",)),
        TeacherSpec(
            name="keen", target="a:B", summary="With recommendations.", options=TeacherOptions,
            defaults={
                "teacher.temperature": 0.5, "generation.num_examples": 60, "trainer.name": "other",
                "trainer.epochs": 5.0, "filter.short.limit": 7, "trainer.unknown_to_this_trainer": 1,
            },
        ),
    ]

@hookimpl
def alpaca_prompts():
    return [PromptSpec(name="self-instruct", target="a:B", summary="A prompt.", options=LimitOptions)]

@hookimpl
def alpaca_filters():
    short, long = ("short", {"limit": 3}), ("long", {})
    return [
        FilterSpec(name="short", target="a:B", summary="A filter.", options=LimitOptions),
        FilterSpec(
            name="long", target="a:B", summary="A filter.", options=LimitOptions, defaults={"filter.long.limit": 4}
        ),
        FilterSpec(name="plain", target="a:B", summary="A filter."),
        FilterSpec(name="alpaca", summary="A chain.", chain=(short, long)),
        FilterSpec(name="nested", summary="A chain of chains.", chain=(("plain", {}), ("alpaca", {}))),
        FilterSpec(name="ring", summary="A chain that contains itself.", chain=(("ring", {}),)),
    ]

@hookimpl
def alpaca_chat_templates():
    return [ChatTemplateSpec(name="alpaca", target="a:B", summary="A template.")]

@hookimpl
def alpaca_trainers():
    return [
        TrainerSpec(name="local", target="a:B", summary="A trainer.", options=TrainerOptions),
        TrainerSpec(
            name="other", target="a:B", summary="A trainer.", options=TrainerOptions,
            defaults={"trainer.epochs": 9.0, "trainer.student": "theirs"},
        ),
    ]
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PluginHost]:
    """Components of this file's own, under the names that the core chooses by default."""
    folder = tmp_path_factory.mktemp("plugins")
    distributions.write(folder, "alpacakit-sample", PLUGIN)
    sys.path.insert(0, str(folder))
    found = distributions.host(folder)
    assert found.complaints() == []
    yield found
    sys.path.remove(str(folder))


class Loader:
    """Loads configurations in a folder of its own."""

    def __init__(self, host: PluginHost, folder: Path) -> None:
        self.host, self.folder = host, folder

    def write(self, text: str, name: str = "alpacakit.toml") -> Path:
        (self.folder / name).write_text(text, encoding="utf-8")
        return self.folder / name

    def __call__(self, text: str | None = None, **arguments: Any) -> Config:
        if text is not None:
            self.write(text)
        return load_config(self.host, **{"folder": self.folder, "environ": {}} | arguments)

    def mistakes(self, text: str | None = None, **arguments: Any) -> tuple[str, ...]:
        with pytest.raises(ConfigError) as caught:
            self(text, **arguments)
        return caught.value.problems


@pytest.fixture
def load(host: PluginHost, tmp_path: Path) -> Loader:
    return Loader(host, tmp_path)


# Which source wins


def test_each_source_wins_over_all_weaker_ones(load: Loader) -> None:
    """Of one key that seven sources set, the strongest counts; take it away, and the next one does."""
    file = load.write("[generation]\nnum_examples = 30\n", "other.toml")
    load.write("[generation]\nnum_examples = 40\n")
    teacher = {"teacher.name": "keen"}
    sources: list[tuple[str, dict[str, Any], int]] = [
        ("--num-examples", {"flags": teacher | {"generation.num_examples": "10"}}, 10),
        ("--set", {"flags": teacher, "sets": ["generation.num_examples=15"]}, 15),
        ("ALPACAKIT_NUM_EXAMPLES", {"flags": teacher, "environ": {"ALPACAKIT_NUM_EXAMPLES": "20"}}, 20),
        (f"{file}:2", {"flags": teacher, "file": file}, 30),
        (f"{load.folder / 'alpacakit.toml'}:2", {"flags": teacher}, 40),
        ("teacher 'keen'", {"flags": teacher, "folder": Path("/nowhere")}, 60),
        ("default", {"folder": Path("/nowhere")}, 1000),
    ]
    everything: dict[str, Any] = {"file": file, "environ": {"ALPACAKIT_NUM_EXAMPLES": "20"}}
    for number, (source, arguments, value) in enumerate(sources):
        weaker = everything if number <= 1 else {"file": file} if number == 2 else {}
        config = load(**weaker | arguments)
        assert config.generation.num_examples == value
        assert config.values["generation.num_examples"].source == source


def test_the_same_key_by_flag_and_by_set_is_a_mistake(load: Loader) -> None:
    (line,) = load.mistakes(flags={"seed": "1"}, sets=["seed=2"])
    assert line == "seed is set twice: by --seed and by --set"


@pytest.mark.parametrize(("flag", "key"), FLAGS.items())
def test_each_flag_is_a_variable_too(flag: str, key: str, load: Loader) -> None:
    text = {"teacher": "rich", "model": "m", "prompt": "self-instruct", "filter": "short, plain"}.get(flag)
    text = text or {
        "chat_template": "alpaca",
        "trainer": "other",
        "student": "s",
        "seed_tasks": "/s",
        "judge": "none",
        "batch": "true",
    }.get(flag)
    if flag == "from":
        return  # tests/test_reuse.py: it brings the other run's settings along
    text = text or "7"
    config = load(flags={"teacher.name": "rich"}, environ={f"ALPACAKIT_{flag.upper()}": text})
    if flag != "teacher":
        assert config.values[key].source == f"ALPACAKIT_{flag.upper()}"
    if flag == "filter":
        assert [chosen.name for chosen in config.filters] == ["short", "plain"]


def test_any_key_is_a_variable_with_its_table(load: Loader) -> None:
    environ = {
        "ALPACAKIT_TEACHER": "rich",
        "ALPACAKIT_TEACHER__TEMPERATURE": "0.25",
        "ALPACAKIT_FILTER__SHORT__LIMIT": "12",
        "ALPACAKIT_EVALUATION__HELDOUT": "3",
    }
    config = load(environ=environ)
    assert config.teacher.options.temperature == 0.25
    assert config.filters[0].options.limit == 12
    assert config.evaluation.heldout == 3


def test_an_empty_variable_is_not_set(load: Loader) -> None:
    assert load(environ={"ALPACAKIT_SEED": "", "ALPACAKIT_STUDENT": ""}).values["seed"].source == "default"


def test_the_teachers_recommendation_wins_over_the_trainers(load: Loader) -> None:
    config = load(flags={"teacher.name": "keen"})
    assert config.trainer.name == "other"
    assert config.trainer.options.epochs == 5.0
    assert config.student == "theirs"


def test_a_recommendation_for_a_component_that_was_not_chosen_is_passed_over(load: Loader) -> None:
    config = load(flags={"teacher.name": "keen", "trainer.name": "none"})
    assert config.trainer is None


def test_alpacakit_config_names_the_file(load: Loader) -> None:
    file = load.write("seed = 5\n", "mine.toml")
    assert load(environ={"ALPACAKIT_CONFIG": str(file)}).seed == 5
    (line,) = load.mistakes(environ={"ALPACAKIT_CONFIG": "nowhere.toml"})
    assert "ALPACAKIT_CONFIG" in line


# Reading values


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("teacher.temperature", "0.5", 0.5),
        ("teacher.temperature", "1", 1.0),
        ("teacher.model", "2024", "2024"),
        ("teacher.model", '"quoted"', "quoted"),
        ("teacher.model", "a=b, c", "a=b, c"),
        ("teacher.model", "", ""),
        ("teacher.cache", "true", True),
        ("teacher.mode", "complete", "complete"),
        ("teacher.top_p", "none", None),
        ("teacher.top_p", "0.5", 0.5),
        ("teacher.stop", "a,b", ("a", "b")),
        ("teacher.stop", '["a,b", "c"]', ("a,b", "c")),
        ("teacher.stop", "", ()),
        ("teacher.record", "/x/y.jsonl", Path("/x/y.jsonl")),
        ("generation.budget", "inf", math.inf),
        ("generation.budget", "2.5", 2.5),
        ("generation.budget", ".5", 0.5),
        ("generation.budget", "5.", 5.0),
    ],
)
def test_text_is_read_as_its_key_needs_it(key: str, text: str, value: Any, load: Loader) -> None:
    config = load(flags={"teacher.name": "rich"}, sets=[f"{key}={text}"])
    assert config.values[key].value == value
    assert type(config.values[key].value) is type(value) or isinstance(value, Path)


def test_a_file_name_starts_from_the_file_that_holds_it(load: Loader) -> None:
    (load.folder / "sub").mkdir()
    file = load.write(
        '[generation]\nseed_tasks = "seeds.jsonl"\n[teacher]\nname = "rich"\nrecord = "../r.jsonl"', "sub/c.toml"
    )
    config = load(file=file)
    assert config.generation.seed_tasks == str(load.folder / "sub" / "seeds.jsonl")
    assert config.teacher.options.record == load.folder / "r.jsonl"
    flagged = load(flags={"generation.seed_tasks": "seeds.jsonl"})
    assert flagged.generation.seed_tasks == str(load.folder / "seeds.jsonl")


def test_file_names_in_a_list_start_from_there_too() -> None:
    @dataclass(frozen=True)
    class Options:
        files: tuple[Path, ...] = ()
        words: tuple[str, ...] = ()

    values = ["a.json", "/b.json"]
    settings = {name: Setting(values, "a file", Path("/sub")) for name in ("files", "words")}
    assert build(Options, settings, "filter.x") == (
        Options(files=(Path("/sub/a.json"), Path("/b.json")), words=("a.json", "/b.json")),
        [],
    )


def test_chains_unfold_in_order_with_their_options_below_the_users(load: Loader) -> None:
    config = load('[generation]\nfilters = ["nested"]\n[filter.long]\nlimit = 8\n')
    assert [chosen.name for chosen in config.filters] == ["plain", "short", "long"]
    assert config.filters[0].options is None
    assert config.filters[1].options.limit == 3
    assert config.filters[2].options.limit == 8
    assert config.generation.filters == ("nested",)
    assert config.values["filter.short.limit"].source == "chain 'alpaca'"
    assert load("").filters[1].options.limit == 4


def test_the_teachers_recommendation_wins_over_the_chains(load: Loader) -> None:
    assert load("", flags={"teacher.name": "keen"}).filters[0].options.limit == 7


def test_a_filter_twice_and_a_chain_in_itself_are_mistakes(load: Loader) -> None:
    (line,) = load.mistakes(flags={"generation.filters": ("alpaca", "short")})
    assert "filter 'short' is more than once in alpaca, short" in line
    (line,) = load.mistakes(flags={"generation.filters": ("ring",)})
    assert "ring > ring" in line


def test_options_of_another_component_than_the_chosen_one_are_noted_not_refused(load: Loader) -> None:
    """A flag chooses another teacher and chain than the file does: what only the file's have is out of use."""
    config = load(
        '[teacher]\nname = "rich"\nmodel = "m"\n[generation]\nfilters = ["short"]\n[filter.short]\nlimit = 2\n',
        flags={"teacher.name": "procedural", "generation.filters": ("plain",)},
    )
    assert [note.split(" is not used")[0].split(" (")[0] for note in config.notes] == [
        "teacher.model",
        "filter.short.limit",
    ]
    kept = load(flags={"teacher.name": "keen"})
    assert kept.teacher.options.model == "m"


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ('[teacher]\nname = "rich"\nmodle = "m"\n', {"teacher.name": "rich"}),
        ('[generation]\nfilters = ["short"]\n[filter.shrot]\nlimit = 1\n', {"generation.filters": ("short",)}),
    ],
)
def test_naming_the_same_component_again_hides_no_mistake(text: str, flags: dict[str, Any], load: Loader) -> None:
    assert len(load.mistakes(text, flags=flags)) == 1


def test_a_command_reads_only_the_stages_that_it_needs(load: Loader) -> None:
    text = '[trainer]\nname = "not-installed"\nanything = 1\n[teacher]\nname = "not-installed"\n'
    config = load(text, needs=frozenset({"filters"}))
    assert (config.teacher, config.prompt, config.trainer, config.chat_template) == (None, None, None, None)
    assert [chosen.name for chosen in config.filters] == ["short", "long"]
    assert not load("[filter.rogue]\nx = 1\n", needs=frozenset({"teacher"})).filters
    (line,) = load.mistakes(text, needs=frozenset({"filters"}), sets=["trainer.epochs=1"])
    assert "this command has no use for [trainer]" in line


def test_no_trainer_leaves_its_options_alone(load: Loader) -> None:
    assert load("[trainer]\nepochs = 1.0\n", flags={"trainer.name": "none"}).trainer is None


# Mistakes


def test_all_mistakes_of_all_sources_come_together(load: Loader) -> None:
    lines = load.mistakes(
        """
seed = -1
sede = 1
[generation]
num_examples = 0
concurrency = "many"
timeout = nan
budjet = 3
[teacher]
name = "rich"
mode = "talk"
temperature = 9.0
[filter.short]
limit = true
[filter.shrot]
limit = 1
[nonsense]
""",
        sets=["trainer.epoch=1"],
        environ={"ALPACAKIT_MAX_RPM": "0"},
    )
    toml = load.folder / "alpacakit.toml"
    assert sorted(lines) == sorted(
        [
            f"seed ({toml}:2): seed must be from 0 to 4294967295, not -1",
            f"sede ({toml}:3): unknown key. Did you mean 'seed'?",
            f"generation.num_examples ({toml}:5): num_examples must be at least 1, not 0",
            f"generation.concurrency ({toml}:6): should be a valid integer, got 'many'",
            f"generation.timeout ({toml}:7): timeout must be greater than 0, not nan",
            f"generation.budjet ({toml}:8): unknown key. Did you mean 'budget'?",
            "generation.max_rpm (ALPACAKIT_MAX_RPM): max_rpm must be at least 1, not 0",
            f"teacher.mode ({toml}:11): should be 'chat' or 'complete', got 'talk'",
            f"teacher.temperature ({toml}:12): temperature must be from 0 to 2, not 9.0",
            f"filter.short.limit ({toml}:14): should be a valid integer, got True",
            f"filter.shrot.limit ({toml}:16): filter 'shrot' is not in the chain (short, long). Did you mean 'short'?",
            f"nonsense ({toml}): unknown key.",
            "trainer.epoch (--set): trainer 'local' has no option 'epoch'. Did you mean 'epochs'?",
        ]
    )


def test_unknown_names_are_missing_and_told_together(load: Loader) -> None:
    with pytest.raises(MissingError) as caught:
        load(flags={"teacher.name": "rihc", "trainer.name": "locla"})
    assert caught.value.exit_code == 3
    assert "--teacher: teacher 'rihc' not found. Did you mean 'rich'?" in caught.value.message
    assert "--trainer: trainer 'locla' not found. Did you mean 'local'?" in caught.value.message


def test_an_unknown_name_among_other_mistakes_is_one_of_them(load: Loader) -> None:
    lines = load.mistakes(flags={"teacher.name": "rihc", "seed": "x"})
    assert len(lines) == 2


@pytest.mark.parametrize(
    "name", ["ALPACAKIT_NUM_EXAMPLE", "ALPACAKIT_TEACHR", "ALPACAKIT_GENERATON__BLOCK", "ALPACAKIT_API_KEY"]
)
def test_an_unknown_variable_is_a_mistake(name: str, load: Loader) -> None:
    (line,) = load.mistakes(environ={name: "sk-12345"})
    assert name in line and "sk-12345" not in line


def test_an_unknown_variable_suggests_a_known_one(load: Loader) -> None:
    (line,) = load.mistakes(environ={"ALPACAKIT_NUM_EXAMPLE": "5"})
    assert "Did you mean 'ALPACAKIT_NUM_EXAMPLES'?" in line


@pytest.mark.parametrize("name", ["PLUGINS", "STRICT", "DEBUG"])
def test_variables_of_the_program_are_no_keys(name: str, load: Loader) -> None:
    assert load(environ={f"ALPACAKIT_{name}": "1"}) == load()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("seed = \n", "line 1"),
        ("[generation\n", "not valid TOML"),
        ("generation = 3\n", "generation must be a table"),
        ("[filter]\nrouge = 1\n", "filter.rouge must be a table"),
        ("a = " + "[" * 5000, "not valid TOML"),
        ("seed = " + "9" * 5000, "not valid TOML"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_mistake_with_its_place(text: str, says: str, load: Loader) -> None:
    (line,) = load.mistakes(text)
    assert "alpacakit.toml" in line and says in line


def test_a_config_file_that_is_not_there_is_a_mistake(load: Loader) -> None:
    (line,) = load.mistakes(file=load.folder / "nowhere.toml")
    assert "nowhere.toml: No such file or directory" in line


def test_a_file_that_is_not_utf8_is_a_mistake(load: Loader) -> None:
    (load.folder / "alpacakit.toml").write_bytes(b"seed = '\xff'")
    assert "not valid UTF-8 at byte 8" in load.mistakes()[0]


@pytest.mark.parametrize("item", ["seed", "=3", "filter.short=3", "sk-abc"])
def test_set_without_key_or_value_is_a_mistake(item: str, load: Loader) -> None:
    (line,) = load.mistakes(sets=[item])
    assert "KEY=VALUE" in line and "sk-abc" not in line


@pytest.mark.parametrize(
    "arguments",
    [{"sets": ["trainer.student=\udcff"]}, {"environ": {"ALPACAKIT_STUDENT": "\udcff"}}, {"flags": {"seed": "\udcff"}}],
)
def test_bytes_that_are_no_text_are_a_mistake(arguments: dict[str, Any], load: Loader) -> None:
    (line,) = load.mistakes(**arguments)
    assert "not valid UTF-8" in line


def test_a_long_value_is_told_shortly(load: Loader) -> None:
    (line,) = load.mistakes(flags={"seed": "x" * 10_000})
    assert len(line) < 200


# Secrets


@pytest.mark.parametrize(
    ("key", "secret"),
    [
        *(("teacher.api_key", True), ("teacher.auth_token", True), ("teacher.client_secret", True)),
        *(("x.password", True), ("apikey", True), ("api-key", True), ("keys", True)),
        *(("generation.max_tokens", False), ("filter.rouge.tokenizer", False), ("filter.keywords.words", False)),
        *(("trainer.micro_tokens", False), ("seed", False)),
    ],
)
def test_which_keys_are_secret(key: str, secret: bool) -> None:
    assert is_secret(key) is secret


@pytest.mark.parametrize("value", ["3", '["SECRETVALUE"]', "{SECRETVALUE = 1}", '"refused"', '"SECRETVALUE"'])
def test_the_value_of_a_secret_key_is_never_repeated(value: str, load: Loader) -> None:
    text = f"[teacher]\nname = 'rich'\ntemperature = 9.0\napi_key = {value}\n[generation]\napi_key = {value}\n"
    told = "\n".join(load.mistakes(text))
    assert "api_key" in told
    assert "SECRETVALUE" not in told and "refused" not in told


def test_a_key_in_the_configuration_is_sent_to_the_environment(load: Loader) -> None:
    (line,) = load.mistakes(flags={"teacher.name": "rich"}, sets=["teacher.rich_token=sk-1"])
    assert "the environment variable RICH_KEY" in line and "sk-1" not in line


def test_no_secret_is_written(load: Loader) -> None:
    config = load(
        flags={"teacher.name": "rich"},
        sets=["teacher.api_key=sk-12345", "teacher.base_url=https://me:pass@host/v1", 'teacher.stop=["ftp://u:p@h"]'],
    )
    text = to_toml(config)
    assert not re.search("sk-12345|me:pass|u:p", text)
    assert tomllib.loads(text)["teacher"]["base_url"] == "https://host/v1"


def test_a_rejected_address_is_told_without_its_password(load: Loader) -> None:
    (line,) = load.mistakes(flags={"teacher.name": "rich"}, sets=["teacher.mode=http://me:pass@host"])
    assert "pass" not in line and "http://host" in line


@given(st.text(), st.text(alphabet="abc.:/@ "))
def test_without_userinfo_keeps_addresses_without_one(text: str, more: str) -> None:
    assert without_userinfo(f"http://host/{more.replace('@', '').replace('://', '')}").startswith("http://host/")
    assert "://u:p@" not in without_userinfo(f"{text} http://u:p@host")


# The TOML of a run

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
FLOATS = st.floats(0.001, 1e9)


@st.composite
def choices(draw: st.DrawFn) -> dict[str, Any]:
    """Flags with valid values of all kinds."""
    optional = st.none() | st.just("none")
    some = {
        "seed": st.integers(0, 2**32 - 1),
        "generation.num_examples": st.integers(1, 10**12),
        "generation.timeout": FLOATS,
        "generation.budget": FLOATS | optional | st.just(math.inf),
        "generation.max_rpm": st.integers(1) | optional,
        "generation.seed_tasks": st.sampled_from(["", "a.jsonl", "/b/c d.jsonl", "ü/ñ.jsonl"]),
        "generation.filters": st.sampled_from([["alpaca"], ["nested"], ["plain", "short"], []]),
        "teacher.name": st.sampled_from(["rich", "keen"]),
        "teacher.model": TEXTS.map(toml_value),
        "teacher.temperature": st.floats(0, 2),
        "teacher.top_p": FLOATS | optional,
        "teacher.stop": st.lists(TEXTS, max_size=3),
        "teacher.cache": st.booleans(),
        "teacher.record": st.sampled_from(["r.jsonl", "/r.jsonl"]),
        "trainer.name": st.sampled_from(["local", "other", "none"]),
        "trainer.student": TEXTS.map(toml_value),
        "trainer.steps": st.integers() | optional,
    }
    keys = draw(st.sets(st.sampled_from(sorted(some))))
    return {"teacher.name": "rich"} | {key: draw(some[key]) for key in sorted(keys)}


@settings(max_examples=150)
@given(flags=choices())
def test_the_toml_of_a_configuration_loads_back_to_it(flags: dict[str, Any], load: Loader) -> None:
    config = load(flags=flags)
    text = to_toml(config)
    again = load(file=load.write(text, "run.toml"))
    assert again == config
    assert {key: item.value for key, item in again.values.items()} == {k: v.value for k, v in config.values.items()}
    assert to_toml(again) == text


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_the_toml_of_a_part_loads_back_too(stage: Any, load: Loader) -> None:
    needs = frozenset({stage})
    config = load(needs=needs)
    assert load(file=load.write(to_toml(config), "run.toml"), needs=needs) == config


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
).filter(lambda value: value is not None)
KEYS = (
    st.sampled_from([*known_keys(), *TABLES, "filter", "filter.short", "filter.short.limit", "teacher.model"]) | TEXTS
)


def junk_toml(items: dict[str, Any]) -> str:
    lines = []
    for key, value in items.items():
        name = ".".join(part if re.fullmatch(r"\w+", part, re.ASCII) else toml_value(part) for part in key.split("."))
        lines.append(f"{name} = {value.isoformat() if hasattr(value, 'isoformat') else toml_value(value)}")
    return "\n".join(lines)


@settings(max_examples=300)
@given(
    text=st.dictionaries(KEYS, JUNK, max_size=6).map(junk_toml) | st.text(),
    teacher=st.sampled_from(["procedural", "rich"]),
)
def test_junk_is_a_configuration_error_or_nothing(text: str, teacher: str, load: Loader) -> None:
    (load.folder / "alpacakit.toml").write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        load(flags={"teacher.name": teacher})
    except AlpacaError as exc:
        assert isinstance(exc, ConfigError | MissingError)


@settings(max_examples=200)
@given(key=KEYS, text=st.text())
def test_junk_in_set_and_variables_is_a_configuration_error_or_nothing(key: str, text: str, load: Loader) -> None:
    for arguments in ({"sets": [f"{key}={text}"]}, {"environ": {f"ALPACAKIT_{key.replace('.', '__').upper()}": text}}):
        try:
            load("", flags={"prompt.name": "self-instruct"}, **arguments)
        except AlpacaError as exc:
            assert isinstance(exc, ConfigError | MissingError)


def test_a_bundled_chain_means_its_own_filters_whatever_others_are_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Installing a plugin that has a filter of a bundled one's name changes nothing for those who do not name it."""
    monkeypatch.syspath_prepend(tmp_path)
    source = "@hookimpl\ndef alpaca_filters():\n    return [FilterSpec(name={!r}, target='a:B', summary='')]\n"
    for name in ("rouge", "alpaca"):
        distributions.write(tmp_path, f"alpacakit-{name}", source.format(name))
    host = PluginHost()
    assert {"alpacakit-rouge", "alpacakit-alpaca"} <= set(host.versions())
    flags = {"teacher.name": "openai"}
    config = load_config(host, flags=flags, folder=tmp_path, environ={})
    assert {host.owner(chosen.spec).distribution for chosen in config.filters} == {"alpacakit"}
    with pytest.raises(ConfigError, match="offered by 2 plugins"):
        load_config(host, flags=flags | {"generation.filters": ("rouge",)}, folder=tmp_path, environ={})
    chosen = load_config(host, flags=flags | {"generation.filters": ("alpacakit-rouge:rouge",)}, environ={}).filters
    assert host.owner(chosen[0].spec).distribution == "alpacakit-rouge"


def test_config_is_compared_by_what_it_says_not_by_where_it_was_said(load: Loader) -> None:
    assert load(flags={"seed": "0"}) == load()
    assert load(flags={"seed": "1"}) == replace(load(), seed=1)
