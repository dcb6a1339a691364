"""How much memory this process has taken, and how much there is."""

# ruff: noqa: TID253 - loaded by the worker only

from __future__ import annotations

import re
import resource
from contextlib import suppress
from pathlib import Path

import torch


def available() -> int:
    """Bytes of this machine's memory, or of this container's, that processes can still have."""
    text = Path("/proc/meminfo").read_text() if Path("/proc/meminfo").exists() else ""
    line = re.search(r"^MemAvailable:\s+(\d+) kB$", text, re.MULTILINE)
    left = [int(line[1]) * 1024] if line else [2**63]
    limit, used = (_number(Path("/sys/fs/cgroup") / name) for name in ("memory.max", "memory.current"))
    return min(left + ([limit - used] if limit is not None and used is not None else []))


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):  # no such limit, or "max"
        return None


def _status(name: str) -> int | None:
    with suppress(OSError):
        found = re.search(rf"^{name}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
        return int(found[1]) * 1024 if found else None
    return None


def now() -> int:
    """Bytes of this process in the memory now (the most so far, where /proc does not tell)."""
    return _status("VmRSS") or peak()


def peak(device: torch.device | None = None) -> int:
    """The most since ``forget_peak``, or since the start where the kernel does not let that be forgotten; on a GPU
    what PyTorch took of it."""
    if device is not None and device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    return _status("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def forget_peak(device: torch.device | None = None) -> None:
    if device is not None and device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
