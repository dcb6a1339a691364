"""The way of one row: where it came from, what the filters said of it, and how well it was learnt."""

from __future__ import annotations

import json
import re
import sqlite3
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from alpaca_core.entries import Loss
from alpaca_core.errors import AlpacaError, ConfigError
from alpaca_core.records import Seed
from alpaca_core.reuse import opened
from alpaca_core.runs import CONFIG, DATA, HELDOUT, JOURNAL
from alpaca_core.seeds import read_seeds, seeds_hash

ROW_LOSSES = "row_losses.jsonl"
ROSE = 1.05  # a row whose last loss is so many times its first, or more, has risen

_CANDIDATE = "SELECT id, k, place, instruction, input, output, label, kept, filter, reason, flags FROM candidates"
_FATES = {1: "kept", 0: "rejected", None: "not judged"}


def newest_run(folder: Path = Path("runs")) -> Path:
    """The folder in ``folder`` in which something happened last. Raises ConfigError where there is none."""
    found = [path for path in folder.glob("*") if (path / JOURNAL).exists() or (path / ROW_LOSSES).exists()]
    if not found:
        raise ConfigError(f"There is no run in {folder}/.", hint="Name its folder: --run DIR")

    def when(path: Path) -> float:
        return max(file.stat().st_mtime for name in (JOURNAL, ROW_LOSSES) if (file := path / name).exists())

    return max(found, key=when)


def trace(folder: Path, name: str) -> dict[str, Any]:
    """What is known in ``folder`` of the example with the id ``name``, or of row ``name`` of its data, from 0.

    For JSON: ``id, row, fate, instruction, input, output, label, origin, verdicts, losses``; of a folder that
    `alpacakit train` made, ``id, row, losses`` alone. Raises ConfigError where there is no such example.
    """
    known = list(row_losses(folder))
    if not (folder / JOURNAL).exists():
        if not known:
            raise ConfigError(f"{folder} holds neither a run nor the losses of a training.", hint="Name one: --run DIR")
        return _of_training(folder, name, known)
    try:
        with opened(folder / JOURNAL) as journal:
            journal.execute("BEGIN")  # one view of it, also while its run is writing
            return _of_run(folder, journal, name, known)
    except sqlite3.DatabaseError as exc:
        raise AlpacaError(f"{folder / JOURNAL} is not a run journal that alpacakit can read: {exc}") from exc


def row_losses(folder: Path) -> Iterator[Loss]:
    """The losses in ``folder``, in the order of the steps; nothing where no training wrote any."""
    path = folder / ROW_LOSSES
    if not path.exists():
        return
    with path.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            if line.endswith("\n"):  # a kill may have cut the last one
                of = json.loads(line)
                yield Loss(of["row"], of.get("id", ""), of["epoch"], of["loss"], of["tokens"])


def worst(folder: Path, most: int) -> list[dict[str, Any]]:
    """The ``most`` rows that were learnt worst, for JSON: first those whose loss rose from their first epoch to their
    last, by how much; then those whose last loss is the highest.

    Raises ConfigError where no training wrote losses.
    """
    by_row: dict[int, list[Loss]] = defaultdict(list)
    for loss in row_losses(folder):
        by_row[loss.row].append(loss)
    if not by_row:
        raise ConfigError(
            f"{folder} has no {ROW_LOSSES}: nothing was trained in it.", hint="Name another folder: --run DIR"
        )

    def rank(losses: list[Loss]) -> tuple[float, float]:
        rise = losses[-1].loss - losses[0].loss if losses[-1].loss >= ROSE * losses[0].loss else 0.0
        return (rise if len(losses) > 1 else 0.0, losses[-1].loss)

    chosen = sorted(by_row.values(), key=rank, reverse=True)[:most]
    texts = _texts(folder)
    return [
        {
            "id": losses[0].id,
            "row": losses[0].row,
            "losses": [loss.loss for loss in losses],
            "rose": rank(losses)[0] > 0,
            "tokens": losses[-1].tokens,
            "instruction": texts.get(losses[0].row, ""),
        }
        for losses in chosen
    ]


def _texts(folder: Path) -> dict[int, str]:
    """The instructions of a run's rows."""
    if not (folder / DATA).is_file():
        return {}
    return dict(enumerate(row["instruction"] for row in json.loads((folder / DATA).read_text(encoding="utf-8"))))


def _of_training(folder: Path, name: str, known: list[Loss]) -> dict[str, Any]:
    found = [loss for loss in known if loss.id == name] or [loss for loss in known if str(loss.row) == name]
    if not found:
        raise ConfigError(
            f"{folder} knows no example {name}.",
            hint=f"Give an id such as {known[0].id or known[0].row}, or the number of a row, from 0.",
        )
    return {"id": found[0].id, "row": found[0].row, "fate": "trained on", "losses": _epochs(found)}


