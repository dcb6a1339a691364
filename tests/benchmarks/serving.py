"""How many tokens a second clients get from `alpacakit serve`, beside `transformers serve` on the same model.

    pip install 'transformers[serving]'                       the peer; without it alpacakit is measured alone
    python tests/benchmarks/serving.py MODEL DATA [--rounds 2] [--requests 150]

MODEL is a folder and DATA rows whose instructions are asked, at temperature 0 and 60 tokens at most: by one client, one
after the other, and by 50 at once. All servers are up for the whole time and are asked in turn, so that they share the
machine's moods. One thread of OpenMP each. A server whose answers differ from the first one's is said to differ.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TOKENS = 60


@dataclass(frozen=True)
class Server:
    name: str
    model: str
    url: str
    process: subprocess.Popen[bytes]

    def cpu(self) -> float:
        """Seconds of CPU so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def start(name: str, model: str, command: list[str]) -> Server:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environ = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen(
        [*command, "--port", str(port)], env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}"
    for _ in range(240):
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{url}/health", timeout=5).close()
            return Server(name, model, f"{url}/v1", process)
        time.sleep(0.5)
    raise SystemExit(f"{name} did not start")


@contextlib.contextmanager
def servers(model: Path) -> Iterator[list[Server]]:
    bin = Path(sys.executable).parent
    found = [start("alpacakit serve", model.resolve().name, [str(bin / "alpacakit"), "serve", str(model)])]
    try:
        if importlib.util.find_spec("fastapi"):
            peer = [str(bin / "transformers"), "serve", str(model.resolve()), "--device", "cpu", "--log-level", "error"]
            found.append(start("transformers serve", str(model.resolve()), peer))
            name = "transformers serve --continuous-batching"
            found.append(start(name, str(model.resolve()), [*peer, "--continuous-batching"]))
        yield found
    finally:
        for server in found:
            server.process.terminate()
        for server in found:
            server.process.wait()


async def load(server: Server, prompts: list[str], clients: int) -> tuple[float, list[tuple[str, int]]]:
    """Seconds, and each answer with its tokens."""
    from openai import AsyncOpenAI

    gate = asyncio.Semaphore(clients)
    async with AsyncOpenAI(base_url=server.url, api_key="none", timeout=600, max_retries=0) as client:

        async def ask(prompt: str) -> tuple[str, int]:
            async with gate:
                reply = await client.chat.completions.create(
                    model=server.model,
                    messages=[{"role": "user", "content": prompt}],
                    temperature=0,
                    max_tokens=TOKENS,
                )
                assert reply.usage is not None
                return reply.choices[0].message.content or "", reply.usage.completion_tokens

        started = time.perf_counter()
        answers = await asyncio.gather(*map(ask, prompts))
        return time.perf_counter() - started, answers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--requests", type=int, default=150)
    given = parser.parse_args()
    prompts = [row["instruction"] for row in json.loads(given.data.read_text()) if not row["input"]][: given.requests]
    with servers(given.model) as found:
        for server in found:
            asyncio.run(load(server, prompts[:5], 5))  # what is done once
        for number in range(given.rounds):
            for clients, count in ((1, len(prompts) // 5), (50, len(prompts))):
                first: list[str] = []
                for server in found:
                    before = server.cpu()
                    seconds, answers = asyncio.run(load(server, prompts[:count], clients))
                    tokens = sum(used for _, used in answers)
                    texts = [text for text, _ in answers]
                    first = first or texts
                    same = "" if texts == first else f"  {sum(map(str.__ne__, texts, first))} answers differ"
                    cpu = 1000 * (server.cpu() - before) / tokens
                    print(
                        f"round {number + 1}  {clients:>2} clients  {server.name:<42} {tokens / seconds:7,.0f} tokens/s"
                        f"  {cpu:5.2f} s of CPU for 1,000{same}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
