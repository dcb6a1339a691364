"""How long the light commands take, as a user waits for them: the whole process, median of ten.

python tests/benchmarks/startup.py
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import time

RUNS = 10


def main() -> None:
    alpacakit = shutil.which("alpacakit")
    if alpacakit is None:
        sys.exit("alpacakit is not on the PATH")
    for words in (["--help"], ["plugins", "list"], ["config", "check"]):
        seconds = []
        for _ in range(RUNS):
            started = time.perf_counter()
            subprocess.run([alpacakit, *words], check=True, capture_output=True)
            seconds.append(time.perf_counter() - started)
        print(f"alpacakit {' '.join(words):<14} median {statistics.median(seconds):.3f} s, least {min(seconds):.3f} s")


if __name__ == "__main__":
    main()
