"""Replies of other runs taken over (``--from``): judged anew, never asked again, and traceable."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import time
from contextlib import closing, suppress

import pytest
from running import command, data, environment, generate, summary


def ids(out) -> list[str]:
    with sqlite3.connect(out / "run.db") as db:
        return [id for (id,) in db.execute("SELECT id FROM candidates WHERE kept = 1 ORDER BY k, place")]


def test_another_threshold_in_a_new_folder_asks_the_teacher_nothing(provider, tmp_path):
    server = provider()
    generate(server, tmp_path / "a", n=60)
    asked = len(server.requests)
    generate(server, tmp_path / "b", "--from", str(tmp_path / "a"), "--set", "filter.rouge.threshold=0.3", n=None)
    assert len(server.requests) == asked
    made = summary(tmp_path / "b")
    assert made["replies"] == summary(tmp_path / "a")["replies"]
    assert made["rejected"]["rouge"] > summary(tmp_path / "a")["rejected"].get("rouge", 0)
    assert made["cost_usd"] in (None, 0.0) and made["attempts"] == 0


def test_without_a_number_every_row_of_the_stored_replies_is_kept(provider, tmp_path):
    server = provider()
    generate(server, tmp_path / "a", n=50)  # three replies of twenty
    generate(server, tmp_path / "b", "--from", str(tmp_path / "a"), n=None)
    made = summary(tmp_path / "b")
    assert made["candidates"] == 60 and made["kept"] > 50
    rows = json.loads(data(tmp_path / "b"))
    assert rows[:50] == json.loads(data(tmp_path / "a"))


def test_a_larger_number_goes_on_where_the_other_run_ended(provider, tmp_path):
    server = provider()
    generate(server, tmp_path / "a", n=50)
    generate(server, tmp_path / "b", "--from", str(tmp_path / "a"), n=130)
    assert server.stats()["paid_twice"] == 0
    generate(provider(), tmp_path / "whole", n=130)
    assert data(tmp_path / "b") == data(tmp_path / "whole")


def test_merged_runs_say_where_each_row_came_from(provider, tmp_path):
    server = provider()
    generate(server, tmp_path / "a", n=30)
    generate(server, tmp_path / "b", "--seed", "1", "--model", "other", n=30)
    generate(server, tmp_path / "c", "--from", str(tmp_path / "a"), "--from", str(tmp_path / "b"), n=None)
    assert {id.partition(":")[0] for id in ids(tmp_path / "c")} == {"a", "b"}
    sources = summary(tmp_path / "c")["sources"]
    assert [(of["name"], of["model"]) for of in sources] == [("a", "gpt-6-luna"), ("b", "other")]
    assert sum(of["kept"] for of in sources) == summary(tmp_path / "c")["kept"]
    generate(server, tmp_path / "d", "--from", str(tmp_path / "c"), n=None)  # a merged run can be taken over too
    assert {id.rpartition(":")[0] for id in ids(tmp_path / "d")} == {"c/a", "c/b"}
    assert data(tmp_path / "d") == data(tmp_path / "c")


def test_each_reply_is_read_by_the_prompt_that_asked_for_it(provider, tmp_path):
    server = provider()
    generate(server, tmp_path / "a", "--prompt", "alpaca-2023", n=30)
    generate(server, tmp_path / "b", "--from", str(tmp_path / "a"), "--prompt", "self-instruct", n=60)
    assert summary(tmp_path / "b")["sources"][0]["prompt"] == "alpaca-2023"
    assert ids(tmp_path / "b")[:30] == [f"a:{id}" for id in ids(tmp_path / "a")]


def test_what_was_taken_over_stays_when_the_other_folder_is_gone(provider, tmp_path):
    server = provider()
    generate(server, tmp_path / "a", n=30)
    more = ("--from", str(tmp_path / "a"))
    config = ("--config", str(tmp_path / "b" / "run.toml"))
    generate(server, tmp_path / "b", *more, n=None)
    before = data(tmp_path / "b")
    shutil.rmtree(tmp_path / "a")
    generate(server, tmp_path / "b", *config, n=None)
    assert data(tmp_path / "b") == before


@pytest.mark.parametrize(
    ("prompt", "option", "words"),
    [("topics", "topics", "gardens\nbread\n"), ("alpaca-2023", "header", "Go on with this list.\n")],
)
def test_replies_are_read_without_the_file_that_their_prompt_asked_with(provider, tmp_path, prompt, option, words):
    server, file = provider(), tmp_path / "words.txt"
    file.write_text(words)
    generate(server, tmp_path / "a", "--prompt", prompt, "--set", f"prompt.{option}={file}", n=20)
    generate(server, tmp_path / "b", "--from", str(tmp_path / "a"), "--prompt", "self-instruct", n=40)
    before = data(tmp_path / "b")
    file.unlink()
    generate(server, tmp_path / "b", "--config", str(tmp_path / "b" / "run.toml"), n=40)
    assert data(tmp_path / "b") == before


def test_a_poor_yield_of_the_other_run_does_not_make_this_one_ask_for_more(provider, tmp_path):
    generate(provider(items=1), tmp_path / "a", n=30)  # one task a reply
    server = provider(latency=0.2)
    generate(server, tmp_path / "b", "--from", str(tmp_path / "a"), "--concurrency", "64", n=130)
    assert server.stats()["billed"] <= 1.3 * 100 / 20 + 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 4)])
def test_a_signal_while_stored_replies_are_judged_ends_the_run_politely(provider, tmp_path, number, code):
    server = provider()
    generate(server, tmp_path / "a", "--filter", "length", n=3000)
    words = command(tmp_path / "b", "--from", str(tmp_path / "a"), "--filter", "rouge", "--filter", "structure", n=None)
    with subprocess.Popen(words, env=environment(server), stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not verdicts(tmp_path / "b") and time.monotonic() < deadline:
            time.sleep(0.001)
        process.send_signal(number)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == code and "Error" not in said


def verdicts(folder) -> int:
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{folder}/run.db?mode=ro", uri=True)) as db:
        return db.execute("SELECT count(*) FROM candidates").fetchone()[0]
    return 0


def test_nothing_is_left_behind_in_the_folder_that_replies_are_taken_from(provider, tmp_path):
    generate(provider(), tmp_path / "a", n=20)
    there = sorted(tmp_path.joinpath("a").iterdir())
    generate(provider(), tmp_path / "b", "--from", str(tmp_path / "a"), n=None)
    assert sorted(tmp_path.joinpath("a").iterdir()) == there


def test_a_folder_may_have_any_name(provider, tmp_path):
    server, odd = provider(), tmp_path / "50% of #1?"
    generate(server, odd, n=30)
    generate(server, tmp_path / "b", "--from", str(odd), n=None)
    assert json.loads(data(tmp_path / "b"))[:30] == json.loads(data(odd))


def test_what_another_teacher_answered_does_not_prove_this_one(provider, tmp_path):
    """A configuration that its provider refuses is told after one request, and not after many failed ones."""
    server = provider()
    generate(server, tmp_path / "a", n=30)
    asked = len(server.requests)
    server.faults = {"bad_request": 1.0}
    generate(server, tmp_path / "b", "--from", str(tmp_path / "a"), "--model", "other", n=200, code=2)
    assert len(server.requests) == asked + 1


def without_replies(folder) -> None:
    with sqlite3.connect(folder / "run.db") as db:
        db.execute("DELETE FROM replies")
    db.close()


def of_a_later_version(folder) -> None:
    with sqlite3.connect(folder / "run.db") as db:
        db.execute("UPDATE meta SET value = '99' WHERE key = 'version'")
    db.close()


def damaged(folder) -> None:
    (folder / "run.db").write_bytes(b"?" * 5000)


def with_a_batch_at_the_provider(folder) -> None:
    with sqlite3.connect(folder / "run.db") as db:
        db.execute("INSERT INTO batches (key, submitted, total) VALUES ('key', 0.0, 5)")
    db.close()


@pytest.mark.parametrize("spoil", [without_replies, of_a_later_version, damaged, with_a_batch_at_the_provider])
def test_a_journal_that_cannot_be_used_is_refused_before_a_folder_is_made(provider, tmp_path, spoil):
    server = provider()
    generate(server, tmp_path / "a", n=20)
    spoil(tmp_path / "a")
    done = generate(server, tmp_path / "b", "--from", str(tmp_path / "a"), n=None, code=2)
    assert "--from DIR" in done.stderr and not (tmp_path / "b").exists()


@pytest.mark.parametrize("wrong", ["nothing here", "itself", "twice", "twice by another name"])
def test_what_cannot_be_taken_over_is_refused_before_a_folder_is_made(provider, tmp_path, wrong):
    server = provider()
    generate(server, tmp_path / "a", n=20)
    asked = len(server.requests)
    (tmp_path / "alias").symlink_to(tmp_path / "a")
    sources = {
        "nothing here": [tmp_path / "x"],
        "itself": [tmp_path / "b"],
        "twice": [tmp_path / "a"] * 2,
        "twice by another name": [tmp_path / "a", tmp_path / "alias"],
    }[wrong]
    flags = [part for source in sources for part in ("--from", str(source))]
    done = generate(server, tmp_path / "b", *flags, n=None, code=2)
    assert "--from DIR" in done.stderr and not (tmp_path / "b").exists()
    assert len(server.requests) == asked


def test_a_folder_in_which_nothing_was_answered_is_no_excuse_to_name_what_is_not_there(provider, tmp_path):
    generate(provider(faults={"auth": 1.0}), tmp_path / "b", n=20, code=3)
    done = generate(provider(), tmp_path / "b", "--from", str(tmp_path / "x"), n=None, code=2)
    assert "--from DIR" in done.stderr
