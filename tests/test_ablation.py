"""``alpacakit filter --ablate``: the sets are a filter's, the trainings alike, the intervals right."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from alpaca_core.ablation import SETS, difference
from alpaca_core.evaluate import ask_model, evaluate, mark
from alpaca_core.records import Completion, Example

ANIMALS = "cat dog owl fox hen cow pig bee ant elk".split()
TINY = (
    *("--trainer", "local", "--student", "new:tiny", "--set", "trainer.device=cpu", "--set", "trainer.batch_size=8"),
    *("--set", "evaluation.heldout=12", "--set", "evaluation.max_new_tokens=16"),
)


def rows(n: int = 150) -> list[dict]:
    """Every third has no output, every tenth is about a map, which is not to be compared."""
    found = []
    for i in range(n):
        one, other = Random(i).sample(ANIMALS, 2)
        about = "map" if i % 10 == 9 else "list"
        answer = "N/A" if i % 3 == 2 else f"{one}, {other}"
        found.append({"instruction": f"Write a {about} of {one} and {other}, row {i}.", "input": "", "output": answer})
    return found


def data_in(folder: Path) -> Path:
    (folder / "data.json").write_text(json.dumps(rows()))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return data_in(tmp_path)


def command(*more: str, name: str = "no-output", out: str = "trial") -> list[str]:
    chain = ("--filter", "keywords", "--filter", "no-output")
    return [sys.executable, "-m", "alpaca_core", "filter", "data.json", *chain, "--ablate", name, "--out", out, *more]


def ablate(folder: Path, *more: str, code: int = 0, **given: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ALPACAKIT_")}
    done = subprocess.run(command(*more, **given), cwd=folder, env=environ, capture_output=True, text=True, timeout=280)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


def sets(folder: Path, out: str = "trial") -> dict[str, list[dict]]:
    return {name: json.loads((folder / out / f"{name}.json").read_text()) for name in (*SETS, "heldout")}


# ── the sets ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_row_is_kept_dropped_held_out_or_rejected_by_another_filter(folder):
    report = json.loads(ablate(folder, "--json").stdout)
    found = sets(folder)
    ids = [row["id"] for name in ("kept", "dropped", "heldout") for row in found[name]]
    assert len(ids) == len(set(ids)) == 150 - report["rows"]["others"]
    assert report["rows"]["others"] > 0 and len(found["heldout"]) == 15
    assert all(row["output"] == "N/A" for row in found["dropped"])
    assert all(row["output"] != "N/A" for row in found["kept"])
    assert not any("map" in row["instruction"] for name in SETS for row in found[name])
    numbers = {row["id"]: row["instruction"] for name in found for row in found[name]}
    assert all(instruction.endswith(f"row {int(id[4:]) - 1}.") for id, instruction in numbers.items())


def test_the_random_set_has_as_many_rows_as_are_kept_from_kept_and_dropped_by_the_seed(folder):
    ablate(folder)
    ablate(folder, out="again")
    ablate(folder, "--seed", "1", out="other")
    first, again, other = sets(folder), sets(folder, "again"), sets(folder, "other")
    assert first == again and first["random"] != other["random"]
    drawn = {row["id"] for row in first["random"]}
    assert len(drawn) == len(first["random"]) == len(first["kept"])
    assert drawn & {row["id"] for row in first["dropped"]} and drawn & {row["id"] for row in first["kept"]}
    assert drawn <= {row["id"] for name in ("kept", "dropped") for row in first[name]}


def test_rows_to_score_on_may_be_given_and_are_then_in_no_set(folder):
    given = [row | {"output": "right"} for row in rows()[:20]]
    (folder / "right.json").write_text(json.dumps(given))
    ablate(folder, "--heldout", "right.json")
    found = sets(folder)
    assert [row["instruction"] for row in found["heldout"]] == [row["instruction"] for row in given]
    asked = {row["instruction"] for row in given}
    assert not any(row["instruction"] in asked for name in SETS for row in found[name])


def test_a_chain_is_ablated_by_its_name_with_all_its_members(folder):
    more = ("--filter", "structure", "--ablate", "structure", "--out", "trial", "--json")
    done = subprocess.run([*command()[:5], *more], cwd=folder, capture_output=True, text=True)
    assert json.loads(done.stdout)["rows"]["dropped"] > 0, done.stderr


@pytest.mark.parametrize(
    ("more", "name", "text"),
    [
        ((), "rouge", "filter 'rouge' is not in the chain (keywords, no-output)"),
        ((), "no-otput", "Did you mean 'no-output'?"),
        (("--filter", "code"), "code", "There is nothing to compare: code rejected 0 of "),
        (("--rejected", "no.jsonl"), "no-output", "--rejected does not go with --ablate"),
        (("--student", "new:tiny"), "no-output", "this command has no use for [trainer]"),
        (("--trainer", "local", "--student", "new:tini"), "no-output", "new:tiny"),
        (("--trainer", "local", "--set", "evaluation.heldout=0"), "no-output", "There are no rows to score on"),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(folder, more, name, text):
    done = subprocess.run(command(*more, name=name), cwd=folder, capture_output=True, text=True)
    assert done.returncode in (2, 3) and text in done.stderr, done.stderr
    assert not list(folder.glob("trial/*.json"))


def test_the_sets_of_another_ablation_are_not_overwritten(folder):
    ablate(folder)
    before = sets(folder)
    done = ablate(folder, "--seed", "1", code=2)
    assert "holds the rows of another ablation" in done.stderr and sets(folder) == before
    ablate(folder)


# ── the intervals ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_interval_of_a_difference_is_that_of_its_standard_error():
    rng = Random(0)
    one = [float(rng.random() < 0.6) for _ in range(400)]
    other = [float(rng.random() < 0.4) for _ in range(400)]
    found = difference(one, other, seed=1)
    pairs = [a - b for a, b in zip(one, other, strict=True)]
    mean = sum(pairs) / len(pairs)
    error = (sum((pair - mean) ** 2 for pair in pairs) / len(pairs) ** 2) ** 0.5
    assert found.mean == pytest.approx(mean)
    assert found.low == pytest.approx(mean - 1.96 * error, abs=0.01)
    assert found.high == pytest.approx(mean + 1.96 * error, abs=0.01)
    assert difference(one, other, seed=1) == found


def test_rows_that_differ_alike_leave_no_doubt_and_pairs_count():
    found = difference([1.0] * 50, [0.0] * 50)
    assert (found.mean, found.low, found.high) == (1, 1, 1)
    marks = [float(Random(i).random() < 0.5) for i in range(100)]
    found = difference(marks, marks)
    assert (found.mean, found.low, found.high) == (0, 0, 0)


def test_the_interval_holds_the_true_difference_about_95_times_in_100():
    rng = Random(3)
    held = 0
    for trial in range(100):
        one = [float(rng.random() < 0.5) for _ in range(60)]
        other = [float(rng.random() < 0.3) for _ in range(60)]
        found = difference(one, other, seed=trial)
        held += found.low <= 0.2 <= found.high
    assert 88 <= held <= 100


def test_the_marks_of_rows_have_the_means_that_an_evaluation_has():
    class Echo:
        batch_size = 4

        def complete_many(self, requests):
            return [Completion(request.prompt, "stop" if request.k % 4 else "length") for request in requests]

    examples = [Example(f"Say {i}.", "", f"Say {i}." if i % 3 else "No, never.") for i in range(24)]
    marks = [mark(row, answer) for row, answer in zip(examples, ask_model(Echo(), examples), strict=True)]
    scores = evaluate(Echo(), examples)
    assert sum(exact for exact, _ in marks) / 24 == pytest.approx(scores.exact_match)
    assert sum(rouge for _, rouge in marks) / 24 == pytest.approx(scores.rouge_l)


# ── training ──────────────────────────────────────────────────────────────────────────────────────────────────────


SAVING = (*TINY, "--set", "trainer.epochs=1", "--set", "trainer.save_steps=4", "--json")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an ablation that ran to its end."""
    folder = data_in(tmp_path_factory.mktemp("whole"))
    (folder / "report.json").write_text(ablate(folder, *SAVING).stdout)
    return folder


