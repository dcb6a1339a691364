"""How fast, at what price and how safely data is generated: alpacakit beside the bare SDK and its peers.

    python tests/benchmarks/generation.py                                        (alpacakit and the bare SDK)
    python tests/benchmarks/generation.py --replay replay_server.py --data rows.json --peers DIR --append results.json
    python tests/benchmarks/generation.py --show results.json --out table.md

Each client runs in a process of its own, one after another, against a fresh server on loopback with the same prompts:
those of alpacakit's default prompt. The bare SDK runs in this environment; ``--peers DIR`` has an environment for each
other one (``DIR/curator``, ``DIR/distilabel``, ``DIR/stanford``). CPU time is user and system of the client's whole
process tree; per reply, a run of 20 replies is taken off for the start. Alpacakit is the command line as users have it,
with journal, parser and the default filters; it is told how many rows to keep, and asks for what those need.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from generation_results import Result, read, show

HERE = Path(__file__).parent
KEY = "sk-benchmark-0000"
SHORT = 20  # replies of the run that shows what the start takes
REPLAY = {"rate_limit": "p429", "server": "p500", "reset": "preset", "truncated": "ptrunc", "malformed": "pmal"}


@dataclass(frozen=True)
class Setting:
    """What a server is like and what is asked of it."""

    replies: int
    in_flight: int
    latency: float
    rpm: int = 0
    faults: tuple[tuple[str, float], ...] = ()
    retry_after: float = 1.0
    wrong_key: bool = False
    kill_at: int = 0  # replies billed when the client is killed, to be started again


FAULTS = (("rate_limit", 0.06), ("server", 0.05), ("reset", 0.03), ("truncated", 0.03), ("malformed", 0.03))
SECTIONS = {
    "throughput": Setting(2000, 64, 1.0),
    "limit": Setting(600, 64, 0.5, rpm=300),
    "faults": Setting(1000, 64, 0.5, faults=FAULTS, retry_after=3.0),
    "kill": Setting(1000, 64, 0.5, kill_at=500),
    "key": Setting(20, 8, 0.1, wrong_key=True),
}


# ── the clients ───────────────────────────────────────────────────────────────────────────────────────────────────

Client = Callable[["Bench", Setting, Path], list[str]]  # gives the command line


def alpacakit(bench: Bench, setting: Setting, folder: Path) -> list[str]:
    words = [sys.executable, "-m", "alpaca_core", "generate", "--teacher", "openai", "--out", str(folder / "run")]
    rows = max(1, round(setting.replies * bench.asked.rows))
    extra = [word for item in bench.asked.set for word in ("--set", item)]
    return [*words, "-n", str(rows), "--concurrency", str(setting.in_flight), "--json", *extra]


def script(name: str, *more: str, environment: str = "") -> Client:
    """A client of ``generation_peers``, run with the interpreter of its environment."""

    def command(bench: Bench, setting: Setting, folder: Path) -> list[str]:
        python = bench.asked.peers / environment / "bin" / "python" if environment else sys.executable
        words = [str(python), str(HERE / "generation_peers" / f"{name}_client.py"), *more]
        words += ["--prompts", str(bench.prompts), "--replies", str(setting.replies)]
        words += ["--in-flight", str(setting.in_flight), "--out", str(folder / "replies.jsonl")]
        return words + (["--seeds", str(bench.seeds)] if name == "stanford" else [])

    return command


CLIENTS: dict[str, Client] = {
    "alpacakit": alpacakit,
    "AsyncOpenAI": script("openai"),
    "AsyncOpenAI, aiohttp": script("openai", "--aiohttp"),
    "curator": script("curator", environment="curator"),
    "distilabel": script("distilabel", environment="distilabel"),
    "Stanford's loop": script("stanford", environment="stanford"),
}
PEERS = {"curator": "curator", "distilabel": "distilabel", "Stanford's loop": "stanford"}


# Stanford's loop puts five prompts into one request, which the server counts as one.
PROMPTS_PER_REQUEST = {"Stanford's loop": 5}


def rows_in(folder: Path) -> int:
    """What a client has to show: kept rows or replies."""
    with suppress(OSError, KeyError, ValueError):
        return int(json.loads((folder / "run" / "summary.json").read_text())["generation"]["kept"])
    with suppress(OSError):
        return sum(1 for _ in (folder / "replies.jsonl").open())
    return 0


# ── the server ────────────────────────────────────────────────────────────────────────────────────────────────────


class Server:
    """A provider on loopback in a process of its own, or one that runs already (``--server``)."""

    def __init__(self, asked: argparse.Namespace, setting: Setting, data: Path | None) -> None:
        self.url = asked.server or f"http://127.0.0.1:{asked.port}/v1"
        self.process = None
        if not asked.server:
            faults = dict(setting.faults)
            words = ["--port", str(asked.port), "--latency", str(setting.latency)]
            words += ["--rpm", str(setting.rpm), "--retry-after", str(setting.retry_after)]
            if data is not None:
                program = [str(asked.replay), "--data", str(data), "--by-prompt"]
                words += [word for name, p in faults.items() for word in (f"--{REPLAY[name]}", str(p))]
                words += ["--p401", "1"] if setting.wrong_key else []
            else:
                program = [str(HERE.parent / "provider.py")]
                words += [word for name, p in faults.items() for word in ("--fault", f"{name}={p}")]
                words += ["--key", "another key"] if setting.wrong_key else []
            self.process = subprocess.Popen([sys.executable, *program, *words], stdout=subprocess.DEVNULL)
        self.before: dict[str, int] = {}
        self.before = self._await()

    def _await(self) -> dict[str, int]:
        for _ in range(200):
            with suppress(OSError):
                return self.stats()
            time.sleep(0.1)
        sys.exit(f"no server at {self.url}")

    def stats(self) -> dict[str, int]:
        """What was counted since the start."""
        with urllib.request.urlopen(self.url.removesuffix("/v1") + "/stats", timeout=10) as reply:
            found = json.load(reply)
        names = ("requests", "billed", "paid_twice", "early_retries")
        return {name: found.get(name, 0) - self.before.get(name, 0) for name in names}

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait()


# ── one measurement ───────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Bench:
    asked: argparse.Namespace
    folder: Path
    prompts: Path
    seeds: Path
    data: Path | None

    def measure(self, section: str, client: str, setting: Setting) -> Result:
        start_cpu, start_replies = None, 0
        if section == "throughput":
            short = self.run(client, replace(setting, replies=SHORT))
            start_cpu, start_replies = short["cpu"], short["billed"]
        found = self.run(client, setting)
        settled = asdict(setting) | {"faults": dict(setting.faults)}
        return Result(
            section=section,
            client=client,
            setting=settled,
            start_cpu=start_cpu,
            start_replies=start_replies,
            date=time.strftime("%Y-%m-%d"),
            **found,
        )

    def run(self, client: str, setting: Setting) -> dict[str, Any]:
        """The client against a fresh server; killed and started again where the setting says so."""
        with tempfile.TemporaryDirectory(dir=self.folder) as place:
            folder, server = Path(place), Server(self.asked, setting, self.data)
            try:
                command = CLIENTS[client](self, setting, folder)
                kill = (lambda: server.stats()["billed"] >= setting.kill_at) if setting.kill_at else None
                found = watched(command, self.environment(client, server), folder, self.asked.limit, kill)
                if kill:
                    again = watched(command, self.environment(client, server), folder, self.asked.limit)
                    found = again | {name: found[name] + again[name] for name in ("wall", "cpu", "waited")}
                stats = server.stats()
                stats["sent"] = stats.pop("requests")
                stats["billed"] *= PROMPTS_PER_REQUEST.get(client, 1)
                self.complain(client, folder, found["exit"])
                return found | stats | {"rows": rows_in(folder)}
            finally:
                server.stop()

    def environment(self, client: str, server: Server) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ALPACAKIT_", "OPENAI_"))}
        if client in PEERS:
            kept.pop("PYTHONPATH", None)
        return {**kept, "OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": KEY, "HF_HUB_OFFLINE": "1"}

    def complain(self, client: str, folder: Path, code: int | None) -> None:
        if code:
            last = (folder / "said.txt").read_text(errors="replace")[-600:]
            print(f"{client}: exit {code}\n{last}", file=sys.stderr)


def watched(
    command: list[str],
    environment: dict[str, str],
    folder: Path,
    limit: float,
    kill: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """Run ``command`` to its end, to ``limit`` seconds, or until ``kill`` says so: wall, CPU, memory, exit code."""
    begun = time.monotonic()
    with (folder / "said.txt").open("a") as said:
        process = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=said, stderr=said, start_new_session=True
        )
    peak, waited, over, late = 0.0, 0.0, threading.Event(), False

    def look() -> None:
        nonlocal peak, waited, late
        while not over.wait(0.2):
            resident, ready = tree(process.pid)
            peak, waited = max(peak, resident), max(waited, ready)
            late = time.monotonic() - begun > limit
            if late or (kill and kill()):
                os.killpg(process.pid, signal.SIGKILL)
                return

    watcher = threading.Thread(target=look)
    watcher.start()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - begun
    over.set()
    watcher.join()
    process.returncode = os.waitstatus_to_exitcode(status)
    return {
        "wall": wall,
        "cpu": usage.ru_utime + usage.ru_stime,
        "waited": waited,
        "peak_mib": peak,
        "exit": None if late else process.returncode,
    }


def tree(root: int) -> tuple[float, float]:
    """Resident MiB of ``root`` and its descendants, and the seconds that their threads waited for a core so far. From
    Linux' /proc; zeros elsewhere."""
    pages = nanoseconds = 0
    processes = [root]
    while processes:
        place = Path("/proc") / str(processes.pop())
        with suppress(OSError, IndexError):
            pages += int((place / "statm").read_text().split()[1])
            for thread in (place / "task").iterdir():
                processes += map(int, (thread / "children").read_text().split())
                nanoseconds += int((thread / "schedstat").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20, nanoseconds / 1e9


# ── the command ──────────────────────────────────────────────────────────────────────────────────────────────────────


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = arguments.add_argument
    add("--section", choices=list(SECTIONS), nargs="+", default=["throughput"])
    add("--only", choices=list(CLIENTS), nargs="+", help="default: all that are here")
    add("--replies", type=int, help="default: 2,000, 600, 1,000, 1,000 and 20, as the section is")
    add("--in-flight", type=int, nargs="+", help="default: 64")
    add("--latency", type=float, help="seconds; default: 1 for throughput")
    add("--rows", type=float, default=15.0, help="rows that alpacakit is to keep per reply, for its -n")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="as for alpacakit")
    add("--server", metavar="URL", help="one that runs already and has /stats beside /v1; default: tests/provider.py")
    add("--replay", type=Path, metavar="PROGRAM", help="a server of real text, with --data")
    add("--data", type=Path, help="its rows, as JSON")
    add("--pool", type=int, default=0, help="mix its instructions to so many, so that a long run finds new ones")
    add("--peers", type=Path, help="folder with an environment for each peer")
    add("--port", type=int, default=8130)
    add("--limit", type=float, default=170.0, help="seconds for one client; then it is killed")
    add("--append", type=Path, metavar="FILE.json", help="keep the results with those of earlier calls")
    add("--show", type=Path, metavar="FILE.json", help="measure nothing, print the table of these results")
    add("--out", type=Path, metavar="FILE.md", help="write the table there too")
    asked = arguments.parse_args()
    if asked.show:
        results = read(asked.show)
    else:
        asked.peers = asked.peers and asked.peers.absolute()
        results = measured(asked)
    table = show(results)
    print(table)
    if asked.out:
        asked.out.write_text(table)


