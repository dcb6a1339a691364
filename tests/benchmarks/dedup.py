"""Near-duplicate filtering: speed, agreement and growth, beside other ways to do it, on the same data in one run.

    python tests/benchmarks/dedup.py alpaca.json
    python tests/benchmarks/dedup.py alpaca.json --only growth --sizes 52002 1000000
    python tests/benchmarks/dedup.py alpaca.json --only check

Takes rows with an ``instruction`` (a JSON list); peers that are not installed are left out with a line. Larger sets are
made from these rows: see ``recombined``. Prints Markdown. Seconds are of CPU, of this process and its children.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from random import Random

from alpaca_rouge.index import RougeIndex
from alpaca_rouge.tokens import rouge_tokens
from dedup_peers import (
    brute_force,
    datasketch,
    ours,
    published,
    rensa,
    set_similarity_search,
    text_dedup,
)

THRESHOLDS = (0.4, 0.5, 0.6, 0.65, 0.7)
PAIRED = 2_000  # texts of the published loop


def recombined(texts: Sequence[str], n: int, seed: int = 0) -> Iterator[str]:
    """``n`` instructions made of the words of ``texts``.

    72 % go from one text to another at a word that both have, twice or three times; 28 % are a text with words
    replaced, removed or put in: two to four (18 %), or none to two (10 %).
    """
    rng = Random(seed)
    split = [words for text in texts if 3 <= len(words := text.split()) <= 60]
    vocabulary = [word for words in split for word in words]
    at: dict[str, list[tuple[list[str], int]]] = {}
    for words in split:
        for i, word in enumerate(words[1:-1], start=1):
            at.setdefault(word.lower(), []).append((words, i))
    for _ in range(n):
        kind = rng.random()
        words = rng.choice(split)
        if kind < 0.72:
            made: list[str] = []
            start = 0
            for _ in range(rng.choice((2, 3))):
                if start + 2 >= len(words):
                    break
                i = rng.randrange(start + 1, len(words) - 1)
                made += words[start:i]
                words, start = rng.choice(at[words[i].lower()])
            words = made + words[start:]
        else:
            words = words.copy()
            for _ in range(rng.randint(2, 4) if kind < 0.90 else rng.randint(0, 2)):
                i = rng.randrange(len(words))
                edit = rng.random()
                if edit < 0.6:
                    words[i] = rng.choice(vocabulary)
                elif edit < 0.8 and len(words) > 3:
                    del words[i]
                else:
                    words.insert(i, rng.choice(vocabulary))
        yield " ".join(words)


def cpu() -> float:
    return sum(os.times()[:4])


def line(*cells: object) -> None:
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def head(*cells: str) -> None:
    line(*cells)
    line(*["---"] * len(cells))


# -- speed and agreement


def compare(name: str, texts: list[list[str]], threshold: float, python: str) -> None:
    """One table: all methods on ``texts``, against the decisions of the brute force."""
    started = cpu()
    paired = published(texts[:PAIRED], threshold)
    seconds = cpu() - started
    # Its cost goes with the pairs: of each text with those kept before.
    pairs, all_pairs = 0, 0
    started = cpu()
    exact = brute_force(texts, threshold)
    brute = cpu() - started
    assert paired == exact[: len(paired)], "the brute force decides otherwise than rouge_score's own loop"
    kept = 0
    for i, keep in enumerate(exact):
        all_pairs += kept
        pairs += kept if i < PAIRED else 0
        kept += keep
    fitted = seconds * all_pairs / max(pairs, 1)
    print(f"\n{name}, threshold {threshold}: {len(texts):,} texts, {exact.count(False):,} rejected\n")
    head("method", "seconds", "of the published loop", "recall", "precision")
    line(f"published loop (measured on {min(PAIRED, len(texts)):,}: {seconds:.1f} s)", f"{fitted:,.0f}", "1", "1", "1")
    line("rapidfuzz, every pair", f"{brute:.2f}", f"1/{fitted / brute:,.0f}", "1", "1")
    ours(1)(texts[:100], threshold)  # compiles, or loads what was compiled
    methods = {
        "SetSimilaritySearch at J, verified": set_similarity_search,
        "datasketch 128, J": datasketch(),
        "datasketch 128, J, verified": datasketch(verified=True),
        "datasketch 42 x 3, verified": datasketch((42, 3), verified=True),
        "datasketch 64 x 2, verified": datasketch((64, 2), verified=True),
        "rensa 32 bands, J": rensa(32),
        "rensa 32 bands, verified": rensa(32, verified=True),
        "rensa 64 bands, verified": rensa(64, verified=True),
        "text-dedup, J": text_dedup(python),
        "**alpacakit**": ours(None),
        "**alpacakit, compiled**": ours(1),
    }
    for method, decide in methods.items():
        started = cpu()
        try:
            decisions = decide(texts, threshold)
        except (ImportError, RuntimeError) as exc:
            print(f"{method}: left out ({exc})", file=sys.stderr)
            continue
        seconds = cpu() - started
        both = sum(not a and not b for a, b in zip(exact, decisions, strict=True))
        shares = [f"{both / n:.3f}" if n else "none" for n in (exact.count(False), decisions.count(False))]
        line(method, f"{seconds:.2f}", f"1/{fitted / seconds:,.0f}", *shares)


# -- growth


def grow(texts: Sequence[str], n: int, compile_from: int | None) -> None:
    """One size in this process, from text on: prints its figures as JSON."""
    index = RougeIndex(0.7, compile_from)
    made = recombined(texts, n)
    spent = rejected = 0
    wall = 0.0
    while batch := [*islice(made, 1000)]:
        started, began = cpu(), time.perf_counter()
        for text in batch:
            tokens = rouge_tokens(text)
            if index.find(tokens) is None:
                index.add(tokens)
            else:
                rejected += 1
        spent += cpu() - started
        wall += time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps([spent, wall, rejected, index.comparisons / n, peak, index.compiled]))


def growth(path: Path, sizes: list[int]) -> None:
    print("\nRecombined instructions, threshold 0.7, from text on, one by one\n")
    head("", "texts", "rejected", "CPU s", "wall s", "us each", "compared, each", "peak MB", "exponent")
    for name, compile_from in (("Python", "never"), ("compiled", "1")):
        first: tuple[int, float] | None = None
        for n in sizes:
            command = [sys.executable, __file__, str(path), "--only", "grow", "--sizes", str(n), "--from", compile_from]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            seconds, wall, rejected, compared, peak, compiled = json.loads(done.stdout)
            if compile_from == "1" and not compiled:
                print("compiled: left out (numba is not installed)", file=sys.stderr)
                break
            exponent = f"{math.log(seconds / first[1]) / math.log(n / first[0]):.2f}" if first else ""
            first = first or (n, seconds)
            each = f"{seconds / n * 1e6:.0f}"
            line(
                name,
                f"{n:,}",
                f"{rejected:,}",
                f"{seconds:.1f}",
                f"{wall:.1f}",
                each,
                f"{compared:.1f}",
                peak,
                exponent,
            )


# -- decisions


def check(texts: list[list[str]]) -> None:
    """Are the decisions those of the brute force, and of rouge_score's own loop on the first texts?"""
    print(f"\nDecisions that differ, of {len(texts):,} (of the first {PAIRED:,} for the published loop)\n")
    head("threshold", "rejected", "Python / brute force", "compiled / brute force", "Python / published loop")
    for threshold in THRESHOLDS:
        exact = brute_force(texts, threshold)
        paired = published(texts[:PAIRED], threshold)
        pure, compiled = (ours(compile_from)(texts, threshold) for compile_from in (None, 1))
        pairs = ((pure, exact), (compiled, exact), (pure[:PAIRED], paired))
        differ = [sum(a != b for a, b in zip(*pair, strict=True)) for pair in pairs]
        line(threshold, f"{exact.count(False):,}", *differ)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("data", type=Path, help="JSON list of rows with an instruction")
    arguments.add_argument("--only", choices=("compare", "check", "growth", "grow"))
    arguments.add_argument("--sizes", type=int, nargs="+", default=[52_002, 200_000, 1_000_000])
    arguments.add_argument("--from", dest="compile_from", default="never", help=argparse.SUPPRESS)
    arguments.add_argument("--text-dedup", default=sys.executable, metavar="PYTHON", help="the one that has text-dedup")
    given = arguments.parse_args()
    texts = [row["instruction"] for row in json.loads(given.data.read_text(encoding="utf-8"))]
    tokens = [rouge_tokens(text) for text in texts]
    if given.only == "grow":
        grow(texts, given.sizes[0], None if given.compile_from == "never" else int(given.compile_from))
    if given.only in (None, "compare"):
        compare("Real instructions", tokens, 0.7, given.text_dedup)  # they passed this rule once: none is rejected
        compare("Real instructions", tokens, 0.6, given.text_dedup)
        made = [rouge_tokens(text) for text in recombined(texts, len(texts))]
        compare("Recombined instructions", made, 0.7, given.text_dedup)
    if given.only in (None, "check"):
        check(tokens)
    if given.only in (None, "growth"):
        growth(given.data, given.sizes)


if __name__ == "__main__":
    main()
