"""Other ways to find near-duplicates, as functions: tokens and a threshold in, which texts are kept out.

A text is kept unless it is too much like one kept before. Peers that compare sets get each text as the set of its
tokens, the second "the" being another member, and the Jaccard similarity ``J = t / (2 - t)`` that ROUGE-L F above ``t``
implies. ``verified`` ones compute the LCS of what the peer proposes and reject by the rule itself. A peer that is not
installed raises ImportError.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from pathlib import Path

from alpaca_rouge.index import RougeIndex
from alpaca_rouge.rule import fmeasure
from rapidfuzz.distance import LCSseq

Texts = Sequence[Sequence[str]]
Method = Callable[[Texts, float], list[bool]]


def jaccard(threshold: float) -> float:
    return threshold / (2 - threshold)


def members(tokens: Sequence[str]) -> list[str]:
    times: defaultdict[str, int] = defaultdict(int)
    marked = []
    for token in tokens:
        times[token] += 1
        marked.append(token if times[token] == 1 else f"{token} {times[token]}")
    return marked


def packed(texts: Texts) -> list[str]:
    """One code point for a token, as rapidfuzz is fastest."""
    numbers: defaultdict[str, int] = defaultdict(count().__next__)
    return ["".join(chr(numbers[token]) for token in tokens) for tokens in texts]


def rejects(a: str, b: str, threshold: float) -> bool:
    return fmeasure(LCSseq.similarity(a, b), len(a), len(b)) > threshold


# -- exact


def published(texts: Texts, threshold: float) -> list[bool]:
    """rouge_score's own function on every pair, as the published procedure has it (in one process)."""
    from rouge_score.rouge_scorer import _score_lcs

    kept: list[Sequence[str]] = []
    decisions = []
    for tokens in texts:
        scores = [_score_lcs(tokens, other).fmeasure for other in kept]
        decisions.append(max(scores, default=0.0) <= threshold)
        if decisions[-1]:
            kept.append(tokens)
    return decisions


def brute_force(texts: Texts, threshold: float, block: int = 256) -> list[bool]:
    """Every pair by rapidfuzz's ``cdist``, a block of texts at once, decided by the same float operations."""
    import numpy as np
    from rapidfuzz.process import cdist

    def above(queries: list[str], others: list[str]) -> np.ndarray:
        common = cdist(queries, others, scorer=LCSseq.similarity, dtype=np.uint16).astype(np.float64)
        m, n = (np.array([len(text) for text in side], np.float64) for side in (queries, others))
        with np.errstate(invalid="ignore", divide="ignore"):
            precision, recall = common / n, common / m[:, None]
            return 2 * precision * recall / (precision + recall) > threshold

    kept: list[str] = []
    decisions: list[bool] = []
    texts_ = packed(texts)
    for first in range(0, len(texts_), block):
        now = texts_[first : first + block]
        met = above(now, kept).any(1) if kept else np.zeros(len(now), bool)
        inside = above(now, now)
        mine = np.zeros(len(now), bool)
        for i in range(len(now)):
            mine[i] = not met[i] and not (inside[i, :i] & mine[:i]).any()
        decisions += mine.tolist()
        kept += [text for text, keep in zip(now, mine, strict=True) if keep]
    return decisions


def ours(compile_from: int | None) -> Method:
    def decide(texts: Texts, threshold: float) -> list[bool]:
        index = RougeIndex(threshold, compile_from)
        decisions = []
        for tokens in texts:
            decisions.append(index.find(tokens) is None)
            if decisions[-1]:
                index.add(tokens)
        return decisions

    return decide


def set_similarity_search(texts: Texts, threshold: float) -> list[bool]:
    from SetSimilaritySearch import all_pairs

    sets = [members(tokens) for tokens in texts]
    where = [i for i, each in enumerate(sets) if each]  # it takes no empty sets
    near: defaultdict[int, list[int]] = defaultdict(list)
    pairs = all_pairs([sets[i] for i in where], similarity_threshold=jaccard(threshold) - 1e-9)
    for x, y, _ in pairs:
        x, y = sorted((where[x], where[y]))
        near[y].append(x)
    texts_ = packed(texts)
    decisions: list[bool] = []
    for i, text in enumerate(texts_):
        decisions.append(not any(decisions[j] and rejects(text, texts_[j], threshold) for j in near[i]))
    return decisions


# -- by hashing


def datasketch(bands: tuple[int, int] | None = None, verified: bool = False) -> Method:
    def decide(texts: Texts, threshold: float) -> list[bool]:
        from datasketch import MinHash, MinHashLSH

        how = {"params": bands} if bands else {"threshold": jaccard(threshold)}
        permutations = bands[0] * bands[1] if bands else 128
        index = MinHashLSH(num_perm=permutations, **how)
        sketches = MinHash.generator([[m.encode() for m in members(tokens)] for tokens in texts], num_perm=permutations)
        return _greedy(texts, threshold, sketches, index.query, index.insert, verified)

    return decide


def rensa(bands: int, verified: bool = False) -> Method:
    def decide(texts: Texts, threshold: float) -> list[bool]:
        from rensa import RMinHash, RMinHashLSH

        index = RMinHashLSH(threshold=jaccard(threshold), num_perm=128, num_bands=bands)
        sketches = RMinHash.from_token_sets([members(tokens) for tokens in texts], num_perm=128, seed=42)
        kept = {}

        def query(sketch):  # it proposes by bands; the estimate of the similarity is the caller's to ask for
            found = index.query(sketch)
            if verified:
                return found
            return [j for j in found if kept[j].jaccard(sketch) >= jaccard(threshold)]

        def insert(number, sketch):
            index.insert(number, sketch)
            kept[number] = sketch

        return _greedy(texts, threshold, sketches, query, insert, verified)

    return decide


def _greedy(texts: Texts, threshold: float, sketches: Iterable, query: Callable, insert: Callable, verified: bool):
    texts_ = packed(texts)
    decisions = []
    for i, sketch in enumerate(sketches):
        found = query(sketch) if texts_[i] else ()  # all empty texts have the same sketch; the rule keeps them
        like = any(rejects(texts_[i], texts_[j], threshold) for j in found) if verified else bool(found)
        decisions.append(not like)
        if not like:
            insert(i, sketch)
    return decisions


def text_dedup(python: str = sys.executable) -> Method:
    """Its command in an environment that has it. It keeps the first of each connected component."""

    def decide(texts: Texts, threshold: float) -> list[bool]:
        if subprocess.run([python, "-c", "import text_dedup"], capture_output=True).returncode:
            raise ImportError("text_dedup")
        import json

        with tempfile.TemporaryDirectory() as folder:
            rows = Path(folder, "rows.jsonl")
            rows.write_text("".join(json.dumps({"n": i, "text": " ".join(t)}) + "\n" for i, t in enumerate(texts)))
            words = f"--path json --data_files {rows} --split train --column text --num_proc 1 --output {folder}/out "
            words += (
                f"--cache_dir {folder}/cache --ngram 1 --min_length 0 --num_perm 128 --threshold {jaccard(threshold)}"
            )
            command = [python, "-m", "text_dedup.minhash", *words.split()]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(done.stderr.strip().splitlines()[-1])
            read = "import sys, datasets; print(*datasets.load_from_disk(sys.argv[1])['n'])"
            kept = subprocess.run([python, "-c", read, f"{folder}/out"], capture_output=True, text=True, check=True)
        numbers = {int(number) for number in kept.stdout.split()}
        return [i in numbers for i in range(len(texts))]

    return decide
