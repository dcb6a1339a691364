"""Running ``alpacakit generate`` as a user does: a process of its own, the real SDK, a provider over HTTP."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

N = 120
ALPACAKIT = (sys.executable, "-m", "alpaca_core")


def environment(provider) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ALPACAKIT_", "OPENAI_", "ANTHROPIC_"))
    }
    return {
        **kept,
        "OPENAI_BASE_URL": provider.url,
        "OPENAI_API_KEY": "sk-test-0000",
        "ANTHROPIC_BASE_URL": provider.url.removesuffix("/v1"),
        "ANTHROPIC_API_KEY": "sk-ant-test-0000",
        "NO_COLOR": "1",
    }


def command(out: Path, *more: str, n: int | None = N) -> list[str]:
    teacher = () if {"--from", "--config", "--teacher"} & {*more} else ("--teacher", "openai")
    rows = () if n is None else ("-n", str(n))
    return [*ALPACAKIT, "generate", *teacher, *rows, "--out", str(out), *more]


def generate(provider, out: Path, *more: str, n: int | None = N, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command(out, *more, n=n), env=environment(provider), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


def data(out: Path) -> bytes:
    return (out / "alpaca_data.json").read_bytes()


def summary(out: Path) -> dict:
    return json.loads((out / "summary.json").read_text())["generation"]
