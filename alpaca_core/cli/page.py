"""The page of a run, as commands write it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from alpaca_core.cli.console import say
from alpaca_core.cli.progress import Screen
from alpaca_core.plugins import PluginHost


def terms(host: PluginHost) -> Callable[[str], str]:
    """What has to be known before a teacher's answers are used, as its plugin says it; empty where it says nothing."""
    return lambda teacher: next((s.terms for s in host.specs("teacher") if s.name == teacher), "")


def run_page(host: PluginHost, folder: Path, screen: Screen) -> Path | None:
    """Write the page of the run that has just ended. Where that fails the run is no worse for it: that is said, and
    None returned."""
    from alpaca_core.report.page import PAGE, write_report

    screen.stage("report")
    try:
        write_report(folder, folder / PAGE, terms(host))
    except Exception as exc:
        say(f"note: the report was not written: {exc}. To try again: alpacakit report {folder}")
        return None
    return folder / PAGE
