"""Whether alpacakit's win rates are AlpacaEval's: on its published annotations, beside its package.

    python -m venv ae && ae/bin/pip install alpaca_eval
    git clone https://github.com/tatsu-lab/alpaca_eval
    python tests/benchmarks/winrate.py --alpaca-eval alpaca_eval --python ae/bin/python        three models
    python tests/benchmarks/winrate.py … --models all --full                                   all that are there

PATH is a clone, with or without a work tree. For each model the table has the win rate of the leaderboard, of the
package and of alpacakit, and the length-controlled rate in its minimal form. ``--full`` adds the full form. The
difficulty file that the package downloads is not in its repository, so both get the same stand-in, drawn at random: the
figures of the full form compare two programs and say nothing of a model.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

from alpaca_core.versus.annotations import read_annotations
from alpaca_core.versus.lengthcontrol import length_controlled, read_difficulty
from alpaca_core.versus.winrate import win_rate

JUDGE = "weighted_alpaca_eval_gpt4_turbo"
LEADERBOARD = f"src/alpaca_eval/leaderboards/data_AlpacaEval_2/{JUDGE}_leaderboard.csv"
MODELS = ("alpaca-7b", "vicuna-7b", "NullModel")
FORMS = ("length_controlled_minimal", "length_controlled_v1")
PACKAGE = """
import json, sys, time, warnings
warnings.simplefilter("ignore")
import pandas
from alpaca_eval.metrics import glm_winrate
standin, forms, *files = sys.argv[1:]
glm_winrate.hf_hub_download = lambda **_: standin
for file in files:
    found = {}
    for form in forms.split(","):
        begun = time.perf_counter()
        rows = pandas.read_json(file)
        metrics = glm_winrate.get_length_controlled_winrate(
            rows, glm_name=form, save_weights_dir=None, is_warn_extreme_changes=False
        )
        found[form] = {name: float(value) for name, value in metrics.items()}
        found[form]["seconds"] = time.perf_counter() - begun
    print("RESULT", json.dumps(found))
