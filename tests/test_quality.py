"""Dataset filters, and quality by a judge: over HTTP, with kills, faults and a budget; nothing is asked twice."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import time
from pathlib import Path

import distributions
import pytest
from alpaca_quality import QualityOptions
from alpaca_quality.filter import Quality
from alpaca_quality.question import question
from alpaca_quality.scores import score
from running import ALPACAKIT, command, environment, generate

from alpaca_core import Completion, DatasetFilter, Example, Filter, Flag, Reject, TeacherError
from alpaca_core.store import Store

N = 60
CHAIN = ("--filter", "alpaca", "--filter", "quality")
PRICE = ("--set", "teacher.price_input=1.0", "--set", "teacher.price_output=10.0")


def data(out: Path) -> list[dict]:
    return json.loads((out / "alpaca_data.json").read_text())


def summary(out: Path) -> dict:
    return json.loads((out / "summary.json").read_text())


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def rows(n: int, first: int = 0) -> list[dict]:
    return [
        {"instruction": f"Say how many legs {i} spiders have.", "input": "", "output": f"{8 * i} legs."}
        for i in range(first, first + n)
    ]


def filtered(provider, folder: Path, *more: str, code: int = 0, data: str = "data.json", out: str = "kept.json"):
    """Run ``alpacakit filter`` with quality in ``folder``."""
    done = subprocess.run(
        filter_command(data, out, *more),
        cwd=folder, env=environment(provider), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


def filter_command(data: str, out: str, *more: str) -> list[str]:
    teacher = () if "--teacher" in more else ("--teacher", "openai")
    return [*ALPACAKIT, "filter", data, "--filter", "quality", *teacher, "--out", out, "--json", *more]


def write(folder: Path, found: list[dict], name: str = "data.json") -> None:
    (folder / name).write_text(json.dumps(found))


# ── scores ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4", 4),
        ("4.5\nRight, but long.", 4.5),
        ("Score: 4.5", 4.5),
        ("4.5/5", 4.5),
        ("**Score:** 4.5/5", 4.5),
        ("4 out of 5", 4),
        ("4,5", 4.5),
        ("8/10", 4),
        ("90/100", 4.5),
        ("Grade: 3.5 - it says too much", 3.5),
        ("Score (0-5): 2", 2),
        ("```\n2\n```", 2),
        ('{"score": 2.5, "reason": "3 faults"}', 2.5),
        ("Here is my grade:\n\n3", 3),
        ("The answer says 3, which is wrong.\nScore: 1", 1),
        ("I give it a rating of 2.", 2),
        ("<think>Maybe 2?</think>\n4", 4),
        ("٤٫٥", 4.5),
        ("النتيجة: ٣", 3),
        ("评分：4.5分", 4.5),
        ("नतीजा: ४", 4),
        ("４．５", 4.5),
        ("0", 0),
    ],
)
def test_a_score_is_read_in_any_of_its_forms(text, value):
    assert score(Completion(text)) == value


@pytest.mark.parametrize(
    "text",
    [
        *("", "It is good.", "3 errors in the answer", "I think that it has 3 errors, so 2", "1. The answer is good."),
        *("-1", "6", "45", "4-5", "80%", "1/2", "10", "It has 2.", "4 of the 6 names are right"),
    ],
)
def test_a_number_that_may_mean_something_else_is_no_score(text):
    assert score(Completion(text)) is None


def test_a_refusal_and_a_number_that_may_be_cut_are_no_scores():
    assert score(Completion("4", "refusal")) is None
    assert score(Completion("4", "length")) is None
    assert score(Completion("4.5\nThe answer is ri", "length")) == 4.5


# ── the threshold ─────────────────────────────────────────────────────────────────────────────────────────────────


def verdicts(answers: list[str | TeacherError], **options) -> list:
    async def ask(requests):
        return [answer if isinstance(answer, TeacherError) else Completion(answer) for answer in answers]

    examples = [Example(f"Name {i}.", "", "It.", f"row_{i}") for i in range(len(answers))]
    return asyncio.run(Quality(QualityOptions(**options)).select(examples, ask))


def kept(answers: list, **options) -> list[bool]:
    return [not isinstance(verdict, Reject) for verdict in verdicts(answers, **options)]


def test_quality_is_a_dataset_filter_and_no_other():
    quality = Quality(QualityOptions())
    assert isinstance(quality, DatasetFilter) and not isinstance(quality, Filter)


def test_the_share_to_keep_is_kept_and_with_it_what_ties_with_its_last_row():
    assert kept(["1", "2", "3", "4"], keep=0.5) == [False, False, True, True]
    assert kept(["1", "3", "3", "3"], keep=0.5) == [False, True, True, True]
    assert kept(["4", "4", "4", "4"], keep=0.25) == [True] * 4
    assert kept(["1", "2", "3", "4", "5"], keep=0.5) == [False, False, True, True, True]
    assert sum(kept([str(i % 100 / 20) for i in range(300)], keep=0.1)) == 30


def test_a_constant_threshold_takes_the_place_of_the_share():
    assert kept(["4.4", "4.5", "5"], threshold=4.5) == [False, True, True]
    assert kept(["0", "1"], threshold=0) == [True, True]
    assert kept(["4", "4.4"], threshold=4.5) == [False, False]


def test_a_row_without_a_score_is_kept_with_the_reason_and_moves_no_threshold():
    said = verdicts(["1", "no", TeacherError("bad_request", "too long"), "", "2", "3", "4"], keep=0.5)
    assert said[1:4] == [
        Flag("no score: the answer begins “no”"),
        Flag("no score: not judged, bad_request: too long"),
        Flag("no score: an empty answer"),
    ]
    assert [said[0], said[5]] == [Reject("score 1, below the threshold 3"), Flag("score 3, threshold 3")]


@pytest.mark.parametrize("wrong", [{"keep": 0}, {"keep": 1.1}, {"threshold": 6}])
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        QualityOptions(**wrong)


def test_the_question_holds_the_whole_row_and_an_input_only_where_there_is_one():
    asked = question(Example("Add.", "2 and 2", "4"), 256)
    assert all(f">\n{text}\n<" in asked.prompt for text in ("Add.", "2 and 2", "4"))
    assert "<input>" not in question(Example("Add.", " ", "4"), 256).prompt


# ── in a run ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> list[dict]:
    """The dataset of a run in which nothing went wrong."""
    from provider import Provider

    out = tmp_path_factory.mktemp("undisturbed") / "run"
    with Provider() as server:
        generate(server, out, *CHAIN, n=N)
    assert N / 2 <= len(data(out)) < N
    return data(out)


def test_every_verdict_is_stored_and_the_counts_add_up(provider, tmp_path):
    out = tmp_path / "run"
    generate(provider(faults={"malformed": 0.2, "refusal": 0.1}), out, *CHAIN, *PRICE, n=N)
    made, chosen = summary(out)["generation"], summary(out)["selection"]
    assert made["kept"] + sum(made["rejected"].values()) == made["candidates"]
    assert made["kept"] == chosen["kept"] == len(data(out))
    assert (chosen["rows"], chosen["complete"], chosen["replies"]) == (N, True, N)
    assert made["rejected"]["quality"] == chosen["rejected"]["quality"] == N - chosen["kept"]
    assert sum(said["rows"] for said in chosen["verdicts"]) == N
    journal = Store(out / "run.db")
    flags = [flag for row in journal.kept_verdicts() for flag in row.flags if flag.startswith("quality: ")]
    journal.close()
    assert len(flags) == len(data(out)) and any("no score" in flag for flag in flags)
    rejected = [row for row in lines(out / "rejected.jsonl") if row["filter"] == "quality"]
    assert len(rejected) == N - chosen["kept"] and all("below the threshold" in row["reason"] for row in rejected)
    assert 0 < chosen["cost_usd"] < made["cost_usd"]


@pytest.mark.parametrize("concurrency", [1, 64])
def test_faults_and_concurrency_do_not_change_the_dataset(provider, tmp_path, undisturbed, concurrency):
    faults = {"rate_limit": 0.1, "server": 0.1, "overloaded": 0.05, "early_reset": 0.05, "reset": 0.05}
    server = provider(faults={} if concurrency == 1 else faults)
    generate(server, tmp_path / "run", *CHAIN, "--concurrency", str(concurrency), n=N)
    assert data(tmp_path / "run") == undisturbed


def test_killed_while_it_judges_the_run_resumes_and_pays_only_for_what_was_in_flight(provider, tmp_path, undisturbed):
    server = provider(latency=0.1)
    out, in_flight, kills = tmp_path / "run", 3, 4
    generate(server, out, "--filter", "alpaca", n=N)
    written = server.stats()["billed"]
    for _ in range(kills):
        before = server.stats()["billed"]
        process = subprocess.Popen(
            command(out, *CHAIN, "--concurrency", str(in_flight), n=N),
            env=environment(server),
            stderr=subprocess.DEVNULL,
        )
        while process.poll() is None and server.stats()["billed"] < before + 4:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert written < server.stats()["billed"] < written + N
    generate(server, out, *CHAIN, "--concurrency", str(in_flight), n=N)
    assert data(out) == undisturbed
    assert server.stats()["paid_twice"] <= kills * in_flight


def test_one_budget_holds_for_writing_and_judging_and_a_larger_one_goes_on(provider, tmp_path, undisturbed):
    server = provider(latency=0.01, faults={"reset": 0.1})
    out = tmp_path / "run"
    generate(server, out, "--filter", "alpaca", *PRICE, "--budget", "20", n=N)
    budget = summary(out)["generation"]["cost_usd"] + 0.015
    done = generate(server, out, *CHAIN, *PRICE, "--budget", str(budget), n=N, code=4)
    assert "leaves too little for another question" in done.stderr and "Go on with a larger one" in done.stderr
    assert "The rows are written as they are" in done.stderr
    stopped = summary(out)
    assert (stopped["status"], stopped["selection"]["complete"], len(data(out))) == ("stopped", False, N)
    assert 0 < stopped["selection"]["cost_usd"] <= 0.015 + 1e-9
    billed = server.stats()
    assert billed["prompt_tokens"] * 1e-6 + billed["completion_tokens"] * 1e-5 <= budget
    generate(server, out, *CHAIN, *PRICE, "--budget", "20", n=N)
    assert data(out) == undisturbed
    lost = server.stats()["faults"]["reset"]
    assert server.stats()["paid_twice"] == lost


def test_another_share_and_another_filter_ask_nothing(provider, tmp_path, undisturbed):
    server, out = provider(), tmp_path / "run"
    generate(server, out, *CHAIN, n=N)
    sent = server.stats()["requests"]
    generate(server, out, *CHAIN, "--set", "filter.quality.keep=0.2", n=N)
    assert len(data(out)) < len(undisturbed)
    generate(server, out, *CHAIN, "--set", "filter.quality.threshold=0", n=N)
    assert len(data(out)) == N
    generate(server, out, "--filter", "alpaca", n=N)
    assert len(data(out)) == N and summary(out)["selection"]["filters"] == []
    generate(server, out, *CHAIN, n=N)
    assert data(out) == undisturbed
    assert server.stats()["requests"] == sent


def test_a_larger_n_asks_about_the_new_rows_only(provider, tmp_path):
    server, out = provider(), tmp_path / "run"
    generate(server, out, *CHAIN, n=20)
    assert summary(out)["selection"]["requests"] == 20
    generate(server, out, *CHAIN, n=30)
    assert summary(out)["selection"]["requests"] == summary(out)["selection"]["rows"] == 30
    assert server.stats()["paid_twice"] == 0


def test_an_estimate_of_more_rows_counts_what_quality_rejected_as_rows_that_the_prompt_yields(provider, tmp_path):
    server, out = provider(), tmp_path / "run"
    estimate = ["estimate", "--teacher", "openai", "-n", "500", "--out", str(out), "--json"]

    def estimated(*chain: str) -> dict:
        return json.loads(subprocess.check_output([*ALPACAKIT, *estimate, *chain], env=environment(server)))

    generate(server, out, "--filter", "alpaca", n=N)
    before = estimated("--filter", "alpaca")
    generate(server, out, *CHAIN, n=N)
    after = estimated(*CHAIN)
    assert (after["have"], after["requests"]) == (before["have"], before["requests"])
    assert any("asks about each row" in note for note in after["notes"])


# ── alpacakit filter ──────────────────────────────────────────────────────────────────────────────────────────────


def test_filter_keeps_rejects_and_tells_of_every_row(provider, tmp_path):
    write(tmp_path, rows(40))
    done = filtered(provider(), tmp_path, "--rejected", "no.jsonl", "--verdicts", "all.jsonl")
    report = json.loads(done.stdout)
    best, rest = json.loads((tmp_path / "kept.json").read_text()), lines(tmp_path / "no.jsonl")
    assert (len(best), len(rest)) == (report["kept"], report["rejected"]["quality"]) and len(best) + len(rest) == 40
    assert report["selection"]["requests"] == 40
    said = lines(tmp_path / "all.jsonl")
    assert [row["id"] for row in said] == [f"row_{i}" for i in range(1, 41)]
    assert all(row["flags"][0].startswith("quality: score ") for row in said if row["kept"])
    assert all(row["reason"].startswith("score ") for row in said if not row["kept"])


def test_rows_that_an_earlier_filter_rejected_are_not_asked_about(provider, tmp_path):
    server = provider()
    write(tmp_path, [*rows(10), *rows(10)])
    report = json.loads(filtered(server, tmp_path, "--filter", "exact").stdout)
    assert report["rejected"]["exact"] == 10
    assert server.stats()["requests"] == report["selection"]["rows"] == 10


def test_a_row_that_was_asked_about_is_never_asked_about_again_whatever_the_order_and_size(provider, tmp_path):
    server = provider()
    write(tmp_path, rows(30))
    filtered(server, tmp_path)
    mixed = [*rows(50), *rows(30)]
    random.Random(0).shuffle(mixed)
    write(tmp_path, mixed)
    (tmp_path / "kept.json").unlink()
    report = json.loads(filtered(server, tmp_path).stdout)
    assert report["rows"] == 80
    assert server.stats()["requests"] == server.stats()["billed"] == 50


def test_the_answers_of_another_teacher_are_not_used_and_are_kept(provider, tmp_path):
    server = provider()
    write(tmp_path, rows(10))
    for place, model in enumerate(("one", "two", "one")):
        filtered(server, tmp_path, "--model", model, out="kept.json")
        (tmp_path / "kept.json").rename(tmp_path / f"{place}.json")
    assert server.stats()["requests"] == 20
    assert (tmp_path / "0.json").read_bytes() == (tmp_path / "2.json").read_bytes()


def test_a_killed_filter_goes_on_where_it_was(provider, tmp_path):
    server = provider(latency=0.1)
    write(tmp_path, rows(40))
    filtered(provider(), tmp_path, out="right.json")
    for _ in range(3):
        before = server.stats()["billed"]
        process = subprocess.Popen(
            filter_command("data.json", "kept.json", "--concurrency", "2"),
            cwd=tmp_path, env=environment(server), stderr=subprocess.DEVNULL,
        )  # fmt: skip
        while process.poll() is None and server.stats()["billed"] < before + 4:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert {path.name.removesuffix("-wal").removesuffix("-shm") for path in tmp_path.iterdir()} == {
        *("data.json", "right.json", "right.json.judging.db", ".right.json.judging.db.lock"),
        *("kept.json.judging.db", ".kept.json.judging.db.lock"),
    }
    filtered(server, tmp_path)
    assert (tmp_path / "kept.json").read_bytes() == (tmp_path / "right.json").read_bytes()
    assert server.stats()["paid_twice"] <= 3 * 2


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 4)])
def test_an_interrupted_filter_lets_answers_come_home_and_pays_nothing_twice(provider, tmp_path, number, code):
    server = provider(latency=0.2)
    write(tmp_path, rows(30))
    process = subprocess.Popen(
        filter_command("data.json", "kept.json", "--concurrency", "4"),
        cwd=tmp_path, env=environment(server), stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while server.stats()["billed"] < 6:
        time.sleep(0.01)
    process.send_signal(number)
    assert process.wait(timeout=30) == code
    assert not (tmp_path / "kept.json").exists()
    filtered(server, tmp_path)
    assert server.stats()["paid_twice"] == 0


def test_a_filter_stops_within_its_budget_and_goes_on_with_a_larger_one(provider, tmp_path):
    server = provider()
    write(tmp_path, rows(40))
    done = filtered(server, tmp_path, *PRICE, "--budget", "0.01", code=4)
    assert "questions about the rows are answered" in done.stderr
    billed = server.stats()
    assert 0 < billed["billed"] < 40 and billed["prompt_tokens"] * 1e-6 + billed["completion_tokens"] * 1e-5 <= 0.01
    report = json.loads(filtered(server, tmp_path, *PRICE, "--budget", "1").stdout)
    assert report["selection"]["cost_usd"] <= 1 and server.stats()["billed"] == 40


def test_a_price_that_is_learnt_later_counts_what_was_asked_before(provider, tmp_path):
    server = provider()
    write(tmp_path, rows(10))
    assert json.loads(filtered(server, tmp_path).stdout)["selection"]["cost_usd"] is None
    (tmp_path / "kept.json").unlink()
    cost = json.loads(filtered(server, tmp_path, *PRICE).stdout)["selection"]["cost_usd"]
    billed = server.stats()
    assert cost == pytest.approx(billed["prompt_tokens"] * 1e-6 + billed["completion_tokens"] * 1e-5)


def test_a_question_that_is_refused_for_good_leaves_its_row_kept_and_flagged(provider, tmp_path):
    server = provider(context=900)
    write(tmp_path, [{"instruction": "Read this.", "input": "word " * 2000, "output": "Done."}, *rows(9)])
    filtered(server, tmp_path, "--verdicts", "all.jsonl", "--set", "filter.quality.keep=0.1")
    said = lines(tmp_path / "all.jsonl")[0]
    assert said["kept"] and "no score: not judged, bad_request: " in said["flags"][0]


def test_a_question_that_always_fails_is_given_up_while_others_succeed(provider, tmp_path):
    server = provider(latency=0.2)
    draw, poisoned = server.draw, []

    def draw_poison(name):
        if len(server.seen) == 3 and not poisoned:
            poisoned.append(name)
        return "server" if name in poisoned else draw(name)

    server.draw = draw_poison
    write(tmp_path, rows(40))
    settings = ("--set", "generation.attempts=2", "--concurrency", "4", "--verdicts", "all.jsonl")
    report = json.loads(filtered(server, tmp_path, *settings).stdout)
    assert (report["selection"]["failed"], report["selection"]["replies"]) == (1, 39)
    said = [row for row in lines(tmp_path / "all.jsonl") if "not judged, server: " in "".join(row["flags"])]
    assert len(said) == 1 and said[0]["kept"]


@pytest.mark.parametrize(("fault", "code"), [("auth", 3), ("not_found", 2), ("quota", 4)])
def test_what_no_retry_can_mend_costs_one_request_and_writes_nothing(provider, tmp_path, fault, code):
    server = provider(faults={fault: 1.0})
    write(tmp_path, rows(10))
    filtered(server, tmp_path, "--concurrency", "64", code=code)
    assert server.stats()["requests"] == 1
    assert not (tmp_path / "kept.json").exists()


@pytest.mark.parametrize(
    ("chain", "more", "text"),
    [
        ("quality", (), "The filter 'quality' asks a teacher."),
        ("quality", ("--teacher", "openai", "--budget", "1"), "the price of this model is unknown"),
        ("rouge", ("--teacher", "openai"), "this command has no use for [teacher]"),
    ],
)
def test_a_teacher_is_named_where_one_is_asked_and_there_only(provider, tmp_path, chain, more, text):
    server = provider()
    write(tmp_path, rows(3))
    done = subprocess.run(
        [*ALPACAKIT, "filter", "data.json", "--filter", chain, "--out", "kept.json", *more],
        cwd=tmp_path, env=environment(server), capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, text in done.stderr) == (2, True), done.stderr
    assert server.stats()["requests"] == 0 and not (tmp_path / "kept.json").exists()


@pytest.mark.parametrize("junk", [None, "[]", '[{"instruction": 1}]'])
def test_data_that_cannot_be_used_leaves_nothing_behind(provider, tmp_path, junk):
    if junk is not None:
        (tmp_path / "data.json").write_text(junk)
    server, before = provider(), list(tmp_path.iterdir())
    filtered(server, tmp_path, code=2)
    assert (server.stats()["requests"], list(tmp_path.iterdir())) == (0, before)


def test_a_format_that_is_not_written_is_told_before_anything_is_paid(provider, tmp_path):
    server = provider()
    write(tmp_path, rows(3))
    filtered(server, tmp_path, out="kept.xlsx", code=2)
    assert server.stats()["requests"] == 0


def test_two_processes_do_not_share_a_journal(provider, tmp_path):
    server = provider(latency=60)
    write(tmp_path, rows(3))
    first = subprocess.Popen(
        filter_command("data.json", "kept.json"), cwd=tmp_path, env=environment(server), stderr=subprocess.DEVNULL
    )
    while server.stats()["requests"] == 0:
        time.sleep(0.01)
    done = filtered(server, tmp_path, code=1)
    first.kill()
    first.wait()
    assert "Another alpacakit is working" in done.stderr


# ── other people's dataset filters ────────────────────────────────────────────────────────────────────────────────

SHORTEST = """
@hookimpl
def alpaca_filters():
    return [
        FilterSpec(name="shortest", target="alpacakit_shortest:Shortest", summary="Keeps the shorter half."),
        FilterSpec(name="short-one", target="alpacakit_shortest:One", summary="Says too little."),
        FilterSpec(name="asks", target="alpacakit_shortest:Asks", summary="Asks unannounced."),
    ]

