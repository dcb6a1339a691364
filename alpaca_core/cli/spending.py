"""Money and tokens as people read them: what a run will take, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from alpaca_core.cli.console import out
from alpaca_core.cli.progress import about, dollars, given, rounded
from alpaca_core.config import Config
from alpaca_core.estimate import Estimate
from alpaca_core.pipeline import Parts
from alpaca_core.records import TrainEstimate


def show_estimate(config: Config, parts: Parts, folder: Path, expected: Estimate) -> None:
    """What a run is made of, what it will ask for and cost, and what these figures rest on."""
    assert config.teacher is not None and config.prompt is not None
    model = getattr(config.teacher.options, "model", "")
    out(f"teacher   {config.teacher.name}{f', model {model}' if model else ''}")
    out(f"prompt    {config.prompt.name}, {len(parts.seeds):,} seed tasks")
    out(f"filters   {', '.join(chosen.spec.name for chosen in config.filters)}")
    target = config.generation.num_examples
    out(f"rows      {'all that the stored replies hold' if target is None else f'{target:,} to keep'}, in {folder}/")
    if expected.have or expected.waiting:
        waiting = f"; replies not judged yet: {expected.waiting:,}" if expected.waiting else ""
        paid = f"; {dollars(expected.spent)} spent" if expected.spent else ""
        out(f"stored    about {expected.have:,} of them{waiting}{paid}")
    best, usual, worst = expected.requests
    if not usual:
        out("requests  none")
        out("cost      nothing" + (" more" if expected.spent else ""))
    else:
        out(f"requests  about {usual:,}{' more' if expected.have else ''} ({best:,} to {worst:,})")
        read, written = expected.prompt_tokens[1], expected.completion_tokens[1]
        out(f"tokens    about {rounded(read):,.0f} in and {rounded(written):,.0f} out")
        _show_cost(parts, expected, config.generation.batch)
    for place, line in enumerate(expected.basis if usual else ()):
        out(f"{'' if place else 'based on':8}  {line}")
    for note in expected.notes:
        out(f"note      {note}")


def _show_cost(parts: Parts, expected: Estimate, batch: bool) -> None:
    price, budget = parts.price, expected.budget
    if expected.dollars is None or price is None:
        out("cost      unknown: no price is known for this model there (teacher.price_input, teacher.price_output)")
        return
    low, middle, high = expected.dollars
    if not high:
        out("cost      nothing")
        return
    limit = given(budget) + (" in all" if expected.spent else "")
    out(f"cost      about {about(middle)} ({about(low)} to {about(high)}); never more than {limit}")
    if expected.batch_dollars is not None:
        out(f"batch     about {about(expected.batch_dollars[1])}, answered within a day (--batch)")
    if expected.reach is not None:
        whole = about(middle + (expected.spent or 0.0))
        reach = f"{rounded(expected.reach):,.0f}"
        out(f"budget    {given(budget)} reaches about {reach} rows; all of them take about {whole}")
    said = f" ({', '.join(filter(None, (price.date, price.source)))})" if price.date or price.source else ""
    share = f", {price.batch:.0%} of it in a batch" if batch else ""
    out(f"price     ${price.input:g} in, ${price.output:g} out per million tokens{share}{said}")


def show_training(config: Config, needed: TrainEstimate) -> None:
    """What a training will take: memory by part, time, money, and what these figures rest on."""
    assert config.trainer is not None
    out(f"student   {config.student}, {needed.parameters:,} parameters")
    epochs = f"{needed.rows:,} rows, {needed.steps:,} steps, {needed.tokens / 1e6:,.1f} million tokens in all"
    out(f"data      {epochs}")
    out(f"machine   {needed.machine}, {_gib(needed.room)} GiB each")
    out(f"plan      {needed.plan}")
    for place, (part, amount) in enumerate(needed.memory.items()):
        out(f"{'' if place else 'memory':8}  {_gib(amount):>6} GiB  {part}")
    out(f"{'':8}  {_gib(sum(needed.memory.values())):>6} GiB  together, on each device")
    out(f"host      {', '.join(f'{_gib(amount)} GiB {moment}' for moment, amount in needed.host.items() if amount)}")
    out(f"disk      {', '.join(f'{_gib(amount)} GiB {kind}' for kind, amount in needed.disk.items() if amount)}")
    best, usual, worst = (_minutes(seconds) for seconds in needed.seconds)
    out(f"time      about {usual} ({best} to {worst})")
    if needed.dollars is not None:
        low, middle, high = needed.dollars
        out(f"cost      about {about(middle)} ({about(low)} to {about(high)})")
    for place, line in enumerate(needed.basis):
        out(f"{'' if place else 'based on':8}  {line}")
    for note in needed.notes:
        out(f"note      {note}")


def _gib(amount: float) -> str:
    return f"{amount / 2**30:.{1 if amount < 99.95 * 2**30 else 0}f}"


def _minutes(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def show_sources(made: Mapping[str, Any]) -> None:
    """What was taken over, a line for each run."""
    for place, of in enumerate(made.get("sources", ())):
        asked = f"{of['teacher']} {of['model'] or ''}".rstrip()
        counts = f"{of['kept']:,} kept of {of['candidates']:,} candidates in {of['replies']:,} replies"
        out(f"{'' if place else 'sources':8}  {of['name']}: {counts} of {asked}")


def show_selection(made: Mapping[str, Any]) -> None:
    """What the dataset filters made of the rows, by verdict, and what it took."""
    if "rows" in made:
        names = ", ".join(made["filters"])
        out(f"selected  {made['kept']:,} of {made['rows']:,} rows, by {names}")
        for said in made["verdicts"][:_MOST_VERDICTS]:
            out(f"{'':8}  {said['rows']:>7,} {'kept    ' if said['kept'] else 'rejected'}  {said['verdict']}")
        shown = sum(said["rows"] for said in made["verdicts"][:_MOST_VERDICTS])
        if shown < made["rows"]:
            out(f"{'':8}  {made['rows'] - shown:>7,} with other verdicts, or none")
    if made.get("attempts"):
        failed = f", {made['failed']:,} requests failed" if made["failed"] else ""
        cost = "the price is unknown" if made["cost_usd"] is None else dollars(made["cost_usd"])
        tokens = f"{made['prompt_tokens']:,} tokens in, {made['completion_tokens']:,} out"
        out(f"asked     {made['replies']:,} answers{failed}, {tokens}: {cost}")


_MOST_VERDICTS = 12


def show_endings(made: Mapping[str, Any]) -> None:
    """How the replies ended, where any ended otherwise than they should."""
    ends = {**made["finishes"], "without text": made["empty"]}
    said = [f"{_ENDS.get(end, end)} {count:,}" for end, count in ends.items() if count and end != "stop"]
    if said:
        out(f"replies   {', '.join(said)}")


_ENDS = {"length": "cut off", "refusal": "refused", "content_filter": "withheld by a content filter"}


def show_account(made: Mapping[str, Any]) -> None:
    """Where the money went, or the tokens where the price is unknown: a line for each part, largest first."""
    spent = made["account"]
    parts = sorted(_parts(spent), key=lambda part: -part[2])
    whole = sum(amount for *_, amount in parts)
    if not whole:
        return
    text = dollars if spent["unit"] == "usd" else lambda amount: f"{amount:,.0f} tokens"
    shown = [(name, f"{count:,}", text(amount), f"{amount / whole:.0%}") for name, count, amount in parts if amount]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for place, (name, count, amount, share) in enumerate(shown):
        title = "" if place else "went to"
        columns = (name.ljust(widths[0]), count.rjust(widths[1]), amount.rjust(widths[2]), share.rjust(widths[3]))
        out(f"{title:8}  {'  '.join(columns)}")


def _parts(spent: Mapping[str, Any]) -> Iterator[tuple[str, int, float]]:
    """The account's parts as (what they are called, how many, dollars)."""

    def part(name: str, of: Mapping[str, Any]) -> tuple[str, int, float]:
        return name, of["count"], of["amount"]

    yield part("kept rows", spent["kept"])
    for name, of in spent["rejected"].items():
        yield part("unparsed tasks" if name == "parse" else f"rejected by {name}", of)
    yield part("surplus tasks", spent["surplus"])
    for name, of in spent["without_tasks"].items():
        yield part(f"replies without a task: {name.replace('_', ' ')}", of)
    yield part("replies not judged yet", spent["not_judged"])
    for name, of in spent["lost"].items():
        yield part(f"lost: {name.replace('_', ' ')}", of)
