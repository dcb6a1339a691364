"""run.db: the journal of a run. Every request, every reply as received, every verdict, every cent, in SQLite.

A reply is committed, and the disk has it, before anything else is done with it: a process killed at any moment, or a
power cut, loses at most what was in flight. Everything downstream of the replies can be computed again from here.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from alpaca_core.entries import Judged, OpenBatch, Totals
from alpaca_core.errors import AlpacaError
from alpaca_core.records import Candidate, Completion, Example, Request, Usage
from alpaca_core.schema import SCHEMA, UPGRADES, VERSION


class Store:
    """One run's journal. Used by one process at a time: the run folder's lock sees to that."""

    def __init__(self, path: Path) -> None:
        new = not path.exists()
        self._db = sqlite3.connect(path, isolation_level=None)
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute(
                "PRAGMA synchronous = NORMAL"
            )  # commits reach the system; ``sync`` brings them to the disk
            if new or not self._has_schema():
                self._change(SCHEMA)
            elif changes := UPGRADES.get(self.get("version") or ""):
                self._change(changes)
        except sqlite3.DatabaseError as exc:
            self._db.close()
            raise AlpacaError(f"{path} is not a run journal that alpacakit can read: {exc}") from exc
        if self.get("version") != VERSION:
            self._db.close()
            raise AlpacaError(f"{path} was written by another version of alpacakit; this one cannot continue it.")
        self._log = os.open(f"{path}-wal", os.O_RDWR)

    def _change(self, statements: str) -> None:
        """Bring the tables to this version, all at once or not at all."""
        with self._quickly():
            for statement in statements.split(";\n"):
                self._db.execute(statement)
            self.set("version", VERSION)

    def clear(self) -> None:
        """Forget everything. The file stays: others may be reading it, and one in its place would not fit their log."""
        tables = self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        with self:
            for (table,) in tables:
                self._db.execute(f"DELETE FROM {table}")
            self.set("version", VERSION)

    def _has_schema(self) -> bool:
        return self._db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'meta'").fetchone()[0] == 1

    def __enter__(self) -> Store:
        """A transaction: what is written inside is committed together, or not at all, and the disk has it then."""
        self._db.execute("BEGIN IMMEDIATE")
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._db.execute("COMMIT" if kind is None else "ROLLBACK")
        if kind is None:
            self.sync()

    @contextmanager
    def _quickly(self) -> Iterator[None]:
        """A transaction that does not wait for the disk. What it wrote outlives this process, however that ends; a
        power cut it outlives once ``sync`` has returned."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def sync(self) -> None:
        """Wait until the disk has what was written so far. Takes milliseconds, and may be called in a thread."""
        os.fsync(self._log)

    def close(self) -> None:
        """Fold the write-ahead log back into run.db and close it."""
        os.close(self._log)
        self._db.close()

    # ── facts about the run ────────────────────────────────────────────────────────────────────────────────────

    def get(self, key: str) -> str | None:
        """The value stored under ``key``."""
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def set(self, key: str, value: str) -> None:
        """Store ``value`` under ``key``."""
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """What a reading ``query`` finds."""
        return self._db.execute(query, values).fetchall()

    # ── requests, attempts, replies ────────────────────────────────────────────────────────────────────────────

    def sent(self, request: Request, reserved: float | None) -> int:
        """Journal that ``request`` is about to be sent; gives the attempt's id."""
        with self._quickly():
            self._db.execute("INSERT OR REPLACE INTO requests VALUES (?, ?)", (request.k, json.dumps(asdict(request))))
            cursor = self._db.execute(
                "INSERT INTO attempts (k, sent, reserved) VALUES (?, ?, ?)",
                (request.k, time.time(), reserved),
            )
        return int(cursor.lastrowid or 0)

    def answered(self, attempt: int, k: int, reply: Completion, cost: float | None) -> None:
        """Journal a reply and what it cost, in one transaction. It is on disk after a ``sync``."""
        with self._quickly():
            self._answer(attempt, k, reply, cost)

    def _answer(self, attempt: int, k: int, reply: Completion, cost: float | None) -> None:
        usage = reply.usage
        self._db.execute(
            "UPDATE attempts SET ended = ?, outcome = 'answered', cost = ? WHERE id = ?",
            (time.time(), cost, attempt),
        )
        self._db.execute(
            "INSERT OR IGNORE INTO replies VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
                usage.cache_write_tokens,
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

    def unpriced(self) -> list[tuple[int, int, bool, bool]]:
        """The attempts whose cost could not be known: (attempt, request, whether it was answered, and in a batch)."""
        rows = self._db.execute(
            "SELECT id, k, outcome IS 'answered', batch IS NOT NULL FROM attempts"
            " WHERE coalesce(cost, reserved) IS NULL"
        )
        return [(attempt, k, bool(answered), bool(batch)) for attempt, k, answered, batch in rows]

    def request(self, k: int) -> Request:
        """Request ``k`` as it was sent."""
        (body,) = self._db.execute("SELECT body FROM requests WHERE k = ?", (k,)).fetchone()
        return _request(body)

    def requests(self) -> Iterator[Request]:
        """Every request that was ever sent, by its number."""
        for (body,) in self._db.execute("SELECT body FROM requests ORDER BY k"):
            yield _request(body)

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
            " reasoning_tokens, cache_write_tokens, labels FROM replies JOIN requests USING (k) WHERE k = ?",
            (k,),
        ).fetchone()
        if row is None:
            return None
        labels: Mapping[str, str] = json.loads(row[10])
        return (
            _request(row[0]),
            Completion(
                text=row[1],
                finish=row[2],
                model=row[3],
                id=row[4],
                usage=Usage(*row[5:10]),
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

    # ── batches ────────────────────────────────────────────────────────────────────────────────────────────────

    def batch_sent(self, key: str, requests: Iterable[tuple[Request, float | None]]) -> None:
        """Journal that ``requests``, each with its reserve, are about to be handed in as the batch ``key``."""
        now = time.time()
        with self:
            total = 0
            for request, reserved in requests:
                body = json.dumps(asdict(request))
                self._db.execute("INSERT OR REPLACE INTO requests VALUES (?, ?)", (request.k, body))
                self._db.execute(
                    "INSERT INTO attempts (k, sent, reserved, batch) VALUES (?, ?, ?, ?)",
                    (request.k, now, reserved, key),
                )
                total += 1
            self._db.execute("INSERT INTO batches (key, submitted, total) VALUES (?, ?, ?)", (key, now, total))

    def batch_named(self, key: str, name: str) -> None:
        """Journal that the provider has the batch ``key``, and calls it ``name``."""
        self._db.execute("UPDATE batches SET batch = ? WHERE key = ?", (name, key))

    def open_batches(self) -> list[OpenBatch]:
        """The batches whose results are not all here, the oldest first."""
        rows = self._db.execute(
            "SELECT key, submitted, total, batch FROM batches WHERE ended IS NULL ORDER BY submitted"
        ).fetchall()
        return [OpenBatch(*row, waiting=self._waiting(row[0])) for row in rows]

    def _waiting(self, key: str) -> dict[int, tuple[int, float | None]]:
        rows = self._db.execute(
            "SELECT k, id, coalesce(cost, reserved) FROM attempts WHERE batch = ? AND ended IS NULL ORDER BY k", (key,)
        )
        return {k: (attempt, reserved) for k, attempt, reserved in rows}

    def batch_answers(
        self,
        answers: Iterable[tuple[int, int, Completion, float | None]],
        lost: Iterable[tuple[int, str, str]],
        failed: Iterable[tuple[int, str]] = (),
        ended: str | None = None,
    ) -> None:
        """Journal results of a batch, in one transaction: answers as (attempt, k, reply, cost), requests without one as
        (attempt, kind of error, detail), requests given up as (k, reason). ``ended`` is the key of a batch that is
        through with them."""
        with self:
            for answer in answers:
                self._answer(*answer)
            for attempt, kind, detail in lost:
                self.lost(attempt, kind, detail, 0.0)
            for k, reason in failed:
                self.failed(k, reason)
            if ended is not None:
                self._db.execute("UPDATE batches SET ended = ? WHERE key = ?", (time.time(), ended))

    def answered_any(self) -> bool:
        """Whether the teacher has answered this run before; replies taken over from other runs do not count."""
        return self._db.execute("SELECT 1 FROM attempts WHERE outcome = 'answered' LIMIT 1").fetchone() is not None

    # ── replies taken over from other runs ─────────────────────────────────────────────────────────────────────

    def take(self, replies: Iterable[Mapping[str, Any]]) -> int:
        """Add the replies of another run's journal, with the bodies of their requests, behind those that are here.

        Gives what was added to the numbers of its requests. To be called inside a transaction.
        """
        (base,) = self._db.execute("SELECT coalesce(max(k) + 1, 0) FROM requests").fetchone()
        for row in replies:
            reply = {name: row[name] for name in row.keys() - {"body"}} | {"k": row["k"] + base}
            body = json.dumps({**json.loads(row["body"]), "k": row["k"] + base})
            self._db.execute("INSERT INTO requests VALUES (?, ?)", (reply["k"], body))
            names = ", ".join(reply)
            self._db.execute(f"INSERT INTO replies ({names}) VALUES ({', '.join('?' * len(reply))})", [*reply.values()])
        return int(base)

    def took(self, **source: Any) -> None:
        """Journal where a stretch of replies came from, by the columns of the table ``sources``."""
        self._db.execute(
            f"INSERT INTO sources ({', '.join(source)}) VALUES ({', '.join('?' * len(source))})", [*source.values()]
        )

    def sources(self) -> list[dict[str, Any]]:
        """The stretches of replies that came from other runs, with their replies, candidates and kept rows counted."""
        cursor = self._db.execute(
            "SELECT *, (SELECT count(*) FROM replies WHERE k >= first AND k < until) AS replies,"
            " (SELECT count(kept) FROM candidates WHERE k >= first AND k < until) AS candidates,"
            " (SELECT coalesce(sum(kept), 0) FROM candidates WHERE k >= first AND k < until) AS kept"
            " FROM sources ORDER BY first"
        )
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    # ── candidates and verdicts ────────────────────────────────────────────────────────────────────────────────

    def forget_verdicts(self) -> None:
        """Drop every verdict: the replies are judged again from the first."""
        with self:
            self._db.execute("DELETE FROM candidates")
            self._db.execute("DELETE FROM meta WHERE key IN ('judged', 'selectors')")

    def judged(self, rows: Iterable[Judged], last: int | None = None) -> None:
        """Store verdicts. ``last`` is the request up to which all replies are judged now."""
        with self._quickly():
            if last is not None:
                self.set("judged", str(last))
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

    def kept_verdicts(self) -> list[Judged]:
        """The kept rows as they were judged, in that order."""
        rows = self._db.execute(
            "SELECT instruction, input, output, id, label, k, place, flags FROM candidates WHERE kept = 1"
            " ORDER BY k, place"
        )
        return [
            Judged(Candidate(*texts, id=id, label=label), k, place, True, flags=tuple(json.loads(flags or "[]")))
            for *texts, id, label, k, place, flags in rows
        ]

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
