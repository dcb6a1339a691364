"""Replies of other runs, taken over into this one (``--from``): judged again, never asked again.

A run keeps what it took over in its own journal, so the other folders may go. Each row's id says where it came from:
``openai:000012.03`` is the third task in the reply to request 12 of the run in the folder ``openai``.
"""

from __future__ import annotations

import json
import sqlite3
import tomllib
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from alpaca_core.errors import AlpacaError, ConfigError
from alpaca_core.plugins import PluginHost
from alpaca_core.replies import Taken
from alpaca_core.runs import CONFIG, JOURNAL
from alpaca_core.schema import UPGRADES, VERSION
from alpaca_core.sources import Setting
from alpaca_core.store import Store
from alpaca_core.validation import build, files


def check_sources(folders: Sequence[str], out: Path) -> None:
    """Raises ConfigError unless each of ``folders`` holds a run with replies, and none of them is ``out``."""
    problems = [f"{folder}: {trouble}" for folder in folders if (trouble := _trouble(Path(folder), out))]
    if len({Path(folder).resolve() for folder in folders}) < len(folders):
        problems.append("the same folder is named twice")
    if problems:
        raise ConfigError("Cannot take replies over:", problems=problems, hint="Name run folders: --from DIR")


def _trouble(folder: Path, out: Path) -> str:
    """What keeps the replies in ``folder`` from being taken over into ``out``; empty where nothing does."""
    if not (folder / JOURNAL).is_file() or not (folder / CONFIG).is_file():
        return f"no run, it lacks {JOURNAL} or {CONFIG}"
    if folder.resolve() == out.resolve():
        return "the folder of this very run, which judges its replies anew by itself"
    try:
        with opened(folder / JOURNAL) as source:
            (version,) = source.execute("SELECT max(value) FROM meta WHERE key = 'version'").fetchone()
            if version not in (VERSION, *UPGRADES):
                return f"another version of alpacakit wrote its {JOURNAL}"
            if version == VERSION and source.execute("SELECT 1 FROM batches WHERE ended IS NULL").fetchone():
                return "a batch of it is still at the provider: run it once more to collect that first"
            return "" if source.execute("SELECT 1 FROM replies LIMIT 1").fetchone() else "it holds no replies"
    except sqlite3.DatabaseError as exc:
        return f"its {JOURNAL} cannot be read: {exc}"


def take_over(store: Store, folders: Sequence[str]) -> None:
    """Copy the replies of the runs in ``folders`` into ``store``, one run behind the other; all of them, or none.

    The first run's requests keep their numbers, so that a run with the same prompt and seed goes on where it ended.
    """
    if store.sources():
        return
    with store:
        names: set[str] = set()
        for folder in map(Path, folders):
            name, number = folder.resolve().name, 1
            while name in names:
                number += 1
                name = f"{folder.resolve().name}-{number}"
            names.add(name)
            with opened(folder / JOURNAL) as source:
                _copy(source, store, folder, name)


def taken(store: Store, host: PluginHost) -> list[Taken]:
    """What was taken over, with the prompts that read it. Raises MissingError when a prompt's plugin is not here."""
    found = []
    for row in store.sources():
        prompt = _prompt(host, row["path"], json.loads(row["prompt"]))
        found.append(Taken(row["first"], row["until"], row["shift"], row["name"], prompt))
    return found


def described(store: Store) -> list[dict[str, Any]]:
    """summary.json's ``generation.sources``: what was taken over, from where, and what became of it."""
    found = []
    for row in store.sources():
        identity = json.loads(row["identity"])
        found.append(
            {
                **{name: row[name] for name in ("name", "path", "replies", "candidates", "kept")},
                "teacher": identity.get("teacher", ""),
                "model": identity.get("teacher.model", ""),
                "prompt": identity.get("prompt", ""),
                "cost_usd": row["cost"],
            }
        )
    return found


def opened(path: Path) -> Any:
    """The journal of another run, to be read only and closed."""
    # Without a write-ahead log nobody is writing, and the file can be read without leaving anything beside it.
    mode = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "mode=ro&immutable=1"
    return closing(sqlite3.connect(f"{path.resolve().as_uri()}?{mode}", uri=True))


def _copy(source: sqlite3.Connection, store: Store, folder: Path, name: str) -> None:
    source.row_factory = sqlite3.Row
    try:
        source.execute("BEGIN")  # one view of it, also while its own run is writing
        until = source.execute("SELECT max(k) + 1 FROM replies").fetchone()[0] or 0
        (identity,) = source.execute("SELECT value FROM meta WHERE key = 'identity'").fetchone()
        (unknown, cost) = source.execute(
            "SELECT count(*) - count(coalesce(cost, reserved)), sum(coalesce(cost, reserved)) FROM attempts"
        ).fetchone()
        tables = {row["name"] for row in source.execute("SELECT name FROM sqlite_master")}
        before = list(source.execute("SELECT * FROM sources ORDER BY first")) if "sources" in tables else []
        replies = source.execute("SELECT * FROM replies JOIN requests USING (k) ORDER BY k")
        base = store.take(map(dict, replies))
    except sqlite3.DatabaseError as exc:
        raise AlpacaError(f"{folder / JOURNAL} is not a run journal that alpacakit can read: {exc}") from exc
    if not until:
        raise ConfigError(f"{folder} holds no replies to take over.")
    for row in before:
        inherited = dict(row)
        for place in ("first", "until", "shift"):
            inherited[place] += base
        store.took(**{**inherited, "name": f"{name}/{inherited['name']}"})
    first = max((row["until"] for row in before), default=0)
    if first < until:
        prompt = tomllib.loads((folder / CONFIG).read_text(encoding="utf-8")).get("prompt", {})
        store.took(
            first=base + first,
            until=base + until,
            shift=base,
            name=name,
            path=str(folder),
            identity=identity,
            prompt=json.dumps(prompt, default=str),
            cost=None if unknown else (cost or 0.0),
        )


def _prompt(host: PluginHost, path: str, table: dict[str, Any]) -> Any:
    """The prompt that run.toml's table describes."""
    spec = host.find("prompt", table["name"])
    if spec.options is None:
        return spec.load()()
    # A file that the prompt asked with, such as a list of topics, may be gone: reading replies takes none.
    gone = {key for key in files(spec.options) if key in table and not Path(str(table[key])).is_file()}
    wanted = table.keys() - gone - {"name"}
    settings = {key: Setting(table[key], f"{path}/{CONFIG}", Path(path)) for key in table if key in wanted}
    options, problems = build(spec.options, settings, "prompt")
    if problems:
        raise ConfigError(f"The prompt of {path} cannot be used here:", problems=problems)
    return spec.load()(options)
