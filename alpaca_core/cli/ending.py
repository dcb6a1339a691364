"""The last screen of a run: what was made, how good it is, what it cost, what to type next."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alpaca_core.cli.console import out, table
from alpaca_core.cli.progress import clock, dollars
from alpaca_core.evaluate import Scores
from alpaca_core.pipeline import Outcome
from alpaca_core.runs import DATA


def show_generation(summary: Mapping[str, Any]) -> None:
    """Counts, rejections by reason, tokens and cost."""
    made = summary["generation"]
    out(
        f"data      {made['kept']:,} kept of {made['candidates']:,} candidates in {made['replies']:,} replies"
        + (f" ({made['failed']:,} requests failed)" if made["failed"] else "")
    )
    if made["rejected"]:
        out("rejected  " + ", ".join(f"{name} {count:,}" for name, count in made["rejected"].items()))
    cost = made["cost_usd"]
    tokens = f"{made['prompt_tokens']:,} tokens in, {made['completion_tokens']:,} out"
    if cost is None:
        out(f"teacher   {tokens}; the price is unknown (teacher.price_input, teacher.price_output)")
    else:
        each = f", {dollars(cost / made['kept'])} a row" if cost and made["kept"] else ""
        out(f"teacher   {tokens}: {dollars(cost)}{each}")


def show_run(outcome: Outcome, folder: Path) -> None:
    """The whole ending of ``alpacakit run``."""
    summary = outcome.summary
    out()
    if summary["notice"]:
        out(f"PRACTICE RUN  {summary['notice']}")
        training = summary.get("training")
        if training:
            out(
                f"The student has {training['parameters'] / 1e6:.1f} million parameters and was trained from"
                " scratch: it can do these tasks and nothing else."
            )
        out()
    show_generation(summary)
    training = summary.get("training")
    if training:
        out(
            f"training  {training['steps']:,} steps, {training['tokens']:,} tokens, final loss"
            f" {training['final_loss']:.3f}, {training['strategy']} x {training['world_size']}"
        )
    if outcome.after is not None and outcome.before is not None:
        out()
        show_scores(outcome)
        show_samples(outcome.after, outcome.before)
    out()
    show_times(summary)
    out(f"files     {folder}/  ({DATA}, heldout.json, rejected.jsonl, summary.json{', model/' if training else ''})")
    out()
    for line in next_steps(summary, folder):
        out(line)


def show_scores(outcome: Outcome) -> None:
    """Exact match on the held-out rows, every kind of task, before and after, beside what needs no model."""
    assert outcome.before is not None and outcome.after is not None
    columns = {
        "before": outcome.before,
        "most frequent": outcome.baselines["most_frequent"],
        "nearest row": outcome.baselines["nearest"],
        "after": outcome.after,
    }
    out(f"Exact match on {outcome.after.n:,} held-out rows, never trained on:")
    out()
    families = outcome.after.by_family
    ordered = sorted(families, key=lambda name: -families[name]["exact_match"])
    rows = []
    for name in ordered:
        scores = [column.by_family[name]["exact_match"] for column in columns.values()]
        learned = scores[-1] > max(scores[:-1])
        rows.append([name, families[name]["n"], *(f"{s:.0%}" for s in scores), " " if learned else "not learned"])
    total = [f"{column.exact_match:.0%}" for column in columns.values()]
    rows.append(["all", outcome.after.n, *total, " "])
    table(["kind of task", "rows", *columns, " "], rows)
    out()
    out("ROUGE-L F of the answers: " + ", ".join(f"{name} {of.rouge_l:.2f}" for name, of in columns.items()))


def show_samples(after: Scores, before: Scores | None = None) -> None:
    """The first rows, not selected, with the answers, side by side with those before training."""
    out()
    out(f"The first {len(after.samples)} rows, not selected:")
    for place, sample in enumerate(after.samples):
        out()
        out(f"  instruction  {_one_line(sample['instruction'])}")
        if sample["input"]:
            out(f"  input        {_one_line(sample['input'])}")
        out(f"  expected     {_one_line(sample['expected'])}")
        if before is not None:
            out(f"  before       {_one_line(before.samples[place]['answer'])}")
        mark = "right" if sample["exact_match"] else "wrong"
        out(f"  {'after ' if before else 'answer'}       {_one_line(sample['answer'])}  [{mark}]")


def show_times(summary: Mapping[str, Any]) -> None:
    """Wall time and cost of each stage."""
    parts = []
    for stage, name in (("generation", "generate"), ("training", "train"), ("evaluation", "evaluate")):
        if stage in summary:
            parts.append(f"{name} {clock(summary[stage]['seconds'])}")
    cost = summary["generation"]["cost_usd"]
    paid = "unknown" if cost is None else dollars(cost)
    out(f"time      {', '.join(parts)}; cost {paid}")


def next_steps(summary: Mapping[str, Any], folder: Path) -> list[str]:
    """What to type now."""
    lines = []
    if "training" in summary:
        lines.append(f'talk to it      alpacakit chat {folder}/model --prompt "..."')
    if summary["notice"]:
        lines += [
            "the real thing  export OPENAI_API_KEY=...",
            "                alpacakit run --teacher openai --trainer fsdp",
            "with a LLaMA    alpacakit run --teacher openai --trainer fsdp --student huggyllama/llama-7b -n 52000",
        ]
    elif summary.get("training") and summary["training"]["parameters"] < 100e6:
        lines.append(
            "with a LLaMA    the same command with --student huggyllama/llama-7b (any causal LM's folder or hub id)"
        )
    return lines


def _one_line(text: str, width: int = 90) -> str:
    line = " ⏎ ".join(text.split("\n"))
    return line if len(line) <= width else line[: width - 1] + "…"
