"""The ten most similar and the mean: every pair, as rouge_score scores it."""

from __future__ import annotations

import json
import subprocess
import sys
from random import Random

import pytest
from alpaca_rouge.similar import Similar, similar
from rouge_score import rouge_scorer, tokenize

np = pytest.importorskip("numpy", reason="numpy is not installed")

WORDS = "write list explain name sort the a of ten five cities rivers words poem story about in with and for".split()


def instructions(n: int) -> list[str]:
    rng = Random(19)
    return [" ".join(rng.choices(WORDS, k=rng.randint(0, 12))) for _ in range(n)]


def test_scores_and_means_are_those_of_the_rouge_score_package():
    seeds, rows = instructions(170)[:20], instructions(170)[20:]
    tokens = [tokenize.tokenize(text, None) for text in (*seeds, *rows)]
    for i, got in enumerate(similar(rows, seeds), start=len(seeds)):
        scores = [rouge_scorer._score_lcs(tokens[i], other).fmeasure for other in tokens[:i]]
        ranked = sorted(enumerate(scores), key=lambda each: (-each[1], -each[0]))
        assert got == Similar(rows[i - len(seeds)], float(np.mean(scores)), ranked[:10])


def test_the_first_row_has_nothing_before_it():
    first, second = similar(["Name ten rivers.", "Name ten rivers!"])
    assert first == Similar("Name ten rivers.", 0.0, [])
    assert second == Similar("Name ten rivers!", 1.0, [(0, 1.0)])


def test_the_command_writes_a_line_for_each_row_and_overwrites_nothing(tmp_path):
    (tmp_path / "rows.json").write_text(json.dumps([{"instruction": text} for text in ("Sort words.", "Sort rivers.")]))
    (tmp_path / "seeds.jsonl").write_text(json.dumps({"instruction": "Sort the rivers."}) + "\n")
    words = "-m alpaca_rouge.similar rows.json --seed-tasks seeds.jsonl --out similar.jsonl".split()
    subprocess.run([sys.executable, *words], cwd=tmp_path, check=True)
    rows = [json.loads(line) for line in (tmp_path / "similar.jsonl").read_text().splitlines()]
    assert [row["most"] for row in rows] == [[[0, 0.4]], [[0, 0.8], [1, 0.5]]]
    again = subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, text=True)
    assert again.returncode != 0 and "exists" in again.stderr
