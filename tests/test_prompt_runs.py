"""Whole runs with each prompt, on the command line, with the real SDK over HTTP."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

N = 100
ARABIC = re.compile(r"[\u0600-\u06ff]")
SMALL_BLOCKS = ("--set", "generation.block=2")  # so that a few requests already look at kept rows


def generate(provider, out: Path, *more: str, n: int = N, code: int = 0, teacher: str = "openai"):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ALPACAKIT_", "OPENAI_"))}
    environment = {**kept, "OPENAI_BASE_URL": provider.url, "OPENAI_API_KEY": "sk-test-0000", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "alpaca_core", "generate", "--teacher", teacher, "-n", str(n), "--out", str(out)]
    done = subprocess.run([*command, *more], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


def options(**values: object) -> list[str]:
    return [part for name, value in values.items() for part in ("--set", f"prompt.{name}={value}")]


def rows(out: Path) -> list[dict[str, str]]:
    return json.loads((out / "alpaca_data.json").read_text(encoding="utf-8"))


def rejected(out: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (out / "rejected.jsonl").read_text(encoding="utf-8").splitlines()]


def prompts_sent(provider) -> list[str]:
    return [
        request["body"]["messages"][-1]["content"] for request in provider.requests if "messages" in request["body"]
    ]


@pytest.fixture
def topics(tmp_path) -> Path:
    file = tmp_path / "topics.txt"
    file.write_text("beekeeping\ntax returns\nglaciers\nchess openings\n# later: opera\nbread\n", encoding="utf-8")
    return file


# ── languages ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("prompt", "chosen"),
    [
        ("self-instruct", {"language": "Arabic"}),
        ("self-instruct", {"language": "ar-EG", "form": "json", "kept_examples": 2}),
        ("evol", {"language": "Arabic"}),
        ("topics", {"language": "ar"}),
    ],
)
def test_an_arabic_run_keeps_what_it_asked_for(provider, tmp_path, topics, prompt, chosen):
    if prompt == "topics":
        chosen = {**chosen, "topics": topics}
    server = provider()
    generate(server, tmp_path / "run", "--prompt", prompt, *SMALL_BLOCKS, *options(**chosen))
    kept = rows(tmp_path / "run")
    assert len(kept) == N and all(ARABIC.search(row["instruction"]) and ARABIC.search(row["output"]) for row in kept)
    reasons = Counter(row["filter"] for row in rejected(tmp_path / "run"))
    assert set(reasons) <= {"rouge"} and reasons.total() < N / 2


def test_an_arabic_run_goes_on_from_a_completion_and_with_a_chinese_one_beside_it(provider, tmp_path):
    for language, form in (("Arabic", "list"), ("Chinese", "json")):
        out = tmp_path / language
        generate(provider(), out, *options(language=language, form=form), n=40, teacher="text-davinci-003")
        assert len(rows(out)) == 40 and not any(row["filter"] == "parse" for row in rejected(out))


def test_the_filters_language_can_still_be_set_apart(provider, tmp_path):
    out = tmp_path / "run"
    generate(provider(), out, *options(language="Arabic"), "--set", "filter.ascii-start.language=English", code=4)
    assert rows(out) == [] and {row["filter"] for row in rejected(out)} == {"ascii-start"}


# ── prompts that look at kept rows ────────────────────────────────────────────────────────────────────────────────

MIX = ("--prompt", "self-instruct", *SMALL_BLOCKS, *options(items=10, examples=6, kept_examples=2))
EVOL = ("--prompt", "evol", *SMALL_BLOCKS)


@pytest.mark.parametrize("chosen", [MIX, EVOL], ids=["mix", "evol"])
def test_a_run_that_looks_at_kept_rows_gives_the_same_bytes_whatever_the_concurrency_and_the_faults(
    provider, tmp_path, chosen
):
    faults = {"rate_limit": 0.1, "server": 0.1, "reset": 0.05}
    for name, concurrency, faulty in (("one", 1, {}), ("many", 32, faults)):
        server = provider(items=10, latency=0.01, faults=faulty)
        generate(server, tmp_path / name, *chosen, "--concurrency", str(concurrency))
    one, many = ((tmp_path / name / "alpaca_data.json").read_bytes() for name in ("one", "many"))
    assert len(json.loads(one)) == N and one == many


@pytest.mark.parametrize(
    ("chosen", "shown"),
    [(MIX, r"(?m)^\d\. Instruction: (.+)$"), (EVOL, r"(?m)^Basis \d+: (.+)$")],
    ids=["mix", "evol"],
)
def test_a_request_shows_rows_that_were_kept_two_blocks_before(provider, tmp_path, chosen, shown):
    server = provider(items=10)
    generate(server, tmp_path / "run", *chosen, "--concurrency", "1")
    with closing(sqlite3.connect(tmp_path / "run" / "run.db")) as journal:
        kept = dict(journal.execute("SELECT rtrim(instruction, ':'), k FROM candidates WHERE kept"))
        requests = journal.execute("SELECT k, body FROM requests ORDER BY k").fetchall()
    seen = Counter()
    for k, body in requests:
        shown_rows = [text for text in re.findall(shown, json.loads(body)["prompt"]) if text in kept]
        assert all(kept[text] // 2 <= k // 2 - 2 for text in shown_rows)
        seen[k // 2] += len(shown_rows)
    assert not seen[0] and not seen[1] and all(seen[block] for block in range(2, max(seen) + 1)) and max(seen) >= 3


# ── topics ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_rows_are_labelled_with_their_topics_evenly(provider, tmp_path, topics):
    out = tmp_path / "run"
    generate(provider(), out, "--prompt", "topics", *options(topics=topics, form="json"))
    with closing(sqlite3.connect(out / "run.db")) as journal:
        labelled = journal.execute("SELECT label, instruction FROM candidates WHERE kept").fetchall()
    assert all(label and label in instruction for label, instruction in labelled)
    counts = Counter(label for label, _ in labelled)
    assert len(counts) == 5 and min(counts.values()) >= N / 5 * 0.6


def test_a_run_with_topics_is_another_one_when_the_list_has_changed(provider, tmp_path, topics):
    server = provider()
    asked = ("--prompt", "topics", *options(topics=topics))
    generate(server, tmp_path / "run", *asked, n=20)
    moved = topics.rename(tmp_path / "moved.txt")
    generate(server, tmp_path / "run", "--prompt", "topics", *options(topics=moved), n=21)
    moved.write_text("beekeeping\nopera\n")
    done = generate(server, tmp_path / "run", "--prompt", "topics", *options(topics=moved), n=22, code=2)
    assert "prompt.topics_hash" in done.stderr


def test_mistakes_in_the_topics_are_told_before_anything_is_sent(provider, tmp_path, topics):
    server = provider()
    topics.write_text("bees\nbees\n" + "x" * 200)
    done = generate(server, tmp_path / "run", "--prompt", "topics", *options(topics=topics), code=2)
    shown = re.sub(r"\s+", "", done.stderr)
    assert f"{topics}:2isline1again" in shown and f"{topics}:3has200characters" in shown
    assert "prompt.topics=topics.txt" in generate(server, tmp_path / "run", "--prompt", "topics", code=2).stderr
    assert server.stats()["requests"] == 0


# ── JSON ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_run_in_json_loses_no_whole_task_to_damaged_replies(provider, tmp_path):
    server = provider(faults={"truncated": 0.3, "malformed": 0.3, "empty": 0.1, "refusal": 0.1})
    out = tmp_path / "run"
    generate(server, out, *options(form="json"))
    assert len(rows(out)) == N and server.stats()["paid_twice"] == 0
    assert all('{"tasks": [{' in prompt for prompt in prompts_sent(server))
    reasons = {row["reason"] for row in rejected(out) if row["filter"] == "parse"}
    assert reasons <= {"cut off", "no output", "damaged"} and "cut off" in reasons


# ── older runs ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_run_from_before_an_option_came_goes_on_at_its_default_only(provider, tmp_path):
    server, out = provider(), tmp_path / "run"
    generate(server, out, n=30)
    with closing(sqlite3.connect(out / "run.db")) as journal, journal:
        (identity,) = journal.execute("SELECT value FROM meta WHERE key = 'identity'").fetchone()
        older = {name: value for name, value in json.loads(identity).items() if name != "prompt.language"}
        assert len(older) < len(json.loads(identity))
        journal.execute("UPDATE meta SET value = ? WHERE key = 'identity'", (json.dumps(older),))
    generate(server, out, n=40)
    assert len(rows(out)) == 40
    assert "prompt.language" in generate(server, out, *options(language="Arabic"), code=2).stderr
