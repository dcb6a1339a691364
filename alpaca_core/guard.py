"""What a plugin may not do while it is loaded: write to stdout, or change what the tool stands on.

What it writes goes to stderr, with its name; what it changes is found, put back and told. This keeps a clumsy plugin
from harming others. It is no sandbox: a plugin's code has its user's rights, and ``os._exit`` ends the process.
"""

from __future__ import annotations

import builtins
import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from types import ModuleType
from typing import Any

#: Packages whose functions and classes a plugin must leave alone.
GUARDED = ("alpaca_core", "builtins", "click", "pluggy")
_STREAMS = ("stdin", "stdout", "stderr", "__stdout__", "__stderr__", "exit")
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_ABSENT = object()


class Guard:
    """A picture of all guarded functions and classes, streams, signal handlers and the working folder, as they are."""

    def __init__(self) -> None:
        self.modules = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in GUARDED}
        self.owners: list[tuple[str, Any, dict[str, Any]]] = []
        for name, module in self.modules.items():
            names = dict(vars(module))
            self.owners.append((name, module, names))
            classes = (value for value in names.values() if isinstance(value, type) and value.__module__ == name)
            if module is not builtins:  # its classes cannot be changed
                self.owners += [(f"{name}.{cls.__name__}", cls, dict(vars(cls))) for cls in classes]
        self.streams = {name: getattr(sys, name) for name in _STREAMS}
        self.signals = {number: signal.getsignal(number) for number in _SIGNALS}
        self.folder = _folder()

    def put_back(self) -> list[str]:
        """Undo what was changed since, and return its names, such as ``click.echo``; empty where nothing was."""
        changed = [name for name, module in self.modules.items() if sys.modules.get(name) is not module]
        sys.modules.update(self.modules)
        for label, owner, before in self.owners:
            changed += [f"{label}.{name}" for name in _restore(owner, before)]
        for name, stream in self.streams.items():
            if getattr(sys, name, None) is not stream:
                setattr(sys, name, stream)
                changed.append(f"sys.{name}")
        for number, handler in self.signals.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)
                changed.append(f"the handler of {number.name}")
        if self.folder and _folder() != self.folder:
            os.chdir(self.folder)
            changed.append("the working folder")
        return changed


def _restore(owner: Any, before: dict[str, Any]) -> list[str]:
    """Give a module or class its attributes back, and return the names of those that were not as they had been."""
    now = vars(owner)
    wrong = [name for name, value in before.items() if now.get(name, _ABSENT) is not value]
    # A new name in a module is in nobody's way, but for one that hides a built-in. In a class it may hide a parent's.
    new = now.keys() - before.keys()
    wrong += [
        name for name in new if (hasattr(builtins, name) if isinstance(owner, ModuleType) else callable(now[name]))
    ]
    change = type.__setattr__ if isinstance(owner, type) else setattr
    for name in wrong:
        if name in before:
            change(owner, name, before[name])
        else:
            delattr(owner, name)
    return wrong


def _folder() -> str:
    try:
        return os.getcwd()
    except OSError:
        return ""


class _Named(io.RawIOBase):
    """Where a plugin's stdout goes: to stderr, line by line, with the plugin's name."""

    def __init__(self, plugin: str) -> None:
        self.plugin = plugin

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return sys.stderr.fileno()

    def write(self, data: Any) -> int:
        for line in bytes(data).decode("utf-8", "replace").splitlines():
            print(f"plugin {self.plugin}: {line}", file=sys.stderr)
        return len(data)


@contextmanager
def named_talk(plugin: str) -> Iterator[None]:
    """Inside, what is printed goes to stderr with the name of ``plugin``."""
    # A text stream like the real one: people call reconfigure on it, or write bytes to its buffer.
    stream = io.TextIOWrapper(io.BufferedWriter(_Named(plugin)), encoding="utf-8", line_buffering=True)
    with redirect_stdout(stream):
        try:
            yield
        finally:
            if not stream.closed:
                stream.flush()


@contextmanager
def stdout_closed_to_others() -> Iterator[None]:
    """Inside, what C code and child processes write to stdout goes to stderr."""
    try:
        _flush()
        kept = os.dup(1)
    except OSError:  # there is no stdout
        yield
        return
    try:
        try:
            os.dup2(2, 1)
        except OSError:  # there is no stderr
            pass
        yield
    finally:
        _flush()
        os.dup2(kept, 1)
        os.close(kept)


def _flush() -> None:
    for stream in {sys.stdout, sys.__stdout__} - {None}:
        try:
            stream.flush()  # type: ignore[union-attr]
        except ValueError:  # it was closed
            pass
