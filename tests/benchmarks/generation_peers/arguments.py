"""What the driver tells each client on its command line. The address and the key are in OPENAI_BASE_URL and
OPENAI_API_KEY. Standard library only: every client runs in an environment of its own."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

MOST_TOKENS = 3072


def parser(about: str | None) -> argparse.ArgumentParser:
    known = argparse.ArgumentParser(description=about)
    known.add_argument("--prompts", type=Path, required=True, help="JSONL: one prompt a line, as a string")
    known.add_argument("--replies", type=int, required=True, help="how many of them to ask")
    known.add_argument("--in-flight", type=int, required=True, help="requests at the same time, at most")
    known.add_argument("--out", type=Path, required=True, help="JSONL for the replies, each with its text")
    known.add_argument("--retries", type=int, default=6, help="of one request, by the client's own means")
    known.add_argument("--model", default="gpt-4o-mini", help="a name that every client knows")
    return known


def prompts_in(asked: argparse.Namespace) -> list[str]:
    """The prompts to ask, in their order."""
    with asked.prompts.open() as lines:
        return [json.loads(line) for line, _ in zip(lines, range(asked.replies), strict=False)]


def write_replies(asked: argparse.Namespace, texts: list[str | None]) -> None:
    """The end of a client that gives all replies at once; those that it has not got are None."""
    with asked.out.open("w") as out:
        out.writelines(json.dumps({"k": k, "text": text}) + "\n" for k, text in enumerate(texts) if text is not None)