def measured(asked: argparse.Namespace) -> list[Result]:
    here = {name: PEERS.get(name) for name in CLIENTS}
    names = [n for n in asked.only or here if not here[n] or (asked.peers and (asked.peers / here[n]).is_dir())]
    results = read(asked.append) if asked.append and asked.append.exists() else []
    with tempfile.TemporaryDirectory(prefix="generation-") as place:
        bench = prepared(asked, Path(place))
        for section in asked.section:
            default = SECTIONS[section]
            for in_flight in asked.in_flight or [default.in_flight]:
                setting = replace(
                    default,
                    in_flight=in_flight,
                    replies=asked.replies or default.replies,
                    latency=default.latency if asked.latency is None else asked.latency,
                )
                for name in names:
                    results.append(bench.measure(section, name, setting))
                    print(f"{section}, {in_flight} in flight, {name}: {results[-1]}", file=sys.stderr, flush=True)
                    if asked.append:
                        asked.append.write_text(json.dumps([asdict(one) for one in results], indent=1))
    return results


def prepared(asked: argparse.Namespace, folder: Path) -> Bench:
    """The prompts, the seeds and the pool, written for the clients and the server to read."""
    from alpaca_prompts import SelfInstructOptions
    from alpaca_prompts.self_instruct import SelfInstruct

    from alpaca_core.seeds import read_seeds

    seeds = read_seeds(None)
    prompt = SelfInstruct(SelfInstructOptions())
    most = max([asked.replies or 0, *(SECTIONS[name].replies for name in asked.section)])
    prompts, known = folder / "prompts.jsonl", folder / "seeds.json"
    with prompts.open("w") as out:
        for k in range(most):
            out.write(json.dumps(prompt.request(k, Random(f"0/{k}"), seeds, ()).prompt) + "\n")
    known.write_text(json.dumps([seed.instruction for seed in seeds]))
    data = asked.data
    if asked.pool:
        data = folder / "pool.json"
        data.write_text(json.dumps(mixed(json.loads(asked.data.read_text()), asked.pool)))
    return Bench(asked, folder, prompts, known, data)


def mixed(rows: list[dict[str, str]], n: int) -> list[dict[str, str]]:
    """``n`` rows, each with the first half of one instruction and the second half of another one."""
    rng, found = Random(0), []
    for _ in range(n):
        one, other = rng.choice(rows), rng.choice(rows)
        first, second = one["instruction"].split(), other["instruction"].split()
        words = first[: (len(first) + 1) // 2] + second[len(second) // 2 :]
        found.append(one | {"instruction": " ".join(words)})
    return found


if __name__ == "__main__":
    main()
