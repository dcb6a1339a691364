"""How fast training is, in one run: the published code, transformers with length grouping, TRL, and alpacakit.

    python tests/benchmarks/training.py --data rows.json                           (some minutes; without TRL)
    python tests/benchmarks/training.py --data rows.json --trl ENV/bin/python --size 512x8 --steps 8 --rounds 3

All train the same new LLaMA (vocabulary 8,000, trained on the data) on the same rows for as many steps of as many
examples, each in a process of its own, one after another; every round begins with another one. Steps of the warm-up are
not timed. Tokens are those of the original examples, however a contender lays them out. Figures are medians over the
rounds; ratios are medians of the ratios to the published code in the same round. What the contenders are:
``training_peers.py``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from pathlib import Path
from statistics import mean, median
from typing import Any

import training_peers as peers

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    given = parser.parse_args()
    runs, names = run_all(given)
    about = {
        "data": f"{given.data.name}, {len(json.loads(given.data.read_text())):,} rows",
        "model": f"LLaMA {given.size}, {given.dtype}, {given.device}",
        "steps": f"{given.steps} of {given.batch_size} examples, {given.warm_up} not timed, {given.rounds} round(s)",
        "machine": f"{platform.machine()}, {given.threads} threads, Python {platform.python_version()}",
        "load": f"{runs[0]['load']:.1f} to {runs[-1]['load']:.1f}",
    }
    print("\n" + " · ".join(f"{name}: {text}" for name, text in about.items()) + "\n")
    print(table(runs, names))
    if given.json:
        given.json.write_text(json.dumps({"about": about, "runs": runs}, indent=1) + "\n")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="a JSON list of rows with instruction, input, output")
    parser.add_argument("--size", default="256x6", metavar="WIDTHxLAYERS", help="the model (default: %(default)s)")
    parser.add_argument("--vocabulary", type=int, default=8000, help="pieces of its tokenizer (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=5, help="optimizer steps (default: %(default)s)")
    parser.add_argument("--warm-up", type=int, default=1, help="of these not timed (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=32, help="examples of a step (default: %(default)s)")
    parser.add_argument("--micro-batch", type=int, default=4, help="examples of a padded batch (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=1, help="runs of each contender (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of each (default: all: %(default)s)")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"], help="for all alike")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"], help="where (default: %(default)s)")
    parser.add_argument("--loss", default="tokens", choices=["tokens", "micro-batches"], help="see training_peers.py")
    parser.add_argument("--trl", type=Path, metavar="PYTHON", help="an interpreter that has TRL; none: without TRL")
    parser.add_argument("--only", default=",".join(peers.CONTENDERS), help="these contenders, with commas between")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=JSON", help="an option of alpacakit's")
    parser.add_argument("--scratch", type=Path, metavar="DIR", help="for models and checkpoints")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run here")


def run_all(given: argparse.Namespace) -> tuple[list[dict[str, Any]], list[str]]:
    """Every run, and the contenders' names."""
    names = [name for name in given.only.split(",") if given.trl or not name.startswith("trl")]
    with tempfile.TemporaryDirectory(dir=given.scratch) as folder:
        return measure(given, names, Path(folder)), names


def measure(given: argparse.Namespace, names: list[str], folder: Path) -> list[dict[str, Any]]:
    """Every contender in every round. One that fails is reported and left out of that round."""
    base, mean_tokens = make_student(given.data, given.size, folder / "base", given.vocabulary)
    options = dict(pair.split("=", 1) for pair in given.set)
    job = {
        **{name: getattr(given, name) for name in ("steps", "warm_up", "batch_size", "micro_batch", "loss", "dtype")},
        "device": given.device,
        "base": str(base),
        "data": str(given.data.resolve()),
        "seed": 0,
        "learning_rate": 2e-4,
        "mean_tokens": mean_tokens,
        "options": {name: json.loads(text) for name, text in options.items()},
    }
    runs = []
    for round_ in range(given.rounds):
        turn = round_ % len(names)
        for name in names[turn:] + names[:turn]:
            found = run(name, job, folder / f"{round_}-{name}", given.threads, given.trl)
            if found:
                runs.append({"round": round_, "contender": name, "mean_tokens": mean_tokens, **found})
                print(f"round {round_ + 1}: {name}: {found['tokens_per_second']:,.0f} tokens/s", flush=True)
    return runs


