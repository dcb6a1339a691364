"""A dataset filtered again: each row judged as it is read, written as it is judged, and counted."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from alpaca_core.datafiles import check_written, writers
from alpaca_core.dataset import each_record, example
from alpaca_core.errors import ConfigError
from alpaca_core.judging import Chain, Judgement
from alpaca_core.records import Candidate, Seed

_MOST_KINDS = 1_000  # of reasons: what a filter may say has no end


@dataclass(frozen=True, slots=True)
class Judged:
    """A row after its filters. ``record`` has all its keys; only a filter that repairs changes a text of it."""

    id: str
    record: Mapping[str, Any]
    judgement: Judgement
    repaired: bool

    @property
    def kept(self) -> bool:
        return self.judgement.kept

    @property
    def rejection(self) -> dict[str, Any]:
        """The row with ``id``, ``filter`` and ``reason`` added."""
        return {"id": self.id, **self.record, "filter": self.judgement.filter, "reason": self.judgement.reason}

    @property
    def verdict(self) -> dict[str, Any]:
        """What was said about the row, without the row."""
        said = self.judgement
        return {
            "id": self.id,
            "kept": said.kept,
            "filter": said.filter,
            "reason": said.reason,
            "flags": list(said.flags),
        }


@dataclass
class Tally:
    """Counts of judged rows. ``reasons`` are those of rejections, by filter and kind of reason; ``flags`` the remarks
    and repairs on kept rows, by filter; ``repaired`` the kept rows that a filter changed."""

    rows: int = 0
    kept: int = 0
    repaired: int = 0
    reasons: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    flags: Counter[str] = field(default_factory=Counter)

    def add(self, row: Judged) -> None:
        self.rows += 1
        if row.kept:
            self.kept += 1
            self.repaired += row.repaired
            self.flags.update(flag.partition(":")[0] for flag in row.judgement.flags)
        else:
            kinds, kind = self.reasons[row.judgement.filter], kind_of(row.judgement.reason)
            kinds[kind if kind in kinds or len(kinds) < _MOST_KINDS else "other reasons"] += 1

    def rejected(self) -> dict[str, int]:
        """How many rows each filter rejected, the largest first."""
        return dict(Counter({name: kinds.total() for name, kinds in self.reasons.items()}).most_common())

    def as_dict(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "kept": self.kept,
            "rejected": self.rejected(),
            "reasons": {name: dict(self.reasons[name].most_common(20)) for name in self.rejected()},
            "flags": dict(self.flags.most_common()),
            "repaired": self.repaired,
        }


def kind_of(reason: str) -> str:
    """``reason`` without what is special to one row: numbers are N, quoted words '…', and ``like …`` names no row.

    >>> kind_of("0.82 like seed_12: Name a tree."), kind_of("has the word 'draw'"), kind_of("3 tokens, fewer than 4")
    ('N like …', "has the word '…'", 'N tokens, fewer than N')
    """
    reason = re.sub(r"\blike\b.*", "like …", reason, flags=re.DOTALL)
    reason = re.sub(r"(?<!\w)'[^']*'|\"[^\"]*\"|“[^”]*”", "'…'", reason)
    return re.sub(r"\d+(?:[.,]\d+)*", "N", reason)


def refilter(records: Iterable[Mapping[str, Any]], chain: Chain, seeds: Sequence[Seed] = ()) -> Iterator[Judged]:
    """Judge the rows of a dataset (as ``dataset.each_record`` gives them) in their order, one when one is asked for,
    against ``seeds`` and the rows kept before."""
    return refilter_numbered(enumerate(records, start=1), chain, seeds)


def refilter_numbered(
    records: Iterable[tuple[int, Mapping[str, Any]]], chain: Chain, seeds: Sequence[Seed] = ()
) -> Iterator[Judged]:
    """The same for rows with their numbers in the dataset, some of which may be left out."""
    chain.told(seeds)
    for number, record in records:
        row = example(record, number)
        judged = chain.judge(Candidate(row.instruction, row.input, row.output, number, row.id, row.label))
        texts = _texts(judged)
        if judged.kept:
            chain.kept(replace(row, **texts))
        repaired = any(record[name] != text for name, text in texts.items())
        yield Judged(row.id, {**record, **texts}, judged, repaired)


def refilter_file(
    data: Path,
    chain: Chain,
    seeds: Sequence[Seed] = (),
    *,
    kept: Path,
    rejected: Path | None = None,
    verdicts: Path | None = None,
    select: Callable[[list[Judgement]], list[Judgement]] | None = None,
) -> Tally:
    """Filter the rows of ``data`` as they are read, and write each where it belongs: rows kept, rows rejected, and what
    was said about every row. All files appear when the last row is written, and none when there is a mistake.

    ``select`` has the chain's dataset filters judge all rows together. They are held in memory then, and written when
    it returns. Raises ConfigError as ``dataset.each_record`` does, and where there are no rows.
    """
    tally = Tally()
    records = each_record(data)  # before any file is made
    paths = [path for path in (kept, rejected, verdicts) if path is not None]
    judged: Iterable[Judged] = refilter(records, chain, seeds)
    if select is not None:
        check_written(*paths)
        judged = selected(list(judged), select)
    with writers(*paths) as made:
        into = dict(zip(paths, made, strict=True))
        for row in judged:
            tally.add(row)
            if row.kept:
                into[kept].write(row.record)
            elif rejected is not None:
                into[rejected].write(row.rejection)
            if verdicts is not None:
                into[verdicts].write(row.verdict)
        if not tally.rows:
            raise ConfigError(f"{data} holds no rows to filter.")
    return tally


def selected(rows: list[Judged], select: Callable[[list[Judgement]], list[Judgement]]) -> list[Judged]:
    """``rows`` with the verdicts that ``select`` gives."""
    return [
        Judged(
            row.id,
            {**row.record, **_texts(judged)},
            judged,
            row.repaired or row.judgement.candidate != judged.candidate,
        )
        for row, judged in zip(rows, select([row.judgement for row in rows]), strict=True)
    ]


def _texts(judged: Judgement) -> dict[str, str]:
    return {name: getattr(judged.candidate, name) for name in ("instruction", "input", "output")}
