"""What a generation will ask for and cost, before anything is sent; sharper where replies of the run are stored."""

from __future__ import annotations

import json
import sqlite3
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any

from alpaca_core.account import Measured, measured
from alpaca_core.config import Config, to_toml
from alpaca_core.ledger import Ledger
from alpaca_core.pipeline import Parts
from alpaca_core.protocols import BatchTeacher
from alpaca_core.records import Request, Usage
from alpaca_core.reuse import opened
from alpaca_core.runs import CONFIG, JOURNAL, JUDGING, identity
from alpaca_core.schema import VERSION
from alpaca_core.seeds import seeds_hash
from alpaca_core.yields import Yield

# Letters in a token, from the first code point on for which it is about right. In four tokenizers (OpenAI's cl100k and
# o200k, DeepSeek's, Anthropic's first) the bundled prompts have 3.8 to 4.2; a few sentences of Arabic, Russian, Greek
# and Hindi had 0.9 to 3.6, of Chinese, Japanese and Korean 0.9 to 1.8.
LETTERS = ((0x2E80, 1.2), (0x0250, 2.0), (0x0000, 4.0))
# A task in list form: 89 is the mean of 9,229 tasks that text-davinci-003 wrote; half of it and twice as much are
# allowed for models that write shorter or longer.
ROW_TOKENS = (45, 89, 180)
KEPT = (0.95, 0.7, 0.3)  # share of the rows asked for that passes the filters; Stanford's run kept 0.28 or more
SAMPLE = 50  # requests that are looked at
ENOUGH = 10  # replies whose figures take the place of these

TAKEN = "replies taken over from"  # in a run's identity
Range = tuple[float, float, float]  # at best, usually, at worst


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is still to be asked for, and what it costs: dollars are None where the price is unknown.

    ``have`` rows are kept, or expected in stored surplus, ``waiting`` replies are stored and not judged yet, and
    ``spent`` dollars are gone for them. ``batch_dollars`` are the dollars by the provider's batch API, None where the
    teacher has none or asks through it already. ``budget`` is the one that applies, ``reach`` the rows that it suffices
    for, None where that is all of them. ``replies`` are those that the figures were measured on, 0 where they are
    general ones, and ``rows_each`` is their yield: the ends of its 95 % interval, with the mean between them. ``basis``
    says in words what the figures rest on, ``notes`` what speaks against them.
    """

    requests: tuple[int, int, int]
    prompt_tokens: tuple[int, int, int]
    completion_tokens: tuple[int, int, int]
    dollars: Range | None
    batch_dollars: Range | None
    have: int
    waiting: int
    spent: float | None
    budget: float | None
    reach: int | None
    replies: int
    rows_each: Range | None
    basis: tuple[str, ...]
    notes: tuple[str, ...]


def estimate(config: Config, parts: Parts, folder: Path | None = None) -> Estimate:
    """What ``generation.num_examples`` rows will take.

    Rests on the first requests as they would be sent; where ``folder`` holds replies of this very run, or runs are to
    be taken over, on what those replies took and yielded. Writes nothing.
    """
    stored, spent, notes = _stored(config, parts, folder)
    for chosen in config.filters:
        if getattr(chosen.spec, "asks", False):
            notes.append(f"filter '{chosen.name}' asks about each row besides: within the budget, not in these figures")
    target = config.generation.num_examples
    have = round(sum(one.rows + one.surplus for one in stored))
    missing = 0 if target is None else max(0, target - have)
    requests = [
        parts.prompt.request(k, Random(f"{config.seed}/{k}"), parts.seeds, [])
        for k in range(0, SAMPLE * config.generation.block, config.generation.block)
    ]
    items = max(1, requests[0].items)
    known = next((one for one in stored if one.yields.replies >= ENOUGH and one.yields.rows), None)
    each = None
    if known is not None:
        low, high = known.yields.interval
        each = (low, known.yields.mean, high)
        counts = tuple(missing / known.yields.ahead(missing, doubt) for doubt in (-2, 0, 2))
        usages = (known.usage,) * 3
        replies = f"{known.yields.replies:,} replies"
        basis = (
            f"tokens as in {replies}",
            f"{each[1]:.1f} rows kept of a reply ({low:.1f} to {high:.1f}), after {replies};"
            f" {known.yields.ahead(missing):.1f} of those to come",
        )
    else:
        counts = tuple(missing / items / kept for kept in KEPT)
        usages = _usages(requests)
        basis = (
            f"prompts as they would be sent, {LETTERS[-1][1]:g} letters a token",
            f"{ROW_TOKENS[1]} tokens a row ({ROW_TOKENS[0]} to {ROW_TOKENS[2]})",
            f"{KEPT[1]:.0%} of {items} rows a reply kept ({KEPT[2]:.0%} to {KEPT[0]:.0%})",
        )
    waiting = sum(one.waiting for one in stored)
    margin = (1.0, 1.0, 1.1)  # a tenth more is asked than is expected to be needed
    whole = tuple(max(0, ceil(count * more) - waiting) for count, more in zip(counts, margin, strict=True))
    ledger = Ledger(parts.price, config.generation.budget)
    lost = known.lost if known else 0.0
    dollars = _dollars(ledger, whole, usages, lost, batch=config.generation.batch)
    by_batch = isinstance(parts.teacher, BatchTeacher) and not config.generation.batch
    left = None if ledger.budget is None else max(0.0, ledger.budget - (spent or 0.0))
    short = dollars is not None and left is not None and dollars[1] > left
    return Estimate(
        requests=whole,
        prompt_tokens=tuple(n * usage.prompt_tokens for n, usage in zip(whole, usages, strict=True)),
        completion_tokens=tuple(n * usage.completion_tokens for n, usage in zip(whole, usages, strict=True)),
        dollars=dollars,
        batch_dollars=_dollars(ledger, whole, usages, lost, batch=True) if by_batch else None,
        have=have,
        waiting=waiting,
        spent=spent,
        budget=ledger.budget,
        reach=have + int(missing * left / dollars[1]) if short else None,
        replies=known.yields.replies if known else 0,
        rows_each=each,
        basis=basis,
        notes=tuple(notes),
    )


# ── in general ────────────────────────────────────────────────────────────────────────────────────────────────────


def tokens_of(text: str) -> float:
    """About how many tokens ``text`` has in today's tokenizers; see ``LETTERS``."""
    if text.isascii():
        return len(text) / LETTERS[-1][1]
    return sum(1 / next(letters for first, letters in LETTERS if ord(letter) >= first) for letter in text)


