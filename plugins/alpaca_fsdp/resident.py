"""How much memory this process has taken, and how much there is."""

# ruff: noqa: TID253 - loaded by the worker only

from __future__ import annotations

import re
import resource
from contextlib import suppress
from pathlib import Path

import torch


def available() -> int:
    """Bytes that this process may still take: of the machine, and of its control group where that is less. Without
    bound where the system does not say."""
    text = Path("/proc/meminfo").read_text() if Path("/proc/meminfo").exists() else ""
    line = re.search(r"^MemAvailable:\s+(\d+) kB$", text, re.MULTILINE)
    free = int(line[1]) * 1024 if line else 2**63
    with suppress(OSError, IndexError, KeyError, ValueError):  # no such group, or one without a limit ("max")
        group = Path("/sys/fs/cgroup") / Path("/proc/self/cgroup").read_text().split("::")[1].strip().lstrip("/")
        limit = int((group / "memory.max").read_text())
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        used = int((group / "memory.current").read_text()) - int(stat["inactive_file"])  # a cache that gives way
        free = min(free, limit - used)
    return free


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