@pytest.mark.slow
def test_all_three_sets_are_trained_on_for_as_many_steps_and_scored_on_the_same_rows(whole):
    report = json.loads((whole / "report.json").read_text())
    steps = {name: of["training"]["steps"] for name, of in report["sets"].items()}
    assert list(steps) == list(SETS) and len(set(steps.values())) == 1
    assert steps["dropped"] == -(-report["rows"]["kept"] // 8)
    scored = {name: json.loads((whole / "trial" / name / "scores.json").read_text())["rows"] for name in SETS}
    heldout = [row["id"] for row in sets(whole)["heldout"]]
    assert all([row["id"] for row in scored[name]] == heldout for name in SETS)
    for measure in ("exact_match", "rouge_l"):
        means = {name: sum(row[measure] for row in scored[name]) / len(heldout) for name in SETS}
        assert {name: of[measure] for name, of in report["sets"].items()} == pytest.approx(means)
        for other in ("random", "dropped"):
            found = report["differences"][f"kept - {other}"][measure]
            assert found["mean"] == pytest.approx(means["kept"] - means[other])
            assert found["low"] <= found["mean"] <= found["high"]
    assert json.loads((whole / "trial" / "ablation.json").read_text()) == report


@pytest.mark.slow
def test_a_killed_ablation_goes_on_where_it_was_and_other_settings_train_anew(whole, folder):
    process = subprocess.Popen(command(*SAVING), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not list(folder.glob("trial/random/checkpoints/step-*")):
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    models = {name: (folder / "trial" / name / "model").exists() for name in SETS}
    assert models == {"kept": True, "random": False, "dropped": False}
    kept = (folder / "trial" / "kept" / "model" / "model.safetensors").stat().st_mtime_ns
    done = ablate(folder, *SAVING)
    assert (folder / "trial" / "kept" / "model" / "model.safetensors").stat().st_mtime_ns == kept
    same, here = json.loads((whole / "report.json").read_text()), json.loads(done.stdout)
    assert here["differences"] == same["differences"]
    again = ablate(folder, *SAVING)
    assert json.loads(again.stdout)["differences"] == same["differences"] and "there already" in again.stderr
    other = json.loads(ablate(folder, *TINY, "--set", "trainer.max_steps=2", "--json").stdout)
    assert {of["training"]["steps"] for of in other["sets"].values()} == {2}  # other settings train anew
