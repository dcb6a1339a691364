"""The run folder: its lock, what the run is, and what it leaves behind.

run.toml          the resolved configuration, and the versions it ran with
run.db            the journal (alpaca_core.store)
judging.db        the journal of what dataset filters asked, where there is one
edits.jsonl       the marks that people made on rows, where there are any (alpaca_core.marks)
alpaca_data.json  the training rows           heldout.json   rows set aside for evaluation
rejected.jsonl    the rejected candidates     summary.json   counts, cost, times, scores
model/            the trained student
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

from alpaca_core.config import Config, to_toml
from alpaca_core.dataset import write_text
from alpaca_core.errors import ConfigError
from alpaca_core.locks import take_lock
from alpaca_core.marks import EDITS, start_over
from alpaca_core.settings import default_of, shown
from alpaca_core.store import Store

JOURNAL = "run.db"
JUDGING = "judging.db"
CONFIG = "run.toml"
DATA = "alpaca_data.json"
HELDOUT = "heldout.json"
REJECTED = "rejected.jsonl"
SUMMARY = "summary.json"
LOCK = ".lock"


class RunFolder:
    """A run folder, held by this process until it is closed."""

    def __init__(self, path: Path, store: Store, lock: IO[str]) -> None:
        self.path = path
        self.store = store
        self._lock = lock
        self._judging: Store | None = None

    def judging(self, *, make: bool) -> Store | None:
        """The journal of what dataset filters asked; None where there is none, unless it is to be made."""
        if self._judging is None and (make or (self.path / JUDGING).exists()):
            self._judging = Store(self.path / JUDGING)
        return self._judging

    @classmethod
    def open(cls, path: Path, config: Config, identity: Mapping[str, Any], *, fresh: bool = False) -> RunFolder:
        """Open ``path`` for the run that ``identity`` names: a new folder, or one to go on with.

        ``fresh`` starts over; what was there is moved aside to ``PATH.1``, ``PATH.2``, …, and marks on rows are taken
        along. Raises ConfigError when the folder holds another run or no run at all, AlpacaError when another process
        is working in it.
        """
        if path.exists() and not path.is_dir():
            raise ConfigError(f"{path} is not a folder.", hint="Choose another one with --out DIR")
        if (
            path.exists()
            and not (path / JOURNAL).exists()
            and any(entry.name not in (LOCK, EDITS) for entry in path.iterdir())
        ):
            raise ConfigError(f"{path} is not empty and holds no run.", hint="Choose another folder with --out DIR")
        lock = _take_lock(path, fresh)
        store = Store(path / JOURNAL)
        try:
            differences = _differences(store, identity, _options(config, defaults=True))
            if differences and _is_bare(store):  # a wrong key or model: whoever mends that has another run
                store.clear()
            elif differences:
                raise ConfigError(
                    f"{path} holds another run. Its replies came from other settings:",
                    problems=differences,
                    hint="Use the same settings, another folder (--out DIR), or --fresh to start over (the old one is"
                    " kept aside).",
                )
            store.set("identity", json.dumps(identity, default=str))
            write_text(path / CONFIG, _header(config) + to_toml(config))
        except BaseException:
            store.close()
            raise
        return cls(path, store, lock)

    def close(self) -> None:
        if self._judging is not None:
            self._judging.close()
        self.store.close()
        self._lock.close()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def identity(config: Config, seeds_hash: str) -> dict[str, Any]:
    """What makes a run this run. If any of it differs, its replies would differ: it is another run."""
    return {
        "teacher": config.teacher.name,
        "prompt": config.prompt.name,
        **_options(config),
        "seed tasks (hash)": seeds_hash[:16],
        "generation.block": config.generation.block,
        "seed": config.seed,
        **({"replies taken over from": list(config.generation.sources)} if config.generation.sources else {}),
    }


def read_summary(path: Path) -> dict[str, Any]:
    """The folder's summary.json; empty where there is none yet."""
    try:
        summary: dict[str, Any] = json.loads((path / SUMMARY).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return summary


@contextmanager
def understood(folder: Path, files: str = f"{SUMMARY} or {CONFIG}") -> Iterator[None]:
    """A ConfigError, which names ``files``, for what the block stumbles over in the records of ``folder``: they do not
    hold what was once written there."""
    try:
        yield
    except (AttributeError, LookupError, TypeError, ValueError) as exc:
        raise ConfigError(
            f"The records of {folder} do not hold what alpacakit writes there: {type(exc).__name__}: {exc}",
            hint=f"Was {files} changed by hand? Mend it, or put it aside. With --debug: where it shows.",
        ) from exc


def write_summary(path: Path, summary: Mapping[str, Any]) -> None:
    """Write summary.json at once or not at all."""
    write_text(path / SUMMARY, json.dumps(summary, indent=2, ensure_ascii=False) + "\n")


def teacher_identity(config: Config) -> str:
    """Who answers: the teacher with the options that change what it says, as JSON."""
    return json.dumps({"teacher": config.teacher.name, **_options(config, ("teacher",))}, default=str)


def judge_identity(config: Config) -> dict[str, Any]:
    """Who judges: the judge with its options and, where it asks one, the teacher."""
    assert config.judge is not None
    said: dict[str, Any] = {"name": config.judge.name, **_options(config, ("judge",))}
    if getattr(config.judge.spec, "asks", False):
        said["teacher"] = json.loads(teacher_identity(config))
    shaped: dict[str, Any] = json.loads(json.dumps(said, default=str))
    return shaped


def _options(
    config: Config, tables: Sequence[str] = ("teacher", "prompt"), *, defaults: bool = False
) -> dict[str, Any]:
    """The options that change what teacher and prompt say; ``metadata={"identity": False}`` marks those that do not.

    With ``defaults`` as they are when nobody sets them.
    """
    return {
        # As shown: no password reaches the journal.
        f"{table}.{option.name}": shown(
            option.name, default_of(option) if defaults else getattr(chosen.options, option.name)
        )
        for table in tables
        for chosen in (getattr(config, table),)
        for option in (fields(chosen.options) if chosen.options is not None else ())
        if option.metadata.get("identity", True)
    }


def _differences(store: Store, identity: Mapping[str, Any], defaults: Mapping[str, Any]) -> list[str]:
    """How the journal's run differs from ``identity``. An option that its run is older than counts as its default."""
    stored = store.get("identity")
    if stored is None:
        return []
    new = json.loads(json.dumps(identity, default=str))  # an option may be a Path
    old = {**json.loads(json.dumps(defaults, default=str)), **json.loads(stored)}
    names = dict.fromkeys([*old, *new])
    return [f"{n}: {old.get(n)!r} there, {new.get(n)!r} asked for" for n in names if old.get(n) != new.get(n)]


def _is_bare(store: Store) -> bool:
    """Whether nothing was answered and nothing can have been paid: there is nothing to keep."""
    totals = store.totals()
    return not totals.replies and totals.cost == 0 and not store.open_batches()


def _take_lock(path: Path, fresh: bool) -> IO[str]:
    lock = take_lock(path / LOCK, path)
    if not fresh or not (path / JOURNAL).exists():
        return lock
    if path.name in ("", ".."):  # what is begun in there would go where the folder is moved to
        raise ConfigError(
            f"{path} cannot start over from within itself.", hint=f"Call it by its path: --out {path.resolve()}"
        )
    number = 1
    while (aside := path.with_name(f"{path.name}.{number}")).exists():
        number += 1
    start_over(path, aside)
    lock.close()
    return _take_lock(path, fresh=False)


def _header(config: Config) -> str:
    plugins = sorted({chosen.spec.target.partition(".")[0].partition(":")[0] for chosen in config.chosen()})
    return (
        f"# What this run is, resolved: alpacakit {version('alpacakit')}, Python {sys.version.split()[0]}.\n"
        f"# Components come from: {', '.join(plugins)}.\n"
        "# The same run in this folder: alpacakit run --config run.toml --out .\n\n"
    )
