"""Many command lines in one process, each as a process of its own would see it: the real ``main``, real descriptors,
plugins imported anew. Much quicker than as many processes.

    python tests/commandlines.py < calls.json > results.json

A call is ``{"args": [...], "folder": "...", "environ": {...}}``; a result ``{"code": 0, "out": "...", "err": "..."}``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any


def clean_environment() -> dict[str, str]:
    """This process's environment, without what configures alpacakit."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ALPACAKIT_")}


def run(calls: list[dict[str, Any]], **environ: str) -> list[dict[str, Any]]:
    """The results of ``calls``, from one new process with ``environ`` over this one's."""
    done = subprocess.run(
        [sys.executable, __file__],
        input=json.dumps(calls),
        capture_output=True,
        text=True,
        timeout=120,
        env={**clean_environment(), **environ},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _call(args: list[str], folder: str, environ: dict[str, str]) -> dict[str, Any]:
    from alpaca_core.cli.main import main

    for name in [name for name in sys.modules if name.startswith("alpacakit_")]:
        del sys.modules[name]
    os.chdir(folder)
    before = dict(os.environ)
    os.environ.update(environ)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        code = main(args)
        sys.stdout.flush()
        sys.stderr.flush()
        texts = [os.pread(file.fileno(), 10**7, 0).decode() for file in (out, err)]
    os.environ.clear()
    os.environ.update(before)
    assert Path.cwd() == Path(folder), "the working folder was changed"
    return {"code": code, "out": texts[0], "err": texts[1]}


if __name__ == "__main__":
    kept_out = os.dup(1)
    results = [_call(call["args"], call["folder"], call.get("environ", {})) for call in json.load(sys.stdin)]
    os.write(kept_out, json.dumps(results).encode())
