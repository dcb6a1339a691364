"""Verdicts made up for tests, and small files that hold them."""

from __future__ import annotations

import json
import math
from collections.abc import Container
from pathlib import Path
from typing import Any

from alpaca_core.versus.annotations import Annotation


def records(n: int = 60, missing: Container[int] = ()) -> list[dict[str, Any]]:
    """Rows as AlpacaEval first wrote them: the longer an answer is, the better the judge likes it."""
    rows = []
    for i in range(n):
        one, two = "a" * (40 + i * 37 % 91), "b" * (30 + i * 53 % 127)
        p = 1 / (1 + math.exp(-(0.4 * math.sin(i) + (len(two) - len(one)) / 40 - 0.3)))
        rows.append(
            {
                "instruction": f"task {i}",
                "output_1": one,
                "generator_1": "base",
                "output_2": two,
                "generator_2": "mine",
                "annotator": "judge",
                "preference": None if i in missing else 1 + round(p, 4),
            }
        )
    return rows


#: ``records()`` of a judge that says which and no more.
HARD = [{**row, "preference": float(round(row["preference"]))} for row in records()]


def gamed(n: int = 60) -> str:
    """A file in the form of ``df_gamed.csv`` for ``records(n)``."""
    lines = ["index,model,instruction_difficulty,preference,std_delta_len,not_gamed_baseline"]
    for lean in (1, -1):
        for i in range(n):
            hard, p = round(math.cos(i * 1.7), 4), round(0.5 + 0.4 * math.sin(i * 2.3 + lean), 4)
            lines.append(f"{i},m{lean},{hard},{p},{round(lean * 0.8 + math.sin(i * 0.9), 4)},False")
    return "\n".join(lines) + "\n"


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def annotation(preference: float | None, one: str = "one", two: str = "two", index: int = 0, **more: Any) -> Annotation:
    return Annotation(index, f"task {index}", one, "base", two, "mine", preference=preference, **more)
