"""The sections on the model: how it was trained, what it scores, what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from alpaca_core.amounts import clock
from alpaca_core.report.facts import Facts
from alpaca_core.report.pictures import FAMILIES, SERIES, Picture, families
from alpaca_core.report.sections import Section, figure, pairs, table, texts
from alpaca_core.report.texts import LESS, block, inline

ANSWERS = 5  # sample answers shown
BASELINES = ("most_frequent", "nearest")  # they stop because nobody generates: no rate of theirs is shown
_KNOWN = {
    "exact_match": ("exact match", "{:.1%}"),
    "rouge_l": ("ROUGE-L F", "{:.3f}"),
    "stop_rate": ("ended by itself", "{:.1%}"),
}


def training(facts: Facts, pictures: Mapping[str, Picture]) -> Section:
    """The loss curve and what the training took."""
    of = facts.summary.get("training", {})
    epochs = max((step.epoch for step in facts.steps), default=0)
    said: list[tuple[str, str]] = []
    if of:
        lora = of.get("lora")
        said = [
            ("steps", f"{of['steps']:,}" + (f", {epochs:.3g} epochs" if epochs else "")),
            ("tokens", f"{of['tokens']:,}"),
            ("final loss", f"{of['final_loss']:.4f}"),
            ("parameters", f"{of['parameters']:,}" + (f", {lora['trainable']:,} of them trained" if lora else "")),
            ("run as", f"{of['strategy']} on {of['world_size']:,} process" + ("es" if of["world_size"] != 1 else "")),
            ("time", clock(of["seconds"])),
        ]
        if of["seconds"]:
            said.append(("speed", f"{of['tokens'] / of['seconds']:,.0f} tokens a second"))
    listed = pairs([(name, escape(value)) for name, value in said], "facts across")
    caption = "Loss of the steps, faint, and the mean around them. Epochs end at the dashed lines."
    drawn = figure(pictures, "loss", caption)
    body = drawn + (listed if said else "")
    return Section("training", "Training", body)


def scores(facts: Facts, pictures: Mapping[str, Picture]) -> Section:
    """Scores before and after, beside the baselines, and by kind of task."""
    summed = facts.summary.get("evaluation", {})
    drawn = figure(pictures, "scores") or ""
    if not summed.get("after"):
        return Section("scores", "Scores", "")
    columns = {"before": summed.get("before"), "after": summed["after"], **summed.get("baselines", {})}
    columns = {name: columns[name] for name in SERIES if columns.get(name)}
    measured = [name for name, value in summed["after"].items() if name != "n" and _number(value)]
    rows = []
    for name in measured:
        title, form = _KNOWN.get(name, (name.replace("_", " "), "{:.4g}"))
        cells = [
            form.format(of[name]) if _number(of.get(name)) and not (name == "stop_rate" and which in BASELINES) else "–"
            for which, of in columns.items()
        ]
        rows.append((escape(title), *cells))
    names = [SERIES[name] for name in columns]
    listed = table(["measure", *names], rows, numbers=len(names))
    said = (
        f"<p>On {summed.get('heldout', summed['after'].get('n', 0)):,} held-out rows, never trained on. Two baselines"
        " need no model: the answer most frequent among tasks of the kind, and that of the row with the nearest"
        " instruction.</p>"
    )
    return Section("scores", "Scores", said + drawn + listed + _by_family(facts.summary, names, pictures))


def _by_family(summary: Mapping[str, Any], names: Sequence[str], pictures: Mapping[str, Picture]) -> str:
    drawn = figure(pictures, "families")
    if not drawn:
        return ""
    found = families(summary)
    rows = [
        (inline(name.replace("_", " "), 40), f"{n:,}", *(f"{share:.0%}" for share in shares))
        for name, n, shares in found[:FAMILIES]
    ]
    left = f"<p>{len(found) - FAMILIES:,} more kinds are in summary.json.</p>" if len(found) > FAMILIES else ""
    listed = table(["kind of task", "rows", *names], rows, numbers=1 + len(names))
    return (
        "<h3>Exact match by kind of task</h3>"
        f"{drawn}{left}<details><summary>The same as a table</summary>{listed}</details>"
    )


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def answers(facts: Facts) -> Section:
    """What the model answers to held-out rows, beside its base, and how its answers came to be."""
    scored = facts.summary.get("evaluation", {})
    before, after = ((scored.get(when) or {}).get("samples", ()) for when in ("before", "after"))
    parts = []
    for place, sample in enumerate(after[:ANSWERS]):
        base = before[place] if place < len(before) else None
        given = {part: str(sample.get(part) or "") for part in ("instruction", "input", "expected")}
        both = "".join(
            f'<div class="answer"><p class="place">{name} {_mark(of)}</p>{block(str(of.get("answer", "")), LESS)}</div>'
            for name, of in (("before training", base), ("after training", sample))
            if of is not None
        )
        parts.append(
            f'<article class="row">{texts(given, skip_empty=("input",))}<div class="two">{both}</div></article>'
        )
    note = "<p>The first held-out rows, not selected.</p>" if parts else ""
    return Section("answers", "Answers", note + "".join(parts) + _on_the_way(facts))


def _mark(sample: Mapping[str, Any]) -> str:
    return '<span class="good">right</span>' if sample.get("exact_match") else '<span class="bad">not the same</span>'


def _on_the_way(facts: Facts) -> str:
    """The lines of samples.jsonl: each prompt with its answer after some and more steps."""
    prompts: dict[str, list[Mapping[str, Any]]] = {}
    for line in facts.answers:
        prompts.setdefault(f"{line.get('heldout')} {line.get('row')}", []).append(line)
    parts = []
    for lines in list(prompts.values())[:3]:
        given = {"prompt": str(lines[0].get("prompt", "")), "expected": str(lines[0].get("reference", ""))}
        given |= {f"step {line.get('step', 0):,}": str(line.get("answer", "")) for line in lines[-4:]}
        parts.append(f'<article class="row">{texts(given)}</article>')
    return f"<h3>While it was trained</h3>{''.join(parts)}" if parts else ""
