"""Fixtures that several test files share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# Tests run side by side, and share the cores: a second thread of each would only wait.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# No deadline and no health checks: a busy machine and a long example are no bugs. The same examples at every run; new
# ones with --hypothesis-profile=wild.
CALM: dict[str, Any] = {"deadline": None, "suppress_health_check": list(HealthCheck)}
settings.register_profile("alpacakit", derandomize=True, **CALM)
settings.register_profile("wild", max_examples=1000, **CALM)
settings.load_profile("alpacakit")


def pytest_configure(config: pytest.Config) -> None:
    """Hypothesis draws constants from the modules imported so far: these differ from worker to worker, run to run."""
    if not config.getoption("--hypothesis-profile", None):
        from hypothesis.internal.conjecture import providers

        providers.is_local_module_file = lambda path: False


@pytest.fixture
def provider() -> Iterator[Callable[..., Any]]:
    """Starts providers on loopback: ``provider(latency=0.1)``. See ``provider.Provider`` for what it takes."""
    from provider import Provider

    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(Provider(**options))


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel and the sdist."""
    import environments

    return environments.build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def bare(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An environment with the wheel and what it requires: no extra, and no pip. See ``environments.Environment``."""
    import environments

    made = environments.Environment(tmp_path_factory.mktemp("environment") / "venv")
    made.lend(environments.required(built[0]))
    made.install(built[0])
    return made


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
