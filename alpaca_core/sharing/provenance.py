"""How a dataset came to be, as far as its run folder tells: for cards. Nothing private: no paths, addresses or keys."""

from __future__ import annotations

import hashlib
import re
import sqlite3
import tomllib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Any

from alpaca_core.errors import ConfigError
from alpaca_core.refilter import kind_of
from alpaca_core.reuse import opened
from alpaca_core.runs import CONFIG, DATA, JOURNAL, read_summary
from alpaca_core.seeds import read_seeds
from alpaca_core.specs import TeacherSpec

_PRIVATE = {"base_url", "price_input", "price_output"}  # of [teacher]: where and for how much, not what


@dataclass(frozen=True)
class Provenance:
    """What is known of the origin of some rows. Everything is empty for rows that came without a run.

    ``config`` is run.toml, ``summary`` summary.json. ``reasons`` counts rejected candidates by filter and kind of
    reason. ``first`` and ``last`` are the days (UTC, ISO 8601) on which the teacher was asked. ``elsewhere`` says that
    the teacher's protocol was spoken with another server than its provider's.
    """

    config: Mapping[str, Any] = field(default_factory=dict)
    summary: Mapping[str, Any] = field(default_factory=dict)
    version: str = ""
    seeds: str = ""
    models: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    first: str = ""
    last: str = ""
    elsewhere: bool = False
    terms: str = ""

    @property
    def teacher(self) -> str:
        return str(self.summary.get("teacher") or self.config.get("teacher", {}).get("name", ""))

    @property
    def notice(self) -> str:
        return str(self.summary.get("notice", ""))

    @property
    def language(self) -> str:
        """As the prompt names it, such as ``English``."""
        return str(self.config.get("prompt", {}).get("language", ""))

    @property
    def options(self) -> Mapping[str, Any]:
        """What the teacher was set to, without what is nobody's business."""
        found: dict[str, Any] = self.config.get("teacher", {})
        return {name: value for name, value in found.items() if name != "name" and name not in _PRIVATE}

    @property
    def cost(self) -> float | None:
        """Dollars, None where unknown."""
        spent = [
            part.get("cost_usd")
            for part in (self.summary.get("generation", {}), self.summary.get("selection"))
            if part is not None
        ]
        return None if None in spent else sum(spent)


def provenance(folder: Path, teachers: Sequence[TeacherSpec] = ()) -> Provenance:
    """What the run in ``folder`` tells; nothing where there is none. ``teachers`` are those that are installed: they
    know terms and seed tasks of their own."""
    if not (folder / DATA).is_file() or not (folder / CONFIG).is_file():
        return Provenance()
    text = (folder / CONFIG).read_text(encoding="utf-8")
    config = tomllib.loads(text)
    made_with = re.match(r"# What this run is, resolved: (.*)\.\n", text)
    summary = read_summary(folder)
    models, reasons, days = _journal(folder / JOURNAL)
    name = config.get("teacher", {}).get("name", "")
    teacher = next((spec for spec in teachers if spec.name == name), None)
    return Provenance(
        config=config,
        summary=summary,
        version=made_with[1] if made_with else "",
        seeds=_seeds(folder, config, teacher),
        models=models,
        reasons=reasons,
        first=days[0],
        last=days[1],
        elsewhere=bool(config.get("teacher", {}).get("base_url")),
        terms=getattr(teacher, "terms", ""),
    )


def file_hash(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _journal(path: Path) -> tuple[dict[str, int], dict[str, dict[str, int]], tuple[str, str]]:
    """Replies by the model that wrote them, rejections by filter and reason, and the first and last day."""
    if not path.is_file():
        return {}, {}, ("", "")
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    try:
        with opened(path) as journal:
            models = dict(journal.execute("SELECT model, count(*) FROM replies GROUP BY model ORDER BY 2 DESC"))
            for name, reason in journal.execute("SELECT filter, reason FROM candidates WHERE kept = 0"):
                reasons[name][kind_of(reason or "")] += 1
            first, last = journal.execute("SELECT min(sent), max(sent) FROM attempts").fetchone()
    except sqlite3.DatabaseError as exc:
        raise ConfigError(f"{path} is not a run journal that alpacakit can read: {exc}") from exc
    ranked = sorted(reasons.items(), key=lambda item: -item[1].total())
    days = tuple("" if when is None else f"{datetime.fromtimestamp(when, UTC):%Y-%m-%d}" for when in (first, last))
    return (
        {str(model): n for model, n in models.items() if model},
        {name: dict(kinds.most_common()) for name, kinds in ranked},
        (days[0], days[1]),
    )


def _seeds(folder: Path, config: Mapping[str, Any], teacher: TeacherSpec | None) -> str:
    """The seed tasks in words: how many, and whose. Those that a teacher brings are known by file and folder."""
    named = str(config.get("generation", {}).get("seed_tasks", ""))
    brought = str(teacher.defaults.get("generation.seed_tasks", "")) if teacher else ""
    ours = named in ("", "none") or (brought and PurePath(named).parts[-2:] == PurePath(brought).parts[-2:])
    try:
        count = f"{len(read_seeds(None if named in ('', 'none') else folder / named)):,} seed tasks"
    except (OSError, ConfigError):
        count = "seed tasks"
    return f"{count} that come with alpacakit" if ours else f"{count} of the file {PurePath(named).name}"
