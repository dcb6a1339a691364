"""The practice run, measured: ``python tests/benchmarks/practice.py --out DIR`` runs it for three seeds and prints the
scores by family.

With ``--validation`` the held-out rows are not looked at: the student trains on a part of the training rows and is
scored on the rest of them. That is how the recipe was chosen, on seeds from 100; the seeds 0, 1 and 2 are for the
figures that are reported.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from statistics import mean
from typing import Any

from alpaca_procedural import alpaca_teachers
from alpaca_procedural.teacher import nearest_family

from alpaca_core.evaluate import most_frequent, nearest
from alpaca_core.records import Example

VALIDATION = 20  # rows of each family
MARGIN = 0.2  # a family counts as learned this far above both baselines


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--out", type=Path, required=True, help="folder for the runs; must not exist yet")
    arguments.add_argument("--seeds", type=int, nargs="+", default=None, help="default: 0 1 2, or 100 101 102")
    arguments.add_argument("--validation", action="store_true", help="score on rows carved from the training rows")
    arguments.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as for alpacakit run")
    asked = arguments.parse_args()
    seeds = asked.seeds or ([100, 101, 102] if asked.validation else [0, 1, 2])
    asked.out.mkdir(parents=True)
    measure = validate if asked.validation else run
    results = []
    for seed in seeds:
        begun = time.monotonic()
        evaluation, training = measure(asked.out / str(seed), seed, asked.set)
        took = time.monotonic() - begun
        results.append(evaluation)
        print(
            f"seed {seed}: {evaluation['after']['exact_match']:.1%} exact match, {took:.0f} s in all; training "
            f"{training['steps']} steps, {training['seconds']:.0f} s, {training['tokens'] / training['seconds']:,.0f} "
            f"tokens/s, {training['parameters']:,} parameters",
            flush=True,
        )
    table(results)


def run(folder: Path, seed: int, sets: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The product's own run: evaluation and training as its summary has them."""
    alpacakit("run", "--out", folder, "--seed", seed, *settings(sets))
    summary = json.loads((folder / "summary.json").read_text())
    return summary["evaluation"], summary["training"]


def validate(folder: Path, seed: int, sets: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same with ``VALIDATION`` rows of each family taken out of the run's training rows."""
    alpacakit("run", "--out", folder, "--seed", seed, "--trainer", "none", *settings(sets))
    rows = json.loads((folder / "alpaca_data.json").read_text())
    parts: dict[str, list[dict[str, str]]] = {"train": [], "validation": []}
    taken: Counter[str] = Counter()
    for row in rows:
        family = nearest_family(row["instruction"])
        taken[family] += 1
        parts["validation" if taken[family] <= VALIDATION else "train"].append(row | {"family": family})
    for name, part in parts.items():
        (folder / f"{name}.json").write_text(json.dumps(part))
    (teacher,) = alpaca_teachers()
    recipe = [f"{key}={value}" for key, value in teacher.defaults.items() if key.startswith("trainer.")]
    trained, scores = folder / "trained", folder / "scores.json"
    alpacakit("train", folder / "train.json", "--out", trained, "--seed", seed, *settings([*recipe, *sets]))
    scores.unlink(missing_ok=True)
    alpacakit("evaluate", trained / "model", "--data", folder / "validation.json", "--out", scores)
    train, held = ([Example(**row_of(row)) for row in parts[name]] for name in ("train", "validation"))
    evaluation = {
        "after": json.loads(scores.read_text()),
        "baselines": {"most_frequent": most_frequent(train, held).as_dict(), "nearest": nearest(train, held).as_dict()},
    }
    return evaluation, json.loads((trained / "summary.json").read_text())["training"]


def row_of(row: dict[str, str]) -> dict[str, str]:
    return {name: row[name] for name in ("instruction", "input", "output")} | {"label": row["family"]}


def settings(sets: list[str]) -> list[str]:
    return [word for item in sets for word in ("--set", item)]


def alpacakit(*words: object) -> None:
    """The installed command, in a process of its own; its talk is shown only when it fails."""
    command = [sys.executable, "-m", "alpaca_core", *map(str, words)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}")


def table(results: list[dict[str, Any]]) -> None:
    """By family: rows a seed, then shares as means over the seeds, the worst first; and the spread in all."""
    columns: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for result in results:
        scores = {"before": result.get("before"), **result["baselines"], "after": result["after"]}
        for column, score in scores.items():
            for family, row in (score or {"by_family": {}})["by_family"].items():
                columns[family][column].append(row["exact_match"])
                columns[family]["n"].append(row["n"])
            if score:
                columns["all"][column].append(score["exact_match"])
                columns["all"]["n"].append(score["n"])
    print(f"\n{'':18}{'n':>5}{'before':>9}{'most frequent':>15}{'nearest':>9}{'after':>8}")
    learned = 0
    for family in sorted(columns, key=lambda family: (family == "all", mean(columns[family]["after"]))):
        cells = columns[family]
        share = {name: mean(cells[name]) for name in ("before", "most_frequent", "nearest", "after") if cells[name]}
        above = share["after"] - max(share["most_frequent"], share["nearest"]) >= MARGIN
        learned += above and family != "all"
        before = f"{share['before']:.0%}" if "before" in share else "-"
        print(
            f"{family:18}{mean(cells['n']):5.0f}{before:>9}{share['most_frequent']:>15.0%}{share['nearest']:>9.0%}"
            f"{share['after']:>8.0%}{'' if above else '   not learned'}"
        )
    every = [result["after"]["exact_match"] for result in results]
    print(f"\nall: mean {mean(every):.1%}, from {min(every):.1%} to {max(every):.1%} over {len(every)} seeds")
    print(f"{learned} of {len(columns) - 1} families are {MARGIN:.0%} above both baselines")


if __name__ == "__main__":
    main()