def _of_run(folder: Path, journal: sqlite3.Connection, name: str, known: list[Loss]) -> dict[str, Any]:
    heldout = folder / HELDOUT
    aside = [row["id"] for row in json.loads(heldout.read_text(encoding="utf-8"))] if heldout.exists() else []
    unseen = set(aside)
    stored = journal.execute("SELECT value FROM meta WHERE key = 'edits'").fetchone()
    by_hand = json.loads(stored[0]) if stored else {"dropped": [], "taken_in": [], "edited": {}}
    unused, taken_in = unseen | set(by_hand["dropped"]), set(by_hand["taken_in"])
    judged = journal.execute("SELECT id, kept FROM candidates ORDER BY k, place")
    # The ids of alpaca_data.json, in its order.
    rows = [id for id, kept in judged if id in taken_in or (kept and id not in unused)]
    if name.isdecimal() and int(name) < len(rows):
        name = rows[int(name)]
    found = journal.execute(f"{_CANDIDATE} WHERE id = ?", (name,)).fetchone()
    if found is None:
        such = f" such as {rows[0]}" if rows else ""
        raise ConfigError(
            f"{folder} knows no example {name}.",
            hint=f"Give an id{such}, of a row or of a rejected candidate, or a row's number from 0 to {len(rows) - 1}.",
        )
    id, k, place, instruction, given, output, label, fate, filter, reason, flags = found
    return {
        "id": id,
        "row": rows.index(id) if id in rows else None,
        "fate": "held out" if id in unseen else _FATES[fate],
        "instruction": instruction,
        "input": given,
        "output": output,
        "label": label,
        **by_hand["edited"].get(id, {}),
        "origin": _origin(folder, journal, k, place),
        "verdicts": [
            *json.loads(flags or "[]"),
            *([f"{filter}: {reason}"] if fate == 0 else []),
            *(
                f"edits: {done.replace('_', ' ')} by hand"
                for done in ("dropped", "taken_in", "edited")
                if id in by_hand[done]
            ),
        ],
        "losses": _epochs([loss for loss in known if loss.id == id]),
    }


def _epochs(losses: list[Loss]) -> list[dict[str, Any]]:
    return [{"epoch": loss.epoch, "loss": loss.loss, "tokens": loss.tokens} for loss in losses]


def _origin(folder: Path, journal: sqlite3.Connection, k: int, place: int) -> dict[str, Any]:
    """Who wrote it, when, in answer to what, and what that cost."""
    (body,) = journal.execute("SELECT body FROM requests WHERE k = ?", (k,)).fetchone()
    request = json.loads(body)
    model, finish, reply, *tokens = journal.execute(
        "SELECT model, finish, reply_id, prompt_tokens, completion_tokens FROM replies WHERE k = ?", (k,)
    ).fetchone()
    # As account.py divides: what the reply has cost, evenly over the tasks that were found in it.
    sent, paid, unpriced = journal.execute(
        "SELECT max(sent), sum(coalesce(cost, reserved)), count(*) - count(coalesce(cost, reserved)) FROM attempts"
        " WHERE k = ? AND outcome = 'answered'",
        (k,),
    ).fetchone()
    (tasks,) = journal.execute("SELECT count(*) FROM candidates WHERE k = ?", (k,)).fetchone()
    source, identity = _source(journal, k)
    cost = paid if sent is not None and not unpriced else None
    return {
        "request": k,
        "item": place,
        "teacher": identity.get("teacher", ""),
        "model": model or identity.get("teacher.model", ""),
        "prompt": identity.get("prompt", ""),
        "sent": sent,
        "reply": reply,
        "finish": finish,
        "prompt_tokens": tokens[0],
        "completion_tokens": tokens[1],
        "tasks": tasks,
        "reply_cost_usd": cost,
        "cost_usd": None if cost is None else cost / tasks,
        "shown": _shown(folder, journal, k, f"{request.get('system', '')}\n{request['prompt']}", identity),
        **({"from": source} if source else {}),
    }


def _source(journal: sqlite3.Connection, k: int) -> tuple[str, dict[str, Any]]:
    """The run that reply ``k`` was taken over from, where it was, and the identity of the run that asked for it."""
    tables = {name for (name,) in journal.execute("SELECT name FROM sqlite_master")}
    if "sources" in tables:  # journals of version 1 have none
        taken = journal.execute("SELECT path, identity FROM sources WHERE first <= ? AND ? < until", (k, k)).fetchone()
        if taken:
            return taken[0], json.loads(taken[1])
    return "", json.loads(journal.execute("SELECT value FROM meta WHERE key = 'identity'").fetchone()[0])


def _shown(
    folder: Path, journal: sqlite3.Connection, k: int, prompt: str, identity: dict[str, Any]
) -> list[str] | None:
    """The ids of the seed tasks and kept rows whose texts stand in ``prompt``; None where the seed tasks that the run
    had are not here any more."""
    seeds = _seeds(folder, identity)
    if seeds is None:
        return None
    earlier = journal.execute(
        "SELECT id, instruction, input, output FROM candidates WHERE kept = 1 AND k < ? ORDER BY k, place", (k,)
    )
    flat = _flat(prompt)
    return [
        task.id
        for task in (*seeds, *(Seed(*row) for row in earlier))
        if _in(flat, task.instruction.rstrip(": \n")) and _in(flat, task.input) and _in(flat, task.output)
    ]


def _seeds(folder: Path, identity: dict[str, Any]) -> list[Seed] | None:
    try:
        named = tomllib.loads((folder / CONFIG).read_text(encoding="utf-8"))["generation"].get("seed_tasks", "")
        seeds = read_seeds(None if named in ("", "none") else folder / named)  # an absolute path stays itself
    except (OSError, KeyError, tomllib.TOMLDecodeError, ConfigError):
        return None
    return seeds if seeds_hash(seeds)[:16] == identity.get("seed tasks (hash)") else None


def _in(prompt: str, text: str) -> bool:
    """Whether ``prompt`` shows ``text``, as it is or inside JSON."""
    return _flat(text) in prompt or _flat(json.dumps(text, ensure_ascii=False)[1:-1]) in prompt


def _flat(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
