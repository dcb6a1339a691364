"""Folders that appear whole or not at all, and that a power cut does not take back. Standard library only."""

from __future__ import annotations

import ctypes
import os
import shutil
from pathlib import Path

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # from linux/fcntl.h and linux/fs.h


def publish(draft: Path, place: Path) -> None:
    """Give the folder ``draft`` the name ``place``, in one step. What had that name is removed afterwards.

    Every file and folder in it is on the disk before the renaming, and the new name is before this returns.
    """
    for folder, _, names in os.walk(draft):
        for name in names:
            _sync(os.path.join(folder, name))
        _sync(folder)
    if place.exists() and _exchange(draft, place):
        _sync(place.parent)
        shutil.rmtree(draft)
        return
    old = _old(place)
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():  # where the two cannot change places in one step, recover() undoes half of it
        os.replace(place, old)
    os.replace(draft, place)
    _sync(place.parent)
    shutil.rmtree(old, ignore_errors=True)


def recover(place: Path) -> None:
    """Bring back what ``publish`` was about to replace when it was killed between its two steps."""
    if not place.exists() and _old(place).exists():
        os.replace(_old(place), place)


def _old(place: Path) -> Path:
    return place.with_name(place.name + ".old")


def _sync(path: str | Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _exchange(one: Path, other: Path) -> bool:
    """Let two folders change names. False where the system or the file system cannot do that."""
    try:
        rename = ctypes.CDLL(None).renameat2
    except AttributeError:
        return False
    return rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0
