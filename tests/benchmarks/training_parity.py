"""Whether the preset alpaca-2023 is the published training, on real rows; and how much sooner rows are token ids.

    python tests/benchmarks/training_parity.py --data rows.json
    python tests/benchmarks/training_parity.py --data rows.json --processes 2 --loss micro-batches

Compared with the port of the published code in ``training_peers.py``: ids and labels of every row; the loss of every
step, through alpacakit's worker; and the seconds of preprocessing, turn by turn in one process. Exits 1 where ids
differ, or a loss by more than 1e-5.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import training
import training_peers as peers

TOLERANCE = 1e-5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a JSON list of rows with instruction, input, output")
    parser.add_argument("--size", default="64x2", metavar="WIDTHxLAYERS", help="the model (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=20, help="optimizer steps (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=32, help="examples of a step (default: %(default)s)")
    parser.add_argument("--micro-batch", type=int, default=4, help="per process and forward pass of the published code")
    parser.add_argument("--processes", type=int, default=1, help="of both: DDP there, FSDP2 here (default: 1)")
    parser.add_argument("--loss", default="tokens", choices=["tokens", "micro-batches"], help="see training_peers.py")
    parser.add_argument("--rounds", type=int, default=3, help="of preprocessing (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of a training (default: all)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base, _ = training.make_student(given.data, given.size, folder / "base")
        same = token_ids(given, base, folder)
        return 0 if losses(given, base, folder) and same else 1


def token_ids(given: argparse.Namespace, base: Path, folder: Path) -> bool:
    """Compare ids and labels, and time both ways in turn."""
    from alpaca_fsdp import cache, data, student

    template = data.load_template("alpaca_templates.alpaca:AlpacaTemplate", {})
    examples, rows = data.read(given.data), peers.rows({"data": given.data})
    _, words = student.load(base, pad_row=True)
    how = (examples, template, words, peers.MAX_LENGTH)
    file = folder / cache.NAME
    ways: dict[str, Any] = {
        "published": lambda: peers.preprocess(rows, words),
        "one pass": lambda: cache.tokenize(*how, "text"),
        "one pass, default encoding": lambda: cache.tokenize(*how, "ids"),
        "one pass, hashed and written": lambda: (file.unlink(missing_ok=True), cache.tokens(file, *how, "text"))[1],
        "read back": lambda: cache.tokens(file, *how, "text"),
    }
    found: dict[str, Any] = {}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(given.rounds):
        for name, way in ways.items():
            begun = time.perf_counter()
            found[name] = way()
            seconds[name].append(time.perf_counter() - begun)
    print(f"\npreprocessing {len(rows):,} rows, {given.rounds} rounds in turn, load {os.getloadavg()[0]:.1f}\n")
    print("| | median, s | least, s | x published |\n|---|---|---|---|")
    for name, each in seconds.items():
        ratio = median(slow / fast for slow, fast in zip(seconds["published"], each, strict=True))
        print(f"| {name} | {median(each):.2f} | {min(each):.2f} | {ratio:.2f} |")

    published = found["published"]
    same, merged = True, []
    for name in ("one pass", "read back"):
        tokens, _ = found[name]
        labels = [[peers.IGNORED] * each.prompt + each.ids[each.prompt :].tolist() for each in tokens]
        equal = [
            (ids.tolist(), label.tolist()) == (each.ids.tolist(), mine)
            for ids, label, each, mine in zip(published["input_ids"], published["labels"], tokens, labels, strict=True)
        ]
        print(f"\n{name}: ids and labels of {sum(equal):,} of {len(rows):,} rows are equal")
        same = same and all(equal)
    for row, (ids, text) in enumerate(zip(published["input_ids"], map(peers.prompt, rows), strict=True)):
        alone = words(text, truncation=True, max_length=peers.MAX_LENGTH)["input_ids"]
        if ids[: len(alone)].tolist() != alone:
            merged.append((row, rows[row]["output"][:20]))
    print(f"rows whose prompt is no prefix of the whole: {merged}")
    return same


def losses(given: argparse.Namespace, base: Path, folder: Path) -> bool:
    """Train both ways and compare the losses step by step."""
    job = {
        **{name: getattr(given, name) for name in ("steps", "batch_size", "micro_batch", "loss", "processes")},
        "warm_up": 1,
        "dtype": "float32",
        "device": "cpu",
        "base": str(base),
        "data": str(given.data.resolve()),
        "seed": 0,
        "learning_rate": 2e-4,
    }
    runs = [training.run(name, job, folder / name, given.threads, None) for name in ("published", "alpaca-2023")]
    if None in runs:
        return False
    there, here = (run["losses"] for run in runs)  # type: ignore[index]
    print(f"\n{runs[1]['ready']}; loss: {given.loss}\n")  # type: ignore[index]
    print("| step | published | alpaca-2023 | difference |\n|---|---|---|---|")
    for step, (old, new) in enumerate(zip(there, here, strict=True), start=1):
        print(f"| {step} | {old:.6f} | {new:.6f} | {new - old:+.1e} |")
    worst = max(abs(new - old) for old, new in zip(there, here, strict=True))
    print(f"\nlargest difference: {worst:.1e}, {'within' if worst <= TOLERANCE else 'ABOVE'} {TOLERANCE:g}")
    return worst <= TOLERANCE


if __name__ == "__main__":
    sys.exit(main())
