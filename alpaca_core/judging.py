"""Filters in a row: one verdict on each candidate, with the filter that spoke it and its reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from alpaca_core.dataset import example
from alpaca_core.errors import AlpacaError
from alpaca_core.protocols import Filter
from alpaca_core.records import Candidate, Example, Flag, Keep, Reject, Repair, Seed


@dataclass(frozen=True, slots=True)
class Judgement:
    """The chain's verdict. ``candidate`` is as the repairs left it; ``filter`` and ``reason`` say who rejected it and
    why, and are empty where it is kept. ``flags`` are remarks and repairs, each as ``filter: reason``."""

    candidate: Candidate
    kept: bool
    filter: str = ""
    reason: str = ""
    flags: tuple[str, ...] = ()


class Chain:
    """Named filters, asked in their order; the first rejection ends it."""

    def __init__(self, filters: Sequence[tuple[str, Filter]]) -> None:
        self.filters = tuple(filters)

    def told(self, seeds: Iterable[Seed]) -> None:
        """Tell every filter of the seed tasks: once, before anything is judged."""
        for seed in seeds:
            self.kept(Example(seed.instruction, seed.input, seed.output, id=seed.id))

    def judge(self, candidate: Candidate) -> Judgement:
        """The verdict on ``candidate``. Changes nothing. Raises AlpacaError when a filter fails."""
        flags: list[str] = []
        for name, filter in self.filters:
            try:
                verdict = filter.judge(candidate)
            except Exception as exc:
                raise _failure(name, candidate.id, exc) from exc
            match verdict:
                case Keep():
                    pass
                case Reject(reason):
                    return Judgement(candidate, False, name, reason, tuple(flags))
                case Repair(repaired, reason):
                    # The core's own fields lead back to the origin, whatever the filter put there.
                    candidate = replace(repaired, number=candidate.number, id=candidate.id, label=candidate.label)
                    flags.append(f"{name}: {reason}")
                case Flag(reason):
                    flags.append(f"{name}: {reason}")
                case _:
                    raise AlpacaError(
                        f"filter '{name}' returned {verdict!r} for {candidate.id}; expected Keep, Repair, Flag or"
                        " Reject.",
                        hint="Leave it out (--filter names the ones to use), or tell its author.",
                    )
        return Judgement(candidate, True, flags=tuple(flags))

    def kept(self, example: Example) -> None:
        """Tell every filter of a row that the whole chain kept."""
        for name, filter in self.filters:
            try:
                filter.kept(example)
            except Exception as exc:
                raise _failure(name, example.id, exc) from exc


@dataclass(frozen=True)
class Refiltered:
    """A dataset after its filters: rows kept, and rows rejected with ``id``, ``filter`` and ``reason`` added.

    ``flags`` counts the remarks on kept rows by filter.
    """

    kept: list[dict[str, Any]] = field(default_factory=list)
    rejected: list[dict[str, Any]] = field(default_factory=list)
    flags: Counter[str] = field(default_factory=Counter)

    def reasons(self) -> dict[str, int]:
        """How many rows each filter rejected, the largest first."""
        return dict(Counter(row["filter"] for row in self.rejected).most_common())


def refilter(records: Iterable[Mapping[str, Any]], chain: Chain, seeds: Sequence[Seed] = ()) -> Refiltered:
    """Judge the rows of a dataset in their order, against ``seeds`` and the rows kept before.

    Rows (as ``dataset.read_records`` gives them) keep all their keys; only a filter that repairs changes a text.
    """
    result = Refiltered()
    chain.told(seeds)
    for number, record in enumerate(records, start=1):
        row = example(record, number)
        judged = chain.judge(Candidate(row.instruction, row.input, row.output, number, row.id, row.label))
        texts = {name: getattr(judged.candidate, name) for name in ("instruction", "input", "output")}
        if judged.kept:
            chain.kept(replace(row, **texts))
            result.kept.append({**record, **texts})
            result.flags.update(flag.partition(":")[0] for flag in judged.flags)
        else:
            result.rejected.append({"id": row.id, **record, **texts, "filter": judged.filter, "reason": judged.reason})
    return result


def _failure(name: str, id: str, exc: Exception) -> AlpacaError:
    return AlpacaError(
        f"filter '{name}' failed on {id}: {type(exc).__name__}: {exc}",
        hint="Leave it out (--filter names the ones to use), or tell its author; --debug shows the traceback.",
    )
