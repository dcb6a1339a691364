"""Ctrl-C and SIGTERM while an event loop runs: the work is asked to end, and is not torn out of it."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from typing import Any


class Signals:
    """While this is entered, SIGINT and SIGTERM call ``interrupt`` with their number; a second SIGINT interrupts at
    once. Outside the main thread nothing is done: whoever runs us there deals with signals."""

    def __init__(self, interrupt: Callable[[int], None]) -> None:
        self._interrupt = interrupt
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        loop = asyncio.get_running_loop()
        self._before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        loop.add_signal_handler(signal.SIGINT, self._first)
        loop.add_signal_handler(signal.SIGTERM, self._interrupt, signal.SIGTERM)

    def _first(self) -> None:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, self._before[signal.SIGINT])
        self._interrupt(signal.SIGINT)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            asyncio.get_running_loop().remove_signal_handler(number)
            signal.signal(number, handler)
