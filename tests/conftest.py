"""Fixtures that several test files share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("alpacakit", deadline=None)  # a busy machine is no bug
settings.load_profile("alpacakit")


@pytest.fixture
def provider() -> Iterator[Callable[..., Any]]:
    """Starts providers on loopback: ``provider(latency=0.1)``. See ``provider.Provider`` for what it takes."""
    from provider import Provider

    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(Provider(**options))
