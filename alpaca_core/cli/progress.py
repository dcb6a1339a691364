"""What people see while a stage runs: one live line on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from alpaca_core.amounts import clock, dollars
from alpaca_core.cli.console import console, is_terminal, say
from alpaca_core.progress import Inquiry, Progress
from alpaca_core.records import TrainEvent

if TYPE_CHECKING:
    from rich.status import Status

EVERY = 15.0  # seconds between plain lines
RECENT = 50  # steps whose pace tells how long training will still take
FORESEEN = 20  # replies from which on their cost and yield tell those of the rest


class Screen:
    """Shows the stages of a pipeline on stderr (a ``pipeline.Watcher``)."""

    def __init__(self) -> None:
        self._live: Status | None = None
        self._last_line = time.monotonic()
        self._line = ""
        self._warned = False  # that the budget is too small
        self._pace: deque[tuple[int, float]] = deque(maxlen=RECENT)  # (step, seconds) of the last steps

    def __enter__(self) -> Screen:
        if is_terminal():
            self._live = console().status("")
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._finish_line()
        if self._live is not None:
            self._live.stop()

    def stage(self, name: str) -> None:
        """A new stage begins."""
        self._finish_line()
        self._pace.clear()
        self._show(f"{name} …", now=True)

    def note(self, text: str) -> None:
        """Say something that stays on the screen."""
        say(text)

    def generating(self, progress: Progress) -> None:
        if not self._warned and not progress.closing and (text := shortfall(progress)):
            self._warned = True
            self.note(text)
        self._show(generation_line(progress))

    def selecting(self, inquiry: Inquiry) -> None:
        self._show(inquiry_line(inquiry))

    def judging(self, inquiry: Inquiry) -> None:
        self._show(inquiry_line(inquiry, "judge", "pairs compared"))

    def training(self, event: TrainEvent) -> None:
        if event.kind in ("ready", "note"):
            say(f"  {event.message}")
        elif event.kind == "sample":
            say(sample_line(event))
        elif event.kind == "step":
            self._pace.append((event.step, event.seconds))
            self._show(training_line(event, self._pace))

    def tensors(self, doing: str, done: int, of: int) -> None:
        self._show(f"{doing}: {done:,} of {of:,} tensors", now=done == of)

    def _show(self, line: str, now: bool = False) -> None:
        self._line = line
        if self._live is not None:
            self._live.update(line)
        elif now or time.monotonic() - self._last_line >= EVERY:
            self._finish_line()

    def _finish_line(self) -> None:
        """Leave the newest line on the screen."""
        if self._line:
            say(self._line)
        self._line = ""
        self._last_line = time.monotonic()


def generation_line(progress: Progress) -> str:
    """``generate  812/1,000 kept  1,022 candidates  79% kept  58 replies  9.1 replies/s  $1.21 of about $1.50  0:20
    left``"""
    target = "" if progress.target is None else f"/{progress.target:,}"
    parts = [f"generate  {progress.kept:,}{target} kept", f"{progress.candidates:,} candidates"]
    if progress.candidates:
        parts.append(f"{progress.kept / progress.candidates:.0%} kept")
    parts.append(f"{progress.replies:,} replies")
    if progress.failed:
        parts.append(f"{progress.failed:,} failed")
    if progress.arrived and progress.seconds:
        parts.append(f"{progress.arrived / progress.seconds:.1f} replies/s")
    if progress.reasoning_tokens:
        parts.append(f"{progress.reasoning_tokens:,} reasoning tokens")
    if progress.target is not None:  # else nothing is asked
        parts.append(_cost(progress))
    if progress.batch is not None:
        note = progress.batch.note.replace("_", " ")
        parts.append(f"batch {progress.batch.done:,}/{progress.batch.total:,} {note}".rstrip())
    if progress.doing:
        parts.append(progress.doing)
    return "  ".join(parts + _outlook(progress, bool(progress.target) and progress.kept < (progress.target or 0)))


def inquiry_line(inquiry: Inquiry, stage: str = "select", what: str = "rows asked about") -> str:
    """``select  312/1,000 rows asked about  9.1 replies/s  $0.12 of about $0.38  0:20 left``"""
    parts = [f"{stage}  {inquiry.answered:,}/{inquiry.target:,} {what}"]
    if inquiry.arrived and inquiry.seconds:
        parts.append(f"{inquiry.arrived / inquiry.seconds:.1f} replies/s")
    if inquiry.cost is None:
        parts.append("cost unknown")
    else:
        known = FORESEEN <= inquiry.answered < inquiry.target
        whole = inquiry.cost / max(1, inquiry.answered) * inquiry.target
        parts.append(dollars(inquiry.cost) + (f" of about {about(whole)}" if known and inquiry.cost else ""))
    if inquiry.doing:
        parts.append(inquiry.doing)
    return "  ".join(parts + _outlook(inquiry, inquiry.answered < inquiry.target))


def _outlook(asking: Progress | Inquiry, unfinished: bool) -> list[str]:
    """What is waited for, or how long it will still take."""
    if asking.closing and asking.in_flight:
        return [f"ending: {asking.in_flight:,} answers still come in (Ctrl-C again drops them)"]
    if asking.waiting >= 1:
        return [f"waiting {asking.waiting:.0f} s: {asking.trouble or 'asked to slow down'}"]
    return [f"{clock(asking.eta)} left"] if unfinished and asking.eta is not None else []


def _cost(progress: Progress) -> str:
    """``$0.0123 of about $0.31``: so far, and at the target."""
    if progress.cost is None:
        return "cost unknown"
    known = progress.total_cost is not None and progress.own >= FORESEEN
    ended = progress.target is None or progress.kept >= progress.target
    return dollars(progress.cost) + (f" of about {about(progress.total_cost)}" if known and not ended else "")


def shortfall(progress: Progress) -> str:
    """What to tell people when the budget will not reach the target; nothing as long as it will, or that is not known.

    Rests on what the replies so far have cost and yielded, and on at least ``FORESEEN`` of them.
    """
    total, reach, budget = progress.total_cost, progress.reach, progress.budget
    if progress.own < FORESEEN or not total or reach is None or budget is None or progress.target is None:
        return ""
    if total <= budget or reach >= progress.target:
        return ""
    return (
        f"The budget of {given(budget)} will reach about {rounded(reach):,.0f} of {progress.target:,} rows: after"
        f" {progress.own:,} replies, all of them are expected to take {about(total)}. A larger one can be given at the"
        " next start (--budget); nothing is asked twice."
    )


def training_line(event: TrainEvent, pace: Sequence[tuple[int, float]] = ()) -> str:
    """``train  step 120/1,500  loss 0.812  lr 1.9e-05  16,400 tokens/s  MFU 48%  71.2 GB  1:20 left``

    ``pace`` holds (step, seconds) of the last steps; without it the mean of all tells what is left.
    """
    parts = [f"train  step {event.step:,}/{event.steps:,}"]
    if event.loss is not None:
        parts.append(f"loss {event.loss:.3f}")
    if event.learning_rate is not None:
        parts.append(f"lr {event.learning_rate:.2g}")
    if event.tokens_per_second is not None or event.seconds > 0:
        speed = event.tokens_per_second or event.tokens / event.seconds
        parts.append(f"{speed:,.0f} tokens/s")
    if event.mfu is not None:
        parts.append(f"MFU {event.mfu:.0%}")
    if event.memory:
        parts.append(f"{event.memory / 1e9:.1f} GB")
    if event.seconds > 0:
        step, seconds = pace[0] if len(pace) > 1 else (0, 0.0)
        each = (event.seconds - seconds) / max(event.step - step, 1)
        parts.append(f"{clock((event.steps - event.step) * each)} left")
    return "  ".join(parts)


def sample_line(event: TrainEvent) -> str:
    """``  sample  Name three colours. ▸ Red, green and blue.``; an answer that was cut ends in ``…``."""
    sample = event.sample or {}
    answer = clipped(sample.get("answer", "")) + ("" if sample.get("stopped") else " …")
    return f"  sample  {clipped(sample.get('prompt', ''))} ▸ {answer}"


def clipped(text: str, width: int = 60) -> str:
    """``text`` in one line of ``width`` characters at most."""
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1].rstrip() + "…"


def given(amount: float) -> str:
    """Dollars as people give them: ``$5``, ``$0.50``."""
    cents = round(amount * 100, 6)
    return f"${amount:.2f}" if cents % 100 and not cents % 1 else f"${amount:g}"


def about(amount: float) -> str:
    """Estimated dollars, to two figures."""
    amount = rounded(amount)
    places = 0 if amount >= 10 else 2 if amount >= 0.1 or not amount else 1 - math.floor(math.log10(amount))
    return f"${amount:,.{places}f}"


def rounded(count: float) -> float:
    """``count`` to two figures: an estimate is no better than that."""
    return float(f"{count:.2g}")
