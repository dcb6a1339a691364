"""``alpacakit export`` of data: files of each form, a dataset folder with its card, other trainers' configurations."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import pytest
import yaml
from alpaca_fsdp.options import LocalOptions
from alpaca_fsdp.recipes import PUBLISHED
from alpaca_templates.alpaca import AlpacaTemplate

from alpaca_core import Example
from alpaca_core.cli.main import main
from alpaca_core.sharing import peerconfigs

HOSTILE = {
    "instruction": "Close it: ``` </style><script>alert(1)</script> | # no heading\n---",
    "input": "",
    "output": "\u202eright to left",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A practice run with held-out rows."""
    out = tmp_path_factory.mktemp("runs") / "practice"
    assert main(["run", "--trainer", "none", "-n", "300", "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def folder(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("shared") / "data"
    assert main(["export", str(run), "--out", str(out), "--license", "cc0-1.0"]) == 0
    return out


def rows(path: Path) -> list[dict]:
    return json.loads(path.read_text())


def exported(source: Path, out: Path, *flags: str) -> str:
    assert main(["export", str(source), "--out", str(out), *flags]) == 0
    return out.read_text()


def test_alpaca_is_the_file_of_the_run_to_the_byte(run, tmp_path):
    for name in ("by-suffix.json", "by-format.json"):
        exported(run, tmp_path / name, *(["--format", "alpaca"] if "format" in name else []))
        assert (tmp_path / name).read_bytes() == (run / "alpaca_data.json").read_bytes()


def test_sharegpt_and_messages_as_trainers_read_them(tmp_path):
    source = tmp_path / "rows.json"
    source.write_text(json.dumps([{"instruction": "Add.", "input": "1, 2", "output": "3", "id": "x"}]))
    assert json.loads(exported(source, tmp_path / "s.json", "--format", "sharegpt")) == [
        {
            "conversations": [{"from": "human", "value": "Add.\n\n1, 2"}, {"from": "gpt", "value": "3"}],
            "input": "1, 2",
            "id": "x",
        }
    ]
    assert json.loads(exported(source, tmp_path / "m.jsonl", "--format", "messages")) == {
        "messages": [{"role": "user", "content": "Add.\n\n1, 2"}, {"role": "assistant", "content": "3"}],
        "input": "1, 2",
        "id": "x",
    }


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--out", "rows.csv", "--format", "sharegpt"], "Use --out rows.json"),
        (["--out", "rows.json.gz"], "Use --out rows.json"),
        (["--out", "there.json"], "there.json exists already"),
        (["--out", "there"], "there exists already"),
        (["--out", "there", "--config", "trl"], "there exists already"),
        ([], "--out PATH is missing"),
        (["--push", "me"], "--push takes ORG/NAME"),
        (["--push", 'me/x"y', "--dry-run"], "--push takes ORG/NAME"),
        (["--push", "me/x", "--format", "csv"], "--push takes a dataset folder or a model"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_changes(run, tmp_path, monkeypatch, capsys, flags, says):
    monkeypatch.chdir(tmp_path)
    Path("there").mkdir()
    for file in ("there.json", "there/mine"):
        Path(file).write_text("mine")
    assert main(["export", str(run), *flags]) == 2
    assert says in capsys.readouterr().err
    assert sorted(str(path) for path in Path().rglob("*")) == ["there", "there.json", "there/mine"]
    assert Path("there.json").read_text() == Path("there/mine").read_text() == "mine"


@pytest.mark.parametrize("flags", [["--out", "a.json"], ["--out", "a"], ["--out", "a", "--config", "trl"]])
def test_a_run_without_rows_is_refused_and_nothing_written(run, tmp_path, monkeypatch, capsys, flags):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(run, "bare")
    Path("bare/alpaca_data.json").write_text("[]")
    assert main(["export", "bare", *flags]) == 2
    assert "bare holds no rows to export" in capsys.readouterr().err and [str(path) for path in Path().iterdir()] == [
        "bare"
    ]


DAMAGED = [
    (name, content, flags)
    for name, content in (
        ("summary.json", b'{"generation": {"kept": 1}}'),
        ("summary.json", b"[]"),
        ("run.toml", b"\xff"),
    )
    for flags in ([], ["--config", "trl"])
    if not flags or name == "run.toml"
]


@pytest.mark.parametrize(("name", "content", "flags"), DAMAGED)
def test_a_damaged_record_of_a_run_is_named_and_nothing_written(run, tmp_path, capsys, name, content, flags):
    damaged = shutil.copytree(run, tmp_path / "damaged")
    (damaged / name).write_bytes(content)
    assert main(["export", str(damaged), "--out", str(tmp_path / "out"), *flags]) == 2
    assert name in capsys.readouterr().err and [path.name for path in tmp_path.iterdir()] == ["damaged"]


def test_a_dry_run_lists_the_files_and_writes_nothing(run, tmp_path, capsys):
    assert main(["export", str(run), "--push", "me/x", "--dry-run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["pushed"] is None and told["out"] is None
    assert sorted(told["files"]) == [
        "README.md",
        "data/test-00000-of-00001.parquet",
        "data/train-00000-of-00001.parquet",
    ]
    assert all(told["files"].values())


def test_the_folder_loads_with_datasets_as_it_is(run, folder, tmp_path, monkeypatch):
    from datasets import Value, config, load_dataset

    monkeypatch.setattr(config, "HF_HUB_OFFLINE", True)
    loaded = load_dataset(str(folder), cache_dir=str(tmp_path))
    assert list(loaded) == ["train", "test"]
    for split in loaded.values():
        assert split.features == {name: Value("string") for name in ("instruction", "input", "output")}
    assert loaded["train"].to_list() == rows(run / "alpaca_data.json")
    heldout = [{name: row[name] for name in ("instruction", "input", "output")} for row in rows(run / "heldout.json")]
    assert loaded["test"].to_list() == heldout and heldout


@pytest.mark.parametrize("form", ["sharegpt", "messages"])
def test_each_conversation_file_loads_with_datasets(run, tmp_path, form):
    from datasets import load_dataset

    file = tmp_path / "rows.parquet"
    assert main(["export", str(run), "--out", str(file), "--format", form]) == 0
    loaded = load_dataset("parquet", data_files=str(file), split="train", cache_dir=str(tmp_path))
    (turns,) = {"conversations", "messages"} & set(loaded.column_names)
    assert len(loaded) == len(rows(run / "alpaca_data.json"))
    assert {tuple(turn) for turn in loaded[0][turns]} in ({("from", "value")}, {("role", "content")})


def card(folder: Path) -> tuple[dict, str]:
    _, head, text = (folder / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(head), text


def test_the_head_of_the_card_is_what_the_hub_reads(run, folder):
    from huggingface_hub import DatasetCard

    head, _ = card(folder)
    assert head["license"] == "cc0-1.0" and head["language"] == ["en"] and head["size_categories"] == ["n<1K"]
    files = {of["split"]: of["path"] for of in head["configs"][0]["data_files"]}
    assert files == {"train": "data/train-*", "test": "data/test-*"}
    assert DatasetCard((folder / "README.md").read_text()).data.license == "cc0-1.0"


def test_the_card_tells_what_the_run_knows(run, folder):
    _, text = card(folder)
    summary = json.loads((run / "summary.json").read_text())
    done = summary["generation"]
    assert summary["notice"] in text and "| cost | $0.00 |" in text
    assert f"held {done['candidates']:,} tasks. {done['kept']:,} were kept" in text
    for name, count in done["rejected"].items():
        assert f"| {name} | {count:,} | " in text
    for told in ("60 seed tasks that come with alpacakit", "`procedural`", "`self-instruct`", "No language model"):
        assert told in " ".join(text.split())
    assert str(run.parent) not in text and "/" + str(Path.home()).strip("/") not in text


ODD = ["a: b", "'q' \"d\" \\", "no", "1e5", "2024-01-01", "#x", "- x", "tab\tx", "\x1b\x7f\x9f", "\ufeff~"]


@pytest.mark.parametrize("name", ODD)
def test_whatever_a_dataset_is_called_its_card_has_a_head(tmp_path, name):
    source = tmp_path / f"{name}\n---\nlicense: mit.json"
    source.write_text(json.dumps([HOSTILE]))
    assert main(["export", str(source), "--out", str(tmp_path / "out"), "--license", f"{name}\nx"]) == 0
    head, text = card(tmp_path / "out")
    title = " ".join(source.stem.split())
    assert head["pretty_name"] == title and head["license"] == f"{name}\nx" and f"\n# {title}\n" in text


def test_a_card_shows_the_start_of_a_long_first_row(tmp_path):
    source = tmp_path / "rows.json"
    source.write_text(json.dumps([{"instruction": "Write on.", "input": "", "output": "word " * 10_000}]))
    assert main(["export", str(source), "--out", str(tmp_path / "out")]) == 0
    text = card(tmp_path / "out")[1]
    assert "Write on." in text and "word \\u2026" in text and len(text) < 5_000


def test_rejections_are_told_with_their_reasons(run, folder):
    _, text = card(folder)
    rejected = [json.loads(line) for line in (run / "rejected.jsonl").read_text().splitlines()]
    similar = sum(row["filter"] == "rouge" for row in rejected)
    assert similar and f"| rouge | {similar:,} | N like … ({similar:,}) |" in text


def test_the_card_of_a_provider_s_answers_names_terms_cost_and_no_address(run, tmp_path):
    theirs = shutil.copytree(run, tmp_path / "openai")
    teacher = 'name = "openai"\nmodel = "gpt-6-luna"\nbase_url = "http://10.0.0.7:8000/v1"'
    config = (run / "run.toml").read_text().replace('name = "procedural"', teacher)
    (theirs / "run.toml").write_text(config)
    summary = json.loads((run / "summary.json").read_text()) | {"teacher": "openai", "notice": ""}
    summary["generation"]["cost_usd"] = 1.25
    summary["selection"] = {"cost_usd": 0.5}
    (theirs / "summary.json").write_text(json.dumps(summary))
    assert main(["export", str(theirs), "--out", str(tmp_path / "data")]) == 0
    _, text = card(tmp_path / "data")
    assert "| cost | $1.75 |" in text and "https://openai.com/policies" in text
    assert "spoken to at another server" in text and "the terms of that server" in text
    assert "10.0.0.7" not in text and "What a language model wrote can be wrong" in text


def test_a_file_without_a_run_says_what_is_not_known(tmp_path):
    source = tmp_path / "rows.json"
    source.write_text(json.dumps([HOSTILE]))
    assert main(["export", str(source), "--out", str(tmp_path / "data")]) == 0
    head, text = card(tmp_path / "data")
    assert head["license"] == "unknown" and "language" not in head
    assert "without a record of how they were made" in text and "No licence was chosen" in text
    before, block, _ = text.split("````")
    assert "<script>" in block and "<script>" not in before, "what a teacher wrote stays inside its fence"


@pytest.fixture(scope="module")
def configs(run, tmp_path_factory):
    place = tmp_path_factory.mktemp("configs")
    for tool in peerconfigs.TOOLS:
        flags = ["--config", tool, "--student", "some/student"]
        assert main(["export", str(run), "--out", str(place / tool), *flags]) == 0
    return place


EACH = "per_device_train_batch_size"
KEYS = {  # rate, epochs, batch, schedule, warm-up, length
    "trl": ("learning_rate", "num_train_epochs", EACH, "lr_scheduler_type", "warmup_steps", "max_length"),
    "llama-factory": ("learning_rate", "num_train_epochs", EACH, "lr_scheduler_type", "warmup_ratio", "cutoff_len"),
    "axolotl": ("learning_rate", "num_epochs", "micro_batch_size", "lr_scheduler", "warmup_ratio", "sequence_len"),
}


@pytest.mark.parametrize("tool", KEYS)
def test_the_numbers_of_other_trainers_are_those_of_ours(configs, tool):
    (file,) = (configs / tool).glob("*.yaml")
    config, ours = yaml.safe_load(file.read_text()), LocalOptions()
    rate, epochs, at_once, schedule, warmup, length = (config[key] for key in KEYS[tool])
    assert (rate, schedule, warmup) == (PUBLISHED["learning_rate"], PUBLISHED["schedule"], PUBLISHED["warmup"])
    assert (epochs, at_once * config["gradient_accumulation_steps"]) == (ours.epochs, ours.batch_size)
    assert (length, config["weight_decay"], config["max_grad_norm"]) == (ours.max_length, 0.0, ours.max_grad_norm)
    assert "some/student" in (config.get("model_name_or_path"), config.get("base_model"))


def test_the_prompts_of_trl_and_axolotl_are_ours(run, configs):
    template = AlpacaTemplate()
    assert (configs / "trl" / "chat_template.jinja").read_text() == template.jinja
    asked = [json.loads(line) for line in (configs / "trl" / "train.jsonl").read_text().splitlines()]
    prompt = yaml.safe_load((configs / "axolotl" / "train.yaml").read_text())["datasets"][0]["type"]
    for row, messages in zip(rows(run / "alpaca_data.json"), asked, strict=True):
        assert messages["prompt"] == [{"role": "user", "content": row["instruction"], "input": row["input"]}]
        assert messages["completion"] == [{"role": "assistant", "content": row["output"]}]
        form = prompt["format" if row["input"] else "no_input_format"]
        assert form.format(**row) == template.prompt(Example(row["instruction"], row["input"], ""))


@pytest.mark.parametrize("tool", ["llama-factory", "axolotl"])
def test_the_rows_of_llama_factory_and_axolotl_are_the_file_of_the_run(run, configs, tool):
    assert (configs / tool / "train.json").read_bytes() == (run / "alpaca_data.json").read_bytes()


def test_llama_factory_finds_the_rows(configs):
    folder = configs / "llama-factory"
    config = yaml.safe_load((folder / "train.yaml").read_text())
    info = json.loads((folder / "dataset_info.json").read_text())[config["dataset"]]
    assert config["dataset_dir"] == "." and (folder / info["file_name"]).is_file()
    assert info["columns"] == {"prompt": "instruction", "query": "input", "response": "output"}


def test_a_student_that_is_a_folder_is_found_from_the_new_folder_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("rows.json").write_text(json.dumps([HOSTILE]))
    Path("student").mkdir()
    for flags, name in ((["--student", "student"], str(tmp_path / "student")), ([], peerconfigs.STUDENT)):
        out = Path(f"out-{len(flags)}")
        assert main(["export", "rows.json", "--config", "trl", "--out", str(out), *flags]) == 0
        assert yaml.safe_load((out / "sft.yaml").read_text())["model_name_or_path"] == name


def test_a_failure_leaves_no_folder_behind():
    with tempfile.TemporaryDirectory() as place:
        source = Path(place) / "rows.json"
        source.write_text(json.dumps([HOSTILE, {"instruction": "no output"}]))
        for flags in ([], ["--config", "axolotl"]):
            assert main(["export", str(source), "--out", str(Path(place) / "out"), *flags]) == 2
        assert [path.name for path in Path(place).iterdir()] == ["rows.json"]
