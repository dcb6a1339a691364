"""The page: its sections in the order of the data, one style sheet, one small script, nothing from anywhere else."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from html import escape
from importlib.metadata import version
from pathlib import Path

from alpaca_core.dataset import write_text
from alpaca_core.errors import ConfigError
from alpaca_core.report.facts import SAMPLES, Facts, gather
from alpaca_core.report.measures import Measures, measure
from alpaca_core.report.pictures import Picture, pictures
from alpaca_core.report.provenance import provenance
from alpaca_core.report.results import answers, scores, training
from alpaca_core.report.sections import (
    Section,
    cost,
    first_rows,
    head,
    instructions,
    lengths,
    likeness,
    rejected_rows,
    rejections,
)
from alpaca_core.runs import CONFIG, SUMMARY, understood

PAGE = "report.html"  # in a run folder
_MARK = '<meta name="generator" content="alpacakit'  # a page that begins with it is ours, and may be replaced
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Report:
    """A page as text, with its figures by name."""

    html: str
    pictures: dict[str, Picture]


def make_report(path: Path, terms: Callable[[str], str] = lambda teacher: "") -> Report:
    """The report of ``path``, a run folder or a dataset. The same files give the same bytes.

    ``terms`` knows what is to be known before the answers of a teacher are used (``TeacherSpec.terms``). Raises
    ConfigError where there is nothing to tell of, and where a run's files do not hold what a run writes there.
    """
    facts = gather(path)
    rows = [*facts.rows, *facts.heldout]
    measures = measure(rows) if rows else None
    with understood(path, f"{SUMMARY}, {CONFIG} or {SAMPLES}") if facts.is_run else nullcontext():
        drawn = pictures(facts, measures)
        parts = _sections(facts, measures, drawn, terms(str(facts.summary.get("teacher", ""))))
        return Report(_page(facts, parts, drawn), drawn)


def write_report(path: Path, out: Path, terms: Callable[[str], str] = lambda teacher: "") -> Report:
    """Make the report of ``path`` and write it to ``out``, whole or not at all.

    An older report there is replaced. Raises ConfigError where ``out`` is anything else.
    """
    refuse_strangers(out)
    report = make_report(path, terms)
    write_text(out, report.html)
    return report


def refuse_strangers(out: Path) -> None:
    """Raise ConfigError where ``out`` exists and is no report."""
    if not out.exists():
        return
    if not out.is_file() or _MARK.encode() not in out.read_bytes()[:400]:
        raise ConfigError(
            f"{out} exists already and is no report.", hint="Remove it, or choose another file with --out FILE"
        )


def _sections(facts: Facts, measures: Measures | None, drawn: dict[str, Picture], terms: str) -> list[Section]:
    of_data = (
        [
            instructions(facts, measures, drawn),
            rejections(facts, drawn),
            lengths(measures, drawn),
            likeness(facts, measures, drawn),
        ]
        if measures is not None
        else [rejections(facts, drawn)]
    )
    every = [
        *of_data,
        cost(facts, drawn),
        training(facts, drawn),
        scores(facts, drawn),
        answers(facts),
        first_rows(facts),
        rejected_rows(facts),
        provenance(facts, terms),
    ]
    return [section for section in every if section.body]


def _page(facts: Facts, parts: Sequence[Section], drawn: dict[str, Picture]) -> str:
    style, script = ((_HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    body = "".join(
        f'<section id="{part.name}" aria-labelledby="title-{part.name}"><h2 id="title-{part.name}">{part.title}</h2>'
        f"{part.body}</section>\n"
        for part in parts
    )
    links = "".join(f'<li><a href="#{part.name}">{part.name.capitalize()}</a></li>' for part in parts)
    title = escape("".join(char if char.isprintable() else "�" for char in facts.name)[:120])
    made = f"Made by alpacakit {version('alpacakit')}. It holds all that it shows, and asks the network for nothing."
    figures = "".join(picture.svg + picture.narrow for picture in drawn.values())
    styles = [style, *re.findall(r"<style>(.*?)</style>", figures, re.DOTALL)]
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; "
        f"style-src {' '.join(dict.fromkeys(map(_hash, styles)))}; script-src {_hash(script)}"
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'{_MARK} {version("alpacakit")}">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{title} – alpacakit report</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f'<main>\n{head(facts)}\n<nav aria-label="Sections"><ul>{links}</ul></nav>\n{body}</main>\n'
        f"<footer>{made}</footer>\n<script>{script}</script>\n</body>\n</html>\n"
    )


def _hash(text: str) -> str:
    """What a Content-Security-Policy knows an inline style or script by."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
