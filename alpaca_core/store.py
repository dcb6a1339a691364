"""run.db: the journal of a run. Every request, every reply as received, every verdict, every cent, in SQLite.

A reply is committed (WAL, ``synchronous=FULL``) before anything else is done with it, so a process killed at any
moment loses at most what was in flight. Everything downstream of the replies can be computed again from here.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from alpaca_core.errors import AlpacaError
from alpaca_core.records import Candidate, Completion, Example, Request, Usage

_VERSION = "1"

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE requests (k INTEGER PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE attempts (           -- one row for each time that a request was sent: the ledger
    id INTEGER PRIMARY KEY, k INTEGER NOT NULL, sent REAL NOT NULL, ended REAL,
    outcome TEXT,                 -- 'answered', an error's kind, or NULL: in flight, or lost with the process
    detail TEXT NOT NULL DEFAULT '',
    reserved REAL,                -- dollars at worst; NULL: the price is unknown
    cost REAL                     -- dollars; NULL: not settled, counted at its reserved price
);
CREATE TABLE replies (
    k INTEGER PRIMARY KEY, text TEXT NOT NULL, finish TEXT NOT NULL, model TEXT NOT NULL, reply_id TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL, reasoning_tokens INTEGER NOT NULL, labels TEXT NOT NULL
);
CREATE TABLE failures (           -- requests given up for good
    k INTEGER PRIMARY KEY, reason TEXT NOT NULL
);
CREATE TABLE candidates (
    id TEXT PRIMARY KEY, k INTEGER NOT NULL, place INTEGER NOT NULL,
    instruction TEXT NOT NULL, input TEXT NOT NULL, output TEXT NOT NULL, label TEXT NOT NULL,
    kept INTEGER,                 -- 1 kept, 0 rejected, NULL: came after the last row that was needed
    filter TEXT NOT NULL, reason TEXT NOT NULL, flags TEXT NOT NULL
);
"""


@dataclass(frozen=True, slots=True)
class Judged:
    """A candidate with its verdict, as stored: ``kept`` is None for what came after the last row needed."""

    candidate: Candidate
    k: int
    place: int
    kept: bool | None
    filter: str = ""
    reason: str = ""
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Totals:
    """What the journal adds up to. ``cost`` is None where the price was unknown; lost replies count in full."""

    requests: int
    replies: int
    failed: int
    attempts: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    cost: float | None


