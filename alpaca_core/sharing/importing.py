"""Rows of other people's files: each row's form is found by looking, and no row is lost without a word."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alpaca_core import datafiles
from alpaca_core.datafolders import data_files
from alpaca_core.errors import ConfigError
from alpaca_core.jsonfiles import no_object, no_text
from alpaca_core.markers import no_input
from alpaca_core.sharing import conversations
from alpaca_core.sharing.conversations import Untaken

_SHOWN = 10  # reasons in a message


@dataclass
class Imported:
    """Counts: ``rows`` read, ``taken``, ``emptied`` inputs that only said that there is none; taken rows by their
    ``forms``; the others by ``reasons``, each with the place of the ``first``."""

    rows: int = 0
    taken: int = 0
    emptied: int = 0
    forms: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "rows": self.rows,
            "taken": self.taken,
            "not_taken": dict(self.reasons.most_common()),
            "forms": dict(self.forms),
            "emptied": self.emptied,
        }

    def lines(self) -> list[str]:
        """Why rows were not taken, the commonest reason first."""
        shown = [f"{n:,} {reason}; the first is {self.first[reason]}" for reason, n in self.reasons.most_common(_SHOWN)]
        left = list(self.reasons.values())[_SHOWN:]
        return [*shown, *([f"… and {len(left)} more reasons"] if left else [])]


def import_rows(
    source: Path,
    out: Path,
    rejected: Path | None = None,
    *,
    first_turn: bool = False,
    drop_system: bool = False,
    empty_inputs: bool = False,
) -> Imported:
    """Write the rows of ``source`` (whatever ``datafolders.data_files`` finds) as rows of instruction, input and output
    to ``out``, in the format of its suffix.

    Rows that cannot be taken go to ``rejected``, with ``place`` and ``reason``; without it there may be none.
    ``empty_inputs`` empties an input that only says that there is none. Raises ConfigError, and writes nothing, for
    rows that nobody asked to set aside, and where none can be taken.
    """
    tally = Imported()
    files = data_files(source)
    with datafiles.writers(out, *([rejected] if rejected else [])) as [kept, *others]:
        for place, record in _placed(files):
            tally.rows += 1
            try:
                row = _row(record, first_turn, drop_system)
            except Untaken as exc:
                tally.reasons[exc.kind] += 1
                tally.first.setdefault(exc.kind, place)
                for other in others:
                    whole = dict(record) if isinstance(record, Mapping) else {"row": str(record)}
                    other.write({**whole, "place": place, "reason": str(exc)})
                continue
            if empty_inputs and row["input"] and no_input(row["input"]):
                row["input"] = ""
                tally.emptied += 1
            tally.taken += 1
            tally.forms[conversations.form(record)] += 1
            kept.write(row)
        if not tally.rows:
            raise ConfigError(f"{source} holds no rows.")
        if tally.reasons and (not others or not tally.taken):
            left = tally.rows - tally.taken
            raise ConfigError(
                f"{left:,} of the {tally.rows:,} rows of {source} cannot be taken:",
                problems=tally.lines(),
                hint=_hint(tally) if tally.taken or set(tally.reasons) & _ASKED.keys() else _FORMS,
            )
    return tally


_ASKED = {
    "several turns": "--first-turn takes the first question and answer of each",
    "a system message, for which a row has no place": "--drop-system leaves system messages out",
}
_FORMS = (
    "Rows are read with instruction, input and output; with conversations (from, value); with messages (role, content);"
    " with prompt and completion."
)


def _hint(tally: Imported) -> str:
    ways = [way for reason, way in _ASKED.items() if reason in tally.reasons]
    return "; ".join([*ways, "--rejected FILE takes the others and writes these there, with the reasons"]) + "."


def _placed(files: list[Path]) -> Iterator[tuple[str, Any]]:
    for file in files:
        for place, record in datafiles.records(file, needed=()):
            yield (f"{file.name} {place}" if len(files) > 1 else place), record


def _row(record: Any, first_turn: bool, drop_system: bool) -> dict[str, Any]:
    if mistake := no_object(record):
        raise Untaken("cannot be read" if isinstance(record, ValueError) else "no object", mistake)
    row = conversations.row(record, first_turn=first_turn, drop_system=drop_system)
    for name in ("instruction", "input", "output"):
        if mistake := no_text(row[name]):
            raise Untaken(f"{name}: {mistake}")
    return row
