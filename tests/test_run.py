"""The main job, end to end, on the command line: seed tasks in, a trained and measured model out."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from alpaca_core.marks import Mark, add_mark, key

pytestmark = pytest.mark.slow

CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("ALPACAKIT_", "OPENAI_"))}


def alpacakit(*words: str | Path, code: int = 0, **environ: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "alpaca_core", *map(str, words)],
        env={**CLEAN, "HF_HUB_OFFLINE": "1", **environ},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


def rows(path: Path) -> list[dict]:
    return json.loads(path.read_text())


SMALL = ("-n", "600", "--set", "trainer.max_steps=12", "--set", "evaluation.max_new_tokens=16")


@pytest.fixture(scope="module")
def practice(tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A practice run, cut short."""
    out = tmp_path_factory.mktemp("practice") / "run"
    return out, alpacakit("run", "--out", out, *SMALL)


def test_the_practice_run_leaves_a_complete_run_folder(practice):
    out, _ = practice
    names = {
        "run.toml",
        "run.db",
        "alpaca_data.json",
        "heldout.json",
        "rejected.jsonl",
        "summary.json",
        "model",
        "report.html",
    }
    assert names <= {entry.name for entry in out.iterdir()}


def test_the_summary_holds_the_keys_that_stay_and_its_counts_add_up(practice):
    out, _ = practice
    summary = json.loads((out / "summary.json").read_text())
    assert summary["status"] == "done"
    made, trained, scores = summary["generation"], summary["training"], summary["evaluation"]
    assert made.keys() >= {"requests", "replies", "prompt_tokens", "completion_tokens", "cost_usd", "seconds"}
    assert made["kept"] == 600 == len(rows(out / "alpaca_data.json")) + len(rows(out / "heldout.json"))
    assert made["candidates"] == made["kept"] + sum(made["rejected"].values())
    assert trained.keys() >= {"strategy", "world_size", "steps", "tokens", "final_loss", "seconds"}
    assert scores["before"]["exact_match"] <= 0.05
    assert set(scores["after"]["by_family"]) == {row["family"] for row in rows(out / "heldout.json")}


def test_no_held_out_row_is_trained_on(practice):
    out, _ = practice
    train = {(row["instruction"], row["input"]) for row in rows(out / "alpaca_data.json")}
    assert not train & {(row["instruction"], row["input"]) for row in rows(out / "heldout.json")}
    assert all(row.keys() == {"instruction", "input", "output"} for row in rows(out / "alpaca_data.json"))


def test_every_row_that_was_trained_on_can_be_followed_by_its_id(practice):
    out, _ = practice
    losses = [json.loads(line) for line in (out / "row_losses.jsonl").read_text().splitlines()]
    heldout = {row["id"] for row in rows(out / "heldout.json")}
    answers = [json.loads(line) for line in (out / "samples.jsonl").read_text().splitlines()]
    assert {of["id"] for of in answers} <= heldout and not heldout & {of["id"] for of in losses}
    of = losses[-1]
    said = json.loads(alpacakit("trace", of["id"], "--run", out, "--json").stdout)
    assert {name: said[name] for name in ("instruction", "input", "output")} == rows(out / "alpaca_data.json")[
        of["row"]
    ]
    assert {"epoch": of["epoch"], "loss": of["loss"], "tokens": of["tokens"]} in said["losses"]


def test_the_last_screen_says_that_it_was_practice_and_what_to_type_next(practice):
    _, done = practice
    assert "PRACTICE RUN" in done.stdout
    assert "alpacakit run --teacher openai --trainer fsdp" in done.stdout
    for family in {row["family"] for row in rows(practice[0] / "heldout.json")}:
        assert family in done.stdout


def test_the_model_is_stamped_as_practice(practice):
    assert "not by a language model" in (practice[0] / "model" / "README.md").read_text()


def test_the_model_loads_with_plain_from_pretrained_and_renders_the_alpaca_prompt(practice):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(practice[0] / "model")
    words = AutoTokenizer.from_pretrained(practice[0] / "model")
    assert 0.5e6 < model.num_parameters() < 2e6
    prompt = words.apply_chat_template(
        [{"role": "user", "content": "Sort the list.", "input": "b, a"}], tokenize=False, add_generation_prompt=True
    )
    assert prompt.endswith("### Instruction:\nSort the list.\n\n### Input:\nb, a\n\n### Response:")


def test_chat_and_evaluate_take_the_run_folder(practice, tmp_path):
    out, _ = practice
    alpacakit("chat", out, "--prompt", "Write the plural of these words: cat, dog.")
    alpacakit("evaluate", out / "model", "--data", out / "heldout.json", "--out", tmp_path / "scores.json")
    scores = json.loads((tmp_path / "scores.json").read_text())
    summary = json.loads((out / "summary.json").read_text())
    assert scores["n"] == len(rows(out / "heldout.json"))
    assert scores["exact_match"] == pytest.approx(summary["evaluation"]["after"]["exact_match"], abs=0.02)


