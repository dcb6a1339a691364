"""``alpacakit view`` with 52,002 rows, and with a run of as many and 30,000 rejected ones, in headless Chromium.

    python tests/benchmarks/view.py [--shots FOLDER]

It starts the real command, opens the page, and prints how long the first rows and each search took in the page: from
the key press over the request to the rows laid out; the median and the most of seven. ``--shots`` keeps pictures in
both themes and at phone width.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from browsers import DESK, PHONE, browser, console, requests

ROWS, REJECTED, TIMES = 52_002, 30_000, 7
WORDS = {
    "en": "the river carries small boats past a quiet town where people bake bread paint doors count apples and tell "
    "stories about weather music trains gardens letters bridges lamps winters maps and honest work",
    "ar": "النهر يحمل القوارب الصغيرة قرب مدينة هادئة حيث يخبز الناس الخبز ويكتبون رسائل عن الطقس والموسيقى والحدائق",
    "zh": "河流 载着 小船 经过 安静 的 小镇 人们 烤 面包 写信 谈论 天气 音乐 火车 花园 和 诚实 的 工作",
}
SEARCHES = ("bread", "honest work", '"small boats"', "الموسيقى", "面包", "zzz", "e", "row_51999")


def texts(rng: random.Random, n: int) -> tuple[str, str, str]:
    words = WORDS[rng.choices(["en", "ar", "zh"], [8, 1, 1])[0]].split()

    def some(least: int, most: int) -> str:
        return " ".join(rng.choices(words, k=rng.randint(least, most))).capitalize() + "."

    return f"{some(5, 18)} ({n})", some(3, 30) if rng.random() < 0.4 else "", some(3, 90)


def make_data(folder: Path) -> Path:
    rng = random.Random(0)
    rows = [dict(zip(("instruction", "input", "output"), texts(rng, n), strict=True)) for n in range(ROWS)]
    (folder / "data.json").write_text(json.dumps(rows, indent=4))
    return folder / "data.json"


def make_run(folder: Path) -> Path:
    """A journal with the verdicts alone, which is what the page reads, and three epochs of losses."""
    from alpaca_core.entries import Judged
    from alpaca_core.records import Candidate
    from alpaca_core.store import Store

    rng, out = random.Random(1), folder / "run"
    out.mkdir()
    store = Store(out / "run.db")
    fates = [True] * ROWS + [False] * REJECTED
    rng.shuffle(fates)
    judged, losses = [], []
    for n, kept in enumerate(fates):
        id, label = f"{n // 20:06}.{n % 20:02}", rng.choice(["story", "list", "question", "letter"])
        reason = "" if kept else f"{rng.uniform(0.7, 1):.2f} like seed_{rng.randint(1, 175)}: Name a river"
        candidate = Candidate(*texts(rng, n), number=n % 20, id=id, label=label)
        judged.append(Judged(candidate, n // 20, n % 20, kept, "" if kept else "rouge", reason))
        for epoch in (1, 2, 3) if kept else ():
            losses.append({"epoch": epoch, "step": 1, "row": n, "id": id, "loss": rng.random() * 3, "tokens": 40})
    store.judged(judged, 0)
    store.close()
    (out / "row_losses.jsonl").write_text("".join(json.dumps(loss) + "\n" for loss in losses))
    (out / "alpaca_data.json").write_text("[]")
    return out


@contextmanager
def viewing(data: Path):
    """The real command; gives the address that it prints, the process, and the seconds until then."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "alpaca_core", "view", str(data)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        yield process.stdout.readline().strip(), process, time.perf_counter() - started
    finally:
        process.terminate()
        process.wait()


def wait(page, script: str, seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not page.execute_script(script):
        if time.monotonic() > until:
            sys.exit(f"the page does not get on: {console(page)}")
        time.sleep(0.005)


def searched(page, change: str, value: str) -> str:
    """How many milliseconds the search took that ``change`` makes ``value`` the argument of."""
    page.execute_script("performance.clearMeasures()")
    for _ in range(TIMES):
        page.execute_script(f"{change}; search()", value)
        wait(page, "return !page.searching")
    times = page.execute_script("return performance.getEntriesByName('search').map((of) => of.duration)")
    assert len(times) == TIMES
    return f"{statistics.median(times):5.0f} ms, {max(times):.0f} at most"


def measure(data: Path, shots: Path | None) -> None:
    with viewing(data) as (address, process, started), browser(size=DESK) as page:
        page.get(address)
        wait(page, "return performance.getEntriesByName('first rows').length")
        first = page.execute_script("return performance.getEntriesByName('first rows')[0].startTime")
        status = page.find_element("id", "status").text
        with open(f"/proc/{process.pid}/status") as file:
            memory = next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024
        print(f"{data.name}: {status.partition(' in ')[0]}")
        print(f"  command to address {started:.2f} s, page to first rows {first:.0f} ms, server {memory:.0f} MiB")
        for text in SEARCHES:
            took = searched(page, "at('text').value = arguments[0]", text)
            count = page.find_element("id", "status").text.partition(" of ")[0]
            print(f"  search {text!r:<18} {took}, {count}")
        for sort in page.execute_script("at('text').value = ''; return [...at('sort').options].map((of) => of.value)"):
            took = searched(page, "at('sort').value = arguments[0]; setDescending(true)", sort)
            print(f"  sort by {sort:<17} {took}")
        page.execute_script("list.scrollTop = list.scrollHeight / 2")
        time.sleep(0.3)
        bad = [url for url in requests(page) if not url.startswith(address)]
        print(f"  console: {console(page) or 'clean'}; requests outside: {bad or 'none'}")
        if shots is not None:
            shoot(address, shots, data.stem)


def shoot(address: str, shots: Path, name: str) -> None:
    for theme, size in (("light", DESK), ("dark", DESK), ("light", PHONE), ("dark", PHONE)):
        with browser(size=size, dark=theme == "dark") as page:
            page.get(address)
            time.sleep(0.7)
            page.execute_script("at('text').value = 'bread'; search()")
            time.sleep(0.5)
            width = "phone" if size == PHONE else "desk"
            page.save_screenshot(str(shots / f"{name}-{width}-{theme}.png"))
            page.execute_script("edit()" if theme == "dark" else "choose(2); reveal()")
            time.sleep(0.4)
            page.save_screenshot(str(shots / f"{name}-{width}-{theme}-row.png"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shots", type=Path, help="folder for pictures of the page")
    shots = parser.parse_args().shots
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        for make in (make_data, make_run):
            measure(make(Path(folder)), shots)


if __name__ == "__main__":
    main()
