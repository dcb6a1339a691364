"""The rows of a run or of a data file as people look through them: searched, filtered, sorted, marked.

All of it is in memory: a look through the texts of 52,000 rows takes some hundredths of a second, in any language.
"""

from __future__ import annotations

import math
import re
import sys
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from alpaca_core.errors import ConfigError
from alpaca_core.marks import TEXTS, Mark, about, add_mark, key, mistakes, now, read_marks, summary_of
from alpaca_core.overlay import Row, held_out, marks_file, rows_of, run_of
from alpaca_core.records import Example
from alpaca_core.refilter import kind_of
from alpaca_core.runs import DATA, HELDOUT, JOURNAL
from alpaca_core.tracing import ROSE, ROW_LOSSES, row_losses

SORTS = ("place", "length", "instruction", "output", "loss", "rise", "similarity")
_CLIP = 240  # characters of a text that a line shows
_BEFORE = 16  # of them before what was found
_ORDERS = 32  # results that are remembered
_MOST_LABELS, _MOST_REASONS = 500, 50
_LIKE = re.compile(r"\b([01]\.\d+) (?:like|with)\b")
_TERM = re.compile(r'"([^"]+)"|(\S+)')


@dataclass(slots=True)
class Entry:
    """A row with all that is known of it. ``now`` is the row as its mark leaves it."""

    row: Row
    key: str
    state: str  # kept, held out, rejected
    kind: str  # of the reason of a rejected one
    losses: tuple[float, ...]  # of each epoch
    now: Example
    similarity: float | None = None  # to the row that it was rejected for

    @property
    def loss(self) -> float | None:
        return self.losses[-1] if self.losses and math.isfinite(self.losses[-1]) else None

    @property
    def rise(self) -> float | None:
        """How far the loss has risen from the first epoch to the last; None where it has not."""
        if len(self.losses) < 2 or not all(map(math.isfinite, self.losses)):
            return None
        return self.losses[-1] - self.losses[0] if self.losses[-1] >= ROSE * self.losses[0] else None


@dataclass(frozen=True, slots=True)
class Query:
    """What to look for. Every word of ``text``, and every "phrase" in quotes, must stand in the field ``where`` (empty:
    in any); an id finds its row. Of the others an empty one admits all rows."""

    text: str = ""
    where: str = ""  # instruction, input, output, reason
    state: str = ""  # kept, held out, rejected, flagged
    filter: str = ""
    kind: str = ""
    label: str = ""
    mark: str = ""  # any, none, keep, drop, edit
    sort: str = "place"
    descending: bool = False

    def check(self) -> None:
        """Raises ConfigError for values that there are not."""
        known = {
            "where": ("", *TEXTS, "reason"),
            "state": ("", "kept", "held out", "rejected", "flagged"),
            "mark": ("", "any", "none", "keep", "drop", "edit"),
            "sort": SORTS,
        }
        problems = [f"{name}: {getattr(self, name)!r}" for name in known if getattr(self, name) not in known[name]]
        if problems:
            raise ConfigError("There is no such view:", problems=problems)


