"""Memory over a long generation: resident MiB of alpacakit at every tenth of its replies.

    python tests/benchmarks/memory.py                                 (100,000 replies of one task each)
    python tests/benchmarks/memory.py --replies 20000 --filter alpaca

The server is the tests' own, on loopback and in a process of its own. The default chain here is ``length`` alone, which
remembers nothing: what a filter against near-duplicates remembers grows with the rows kept, and is measured by
``dedup.py``. Linux only (/proc).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

PROVIDER = Path(__file__).parent.parent / "provider.py"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--replies", type=int, default=100_000)
    arguments.add_argument("--in-flight", type=int, default=64)
    arguments.add_argument("--filter", default="length", help="chain of filters")
    arguments.add_argument("--port", type=int, default=8131)
    asked = arguments.parse_args()
    server = subprocess.Popen(
        [sys.executable, str(PROVIDER), "--port", str(asked.port), "--items", "1"], stdout=subprocess.DEVNULL
    )
    try:
        with tempfile.TemporaryDirectory(prefix="memory-") as folder:
            measure(asked, Path(folder))
    finally:
        server.terminate()
        server.wait()


def measure(asked: argparse.Namespace, folder: Path) -> None:
    url = f"http://127.0.0.1:{asked.port}"
    words = [sys.executable, "-m", "alpaca_core", "generate", "--teacher", "openai", "--out", str(folder / "run")]
    words += ["-n", str(asked.replies), "--concurrency", str(asked.in_flight), "--filter", asked.filter, "--json"]
    words += ["--set", "prompt.items=1"]
    environment = {**os.environ, "OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": "sk-benchmark-0000"}
    while billed(url) is None:
        time.sleep(0.1)
    with (folder / "said.txt").open("w") as said:
        client = subprocess.Popen(words, env=environment, stdout=said, stderr=said)
    print("| replies | resident MiB |\n|---|---|")
    tenth = 1
    while client.poll() is None:
        if (seen := billed(url) or 0) >= tenth * asked.replies / 10:
            print(f"| {seen:,} | {resident(client.pid):.0f} |", flush=True)
            tenth += 1
        time.sleep(0.05)
    if client.returncode:
        sys.exit((folder / "said.txt").read_text()[-2000:])
    summary = json.loads((folder / "run" / "summary.json").read_text())["generation"]
    print(f"\n{summary['replies']:,} replies, {summary['kept']:,} rows in {summary['seconds']:.0f} s")


def billed(url: str) -> int | None:
    """Answers that the server has counted so far; None while it is not there."""
    with suppress(OSError), urllib.request.urlopen(f"{url}/stats", timeout=10) as reply:
        return int(json.load(reply).get("billed", 0))
    return None


def resident(process: int) -> float:
    """Resident MiB of a process; 0 where it has just ended."""
    with suppress(OSError):
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    return 0.0


if __name__ == "__main__":
    main()
