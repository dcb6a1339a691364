"""What became of a run's money, and what its replies tell of those to come: all of it read from the journal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from alpaca_core.records import Usage
from alpaca_core.yields import Yield

#: ``Store.rows``, or the like: a reading query and its values in, rows out.
Rows = Callable[..., list[tuple[Any, ...]]]

# What each reply has cost; nothing where another run has paid for it. One that was asked again has cost twice.
_IN_DOLLARS = """WITH paid AS (
    SELECT k, sum(coalesce(cost, reserved)) AS amount FROM attempts WHERE outcome = 'answered' GROUP BY k
)"""
_IN_TOKENS = "WITH paid AS (SELECT k, prompt_tokens + completion_tokens AS amount FROM replies)"
# A reply's cost is divided evenly over the tasks that were found in it. CROSS only fixes the order of the join: the
# other one, which SQLite would take, compares every reply with every candidate (40 seconds for 2,800 replies).
_TASKS = """
SELECT kept, CASE kept WHEN 0 THEN filter ELSE '' END AS name, count(*), total(amount / tasks) FROM candidates
CROSS JOIN (SELECT k, 1.0 * count(*) AS tasks FROM candidates GROUP BY k) USING (k) LEFT JOIN paid USING (k)
GROUP BY kept, name ORDER BY count(*) DESC, name"""
# A row that counts towards the target: what a dataset filter rejected did, too.
_PASSED = """(kept = 1 OR kept = 0 AND filter IN (
    SELECT value FROM json_each((SELECT value FROM meta WHERE key = 'selectors'))))"""
_BLANK = "trim(text, char(9, 10, 13, 32)) = ''"
_WITHOUT_TASKS = f"""
SELECT CASE WHEN k > ? THEN 'not judged' WHEN finish IN ('refusal', 'content_filter') THEN finish
            WHEN {_BLANK} THEN 'empty' ELSE 'no task found' END AS name, count(*), total(amount)
FROM replies LEFT JOIN paid USING (k) WHERE k NOT IN (SELECT k FROM candidates) GROUP BY name ORDER BY name"""
_LOST = """
SELECT coalesce(outcome, CASE WHEN batch IS NULL THEN 'in flight when killed' ELSE 'in a batch' END) AS name,
       count(*), total(coalesce(cost, reserved))
FROM attempts WHERE outcome IS NOT 'answered' OR k NOT IN (SELECT k FROM replies) GROUP BY name ORDER BY name"""


def account(rows: Rows) -> dict[str, Any]:
    """What summary.json's ``generation`` says of replies and money beside the totals.

    ``finishes`` counts how replies ended, ``empty`` those without text. ``account`` has a ``count`` and an ``amount``
    for each fate: tasks ``kept``, ``rejected`` by each filter (``parse``: no whole task) or left over as ``surplus``;
    replies ``without_tasks`` or ``not_judged`` yet; attempts ``lost``, by the error. The amounts add up to
    ``cost_usd``; where that is not known the ``unit`` is ``tokens``, and they add up to those of the replies. ``each``
    is the whole of it for one kept row.
    """
    ((unpriced,),) = rows("SELECT count(*) - count(coalesce(cost, reserved)) FROM attempts")
    paid = _IN_TOKENS if unpriced else _IN_DOLLARS
    tasks = {(kept, name): (count, amount) for kept, name, count, amount in rows(paid + _TASKS)}
    without = {name: (count, amount) for name, count, amount in rows(paid + _WITHOUT_TASKS, _judged(rows))}
    lost = {name: (count, 0.0 if unpriced else amount) for name, count, amount in rows(_LOST)}
    nothing = (0, 0.0)
    kept = tasks.pop((1, ""), nothing)
    surplus = tasks.pop((None, ""), nothing)
    not_judged = without.pop("not judged", nothing)
    whole = sum(amount for _, amount in (kept, surplus, not_judged, *tasks.values(), *without.values(), *lost.values()))
    ((written, empty),) = rows(f"SELECT coalesce(sum(cache_write_tokens), 0), total({_BLANK}) FROM replies")
    return {
        "cache_write_tokens": written,
        "finishes": dict(rows("SELECT finish, count(*) FROM replies GROUP BY finish ORDER BY count(*) DESC")),
        "empty": int(empty),
        "account": {
            "unit": "tokens" if unpriced else "usd",
            "each": whole / kept[0] if kept[0] else None,
            "kept": _part(*kept),
            "rejected": {name: _part(*part) for (_, name), part in tasks.items()},
            "surplus": _part(*surplus),
            "without_tasks": {name: _part(*part) for name, part in without.items()},
            "not_judged": _part(*not_judged),
            "lost": {name: _part(*part) for name, part in lost.items()},
        },
    }


def _part(count: int, amount: float) -> dict[str, Any]:
    return {"count": count, "amount": amount}


def _judged(rows: Rows) -> int:
    """The last request up to which every reply is judged; -1 where none is."""
    found = rows("SELECT value FROM meta WHERE key = 'judged'")
    return int(found[0][0]) if found else -1


@dataclass(frozen=True, slots=True)
class Measured:
    """What the replies that a run has asked for itself tell of those to come.

    ``yields`` are those of the replies that were needed whole. ``usage`` is the mean of all replies, as ``lost`` is
    what was lost beside each in dollars. ``rows`` are kept, also from other runs' replies; ``surplus`` more are
    expected among the tasks that were not needed so far, and ``waiting`` replies are not judged yet. ``spent`` is in
    dollars, None where unknown.
    """

    yields: Yield
    usage: Usage
    lost: float
    rows: int
    surplus: float
    waiting: int
    spent: float | None


def measured(rows: Rows) -> Measured:
    """Read what a journal's replies tell, by the verdicts that it holds."""
    ((own,),) = rows("SELECT coalesce(max(until), 0) FROM sources")
    judged = _judged(rows)
    yields = Yield()
    for (kept,) in rows(
        f"SELECT coalesce(sum({_PASSED}), 0) FROM replies LEFT JOIN candidates USING (k) WHERE k >= ? AND k <= ?"
        " GROUP BY k HAVING total(candidates.id IS NOT NULL AND kept IS NULL) = 0 ORDER BY k",
        own,
        judged,
    ):
        yields.add(kept)
    ((replies, *tokens),) = rows(
        "SELECT count(*), avg(prompt_tokens), avg(completion_tokens), avg(cached_tokens), avg(reasoning_tokens),"
        " avg(cache_write_tokens) FROM replies WHERE k >= ?",
        own,
    )
    ((spent, unknown, lost),) = rows(
        "SELECT total(coalesce(cost, reserved)), count(*) - count(coalesce(cost, reserved)),"
        " total(cost) FILTER (WHERE outcome NOT IN ('answered', 'cancelled')) FROM attempts"
    )
    ((kept, tasks, left),) = rows(f"SELECT total({_PASSED}), count(kept), total(kept IS NULL) FROM candidates")
    ((waiting,),) = rows("SELECT count(*) FROM replies WHERE k > ?", judged)
    return Measured(
        yields=yields,
        usage=Usage(*(round(mean or 0) for mean in tokens)),
        lost=lost / max(1, replies),
        rows=int(kept),
        surplus=left * kept / max(1, tasks),
        waiting=waiting,
        spent=None if unknown else spent,
    )