def fold(text: str) -> str:
    """``text`` as it is compared: case does not count, nor how accents are composed."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFC", text).casefold()


class Browser:
    """The rows of ``path``, with the marks on them, and the losses of the training in ``losses`` (default: the run).

    Raises ConfigError and AlpacaError as ``rows_of`` and ``read_marks`` do.
    """

    def __init__(self, path: Path, losses: Path | None = None) -> None:
        self.path, self.marks_file = path, marks_file(path)
        self._losses_folder = losses or run_of(path)
        if losses is not None and not (losses / ROW_LOSSES).is_file():
            raise ConfigError(f"{losses} has no {ROW_LOSSES}.", hint="Name the --out of a training: --losses DIR")
        self._orders: dict[int, list[int]] = {}
        self._asked = 0
        self._load()

    def _load(self) -> None:
        self._stamp = self._stamps()
        folder = run_of(self.path)
        unseen = held_out(folder) if folder else set()
        by_id: dict[str, list[float]] = defaultdict(list)
        if self._losses_folder is not None:
            for loss in row_losses(self._losses_folder):
                by_id[loss.id].append(loss.loss)
        self.entries = [_entry(row, unseen, by_id) for row in rows_of(self.path)]
        self._texts = [_folded(entry.now) for entry in self.entries]
        self._by_key: dict[str, list[int]] = defaultdict(list)
        for n, entry in enumerate(self.entries):
            self._by_key[entry.key].append(n)
        self._by_id = {entry.row.example.id: n for n, entry in enumerate(self.entries)}
        self._orders.clear()
        self._marked: tuple[int, int] | None = None
        self.marks: dict[str, Mark] = {}
        self._read_marks()

    def _stamps(self) -> list[tuple[int, int]]:
        folder = run_of(self.path)
        if folder is not None:
            files = [folder / JOURNAL, folder / f"{JOURNAL}-wal", folder / DATA, folder / HELDOUT, folder / ROW_LOSSES]
        else:
            files = [self.path]
        return [(at.st_mtime_ns, at.st_size) for file in files if file.exists() for at in (file.stat(),)]

    def refresh(self) -> None:
        """Read the rows again where they have changed."""
        if self._stamp != self._stamps():
            self._load()

    def _marks_stamp(self) -> tuple[int, int] | None:
        return (at.st_mtime_ns, at.st_size) if self.marks_file.exists() and (at := self.marks_file.stat()) else None

    def _read_marks(self) -> None:
        """Take the marks as the file has them: an editor, git or another window may have changed it."""
        stamp = self._marks_stamp()
        before, self.marks = self.marks, read_marks(self.marks_file)
        self._marked = stamp
        for name in before.keys() | self.marks.keys():
            if before.get(name) != self.marks.get(name):
                self._show(name)

    def _show(self, name: str) -> None:
        mark = self.marks.get(name)
        for n in self._by_key.get(name, ()):
            entry = self.entries[n]
            entry.now = replace(entry.row.example, **mark.texts) if mark else entry.row.example
            self._texts[n] = _folded(entry.now)

    # ── looking ────────────────────────────────────────────────────────────────────────────────────────────────

    def find(self, query: Query) -> tuple[int, list[int]]:
        """The rows that ``query`` finds, by their numbers, and the name under which ``order`` knows them."""
        query.check()
        if self._marked != self._marks_stamp():
            self._read_marks()
        found = self._sorted(self._searched(self._filtered(query), query), query)
        self._asked += 1
        self._orders[self._asked] = found
        self._orders.pop(self._asked - _ORDERS, None)
        return self._asked, found

    def order(self, name: int) -> list[int] | None:
        """What an earlier ``find`` found, as it was then; None where that is forgotten."""
        return self._orders.get(name)

    def _filtered(self, query: Query) -> list[int]:
        entries, marks = self.entries, self.marks
        found = list(range(len(entries)))
        if query.state == "flagged":
            found = [n for n in found if entries[n].row.flags]
        elif query.state:
            found = [n for n in found if entries[n].state == query.state]
        if query.filter:
            found = [n for n in found if entries[n].row.filter == query.filter]
        if query.kind:
            found = [n for n in found if entries[n].kind == query.kind]
        if query.label:
            found = [n for n in found if entries[n].row.example.label == query.label]
        if query.mark in ("any", "none"):
            found = [n for n in found if (entries[n].key in marks) == (query.mark == "any")]
        elif query.mark:
            found = [n for n in found if (mark := marks.get(entries[n].key)) and mark.action == query.mark]
        return found

    def _searched(self, found: list[int], query: Query) -> list[int]:
        entries, texts, own = self.entries, self._texts, self._by_id.get(query.text.strip())
        asked = found
        for term in terms(query.text):
            if query.where == "reason":
                found = [
                    n
                    for n in found
                    if any(term in fold(said) for said in (entries[n].row.reason, *entries[n].row.flags))
                ]
            elif query.where:
                place = TEXTS.index(query.where)
                found = [n for n in found if term in texts[n] and term in texts[n].split("\0")[place]]
            else:
                found = [n for n in found if term in texts[n]]
        if own is not None and own in asked and own not in found:
            found = [own, *found]
        return found

    def _sorted(self, found: list[int], query: Query) -> list[int]:
        """Rows without a value stand last, whichever way round."""
        entries = self.entries
        if query.sort == "place":
            return found[::-1] if query.descending else found
        if query.sort in ("loss", "rise", "similarity"):
            values: list[Any] = [getattr(entries[n], query.sort) for n in found]
        elif query.sort == "length":
            values = [len(self._texts[n]) for n in found]
        else:
            values = [len(getattr(entries[n].now, query.sort)) for n in found]
        known = [place for place, value in enumerate(values) if value is not None]
        known.sort(key=values.__getitem__, reverse=query.descending)
        return [found[place] for place in known] + [n for n, value in zip(found, values, strict=True) if value is None]

    # ── showing ────────────────────────────────────────────────────────────────────────────────────────────────

    def facets(self) -> dict[str, Any]:
        """What there is, for JSON: counts of rows by state, by filter and kind of reason, by label; the marks."""
        kinds: dict[str, Counter[str]] = defaultdict(Counter)
        for entry in self.entries:
            if entry.state == "rejected":
                kinds[entry.row.filter][entry.kind] += 1
        states = Counter(entry.state for entry in self.entries)
        states["flagged"] = sum(bool(entry.row.flags) for entry in self.entries)
        labels = Counter(entry.row.example.label for entry in self.entries if entry.row.example.label)
        by_size = sorted(kinds, key=lambda name: (-kinds[name].total(), name))
        missing = [mark for name, mark in self.marks.items() if name not in self._by_key]
        return {
            "path": str(self.path),
            "marks_file": str(self.marks_file),
            "run": run_of(self.path) is not None,
            "rows": len(self.entries),
            "states": dict(states),
            "filters": {name: kinds[name].total() for name in by_size},
            "kinds": {name: dict(kinds[name].most_common(_MOST_REASONS)) for name in by_size},
            "labels": dict(sorted(labels.most_common(_MOST_LABELS))),
            "sorts": [name for name in SORTS if name not in ("loss", "rise", "similarity") or self._any(name)],
            "marks": summary_of(self.marks),
            "missing": [asdict(mark) for mark in missing],
        }

    def _any(self, name: str) -> bool:
        return any(getattr(entry, name) is not None for entry in self.entries)

    def line(self, n: int, terms: list[str]) -> dict[str, Any]:
        """A row in a list, for JSON: its texts where the search found them, 240 characters of each."""
        entry = self.entries[n]
        mark = self.marks.get(entry.key)
        texts = zip(TEXTS, self._texts[n].split("\0"), strict=True)
        return {
            **self._about(n, entry),
            "reason": entry.row.reason[:_CLIP],
            "mark": mark.action if mark else "",
            "length": sum(len(getattr(entry.now, name)) for name in TEXTS),
            **{name: _clipped(getattr(entry.now, name), folded, terms) for name, folded in texts},
        }

    def row(self, n: int) -> dict[str, Any]:
        """All of a row, for JSON."""
        entry = self.entries[n]
        mark = self.marks.get(entry.key)
        return {
            **self._about(n, entry),
            "reason": entry.row.reason,
            "flags": list(entry.row.flags),
            "losses": [loss if math.isfinite(loss) else None for loss in entry.losses],
            "texts": {name: getattr(entry.now, name) for name in TEXTS},
            "original": {name: getattr(entry.row.example, name) for name in TEXTS},
            "mark": asdict(mark) if mark else None,
        }

    def _about(self, n: int, entry: Entry) -> dict[str, Any]:
        return {
            "n": n,
            "row": entry.key,
            "id": entry.row.example.id,
            "label": entry.row.example.label,
            "state": entry.state,
            "filter": entry.row.filter,
            "loss": entry.loss,
            "similarity": entry.similarity,
        }

    # ── marking ────────────────────────────────────────────────────────────────────────────────────────────────

    def mark(self, record: Mapping[str, Any]) -> list[int]:
        """Write a mark, as the page sends it: action, row, new texts, note. Gives the rows that it is on.

        Raises ConfigError where it is wrong: ``problems`` name the fields.
        """
        problems = mistakes(record)
        rows = [] if problems else self._by_key.get(record["row"], [])
        if not problems and not rows:
            problems = ["row: no row here has these texts"]
        if not problems and record["action"] == "edit":
            own = self.entries[rows[0]].row.example
            record = {name: value for name, value in record.items() if name not in TEXTS or value != getattr(own, name)}
            if not any(record.get(name) is not None for name in TEXTS):
                problems = ["edit: the row has these texts already"]
        if problems:
            raise ConfigError("This mark cannot be used:", problems=problems)
        own = self.entries[rows[0]].row.example
        given = {name: record[name] for name in ("action", "row", *TEXTS, "note") if record.get(name) is not None}
        if self._marked != self._marks_stamp():
            self._read_marks()  # a damaged file is refused before it grows
        add_mark(self.marks_file, Mark(**given, id=own.id, about=about(own.instruction), when=now()))
        self._read_marks()
        return rows


def terms(text: str) -> list[str]:
    """The words and the quoted phrases of a search, folded."""
    return [fold(phrase or word) for phrase, word in _TERM.findall(text)]


def _entry(row: Row, unseen: set[str], losses: Mapping[str, list[float]]) -> Entry:
    example = row.example
    like = _LIKE.search(row.reason)
    return Entry(
        row,
        key(example.instruction, example.input, example.output),
        "rejected" if not row.kept else "held out" if example.id in unseen else "kept",
        "" if row.kept else sys.intern(kind_of(row.reason)),
        tuple(losses.get(example.id, ())),
        example,
        float(like[1]) if like else 1.0 if row.reason.startswith("exactly like") else None,
    )


def _folded(example: Example) -> str:
    """The three texts for search, with a NUL between them, which they have not."""
    return "\0".join(fold(getattr(example, name)).replace("\0", " ") for name in TEXTS)


def _clipped(text: str, folded: str, terms: list[str]) -> str:
    """``_CLIP`` characters of ``text``, around the first of ``terms`` that stands in it."""
    found = [at for term in terms if (at := folded.find(term)) >= 0]
    start = min(found) - _BEFORE if found and min(found) > 2 * _BEFORE else 0  # in sight on a phone, too
    return ("…" if start else "") + text[start : start + _CLIP] + ("…" if start + _CLIP < len(text) else "")
