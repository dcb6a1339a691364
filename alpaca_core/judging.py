"""Filters in a row: one verdict on each candidate, with the filter that spoke it and its reason.

Dataset filters stand in the same row, and have their say on what the others kept, all rows at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from alpaca_core.errors import AlpacaError
from alpaca_core.protocols import Ask, DatasetFilter, Filter
from alpaca_core.records import Candidate, Example, Flag, Keep, Reject, Repair, Seed, Verdict


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
    """Named filters, asked in their order; the first rejection ends it. ``selectors`` are the dataset filters."""

    def __init__(self, filters: Sequence[tuple[str, Filter | DatasetFilter]]) -> None:
        self.filters: tuple[tuple[str, Filter], ...] = tuple(
            (name, filter) for name, filter in filters if not hasattr(filter, "select")
        )
        self.selectors: tuple[tuple[str, DatasetFilter], ...] = tuple(
            (name, filter) for name, filter in filters if hasattr(filter, "select")
        )

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
        """Tell every filter of a row that the whole chain kept, but for its dataset filters, whose turn comes later."""
        for name, filter in self.filters:
            try:
                filter.kept(example)
            except Exception as exc:
                raise _failure(name, example.id, exc) from exc

    async def select(self, judged: Sequence[Judgement], ask: Ask) -> list[Judgement]:
        """``judged``, in its order, once the dataset filters have spoken: each judges what is kept before it.

        Raises AlpacaError when a filter fails, and what ``ask`` raises.
        """
        found = list(judged)
        for name, filter in self.selectors:
            places = [place for place, row in enumerate(found) if row.kept]
            rows = [found[place].candidate for place in places]
            examples = [Example(row.instruction, row.input, row.output, row.id, row.label) for row in rows]
            try:
                verdicts = list(await filter.select(examples, ask))
                if len(verdicts) != len(examples):
                    raise ValueError(f"it gave {len(verdicts):,} verdicts on {len(examples):,} rows")
            except AlpacaError:
                raise
            except Exception as exc:
                raise _failure(name, "the dataset", exc) from exc
            for place, verdict in zip(places, verdicts, strict=True):
                found[place] = _after(found[place], name, verdict)
        return found


def _after(judged: Judgement, name: str, verdict: Verdict) -> Judgement:
    """``judged``, once dataset filter ``name`` has spoken."""
    match verdict:
        case Keep():
            return judged
        case Reject(reason):
            return replace(judged, kept=False, filter=name, reason=reason)
        case Flag(reason):
            return replace(judged, flags=(*judged.flags, f"{name}: {reason}"))
        case Repair(repaired, reason):
            texts = {part: getattr(repaired, part) for part in ("instruction", "input", "output")}
            return replace(
                judged, candidate=replace(judged.candidate, **texts), flags=(*judged.flags, f"{name}: {reason}")
            )
    raise AlpacaError(
        f"filter '{name}' returned {verdict!r} for {judged.candidate.id}; expected Keep, Repair, Flag or Reject.",
        hint="Leave it out (--filter names the ones to use), or tell its author.",
    )


def _failure(name: str, place: str, exc: Exception) -> AlpacaError:
    return AlpacaError(
        f"filter '{name}' failed on {place}: {type(exc).__name__}: {exc}",
        hint="Leave it out (--filter names the ones to use), or tell its author; --debug shows the traceback.",
    )