def test_a_model_that_has_learnt_too_little_is_not_accepted_and_the_run_has_done_its_work(practice):
    out, done = practice
    found = json.loads((out / "summary.json").read_text())["acceptance"]
    refused = [check["name"] for check in found["checks"] if check["passed"] is False]
    assert not found["accepted"] and "stops" in refused and not found["broken"]
    assert {"loads", "template", "reload", "base"} <= {check["name"] for check in found["checks"] if check["passed"]}
    assert f"NOT ACCEPTED: {', '.join(refused)} failed" in done.stdout
    assert ", accept 0:" in done.stdout


def test_a_run_whose_model_is_not_usable_ends_with_1(practice, tmp_path, capsys):
    """The verdict is read from the journal: here one of a model whose file was cut short."""
    from alpaca_core.cli.main import main
    from alpaca_core.store import Store

    out = shutil.copytree(practice[0], tmp_path / "run")
    store = Store(out / "run.db")
    (name,) = [name for (name,) in store.rows("SELECT key FROM meta") if name.startswith("acceptance of")]
    check = {"name": "loads", "passed": False, "said": "it has 5 bytes", "broken": True, "advice": "Get it again."}
    store.set(name, json.dumps({"accepted": False, "broken": True, "checks": [check], "seconds": 1.0}))
    store.close()
    assert main(["run", "--out", str(out), *SMALL]) == 1
    said = capsys.readouterr().out
    assert "loads  FAILED  it has 5 bytes" in said and "NOT ACCEPTED: loads failed, of 1 checks." in said


def test_the_same_command_again_does_nothing_and_shows_the_same(practice):
    out, first = practice
    weights = (out / "model" / "model.safetensors").stat().st_mtime_ns
    again = alpacakit("run", "--out", out, *SMALL)
    assert (out / "model" / "model.safetensors").stat().st_mtime_ns == weights
    assert again.stdout == first.stdout


def test_an_acceptance_is_of_the_held_out_rows_as_marks_leave_them(practice, tmp_path):
    """The trained rows stay as they are, so nothing is trained: every held-out output is made a short one, and the
    right answers vary no more."""
    out = shutil.copytree(practice[0], tmp_path / "run")
    for row in rows(out / "heldout.json"):
        texts = (row["instruction"], row["input"], row["output"])
        add_mark(out / "edits.jsonl", Mark("edit", key(*texts), output="Yes."))
    before = json.loads((out / "summary.json").read_text())
    alpacakit("run", "--out", out, *SMALL)
    after = json.loads((out / "summary.json").read_text())
    assert after["training"]["seconds"] == before["training"]["seconds"]
    assert {row["output"] for row in rows(out / "heldout.json")} == {"Yes."}
    limits = [
        next(check["limit"] for check in found["acceptance"]["checks"] if check["name"] == "constant")
        for found in (before, after)
    ]
    assert limits[0] < 1 and limits[1] == 1


def test_other_training_settings_train_anew_on_the_same_data(practice):
    out, _ = practice
    data = (out / "alpaca_data.json").read_bytes()
    alpacakit("run", "--out", out, *SMALL, "--set", "trainer.max_steps=3")
    assert json.loads((out / "summary.json").read_text())["training"]["steps"] == 3
    assert (out / "alpaca_data.json").read_bytes() == data


def test_the_owners_command_goes_from_seed_tasks_to_a_sharded_model_and_its_scores(provider, tmp_path):
    server = provider()
    done = alpacakit(
        *("run", "--teacher", "openai", "--trainer", "fsdp", "-n", "60", "--student", "new:tiny"),
        *("--set", "trainer.processes=2", "--set", "trainer.device=cpu", "--set", "trainer.max_steps=2"),
        *("--set", "trainer.batch_size=8", "--set", "evaluation.max_new_tokens=8", "--out", tmp_path / "run"),
        OPENAI_BASE_URL=server.url,
        OPENAI_API_KEY="x",
    )
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert "FSDPModule x 2" in done.stderr
    assert (summary["training"]["strategy"], summary["training"]["world_size"]) == ("fsdp2", 2)
    assert summary["evaluation"]["heldout"] == 6


def test_what_is_missing_for_training_is_told_before_the_teacher_is_asked(provider, tmp_path):
    server = provider()
    blocked = tmp_path / "sitecustomize.py"
    blocked.write_text("import sys\nsys.modules['accelerate'] = None\n")
    done = alpacakit(
        *("run", "--teacher", "openai", "-n", "20", "--out", tmp_path / "run"),
        code=3,
        PYTHONPATH=str(tmp_path),
        OPENAI_BASE_URL=server.url,
        OPENAI_API_KEY="x",
    )
    assert "pip install 'alpacakit[fsdp]'" in done.stderr
    assert server.stats()["requests"] == 0


def test_a_run_without_a_trainer_ends_with_the_dataset(tmp_path):
    out = tmp_path / "run"
    alpacakit("run", "--trainer", "none", "-n", "40", "--out", out)
    assert len(rows(out / "alpaca_data.json")) + len(rows(out / "heldout.json")) == 40
    assert not (out / "model").exists()