def _usages(requests: Sequence[Request]) -> tuple[Usage, ...]:
    """What one request takes: its prompt, and the rows asked for, in a script like the prompt's."""
    texts = [request.system + request.prompt + request.input for request in requests]
    schema = json.dumps(requests[0].schema) if requests[0].schema is not None else ""
    prompt = fmean(tokens_of(text) for text in texts)
    script = prompt * LETTERS[-1][1] / max(1.0, fmean(map(len, texts)))  # 1.0 for English
    first = requests[0]
    return tuple(
        Usage(round(prompt + tokens_of(schema)), round(min(first.max_tokens, max(1, first.items) * row * script)))
        for row in ROW_TOKENS
    )


def _dollars(
    ledger: Ledger, counts: Sequence[int], usages: Sequence[Usage], lost: float, *, batch: bool
) -> Range | None:
    if ledger.price is None:
        return None
    costs = [(ledger.cost(usage, batch=batch) or 0.0) + (0.0 if batch else lost) for usage in usages]
    best, usual, worst = (count * cost for count, cost in zip(counts, costs, strict=True))
    return best, usual, worst


# ── from stored replies ───────────────────────────────────────────────────────────────────────────────────────────


def _stored(config: Config, parts: Parts, folder: Path | None) -> tuple[list[Measured], float | None, list[str]]:
    """What is stored in ``folder``, or else in the runs to be taken over; the dollars spent on it; and remarks.

    Rows of a run that asked another teacher or otherwise count; its yields do not.
    """
    found: list[Measured] = []
    notes: list[str] = []
    wanted = json.loads(json.dumps(identity(config, seeds_hash(parts.seeds)), default=str))
    if folder is not None and (folder / JOURNAL).is_file():
        told, asked = _read(folder, notes)
        if told is None:
            return [], 0.0, notes
        if {**wanted, **asked} != wanted:
            if told.spent == 0 and not (
                told.yields.replies or told.waiting
            ):  # nothing to keep: a generation starts anew there
                return [], 0.0, notes
            return [], 0.0, [f"{folder} holds another run: choose another folder (--out), or start over (--fresh)"]
        if _filters((folder / CONFIG).read_text(encoding="utf-8")) != _filters(to_toml(config)):
            notes.append("the stored replies were judged by other filters, so their yield may change")
        judged = _judged(folder)
        return [told], None if told.spent is None or judged is None else told.spent + judged, notes
    for source in map(Path, config.generation.sources):
        told, asked = _read(source, notes)
        if told is not None:
            same = {**wanted, **asked, **{name: wanted.get(name) for name in ("seed", TAKEN)}} == wanted
            found.append(told if same else replace(told, yields=Yield()))
    return found, 0.0, notes


def _read(folder: Path, notes: list[str]) -> tuple[Measured | None, dict[str, Any]]:
    """What the journal in ``folder`` tells, and of which run it is. None, and a remark, where it cannot be read."""
    path = folder / JOURNAL
    try:
        with opened(path) as db:
            facts = dict(db.execute("SELECT key, value FROM meta WHERE key IN ('version', 'identity')").fetchall())
            if facts.get("version") != VERSION:
                raise sqlite3.DatabaseError("it is of another version of alpacakit")
            return measured(lambda query, *values: db.execute(query, values).fetchall()), json.loads(facts["identity"])
    except sqlite3.DatabaseError as error:
        notes.append(f"{path} says nothing: {error}")
        return None, {}


def _judged(folder: Path) -> float | None:
    """Dollars that dataset filters have spent in ``folder``; None where that is not known."""
    path = folder / JUDGING
    if not path.is_file():
        return 0.0
    with opened(path) as db:
        unknown, spent = db.execute(
            "SELECT count(*) - count(coalesce(cost, reserved)), total(coalesce(cost, reserved)) FROM attempts"
        ).fetchone()
    return None if unknown else spent


def _filters(config: str) -> tuple[Any, Any]:
    """The chain of filters in a run.toml, with their options."""
    tables = tomllib.loads(config)
    return tables["generation"]["filters"], tables.get("filter")