class Store:
    """One run's journal. Used by one process at a time: the run folder's lock sees to that."""

    def __init__(self, path: Path) -> None:
        new = not path.exists()
        self._db = sqlite3.connect(path, isolation_level=None)
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            if new or not self._has_schema():
                with self:
                    for statement in _SCHEMA.split(";\n"):
                        self._db.execute(statement)
                    self.set("version", _VERSION)
        except sqlite3.DatabaseError as exc:
            self._db.close()
            raise AlpacaError(f"{path} is not a run journal that alpacakit can read: {exc}") from exc
        if self.get("version") != _VERSION:
            self._db.close()
            raise AlpacaError(f"{path} was written by another version of alpacakit; this one cannot continue it.")

    def _has_schema(self) -> bool:
        return self._db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'meta'").fetchone()[0] == 1

    def __enter__(self) -> Store:
        """A transaction: what is written inside is committed together, or not at all."""
        self._db.execute("BEGIN IMMEDIATE")
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._db.execute("COMMIT" if kind is None else "ROLLBACK")

    def close(self) -> None:
        """Fold the write-ahead log back into run.db and close it."""
        self._db.close()

    # ── facts about the run ────────────────────────────────────────────────────────────────────────────────────

    def get(self, key: str) -> str | None:
        """The value stored under ``key``."""
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def set(self, key: str, value: str) -> None:
        """Store ``value`` under ``key``."""
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    # ── requests, attempts, replies ────────────────────────────────────────────────────────────────────────────

    def sent(self, request: Request, reserved: float | None) -> int:
        """Journal that ``request`` is about to be sent; gives the attempt's id."""
        with self:
            self._db.execute("INSERT OR REPLACE INTO requests VALUES (?, ?)", (request.k, json.dumps(asdict(request))))
            cursor = self._db.execute(
                "INSERT INTO attempts (k, sent, reserved) VALUES (?, ?, ?)",
                (request.k, time.time(), reserved),
            )
        return int(cursor.lastrowid or 0)

    def answered(self, attempt: int, k: int, reply: Completion, cost: float | None) -> None:
        """Journal a reply and what it cost, in one transaction."""
        usage = reply.usage
        with self:
            self._db.execute(
                "UPDATE attempts SET ended = ?, outcome = 'answered', cost = ? WHERE id = ?",
                (time.time(), cost, attempt),
            )
            self._db.execute(
                "INSERT OR IGNORE INTO replies VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    k,
                    _whole(reply.text),
                    reply.finish,
                    _whole(reply.model),
                    _whole(reply.id),
                    usage.prompt_tokens,
                    usage.completion_tokens,
                    usage.cached_tokens,
                    usage.reasoning_tokens,
                    json.dumps(reply.labels),
                ),
            )

    def lost(self, attempt: int, kind: str, detail: str, cost: float | None) -> None:
        """Journal an attempt that brought no reply, and what it may have cost all the same."""
        self._db.execute(
            "UPDATE attempts SET ended = ?, outcome = ?, detail = ?, cost = ? WHERE id = ?",
            (time.time(), kind, _whole(detail), cost, attempt),
        )

    def failed(self, k: int, reason: str) -> None:
        """Journal that request ``k`` is given up: judging moves on past it, now and in every later run."""
        self._db.execute("INSERT OR REPLACE INTO failures VALUES (?, ?)", (k, _whole(reason)))

    def last_failure(self) -> str:
        """Why the last request that was given up was; empty where there is none."""
        row = self._db.execute("SELECT reason FROM failures ORDER BY rowid DESC LIMIT 1").fetchone()
        return row[0] if row else ""

    def unpriced(self) -> list[tuple[int, int, bool]]:
        """The attempts whose cost could not be known: (attempt, request, whether it was answered)."""
        rows = self._db.execute(
            "SELECT id, k, outcome = 'answered' FROM attempts WHERE coalesce(cost, reserved) IS NULL"
        )
        return [(attempt, k, bool(answered)) for attempt, k, answered in rows]

    def request(self, k: int) -> Request:
        """Request ``k`` as it was sent."""
        (body,) = self._db.execute("SELECT body FROM requests WHERE k = ?", (k,)).fetchone()
        return _request(body)

    def priced(self, costs: Iterable[tuple[float, int]]) -> None:
        """Store costs found later, as (dollars, attempt)."""
        with self:
            self._db.executemany("UPDATE attempts SET cost = ? WHERE id = ?", costs)

    def settled(self) -> set[int]:
        """The requests that need not be asked again: those with a reply and those given up."""
        return {k for (k,) in self._db.execute("SELECT k FROM replies UNION SELECT k FROM failures")}

    def reply(self, k: int) -> tuple[Request, Completion] | None:
        """Request ``k`` as it was sent, with its reply; None where there is none."""
        row = self._db.execute(
            "SELECT body, text, finish, model, reply_id, prompt_tokens, completion_tokens, cached_tokens,"
            " reasoning_tokens, labels FROM replies JOIN requests USING (k) WHERE k = ?",
            (k,),
        ).fetchone()
        if row is None:
            return None
        labels: Mapping[str, str] = json.loads(row[9])
        return (
            _request(row[0]),
            Completion(
                text=row[1],
                finish=row[2],
                model=row[3],
                id=row[4],
                usage=Usage(*row[5:9]),
                labels={int(number): label for number, label in labels.items()},
            ),
        )

    def totals(self) -> Totals:
        """The account so far. Attempts that were never settled (a killed process) count at their worst price."""
        one = self._db.execute
        requests, attempts, unknown, cost = one(
            "SELECT count(DISTINCT k), count(*), count(*) - count(coalesce(cost, reserved)),"
            " sum(coalesce(cost, reserved)) FROM attempts"
        ).fetchone()
        replies, *tokens = one(
            "SELECT count(*), coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0),"
            " coalesce(sum(cached_tokens), 0), coalesce(sum(reasoning_tokens), 0) FROM replies"
        ).fetchone()
        (failed,) = one("SELECT count(*) FROM failures").fetchone()
        return Totals(requests, replies, failed, attempts, *tokens, cost=None if unknown else (cost or 0.0))

    # ── candidates and verdicts ────────────────────────────────────────────────────────────────────────────────

    def forget_verdicts(self) -> None:
        """Drop every verdict: the replies are judged again from the first."""
        self._db.execute("DELETE FROM candidates")

    def judged(self, rows: Iterable[Judged]) -> None:
        """Store verdicts."""
        with self:
            self._db.executemany(
                "INSERT OR REPLACE INTO candidates VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    (
                        row.candidate.id,
                        row.k,
                        row.place,
                        row.candidate.instruction,
                        row.candidate.input,
                        row.candidate.output,
                        row.candidate.label,
                        row.kept,
                        row.filter,
                        _whole(row.reason),
                        json.dumps(row.flags) if row.flags else "",
                    )
                    for row in rows
                ),
            )

    def kept(self) -> Iterator[Example]:
        """The kept rows, in the order in which they were judged."""
        for row in self._db.execute(
            "SELECT instruction, input, output, id, label FROM candidates WHERE kept = 1 ORDER BY k, place"
        ):
            yield Example(*row)

    def rejected(self) -> Iterator[dict[str, Any]]:
        """The rejected candidates with the filter and its reason, in the order in which they were judged."""
        names = ("id", "instruction", "input", "output", "filter", "reason")
        for row in self._db.execute(f"SELECT {', '.join(names)} FROM candidates WHERE kept = 0 ORDER BY k, place"):
            yield dict(zip(names, row, strict=True))

    def counts(self) -> tuple[int, dict[str, int]]:
        """How many rows were kept, and how many candidates each filter rejected (the largest first)."""
        (kept,) = self._db.execute("SELECT count(*) FROM candidates WHERE kept = 1").fetchone()
        reasons = self._db.execute(
            "SELECT filter, count(*) FROM candidates WHERE kept = 0 GROUP BY filter ORDER BY count(*) DESC, filter"
        )
        return kept, dict(reasons.fetchall())


def _request(body: str) -> Request:
    fields = json.loads(body)
    return Request(**{**fields, "stop": tuple(fields["stop"])})


def _whole(text: str) -> str:
    """``text`` without half surrogate pairs, which a teacher may write and UTF-8 cannot hold."""
    return text.encode("utf-8", "replace").decode()
