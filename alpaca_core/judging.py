"""Filters in a row: one verdict on each candidate, with the filter that spoke it and its reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

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


def _failure(name: str, id: str, exc: Exception) -> AlpacaError:
    return AlpacaError(
        f"filter '{name}' failed on {id}: {type(exc).__name__}: {exc}",
        hint="Leave it out (--filter names the ones to use), or tell its author; --debug shows the traceback.",
    )