def run(name: str, job: dict[str, Any], folder: Path, threads: int, trl: Path | None) -> dict[str, Any] | None:
    """One training in a process of its own; its result with the peak memory of the process or its largest child."""
    folder.mkdir()
    path = folder / "job.json"
    path.write_text(json.dumps({**job, "folder": str(folder)}))
    python = str(trl) if name.startswith("trl") else sys.executable
    env = dict(os.environ, OMP_NUM_THREADS=str(threads), HF_HUB_OFFLINE="1", HF_HOME=str(folder / "hf"))
    if job["device"] == "cpu":
        env["CUDA_VISIBLE_DEVICES"] = ""
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={job.get('processes', 1)}"]
    several = launch if job.get("processes", 1) > 1 and name in ("published", "grouped") else []
    load = os.getloadavg()[0]
    log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT)
    child = os.posix_spawn(
        python,
        [python, *several, str(HERE / "training_peers.py"), name, str(path)],
        env,
        file_actions=[(os.POSIX_SPAWN_DUP2, log, 1), (os.POSIX_SPAWN_DUP2, log, 2)],
    )
    os.close(log)
    _, status, used = os.wait4(child, 0)
    if status:
        said = (folder / "log").read_text(errors="replace").strip().splitlines()
        print(f"{name} failed:", *said[-8:], sep="\n    ", file=sys.stderr, flush=True)
        return None
    result = json.loads(path.with_suffix(".result.json").read_text())
    return {**result, "rss_gib": used.ru_maxrss / 2**20, "load": load}


def make_student(data: Path, size: str, folder: Path, vocabulary: int = 8000) -> tuple[Path, float]:
    """A random LLaMA and a tokenizer trained on the rows, without a pad token; and the mean length of a row."""
    import torch
    from alpaca_fsdp import tokenizer
    from transformers import LlamaConfig, LlamaForCausalLM

    width, layers = map(int, size.split("x"))
    rows = json.loads(data.read_text(encoding="utf-8"))
    texts = [peers.prompt(row) + row["output"] for row in rows]
    words = tokenizer.build(tokenizer.train([text for row in rows for text in row.values() if text], vocabulary))
    lengths = [len(ids) + 2 for ids in words(texts[:2000], add_special_tokens=False)["input_ids"]]
    words.pad_token = None
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=width,
        intermediate_size=8 * width // 3 // 16 * 16,
        num_hidden_layers=layers,
        num_attention_heads=max(1, width // 64),
        max_position_embeddings=1024,
        tie_word_embeddings=False,
    )
    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):  # billions of random numbers
        model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder, mean(min(length, peers.MAX_LENGTH) for length in lengths)


def table(runs: list[dict[str, Any]], names: list[str]) -> str:
    """The medians of each contender as Markdown."""
    lines = [
        "| | real tokens/s | x published | padding | preprocessing, s | RSS, GiB | GPU, GiB | first loss | last loss |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in names:
        mine = [run for run in runs if run["contender"] == name]
        if not mine:
            continue

        def middle(what: str, form: str, mine: Any = mine) -> str:
            values = [run[what] for run in mine if run[what] is not None]
            return format(median(values), form) if values else "-"

        ratios = [
            run["tokens_per_second"] / other["tokens_per_second"]
            for run in mine
            for other in runs
            if (other["round"], other["contender"]) == (run["round"], "published")
        ]
        cells = (
            name,
            middle("tokens_per_second", ",.0f"),
            f"{median(ratios):.2f}" if ratios else "-",
            middle("padding", ".1%"),
            middle("preprocessing", ".2f"),
            middle("rss_gib", ".2f"),
            middle("gpu_gib", ".2f"),
            f"{mine[-1]['losses'][0]:.6f}",
            f"{mine[-1]['losses'][-1]:.6f}",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
