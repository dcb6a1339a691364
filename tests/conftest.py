"""Fixtures that several test files share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import settings

# No deadline: a busy machine is no bug. The same examples at every run; new ones with --hypothesis-profile=wild.
settings.register_profile("alpacakit", deadline=None, derandomize=True)
settings.register_profile("wild", deadline=None, max_examples=1000)
settings.load_profile("alpacakit")


@pytest.fixture
def provider() -> Iterator[Callable[..., Any]]:
    """Starts providers on loopback: ``provider(latency=0.1)``. See ``provider.Provider`` for what it takes."""
    from provider import Provider

    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(Provider(**options))


@pytest.fixture
def alone() -> Any:
    """A training's world of one process."""
    import torch
    from alpaca_fsdp.world import World

    return World(0, 1, torch.device("cpu"), False)


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What the worker of a training tells, as a list that grows."""
    from alpaca_fsdp import world

    said: list[tuple[str, str]] = []
    monkeypatch.setattr(world, "emit", lambda kind, **content: said.append((kind, content.get("message", ""))))
    return said
