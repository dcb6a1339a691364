"""A lock file, held by one process at a time until it is closed or the process ends, however that ends."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO

from alpaca_core.errors import AlpacaError


def take_lock(file: Path, place: Path) -> IO[str]:
    """Lock ``file``, which is made where it is missing. Raises AlpacaError when another process works in ``place``."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = file.open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise AlpacaError(
            f"Another alpacakit is working in {place}.", hint="Wait for it to end, or choose another place: --out"
        ) from None
    return lock
