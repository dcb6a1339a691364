"""What the rules make of a dataset's instructions, and how long they take.

python tests/benchmarks/diversity.py alpaca_data.json [--figure sunburst.svg]

Where lemminflect is installed, a plain heuristic on its dictionary runs beside: the first word that can be a verb, then
the last noun before a preposition. It shows what a dictionary alone gives.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from alpaca_core.dataset import read_rows, write_text
from alpaca_core.diversity.counts import analyse
from alpaca_core.diversity.imperatives import Reading, read, words
from alpaca_core.diversity.lexicon import ENDS, PREPOSITIONS, QUESTION
from alpaca_core.diversity.sunburst import sunburst

RUNS = 3


def dictionary() -> Callable[[str], Reading] | None:
    """The heuristic; None without lemminflect."""
    try:
        from lemminflect import getAllLemmas
    except ImportError:
        return None

    def lemma(word: str, kind: str) -> str:
        return (getAllLemmas(word, upos=kind).get(kind) or ("",))[0]

    def heuristic(text: str) -> Reading:
        tokens = [word.lower() for word in words(text)]
        if tokens and tokens[0] in QUESTION:
            return Reading("question", tokens[0])
        at = next((at for at, word in enumerate(tokens) if lemma(word, "VERB") == word), -1)
        if at < 0:
            return Reading("unparsed")
        noun = ""
        for word in tokens[at + 1 :]:
            if noun and (not word.isalpha() or word in PREPOSITIONS | ENDS):
                break
            noun = lemma(word, "NOUN") or noun
        return Reading("verb", tokens[at], noun)

    heuristic("Warm up.")
    return heuristic


def show(name: str, readings: list[Reading], seconds: float) -> None:
    kinds = Counter(reading.kind for reading in readings)
    pairs = sum(bool(reading.object) for reading in readings)
    shares = {
        "verb": kinds["verb"],
        "verb + object": pairs,
        **{kind: kinds[kind] for kind in ("question", "unparsed", "other")},
    }
    print(
        f"{name:<12}",
        *(f"{what} {count / len(readings):.1%}" for what, count in shares.items()),
        f"{seconds:.2f} s",
        sep="  ",
    )


def measured(reader: Callable[[str], Reading], texts: list[str]) -> tuple[list[Reading], float]:
    seconds = []
    for _ in range(RUNS):
        started = time.process_time()
        readings = [reader(text) for text in texts]
        seconds.append(time.process_time() - started)
    return readings, min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--figure", type=Path, help="where to write the sunburst")
    options = parser.parse_args()
    texts = [row.instruction for row in read_rows(options.data)]
    ours, seconds = measured(read, texts)
    show("rules", ours, seconds)
    if heuristic := dictionary():
        theirs, seconds = measured(heuristic, texts)
        show("dictionary", theirs, seconds)
        same = sum(one.kind == two.kind == "verb" and one == two for one, two in zip(ours, theirs, strict=True))
        print(f"same verb and object in {same / len(texts):.1%} of the rows")
    started = time.process_time()
    diversity = analyse(texts)
    print(
        f"analyse: {len(texts):,} rows in {time.process_time() - started:.2f} s of CPU; {diversity.distinct:,} pairs, "
        f"entropy {diversity.entropy:.2f} bits, top 20 {diversity.top_share():.1%}"
    )
    print("most frequent:", ", ".join(f"{verb} {noun} {n}" for (verb, noun), n in list(diversity.pairs.items())[:10]))
    if options.figure:
        write_text(options.figure, sunburst(diversity))


if __name__ == "__main__":
    main()
