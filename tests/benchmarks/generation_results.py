"""What a measurement of ``generation.py`` found, kept as JSON and shown as Markdown."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Result:
    """One client in one setting. ``sent`` to ``early_retries`` are as the server counted them."""

    section: str
    client: str
    setting: dict[str, Any]
    wall: float
    cpu: float  # seconds, of the whole process tree
    start_cpu: float | None  # the same of a run of SHORT replies
    start_replies: int
    waited: float  # seconds in which its threads were ready and had no core: how far to trust ``wall``
    peak_mib: float  # of the process tree, the shared pages counted in each process
    exit: int | None  # None: it had not ended when the time was up
    sent: int
    billed: int
    paid_twice: int
    early_retries: int
    rows: int
    date: str

    @property
    def least(self) -> float:
        """Seconds that it takes at best: the latency of each reply, or what the server's limit lets through."""
        rpm = self.setting["rpm"]
        waves = self.setting["latency"] * self.billed / self.setting["in_flight"]
        return max(waves, (self.billed - rpm) * 60 / rpm if rpm else 0.0)

    @property
    def cpu_per_reply(self) -> float | None:
        """Milliseconds, the start taken off where it was measured."""
        if self.start_cpu is None or self.billed <= self.start_replies:
            return None
        return 1000 * (self.cpu - self.start_cpu) / (self.billed - self.start_replies)


def read(path: Path) -> list[Result]:
    return [Result(**one) for one in json.loads(path.read_text())]


def show(results: list[Result]) -> str:
    """One Markdown table for each section and number in flight."""
    parts = []
    groups = {(one.section, one.setting["in_flight"], one.setting["latency"]): None for one in results}
    for section, in_flight, latency in groups:
        chosen = [
            one
            for one in results
            if (one.section, one.setting["in_flight"], one.setting["latency"]) == (section, in_flight, latency)
        ]
        parts.append(f"### {section}: {in_flight} in flight, {latency:g} s\n\n" + TABLES.get(section, safety)(chosen))
    return "\n\n".join(parts) + "\n"


def throughput(results: list[Result]) -> str:
    base = next((one.cpu_per_reply for one in results if one.client == "AsyncOpenAI"), None)
    head = "client | replies | wall s | of the least | waited s | replies/s | CPU ms a reply | of the bare SDK"
    rows = []
    for one in results:
        cpu = one.cpu_per_reply
        rows.append(
            f"{one.client} | {one.billed:,} | {one.wall:.1f} | {ratio(one.wall, one.least)} | {one.waited:.1f} "
            f"| {one.billed / one.wall:,.1f} | {'-' if cpu is None else f'{cpu:.2f}'} | {ratio(cpu, base)} "
            f"| {one.start_cpu or 0:.1f} | {one.peak_mib:,.0f} | {one.rows:,}"
        )
    return markdown(f"{head} | start, CPU s | peak MiB | rows", rows)


def safety(results: list[Result]) -> str:
    head = "client | wall s | at best | sent | billed | paid twice | sent before Retry-After | rows | exit"
    rows = [
        f"{one.client} | {one.wall:.1f} | {one.least:.1f} | {one.sent:,} | {one.billed:,} | {one.paid_twice:,} "
        f"| {one.early_retries:,} | {one.rows:,} | {'not ended' if one.exit is None else one.exit}"
        for one in results
    ]
    return markdown(head, rows)


def ratio(one: float | None, other: float | None) -> str:
    return f"{one / other:.2f}" if one and other else "-"


def markdown(head: str, rows: list[str]) -> str:
    return "\n".join(f"| {line} |" for line in [head, " | ".join(["---"] * (head.count("|") + 1)), *rows])


TABLES = {"throughput": throughput}