class Shortest:
    async def select(self, examples, ask):
        middle = sorted(len(one.output) for one in examples)[len(examples) // 2]
        said = []
        for one in examples:
            if len(one.output) > middle:
                said.append(Reject(f"{len(one.output)} characters, more than {middle}"))
            elif one.output.endswith("."):
                said.append(Repair(Candidate(one.instruction, one.input, one.output + "!"), "louder"))
            else:
                said.append(Keep())
        return said

class One:
    async def select(self, examples, ask):
        return [Keep()]

class Asks:
    async def select(self, examples, ask):
        return await ask([Request(0, "Well?")])
"""


def shortest(folder: Path, chain: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    from types import SimpleNamespace

    distributions.write(folder / "site", "alpacakit-shortest", SHORTEST)
    write(folder, rows(20))
    done = subprocess.run(
        [*ALPACAKIT, "filter", "data.json", "--filter", chain, "--out", "kept.json", "--json"],
        cwd=folder,
        env={**environment(SimpleNamespace(url="http://127.0.0.1:9/v1")), "PYTHONPATH": str(folder / "site")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stderr
    return done


def test_the_example_in_the_docs_works(provider, tmp_path):
    page = (Path(__file__).parent.parent / "docs" / "plugins.md").read_text()
    source = next(block for block in page.split("```python\n") if "class Polite" in block).partition("```")[0]
    distributions.write(tmp_path / "site", "alpacakit-polite", source)
    write(tmp_path, rows(5))
    server = provider()
    done = subprocess.run(
        [*ALPACAKIT, "filter", "data.json", "--filter", "polite", "--teacher", "openai", "--out", "kept.json"],
        cwd=tmp_path, env={**environment(server), "PYTHONPATH": str(tmp_path / "site")}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert server.stats()["requests"] == 5 and len(json.loads((tmp_path / "kept.json").read_text())) == 5


def test_a_dataset_filter_that_asks_nobody_needs_no_teacher_and_no_journal(tmp_path):
    report = json.loads(shortest(tmp_path, "shortest").stdout)
    assert (report["rows"], report["kept"] + report["rejected"]["shortest"]) == (20, 20)
    assert report["repaired"] == report["kept"]
    assert all(row["output"].endswith(".!") for row in json.loads((tmp_path / "kept.json").read_text()))
    assert not list(tmp_path.glob("*.judging.db"))


@pytest.mark.parametrize(
    ("chain", "text"),
    [
        ("short-one", "filter 'short-one' failed on the dataset: ValueError: it gave 1 verdicts on 20 rows"),
        ("asks", "its spec does not say so (asks=True)"),
    ],
)
def test_what_a_dataset_filter_does_wrong_is_told(tmp_path, chain, text):
    assert text in shortest(tmp_path, chain, code=1).stderr
    assert not (tmp_path / "kept.json").exists()
