"""Whether two filters help, on practice data of which a share is damaged.

    python tests/benchmarks/ablation.py --out DIR       prints the tables of docs/filters.md

The practice teacher computes its answers, so what is right is known. In one copy of its rows a share of the outputs is
``N/A`` or the like, in another a share is wrong: the right answer to another task of the same kind. ``no-output`` is
ablated on the first, ``quality`` on the second. The judge is a server on loopback that looks the right answer up and
gives a high grade or a low one, but errs for a share of the rows, as judges do. The held-out rows are not damaged.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from statistics import mean
from typing import Any

from alpaca_procedural.teacher import nearest_family

NOTHING = ("N/A", "<nooutput>", "None.", "")
MEASURES = ("exact_match", "rouge_l")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--out", type=Path, required=True, help="folder for data and models; goes on in an old one")
    arguments.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments.add_argument("--rows", type=int, default=4000, help="practice rows, the held-out ones among them")
    arguments.add_argument("--steps", type=int, default=1000, help="of each training")
    arguments.add_argument("--share", type=float, default=0.3, help="damaged rows")
    arguments.add_argument("--noise", type=float, default=0.15, help="rows that the judge grades like the other kind")
    asked = arguments.parse_args()
    results = defaultdict(list)
    for seed in asked.seeds:
        folder = asked.out / str(seed)
        rows, heldout = practice(folder, seed, asked.rows)
        for name, damage in (("no-output", nothing), ("quality", wrong)):
            data = folder / f"{name}.json"
            data.write_text(json.dumps(damage(rows, asked.share, seed)))
            begun = time.monotonic()
            report = ablate(name, data, heldout, folder / name, rows, asked, seed)
            results[name].append(report)
            show(name, seed, report, time.monotonic() - begun)
    print()
    for name, reports in results.items():
        table(name, reports)


# ── data ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def practice(folder: Path, seed: int, rows: int) -> tuple[list[dict[str, str]], Path]:
    """The practice teacher's training rows, and the file with its held-out ones."""
    run = folder / "run"
    alpacakit("run", "--out", run, "--seed", seed, "-n", rows, "--trainer", "none")
    return json.loads((run / "alpaca_data.json").read_text()), run / "heldout.json"


def nothing(rows: list[dict[str, str]], share: float, seed: int) -> list[dict[str, str]]:
    """A copy in which a share of the outputs says that there is none."""
    rng = Random(f"nothing/{seed}")
    return [row | {"output": rng.choice(NOTHING)} if rng.random() < share else row for row in rows]


def wrong(rows: list[dict[str, str]], share: float, seed: int) -> list[dict[str, str]]:
    """A copy in which a share of the outputs is right for another task of the same kind only."""
    rng = Random(f"wrong/{seed}")
    answers: dict[str, list[str]] = defaultdict(list)
    kinds = [nearest_family(row["instruction"]) for row in rows]
    for kind, row in zip(kinds, rows, strict=True):
        answers[kind].append(row["output"])
    damaged = []
    for kind, row in zip(kinds, rows, strict=True):
        others = [answer for answer in answers[kind] if answer != row["output"]]
        damaged.append(row | {"output": rng.choice(others)} if others and rng.random() < share else row)
    return damaged


