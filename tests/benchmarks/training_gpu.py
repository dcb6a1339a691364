"""A LLaMA of 6.7 billion parameters with random weights on one GPU, over real lengths: tokens/s, MFU, memory, and what
the published recipe (52,002 rows, 3 epochs) would take.

    python tests/benchmarks/training_gpu.py --data rows.json
    python tests/benchmarks/training_gpu.py --data rows.json --only default --steps 30

It takes a GPU of 141 GB, as much free disk as three checkpoints (250 GB; see --scratch), and is not for a CPU. The
published code, on the same GPU and the same rows, has micro-batches of 4 padded examples, as its command says; where it
runs out of memory it is reported and left out. Arguments are those of ``training.py``, with other defaults.
"""

from __future__ import annotations

import argparse
import json
from statistics import median

import training

ROWS, EPOCHS = 52_002, 3


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    training.add_arguments(parser)
    parser.set_defaults(
        size="4096x32",
        vocabulary=32_000,
        device="cuda",
        dtype="bfloat16",
        batch_size=128,
        steps=12,
        warm_up=4,
        only="published,alpaca-2023,default",
    )
    given = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("This benchmark needs a GPU, and PyTorch finds none.")
    runs, names = training.run_all(given)
    rows = json.loads(given.data.read_text())
    print(f"\n{torch.cuda.get_device_name()}, torch {torch.__version__}, {len(rows):,} rows\n")
    print(training.table(runs, names))
    print("\n| | MFU | the recipe, minutes |\n|---|---|---|")
    for name in names:
        mine = [run for run in runs if run["contender"] == name]
        if mine:
            speed = median(run["tokens_per_second"] for run in mine)
            minutes = ROWS * EPOCHS * mine[0]["mean_tokens"] / speed / 60
            mfu = [run["mfu"] for run in mine if run.get("mfu")]
            print(f"| {name} | {median(mfu):.1%} | {minutes:.0f} |" if mfu else f"| {name} | - | {minutes:.0f} |")
    if given.json:
        given.json.write_text(json.dumps(runs, indent=1) + "\n")


if __name__ == "__main__":
    main()
