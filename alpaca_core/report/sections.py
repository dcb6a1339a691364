"""The sections on the data: the head, what the instructions ask for, yield, lengths, likeness, cost, rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from random import Random

from alpaca_core.amounts import clock, dollars
from alpaca_core.diversity.counts import Diversity
from alpaca_core.report.facts import Facts
from alpaca_core.report.measures import PARTS, Measures
from alpaca_core.report.pictures import STAGES, Picture, threshold
from alpaca_core.report.texts import LESS, MOST, block, inline

FIRST = 6  # rows shown
_KINDS = 8  # kinds of reason shown
_FILTERS = 6  # filters of which rejected candidates are shown
_OBJECTS = 16  # of a verb, when it is zoomed into
_VERBS = 20


@dataclass(frozen=True)
class Section:
    """A part of the page: an anchor, a heading and HTML; an empty ``body`` leaves it out."""

    name: str
    title: str
    body: str


def figure(pictures: Mapping[str, Picture], name: str, caption: str = "", more: str = "") -> str:
    """The picture ``name`` with what is said under it, both HTML; empty where there is none."""
    picture = pictures.get(name)
    if picture is None:
        return ""
    drawn = (
        f'<div class="wide">{picture.svg}</div><div class="narrow">{picture.narrow}</div>'
        if picture.narrow
        else picture.svg
    )
    said = f"<figcaption>{caption}</figcaption>" if caption else ""
    return f'<figure id="figure-{name}"{more}>{drawn}{said}</figure>'


def table(headers: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: int = 0, caption: str = "") -> str:
    """``rows`` of HTML cells under ``headers``. The last ``numbers`` columns are numbers."""
    first = len(headers) - numbers

    def cells(tag: str, of: Sequence[str], more: str = "") -> str:
        return "".join(
            f"<{tag}{more}{' class=number' if place >= first else ''}>{cell}</{tag}>" for place, cell in enumerate(of)
        )

    said = f"<caption>{caption}</caption>" if caption else ""
    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    head = cells("th", [escape(name) for name in headers], " scope=col")
    return f'<div class="scroll"><table>{said}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def pairs(said: Iterable[tuple[str, str]], kind: str = "facts") -> str:
    """A list of names with their values, both HTML."""
    return f'<dl class="{kind}">{"".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in said)}</dl>'


def head(facts: Facts) -> str:
    """Name, status, notice and the numbers that people look for first."""
    summary = facts.summary
    status = str(summary.get("status", "")) if facts.is_run else ""
    pill = f'<span class="status {"good" if status == "done" else "odd"}">{inline(status, 20)}</span>' if status else ""
    notice = f'<p class="notice">{inline(str(summary["notice"]), 300)}</p>' if summary.get("notice") else ""
    tiles = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(more)}</small></dd></div>"
        for name, value, more in _numbers(facts)
    )
    kind = "alpacakit run" if facts.is_run else "dataset"
    return (
        f'<header><p class="kind">{kind}</p><h1>{inline(facts.name, 120)} {pill}</h1>{notice}'
        f'<dl class="tiles">{tiles}</dl></header>'
    )


def _numbers(facts: Facts) -> list[tuple[str, str, str]]:
    summary, found = facts.summary, []
    rows = len(facts.rows) + len(facts.heldout)
    if rows:
        aside = f"{len(facts.heldout):,} of them held out" if facts.heldout else ""
        found.append(("rows", f"{rows:,}", aside))
    made = summary.get("generation", {})
    if made.get("candidates"):
        share = f"{made['kept'] / made['candidates']:.0%}"
        found.append(("candidates kept", share, f"{made['kept']:,} of {made['candidates']:,}"))
    costs = [summary[stage]["cost_usd"] for stage in STAGES if "cost_usd" in summary.get(stage, {})]
    if costs:
        known = None not in costs
        more = f"{dollars(sum(costs) / rows)} a row" if known and sum(costs) and rows else ""
        found.append(("paid to the teacher", dollars(sum(costs)) if known else "unknown", more))
    seconds = [summary[stage]["seconds"] for stage in STAGES if "seconds" in summary.get(stage, {})]
    if seconds:
        found.append(("time", clock(sum(seconds)), "all stages"))
    scores = summary.get("evaluation", {})
    if scores.get("after") and scores.get("before"):
        before, after = scores["before"]["exact_match"], scores["after"]["exact_match"]
        found.append(("exact match", f"{after:.0%}", f"before training {before:.0%}"))
    elif summary.get("training"):
        found.append(("final loss", f"{summary['training']['final_loss']:.3f}", ""))
    return found


def instructions(facts: Facts, measures: Measures, pictures: Mapping[str, Picture]) -> Section:
    """The sunburst, and how much of the dataset it speaks of."""
    found = measures.diversity
    objects = _objects(found) if found.english else {}
    more = f' data-objects="{escape(json.dumps(objects))}"'
    caption = (
        "The commonest verbs of the instructions, inside, and what they are about, outside."
        '<span class="hint"> Choose a verb to see more of it.</span>'
        if found.english
        else "Most instructions here are not English. They are counted by how they begin; no verbs are guessed."
    )
    drawn = figure(pictures, "sunburst", caption, more)
    drawn = drawn or "<p>No instruction here could be read as an English verb with its object.</p>"
    rows = [
        (inline(verb, 40), ", ".join(f"{inline(name, 40)} {n:,}" for name, n in of[:6]), f"{found.verbs[verb]:,}")
        for verb, of in objects.items()
    ]
    listed = table(["verb", "objects", "rows"], rows, numbers=1) if rows else ""
    asked = f"<details><summary>The figure as a table</summary>{listed}</details>" if listed else ""
    return Section(
        "instructions",
        "What the instructions ask for",
        f'<div class="beside">{drawn}<div>{_counts(found)}{asked}</div></div>',
    )


def _counts(found: Diversity) -> str:
    """How many rows the figure speaks of, and of how many it does not."""

    def part(count: int) -> str:
        return f"{count:,} ({count / found.rows:.1%})"

    said = [
        ("a verb with its object", part(found.paired)),
        ("a verb without a noun as object", part(found.parsed - found.paired)),
        ("questions", part(found.questions)),
        ("neither verb nor question found", part(found.unparsed)),
        ("not English, and not analysed", part(found.other)),
    ]
    if found.pairs:
        said += [
            ("different pairs of verb and object", f"{found.distinct:,}"),
            ("the 20 commonest pairs have", f"{found.top_share(20):.1%}"),
            ("entropy of the pairs", f"{found.entropy:.2f} bits"),
        ]
    return pairs([(escape(name), value) for name, value in said])


def _objects(found: Diversity) -> dict[str, list[tuple[str, int]]]:
    """The commonest verbs that have objects, with their commonest ones."""
    by_verb: dict[str, list[tuple[str, int]]] = {}
    for (verb, name), count in found.pairs.items():  # the most frequent first
        by_verb.setdefault(verb, []).append((name, count))
    commonest = sorted(by_verb, key=lambda verb: (-sum(count for _, count in by_verb[verb]), verb))
    return {verb: by_verb[verb][:_OBJECTS] for verb in commonest[:_VERBS]}


def rejections(facts: Facts, pictures: Mapping[str, Picture]) -> Section:
    """Yield, and what was rejected by which filter for which kind of reason."""
    drawn = figure(pictures, "rejected", "Each candidate is kept, or rejected by the first filter that objects.")
    kinds = [(count, name, kind) for name, of in facts.rejected.items() for kind, count in of.kinds.most_common(_KINDS)]
    kinds.sort(key=lambda kind: (-kind[0], kind[1], kind[2]))
    rows = [(inline(name, 40), inline(kind, 100), f"{count:,}") for count, name, kind in kinds[:_KINDS]]
    left = sum(count for count, *_ in kinds[_KINDS:])
    rows += [("others", "", f"{left:,}")] if left else []
    said = "Reasons; N stands for a number."
    listed = table(["filter", "reason", "candidates"], rows, numbers=1, caption=said) if rows else ""
    body = f'<div class="beside">{drawn}<div>{listed}</div></div>' if drawn and listed else drawn + listed
    return Section("yield", "Yield and rejections", body)


def lengths(measures: Measures, pictures: Mapping[str, Picture]) -> Section:
    """Three histograms with their middle and ends."""
    parts = []
    for part in PARTS:
        of = measures.lengths[part]
        if not of.words:
            parts.append(f'<figure><h3>{part}</h3><p class="none">no row has one</p></figure>')
            continue
        empty = f" {of.empty:,} rows have none." if of.empty else ""
        said = (
            f"median {of.at(0.5):,}, mean {of.mean:,.1f}, 95 % up to {of.at(0.95):,}, longest {of.words[-1]:,}.{empty}"
        )
        parts.append(figure(pictures, f"{part}-words", said).replace(">", f"><h3>{part}</h3>", 1))
    return Section("lengths", "Lengths", f'<div class="three">{"".join(parts)}</div>')


def likeness(facts: Facts, measures: Measures, pictures: Mapping[str, Picture]) -> Section:
    """How near the nearest other instruction is."""
    found = measures.similarity
    drawn = figure(pictures, "similarity")
    if not drawn or found.rows < 2:
        return Section("similarity", "Nearest neighbours", "")
    drawn_rows = len(found.nearest)
    of = "All rows" if drawn_rows == found.rows else f"{drawn_rows:,} of {found.rows:,} rows, drawn at random"
    limit = threshold(facts)
    above = limit if limit is not None else 0.7
    said = [
        ("compared", f"{of}, each against all others"),
        ("mean", f"{sum(found.nearest) / drawn_rows:.2f}"),
        (f"above {above:g}", f"{found.share_above(above):.1%}"),
        ("the same words in the same order", f"{sum(score == 1 for score in found.nearest) / drawn_rows:.1%}"),
    ]
    body = f'<div class="beside">{drawn}{pairs(said)}</div>'
    return Section("similarity", "Nearest neighbours", body)


def cost(facts: Facts, pictures: Mapping[str, Picture]) -> Section:
    """Time and money of each stage, and what the money went into."""
    rows = []
    for stage, name in STAGES.items():
        of = facts.summary.get(stage, {})
        if not of:
            continue
        paid = "" if "cost_usd" not in of else "unknown" if of["cost_usd"] is None else dollars(of["cost_usd"])
        tokens = f"{of['prompt_tokens']:,} in, {of['completion_tokens']:,} out" if "prompt_tokens" in of else ""
        tokens = tokens or (f"{of['tokens']:,} trained on" if "tokens" in of else "")
        rows.append((name, tokens, paid, clock(of["seconds"]) if "seconds" in of else ""))
    if not rows:
        return Section("cost", "Cost and time", "")
    listed = table(["stage", "tokens", "paid", "time"], rows, numbers=3)
    time, money = figure(pictures, "time", "Time of each stage."), figure(pictures, "money", "What was paid for.")
    note = '<p class="note">Paid is what the teacher was paid. The machine that trained is not in it.</p>'
    return Section("cost", "Cost and time", f'{listed}{note}<div class="two">{time}{money}</div>')


def first_rows(facts: Facts) -> Section:
    """The first rows, and as many from anywhere."""
    if not facts.rows:
        return Section("rows", "Rows", "")
    places = list(range(min(FIRST, len(facts.rows))))
    rest = range(len(places), len(facts.rows))
    drawn = sorted(Random("rows").sample(rest, min(FIRST, len(rest))))
    body = "".join(_row(facts, place) for place in places)
    if drawn:
        body += "<h3>Drawn at random</h3>" + "".join(_row(facts, place) for place in drawn)
    return Section("rows", "First rows", body)


def _row(facts: Facts, place: int) -> str:
    row = facts.rows[place]
    parts = {"instruction": row.instruction, "input": row.input, "output": row.output}
    shown = texts(parts, skip_empty=("input",), most=MOST)
    return f'<article class="row"><p class="place">row {place:,}</p>{shown}</article>'


def texts(parts: Mapping[str, str], *, skip_empty: Sequence[str] = (), most: int = LESS) -> str:
    """Texts under their names, each of about ``most`` bytes."""
    return (
        "<dl class=texts>"
        + "".join(
            f"<div><dt>{escape(name)}</dt><dd>{block(text, most)}</dd></div>"
            for name, text in parts.items()
            if text or name not in skip_empty
        )
        + "</dl>"
    )


def rejected_rows(facts: Facts) -> Section:
    """The first rejected candidates of each filter, with the reasons."""
    parts = []
    for name, of in list(facts.rejected.items())[:_FILTERS]:
        for line in of.first:
            given = {part: str(line.get(part) or "") for part in PARTS}
            said = f'<p class="reason"><b>{inline(name, 60)}</b> {inline(str(line.get("reason", "")), 300)}</p>'
            parts.append(f'<article class="row">{said}{texts(given, skip_empty=("input",))}</article>')
    note = "<p>The first of each filter, with its reason.</p>"
    return Section("rejected", "Rejected rows", note + "".join(parts) if parts else "")
