"""How Stanford Alpaca's generation works, written anew for today's SDK: requests of five prompts each, one after the
other; every new instruction is compared by ROUGE-L with every known one, in a pool of 16 processes made for it; after
each request all rows are written again. Takes what ``arguments.py`` says; the server must take a list of prompts.

Each prompt ends on ``4. Instruction:`` after three examples, so the answers start at the fourth task.
"""

# ruff: noqa: TID253 - a script

from __future__ import annotations

import json
import re
from functools import partial
from multiprocessing import Pool
from pathlib import Path

import openai
from arguments import MOST_TOKENS, parser, prompts_in
from rouge_score import rouge_scorer

PROMPTS, PROCESSES, ALIKE = 5, 16, 0.7
FIELDS = re.compile(r"\d+\.\s+(Instruction|Input|Output):")
UNWANTED = ("image", "graph", "picture", "file", "map", "draw", "plot", "video", "audio", "music", "flowchart")


def tasks(text: str, finish: str) -> list[dict[str, str]]:
    """The whole and wanted tasks of one answer."""
    pieces = re.split("###", f"4. Instruction:{text}")
    found = []
    for piece in pieces[:-1] if finish == "length" else pieces:
        fields = FIELDS.split(piece)
        if len(fields) != 7:
            continue
        instruction, given, output = (part.strip() for part in fields[2::2])
        words = instruction.split()
        if not 3 < len(words) <= 150 or any(word in instruction.lower().split() for word in UNWANTED):
            continue
        if instruction.startswith("Write a program") or not instruction[0].isascii() or not instruction[0].isalnum():
            continue
        row = {"instruction": instruction, "input": "" if given.lower() == "<noinput>" else given, "output": output}
        found.append(row)
    return found


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--seeds", type=Path, required=True, help="JSON: the instructions that are known at the start")
    asked = flags.parse_args()
    client = openai.OpenAI(max_retries=asked.retries)
    tokens = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)._tokenizer.tokenize
    prompts, rows = prompts_in(asked), []
    known = [tokens(instruction) for instruction in json.loads(asked.seeds.read_text())]
    for start in range(0, len(prompts), PROMPTS):
        reply = client.completions.create(
            model=asked.model,
            prompt=[f"{prompt}\n4. Instruction:" for prompt in prompts[start : start + PROMPTS]],
            max_tokens=MOST_TOKENS,
            temperature=1.0,
            stop=["\n20", "20.", "20."],
        )
        for choice in reply.choices:
            for row in tasks(choice.text, choice.finish_reason):
                new = tokens(row["instruction"])
                with Pool(PROCESSES) as pool:
                    scores = pool.map(partial(rouge_scorer._score_lcs, new), known)
                if not any(score.fmeasure > ALIKE for score in scores):
                    known.append(new)
                    rows.append(row)
        asked.out.write_text("".join(json.dumps({"text": row["output"], **row}) + "\n" for row in rows))


if __name__ == "__main__":
    main()
