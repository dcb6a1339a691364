"""The section on where the data come from, and on what may bind whoever uses them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from html import escape
from pathlib import PurePath
from typing import Any

from alpaca_core.report.facts import Facts
from alpaca_core.report.sections import Section, pairs, table
from alpaca_core.report.texts import inline


def provenance(facts: Facts, terms: str = "") -> Section:
    """Seed tasks, teacher, model, prompt, filters, versions, sources, and a note on licence and terms."""
    if not facts.is_run:
        body = (
            "<p>This page was made of a file of rows alone. The file does not say who wrote them, under which licence"
            " they may be used, or what was left out.</p>"
        )
        return Section("provenance", "Provenance", body)
    origin = pairs([(escape(name), value) for name, value in _origin(facts) if value], "facts across")
    sources = facts.summary.get("generation", {}).get("sources", ())
    taken = ""
    if sources:
        cells = [
            (
                inline(str(of.get("name", "")), 60),
                inline(f"{of.get('teacher', '')} {of.get('model') or ''}", 60),
                inline(str(of.get("prompt", "")), 40),
                f"{of.get('replies', 0):,}",
                f"{of.get('kept', 0):,} of {of.get('candidates', 0):,}",
            )
            for of in sources
        ]
        taken = "<h3>Taken over from other runs</h3>" + table(
            ["run", "teacher", "prompt", "replies", "kept"], cells, numbers=2
        )
    settings = [(inline(name, 60), inline(value, 400)) for name, value in _settings(facts.config)]
    listed = table(["setting", "value"], settings) if settings else ""
    whole = f"<details><summary>All settings, as run.toml has them</summary>{listed}</details>" if settings else ""
    body = f"{origin}{taken}<h3>Licence and terms</h3>{_terms(facts, terms)}{whole}"
    return Section("provenance", "Provenance", body)


def _origin(facts: Facts) -> Iterator[tuple[str, str]]:
    """Facts on the run's origin, as HTML."""
    config = facts.config
    generation = config.get("generation", {})
    yield "teacher", inline(teacher(facts), 100)
    yield "prompt", inline(str(config.get("prompt", {}).get("name", "")), 60) if "prompt" in config else ""
    if generation:
        yield "seed tasks", inline(_file(generation.get("seed_tasks") or "") or "those that come with alpacakit", 100)
        yield "filters", inline(", ".join(map(str, generation.get("filters", ()))), 300)
    yield "seed of the draws", escape(str(config.get("seed", "")))
    trainer = config.get("trainer", {})
    if facts.summary.get("training"):
        yield "student", inline(_file(trainer.get("student", "")), 120) if trainer else ""
        yield "trainer", inline(str(trainer.get("name", "")), 60) if trainer else ""
        yield "chat template", inline(str(config.get("chat_template", {}).get("name", "")), 60)
    if facts.asked is not None:
        first, last = (f"{datetime.fromtimestamp(when, UTC):%Y-%m-%d %H:%M}" for when in facts.asked)
        yield "asked", f"{first} UTC" if first == last else f"{first} to {last} UTC"
    for line in facts.header:
        name, _, value = line.partition(": ")
        if value and not name.startswith("The same run"):
            yield (
                {"What this run is, resolved": "versions", "Components come from": "plugins"}.get(name, name),
                inline(value.rstrip("."), 300),
            )


def teacher(facts: Facts) -> str:
    """The teacher's name with the models that answered, as far as they are known."""
    named = facts.config.get("teacher", {})
    name = str(facts.summary.get("teacher") or named.get("name") or "")
    models = facts.models or ((str(named["model"]),) if named.get("model") else ())
    models = tuple(model for model in models if model != name)
    return name + (f", {', '.join(models)}" if models else "")


def _terms(facts: Facts, terms: str) -> str:
    """What to look up before the rows are used; ``terms`` is what the teacher's plugin says of it."""
    name = teacher(facts)
    if not name:
        return "<p>Who wrote the rows is not known here: look for their licence where they came from.</p>"
    own = facts.config.get("teacher", {}).get("base_url") not in (None, "", "none")
    points = [
        inline(terms, 600) if terms else "What the terms of the teacher’s provider say on the use of its answers.",
        "It was asked at an address of its own: the terms of whoever runs that count first." if own else "",
        "The licence of the seed tasks, which the teacher was shown.",
        "The licence of the student’s base model, where a model is passed on." if "training" in facts.summary else "",
    ]
    listed = "".join(f"<li>{point}</li>" for point in points if point)
    return (
        f"<p>{inline(name, 100)} wrote the rows. To check before they are published, sold or trained on:</p>"
        f"<ul>{listed}</ul><p>alpacakit states no licence for the rows. These are notes to check, no legal advice.</p>"
    )


def _settings(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """run.toml in dotted keys. Of a path on this machine only the last name is shown."""

    def walk(prefix: str, table: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        for name, value in table.items():
            if isinstance(value, Mapping):
                yield from walk(f"{prefix}{name}.", value)
            elif isinstance(value, (list, tuple)):
                yield prefix + name, ", ".join(_file(item) for item in value)
            else:
                yield prefix + name, _file(value)

    yield from walk("", config)


def _file(value: Any) -> str:
    """``value`` as text; the last name of an absolute path, which would tell of the machine and its user."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"…/{PurePath(text).name}" if text.startswith(("/", "~")) and len(text) > 1 else text
