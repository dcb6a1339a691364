"""The journal: what is written stays, also when the process does not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from alpaca_core.entries import Judged
from alpaca_core.errors import AlpacaError
from alpaca_core.records import Candidate, Completion, Request, Usage
from alpaca_core.store import Store

REQUEST = Request(k=3, prompt="Say something.", prefix="1. Instruction:", items=20, stop=("\n20",), max_tokens=99)
REPLY = Completion("1. Instruction: Ä\n", "length", Usage(11, 22, 3, 4), "m", "id-1", labels={1: "sort"})


@pytest.fixture
def store(tmp_path: Path):
    store = Store(tmp_path / "run.db")
    yield store
    store.close()


def test_a_reply_comes_back_as_it_was_received_with_the_request_as_it_was_sent(store):
    store.answered(store.sent(REQUEST, 0.5), 3, REPLY, 0.1)
    assert store.reply(3) == (REQUEST, REPLY)


def test_a_settled_attempt_counts_its_cost_and_an_unsettled_one_its_worst_price(store):
    store.answered(store.sent(REQUEST, 0.5), 3, REPLY, 0.1)
    store.sent(Request(k=4, prompt="lost with the process"), 0.25)
    assert store.totals().cost == pytest.approx(0.35)


def test_one_attempt_without_a_price_makes_the_whole_cost_unknown(store):
    store.answered(store.sent(REQUEST, None), 3, REPLY, None)
    assert store.totals().cost is None


def test_a_request_given_up_is_settled_and_has_no_reply(store):
    store.failed(7, "bad_request: no")
    assert store.settled() == {7}
    assert store.reply(7) is None


def test_verdicts_add_up_and_surplus_is_neither_kept_nor_rejected(store):
    store.judged(
        [
            Judged(Candidate("a", "", "b", id="0.0"), 0, 0, True),
            Judged(Candidate("c", "", "d", id="0.1"), 0, 1, False, "rouge", "like a"),
            Judged(Candidate("e", "", "f", id="0.2"), 0, 2, None),
        ]
    )
    assert store.counts() == (1, {"rouge": 1})
    assert [row.instruction for row in store.kept()] == ["a"]
    assert [row["reason"] for row in store.rejected()] == ["like a"]


def test_kept_rows_come_in_the_order_of_the_requests(store):
    for k in (2, 0, 1):
        store.judged([Judged(Candidate(f"task {k}", "", "x", id=f"{k}.0"), k, 0, True)])
    assert [row.instruction for row in store.kept()] == ["task 0", "task 1", "task 2"]


def test_what_was_journalled_survives_kill_9(tmp_path: Path):
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from alpaca_core.records import Completion, Request\n"
        "from alpaca_core.store import Store\n"
        "store = Store(Path(sys.argv[1]))\n"
        "store.answered(store.sent(Request(0, 'a'), 1.0), 0, Completion('paid for'), 0.5)\n"
        "store.sent(Request(1, 'b'), 0.25)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    path = tmp_path / "run.db"
    killed = subprocess.run([sys.executable, "-c", script, path], env=os.environ)
    assert killed.returncode == -signal.SIGKILL
    store = Store(path)
    assert store.reply(0)[1].text == "paid for"
    assert store.settled() == {0}
    assert store.totals().cost == pytest.approx(0.75)


def test_a_file_that_is_no_journal_is_refused_and_left_alone(tmp_path: Path):
    path = tmp_path / "run.db"
    path.write_bytes(b"my thesis" * 1000)
    with pytest.raises(AlpacaError, match=r"run\.db"):
        Store(path)
    assert path.read_bytes() == b"my thesis" * 1000