"""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--alpaca-eval", type=Path, required=True, metavar="PATH", help="a clone of its repository")
    arguments.add_argument("--python", default=sys.executable, help="the Python that has alpaca_eval installed")
    arguments.add_argument("--models", nargs="+", default=list(MODELS), help="their names in results/, or all")
    arguments.add_argument("--full", action="store_true", help="the full form too, with a stand-in")
    asked = arguments.parse_args()
    leaderboard = {
        row[""]: row for row in csv.DictReader(io.StringIO(content(asked.alpaca_eval, LEADERBOARD).decode()))
    }
    with tempfile.TemporaryDirectory() as scratch:
        standin = stand_in(Path(scratch) / "standin.csv")
        files = {}
        for model in published(asked.alpaca_eval) if asked.models == ["all"] else asked.models:
            files[model] = Path(scratch) / f"{model}.json"
            files[model].write_bytes(content(asked.alpaca_eval, f"results/{model}/{JUDGE}/annotations.json"))
        forms = FORMS if asked.full else FORMS[:1]
        theirs = package(asked.python, standin, forms, list(files.values()))
        ours = {model: alpacakit(file, standin, forms) for model, file in files.items()}
    show(leaderboard, dict(zip(files, theirs, strict=True)), ours, forms)


# ── the two programs ──────────────────────────────────────────────────────────────────────────────────────────────


def package(python: str, standin: Path, forms: tuple[str, ...], files: list[Path]) -> list[dict[str, Any]]:
    done = subprocess.run(
        [python, "-c", PACKAGE, str(standin), ",".join(forms), *map(str, files)], capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"alpaca_eval failed in {python}: pip install alpaca_eval there.\n{done.stderr[-2000:]}")
    return [json.loads(line[7:]) for line in done.stdout.splitlines() if line.startswith("RESULT ")]


def alpacakit(file: Path, standin: Path, forms: tuple[str, ...]) -> dict[str, Any]:
    found = {}
    for form in forms:
        begun = time.perf_counter()
        annotations = read_annotations(file)
        rate = win_rate(annotations)
        controlled = length_controlled(annotations, read_difficulty(standin) if form == FORMS[1] else None)
        found[form] = {
            **rate.as_dict(),
            "length_controlled_winrate": controlled.win_rate,
            "lc_standard_error": controlled.standard_error or 0.0,
            "seconds": time.perf_counter() - begun,
        }
    return found


def stand_in(path: Path) -> Path:
    """A file in the form of ``df_gamed.csv``: two models on 805 instructions, drawn at random."""
    random = Random(1)
    difficulty = [random.gauss(0, 1) for _ in range(805)]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["index", "model", "instruction_difficulty", "preference", "std_delta_len", "not_gamed_baseline"]
        )
        for model, lean in (("concise", 1.0), ("verbose", -1.0)):
            for index, hard in enumerate(difficulty):
                delta = random.gauss(lean, 1)
                preference = 1 / (1 + math.exp(0.9 * math.tanh(delta) - 0.3 * hard + random.gauss(0, 2)))
                writer.writerow([index, model, hard, preference, delta, False])
    return path


# ── the published files ───────────────────────────────────────────────────────────────────────────────────────────


def content(repository: Path, name: str) -> bytes:
    """A file of the repository, from its work tree or its last commit."""
    if (repository / name).is_file():
        return (repository / name).read_bytes()
    found = subprocess.run(["git", "-C", str(repository), "show", f"HEAD:{name}"], capture_output=True)
    if found.returncode:
        sys.exit(f"{repository} has no {name}")
    return found.stdout


def published(repository: Path) -> list[str]:
    """The models whose annotations are there; the largest files may be missing from a partial clone."""
    listing = subprocess.run(
        ["git", "-C", str(repository), "ls-tree", "-r", "-l", "HEAD", "results"],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", "GIT_NO_LAZY_FETCH": "1"},
    ).stdout
    entries = (line.split("\t") for line in listing.splitlines())
    paths = [path.split("/") for details, path in entries if details.split()[3].isdecimal()]
    return sorted(path[1] for path in paths if path[2:] == [JUDGE, "annotations.json"])


# ── the table ─────────────────────────────────────────────────────────────────────────────────────────────────────


def show(leaderboard: dict[str, Any], theirs: dict[str, Any], ours: dict[str, Any], forms: tuple[str, ...]) -> None:
    names = ["model", "leaderboard", "package", "alpacakit"]
    for form in forms:
        names += [f"{form.removeprefix('length_controlled_')}: package", "alpacakit"]
    print(" | ".join(names))
    print(" | ".join("---" for _ in names))
    worst = dict.fromkeys(("leaderboard", "package", *forms, "lc_standard_error"), 0.0)
    for model, found in ours.items():
        rate, other = found[forms[0]]["win_rate"], theirs[model][forms[0]]["win_rate"]
        listed = float(leaderboard[model]["win_rate"]) if model in leaderboard else math.nan
        cells = [model, f"{listed:.6f}", f"{other:.6f}", f"{rate:.6f}"]
        worst["package"] = max(worst["package"], abs(rate - other))
        if model in leaderboard:
            worst["leaderboard"] = max(worst["leaderboard"], abs(rate - listed))
        for form in forms:
            pair = [side[form]["length_controlled_winrate"] for side in (theirs[model], found)]
            cells += [f"{value:.6f}" for value in pair]
            worst[form] = max(worst[form], abs(pair[0] - pair[1]))
            errors = [side[form]["lc_standard_error"] for side in (theirs[model], found)]
            worst["lc_standard_error"] = max(worst["lc_standard_error"], abs(errors[0] - errors[1]))
        print(" | ".join(cells))
    print()
    for name, value in worst.items():
        print(f"largest difference, {name}: {value:.1e}")
    for form in forms:
        took = [sum(side[model][form]["seconds"] for model in ours) / len(ours) for side in (theirs, ours)]
        print(
            f"seconds a file, reading and an interval included, {form}: package {took[0]:.2f}, alpacakit {took[1]:.2f}"
        )


if __name__ == "__main__":
    main()
