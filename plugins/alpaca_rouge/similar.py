"""How like the earlier rows each row of a finished dataset is: the ten most similar and the mean of all.

The published data carries these figures for its kept rows. They decide nothing, and the mean needs every pair, so they
are a pass of their own over what was kept:

    python -m alpaca_rouge.similar alpaca_data.json --seed-tasks seed_tasks.jsonl --out similar.jsonl

Its cost grows with the square of the rows. Needs numpy (``pip install 'alpacakit[fast]'``).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rapidfuzz.distance import LCSseq
from rapidfuzz.process import cdist

from alpaca_rouge.tokens import TOKENIZERS
from alpaca_rouge.vocabulary import Vocabulary

_BLOCK = 64  # rows compared at once


@dataclass(frozen=True)
class Similar:
    """One instruction against those before it: the most similar as (number, ROUGE-L F), and the mean F of all.

    Numbers count the seeds first, then the rows, from 0. The most similar comes first, of equals the newest. ``mean``
    is 0 where nothing came before.
    """

    instruction: str
    mean: float
    most: list[tuple[int, float]]


def similar(
    instructions: Sequence[str], seeds: Sequence[str] = (), *, tokenizer: str = "unicode", most: int = 10
) -> Iterator[Similar]:
    """Each of ``instructions``, in their order, against ``seeds`` and the instructions before it."""
    import numpy as np

    vocabulary = Vocabulary()
    texts = []
    for instruction in (*seeds, *instructions):
        read = vocabulary.read(TOKENIZERS[tokenizer](instruction))
        vocabulary.learn(read)
        texts.append(read.text)
    lengths = np.array([len(text) for text in texts], np.float64)
    for first in range(len(seeds), len(texts), _BLOCK):
        block = texts[first : first + _BLOCK]
        common = cdist(block, texts[: first + len(block)], scorer=LCSseq.similarity, dtype=np.uint16)
        for i, row in enumerate(common):
            number = first + i
            scores = _fmeasures(row[:number].astype(np.float64), lengths[number], lengths[:number])
            chosen = np.arange(number)
            if number > most:
                chosen = np.flatnonzero(scores >= np.partition(scores, -most)[-most])
            chosen = chosen[np.lexsort((-chosen, -scores[chosen]))][:most]
            yield Similar(
                instructions[number - len(seeds)],
                float(scores.mean()) if number else 0.0,
                [(int(other), float(scores[other])) for other in chosen],
            )


def _fmeasures(common, m, n):
    """``alpaca_rouge.rule.fmeasure`` on arrays: the same float operations."""
    import numpy as np

    with np.errstate(invalid="ignore", divide="ignore"):
        precision = common / n
        recall = common / m
        scores = 2 * precision * recall / (precision + recall)
    return np.where(common == 0, 0.0, scores)


def _instructions(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    rows = (
        json.loads(text) if text.lstrip().startswith("[") else [json.loads(line) for line in text.splitlines() if line]
    )
    return [row["instruction"] for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m alpaca_rouge.similar", description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="rows with an instruction: JSON list or JSON Lines")
    parser.add_argument("--seed-tasks", type=Path, help="what the rows were compared with besides")
    parser.add_argument("--tokenizer", choices=TOKENIZERS, default="unicode")
    parser.add_argument("--out", type=Path, required=True, help="file to write, one JSON object for a row")
    args = parser.parse_args()
    seeds = _instructions(args.seed_tasks) if args.seed_tasks else []
    with args.out.open("x", encoding="utf-8") as out:  # never over an existing file
        for row in similar(_instructions(args.data), seeds, tokenizer=args.tokenizer):
            out.write(json.dumps(asdict(row), ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
