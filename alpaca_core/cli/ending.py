"""The last screen of a run: what was made, how good it is, what it cost, what to type next."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alpaca_core.acceptance import Acceptance
from alpaca_core.cli.console import out, table
from alpaca_core.cli.progress import clock, dollars
from alpaca_core.cli.spending import show_account, show_endings, show_selection, show_sources
from alpaca_core.evaluate import Scores
from alpaca_core.pipeline import Outcome
from alpaca_core.runs import DATA


def show_generation(summary: Mapping[str, Any]) -> None:
    """Counts, rejections by reason, how replies ended, tokens, and what became of the money."""
    made = summary["generation"]
    out(
        f"data      {made['kept']:,} kept of {made['candidates']:,} candidates in {made['replies']:,} replies"
        + (f" ({made['failed']:,} requests failed)" if made["failed"] else "")
    )
    if made["rejected"]:
        out("rejected  " + ", ".join(f"{name} {count:,}" for name, count in made["rejected"].items()))
    show_sources(made)
    show_endings(made)
    read = _with(made["prompt_tokens"], "tokens in", made, cached="from a cache", cache_write="into a cache")
    tokens = f"{read}, {_with(made['completion_tokens'], 'out', made, reasoning='reasoning')}"
    cost, each = made["cost_usd"], made["account"]["each"]
    if not made["attempts"]:
        out(f"teacher   not asked; the stored replies are of {tokens}")
    elif cost is None:
        out(f"teacher   {tokens}; the price is unknown (teacher.price_input, teacher.price_output)")
    else:
        out(f"teacher   {tokens}: {dollars(cost)}{f', {dollars(each)} a row' if cost and each else ''}")
    show_account(made)
    if "selection" in summary:
        show_selection(summary["selection"])


def _with(count: int, name: str, made: Mapping[str, Any], **parts: str) -> str:
    """``1,200 tokens in (200 from a cache)``: a count of tokens, with those of its ``parts`` that are not zero."""
    said = [f"{made[f'{part}_tokens']:,} {text}" for part, text in parts.items() if made[f"{part}_tokens"]]
    return f"{count:,} {name}" + (f" ({', '.join(said)})" if said else "")


def show_run(outcome: Outcome, folder: Path, page: Path | None = None) -> None:
    """The whole ending of ``alpacakit run``; ``page`` is its report."""
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
    if outcome.acceptance is not None:
        out()
        if outcome.acceptance.accepted:
            out(f"The model is {verdict(outcome.acceptance)}")
        else:
            show_acceptance(outcome.acceptance)
    out()
    show_times(summary)
    out(f"files     {folder}/  ({DATA}, heldout.json, rejected.jsonl, summary.json{', model/' if training else ''})")
    if page is not None:
        out(f"report    {page}")
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
    out("After training:")
    for part in measures(outcome.after):
        out(f"  {part}")


def measures(scores: Scores) -> list[str]:
    """Intervals, loss, stop rate and lengths, as far as they are known."""
    parts = []
    if scores.exact_match_interval:
        low, high = scores.exact_match_interval
        parts.append(f"exact match {scores.exact_match:.1%} (95 % interval {low:.1%} to {high:.1%})")
    if scores.rouge_l_interval:
        low, high = scores.rouge_l_interval
        parts.append(f"ROUGE-L {scores.rouge_l:.3f} ({low:.3f} to {high:.3f})")
    if scores.loss is not None:
        cut = f", {scores.cut:,} rows cut" if scores.cut else ""
        parts.append(f"loss {scores.loss:.4f} nats a token (perplexity {scores.perplexity:.4g}{cut})")
    parts.append(f"{scores.stop_rate:.1%} ended by themselves")
    for unit, ours, theirs in (
        ("tokens", scores.answer_tokens, scores.output_tokens),
        ("characters", scores.answer_characters, scores.output_characters),
    ):
        if ours is not None and theirs is not None:
            parts.append(f"{ours:.1f} {unit} an answer (the right ones {theirs:.1f})")
    return parts


def show_acceptance(found: Acceptance) -> None:
    """Every check with what was found, what to do about failures, and the verdict."""
    width = max(len(check.name) for check in found.checks)
    for check in found.checks:
        mark = {True: "ok    ", False: "FAILED", None: "      "}[check.passed]
        out(f"{check.name:<{width}}  {mark}  {check.said}")
        if check.passed is False and check.advice:
            out(f"{'':<{width}}          {check.advice}")
    out()
    out(verdict(found))


def verdict(found: Acceptance) -> str:
    """One line: accepted, or the names of the checks that failed; and of those that could not be made."""
    counted = [check for check in found.checks if check.passed is not None]
    failed = [check.name for check in counted if check.passed is False]
    if failed:
        return f"NOT ACCEPTED: {', '.join(failed)} failed, of {len(counted)} checks."
    # What is told for information alone has a value, or nothing to tell of.
    left_out = [of.name for of in found.checks if of.passed is None and of.value is None and of.name != "verbatim"]
    return f"accepted: all of {len(counted)} checks." + (f" Not checked: {', '.join(left_out)}." if left_out else "")


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
    stages = {
        "generation": "generate",
        "selection": "select",
        "training": "train",
        "evaluation": "evaluate",
        "acceptance": "accept",
    }
    for stage, name in stages.items():
        if "seconds" in summary.get(stage, {}):
            parts.append(f"{name} {clock(summary[stage]['seconds'])}")
    costs = [summary[stage]["cost_usd"] for stage in stages if "cost_usd" in summary.get(stage, {})]
    cost = None if None in costs else sum(costs)
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