# ── the judge ─────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def judge(rows: list[dict[str, str]], noise: float) -> Iterator[str]:
    """A server that speaks Chat Completions and grades answers to ``rows``; gives its address."""
    right = {(row["instruction"], row["input"]): row["output"] for row in rows}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.reply({"object": "list", "data": [{"id": "judge", "object": "model", "created": 0, "owned_by": ""}]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            text = grade(body["messages"][-1]["content"], right, noise)
            message = {"role": "assistant", "content": text}
            usage = {"prompt_tokens": 300, "completion_tokens": 10, "total_tokens": 310}
            choice = {"index": 0, "finish_reason": "stop", "message": message}
            self.reply({"id": "", "object": "chat.completion", "model": "judge", "choices": [choice], "usage": usage})

        def reply(self, content: dict[str, Any]) -> None:
            data = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()


def grade(prompt: str, right: dict[tuple[str, str], str], noise: float) -> str:
    """From 3.5 on for a right answer, to 2.5 for a wrong one; the other way round for a share of the rows."""
    parts = dict(re.findall(r"<(instruction|input|answer)>\n(.*?)\n</\1>", prompt, re.DOTALL))
    good = right[parts["instruction"], parts.get("input", "")] == parts["answer"]
    rng = Random(prompt)
    if rng.random() < noise:
        good = not good
    score = rng.choice((3.5, 4, 4.5, 5) if good else (0, 1, 2, 2.5))
    return f"{score}\n{'As it should be.' if good else 'That is not the answer.'}"


# ── ablations ─────────────────────────────────────────────────────────────────────────────────────────────────────


def ablate(
    name: str, data: Path, heldout: Path, out: Path, rows: list[dict[str, str]], asked: Any, seed: int
) -> dict[str, Any]:
    """The report of ``alpacakit filter --ablate``, with the practice run's recipe."""
    recipe = {"trainer.batch_size": 32, "trainer.learning_rate": 2e-3, "trainer.max_steps": asked.steps}
    words: list[object] = ["filter", data, "--filter", name, "--ablate", name, "--heldout", heldout, "--out", out]
    words += ["--trainer", "local", "--student", "new:tiny", "--seed", seed, "--json"]
    if name != "quality":
        return json.loads(alpacakit(*words, **recipe))
    with judge(rows, asked.noise) as address:
        recipe |= {"teacher.base_url": address, "filter.quality.keep": 1 - asked.share}
        return json.loads(alpacakit(*words, "--teacher", "openai", "--model", "judge", **recipe))


def alpacakit(*words: object, **sets: object) -> str:
    """The installed command's output; its talk is shown only when it fails."""
    settings = [word for key, value in sets.items() for word in ("--set", f"{key}={value}")]
    command = [sys.executable, "-m", "alpaca_core", *map(str, words), *settings]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OPENAI_API_KEY": "none"})
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


# ── tables ────────────────────────────────────────────────────────────────────────────────────────────────────────


def show(name: str, seed: int, report: dict[str, Any], seconds: float) -> None:
    scores = ", ".join(f"{part} {of['exact_match']:.1%} ({of['rouge_l']:.3f})" for part, of in report["sets"].items())
    counts = ", ".join(f"{part} {count:,}" for part, count in report["rows"].items())
    steps = {of["training"]["steps"] for of in report["sets"].values()}
    print(f"{name}, seed {seed}: {counts}; steps {steps}; exact match (ROUGE-L): {scores}; {seconds:.0f} s", flush=True)


def table(name: str, reports: list[dict[str, Any]]) -> None:
    """In Markdown: a line for each seed, and the means."""
    print(f"| `{name}` | rows kept / dropped | kept | random | dropped | kept − random | kept − dropped |")
    print("|---|---|---|---|---|---|---|")
    for measure, text, times in (("exact_match", "exact match, %", 100), ("rouge_l", "ROUGE-L", 1)):
        places = 1 if times == 100 else 3
        for report in reports:
            rows = report["rows"]
            scores = [f"{report['sets'][part][measure] * times:.{places}f}" for part in ("kept", "random", "dropped")]
            gains = [interval(report["differences"][f"kept - {of}"][measure], times, places) for of in OTHERS]
            counts = f"{rows['kept']:,} / {rows['dropped']:,}"
            print(f"| {text}, seed {report['seed']} | {counts} | {' | '.join([*scores, *gains])} |")
        scores = [
            f"{mean(report['sets'][part][measure] for report in reports) * times:.{places}f}"
            for part in ("kept", "random", "dropped")
        ]
        gains = [
            f"{mean(report['differences'][f'kept - {of}'][measure]['mean'] for report in reports) * times:+.{places}f}"
            for of in OTHERS
        ]
        print(f"| {text}, mean | | {' | '.join([*scores, *gains])} |")
    print()


OTHERS = ("random", "dropped")


def interval(of: dict[str, float], times: int, places: int) -> str:
    found, low, high = (f"{of[end] * times:+.{places}f}" for end in ("mean", "low", "high"))
    return f"{found} ({low} to {high})"


if __name__ == "__main__":
    main()
