"""``alpacakit evaluate --against``: a judge over HTTP, with kills, faults and a budget; nothing is asked twice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import distributions
import pytest
from provider_tasks import PLEASING
from running import ALPACAKIT, environment

from alpaca_core import Example
from alpaca_core.cli.main import main
from alpaca_core.config import load_config
from alpaca_core.plugins import PluginHost
from alpaca_core.store import Store
from alpaca_core.versus.annotations import read_annotations
from alpaca_core.versus.contenders import contender
from alpaca_core.versus.leaderboard import read_leaderboard

N = 30
PRICE = ("--set", "teacher.price_input=1.0", "--set", "teacher.price_output=10.0")


def better(i: int, who: str) -> bool:
    """Whether ``who`` has the answer that the provider's judge likes."""
    return bool(i % 10) if who == "new" else not i % 4


def write(path: Path, who: str, n: int = N) -> None:
    """The answers of model ``who``, some of which have the word that pleases the judge."""
    end = " to you." if who == "new" else "."
    rows = [
        {
            "instruction": f"Say how many legs {i} spiders have.",
            "output": f"{8 * i} legs" + (f", I {PLEASING} say{end}" if better(i, who) else "."),
            "generator": who,
            "dataset": "legs",
        }
        for i in range(n)
    ]
    path.write_text(json.dumps(rows))


def expected(n: int = N) -> float:
    """The win rate of "new" in percent: its verdicts are known."""
    return 100 * sum((1 + better(i, "new") - better(i, "base")) / 2 for i in range(n)) / n


def same() -> int:
    """The rows on which both give the same answer."""
    return sum(not better(i, "new") and not better(i, "base") for i in range(N))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with the answers of two models."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "new.json", "new")
    write(tmp_path / "base.json", "base")
    return tmp_path


Compare = Callable[..., dict]


@pytest.fixture
def compare(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Compare:
    """Compares new.json with base.json into ``versus``, in this process; gives the summary, or stderr."""

    def call(server, *more: str, code: int = 0, judge: str = "pairwise") -> dict:
        for name, value in environment(server).items() if server else ():
            monkeypatch.setenv(name, value)
        assert main(arguments(*more, judge=judge)) == code, capsys.readouterr().err
        said = capsys.readouterr()
        return json.loads(said.out) if code == 0 else {"stderr": said.err}

    return call


def arguments(*more: str, judge: str = "pairwise") -> list[str]:
    teacher = ("--judge", judge, "--teacher", "openai") if judge == "pairwise" else ("--judge", judge)
    return ["evaluate", "new.json", "--against", "base.json", *teacher, "--out", "versus", "--json", *more]


def results(folder: Path) -> dict[str, bytes]:
    return {name: (folder / "versus" / name).read_bytes() for name in ("annotations.json", "leaderboard.csv")}


# ── the result ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("orders", "concurrency", "teacher"), [("random", 1, "openai"), ("both", 64, "anthropic")])
def test_the_win_rate_is_that_of_the_verdicts_whatever_the_order_faults_and_concurrency(
    provider, compare, orders, concurrency, teacher
):
    server = provider(faults={"rate_limit": 0.2} if concurrency > 1 else {}, retry_after=0.01)
    how = ("--orders", orders, "--concurrency", str(concurrency), "--teacher", teacher)
    made = compare(server, *how, "--controls", "5")
    assert made["win_rate"] == pytest.approx(expected())
    assert (made["status"], made["rows"], made["n_missing"], made["same_answers"]) == ("done", N, 0, same())
    assert (made["model"], made["baseline"]) == ("new", "base")
    assert made["position"]["disagreed"] == 0
    assert made["n_wins"] + made["n_wins_base"] + made["n_draws"] == N
    assert made["low"] < made["win_rate"] < made["high"]


def test_the_folder_holds_alpacaevals_files(provider, compare, folder):
    made = compare(provider(), "--controls", "0")
    verdicts = read_annotations(folder / "versus" / "annotations.json")
    assert [row.preference - 1 for row in verdicts] == [
        (1 + better(i, "new") - better(i, "base")) / 2 for i in range(N)
    ]
    assert {(row.generator_1, row.generator_2, row.annotator) for row in verdicts} == {("base", "new", "pairwise")}
    for file, own in (("model_outputs.json", "new.json"), ("reference_outputs.json", "base.json")):
        assert json.loads((folder / "versus" / file).read_text()) == json.loads((folder / own).read_text())
    (line,) = read_leaderboard(folder / "versus" / "leaderboard.csv")
    assert (line.model, line.values["win_rate"], line.values["n_total"]) == ("new", made["win_rate"], N)
    assert made == json.loads((folder / "versus" / "summary.json").read_text())


def test_no_verdict_is_counted_with_its_reason_and_is_no_win(provider, compare, folder):
    made = compare(provider(faults={"malformed": 0.3, "refusal": 0.2, "empty": 0.1}), "--controls", "0")
    verdicts = read_annotations(folder / "versus" / "annotations.json")
    for i, row in enumerate(verdicts):
        assert row.preference in (None, 1 + (1 + better(i, "new") - better(i, "base")) / 2)
    missing = [row for row in verdicts if row.preference is None]
    assert made["n_missing"] == len(missing) == sum(made["no_verdict"].values()) > N / 4
    assert made["n_wins"] + made["n_wins_base"] + made["n_draws"] + made["n_missing"] == N
    assert {"the judge refused", "an empty answer"} <= made["no_verdict"].keys()
    assert all(row.raw_completion for row in missing)


def test_a_judge_without_a_single_verdict_gives_no_result_and_what_it_wrote_is_kept(provider, compare, folder):
    said = compare(provider(faults={"refusal": 1.0}), code=1)["stderr"]
    assert f"no verdict on any of {N - same()} pairs: the judge refused" in said
    written = {str(row.raw_completion)[:10] for row in read_annotations(folder / "versus" / "annotations.json")}
    assert written == {"I am sorry", "the same a"}


def test_a_null_model_does_not_beat_anyone_and_its_price_is_told(provider, compare):
    server = provider()
    made = compare(server, *PRICE, "--controls", "12", "--orders", "both")
    null, shown = made["null_model"], 2 * (N - same())
    assert (null["rows"], null["no_verdict"]) == (12, 0)
    assert null["win_rate"] < 50 < null["model_on_these_rows"]
    assert (made["questions"]["asked"], null["questions"]["asked"]) == (shown, 24)
    whole = made["questions"]["cost_usd"] + null["questions"]["cost_usd"]
    assert whole == pytest.approx(made["asked"]["cost_usd"]) and null["questions"]["cost_usd"] > 0
    assert server.stats()["billed"] == shown + 24


def test_a_judge_that_looks_at_length_alone_is_told_from_one_that_does_not(provider, compare):
    made = compare(provider(), "--controls", "0")
    only = made["length_only"]
    by_length = compare(None, "--out", "lengths", judge="length")
    assert only["win_rate"] == pytest.approx(by_length["win_rate"])
    assert by_length["length_only"]["chose_longer"] == 100 and only["chose_longer"] is not None
    assert by_length["asked"] == {} and by_length["null_model"]["win_rate"] > 50


def test_data_chooses_the_rows_and_its_own_outputs_may_be_the_other_side(provider, compare, folder):
    some = [row | {"input": ""} for row in json.loads((folder / "base.json").read_text())[5:15]]
    (folder / "some.json").write_text(json.dumps(some))
    assert compare(None, "--data", "some.json", judge="length")["rows"] == 10


# ── stopping and going on ─────────────────────────────────────────────────────────────────────────────────────────


def test_killed_it_goes_on_and_asks_only_the_rest(provider, compare, folder):
    compare(provider(), "--controls", "10")
    undisturbed = results(folder)
    (folder / "versus").rename(folder / "undisturbed")
    server, in_flight = provider(latency=0.1), 3
    command = [*ALPACAKIT, *arguments("--controls", "10", "--concurrency", str(in_flight))]
    process = subprocess.Popen(
        command, env=environment(server), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and server.stats()["billed"] < 8:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 8 <= server.stats()["billed"] < N - same()
    server.latency = 0
    compare(server, "--controls", "10")
    assert results(folder) == undisturbed
    assert server.stats()["paid_twice"] <= in_flight


def test_the_budget_holds_and_a_larger_one_goes_on(provider, compare, folder):
    server = provider(faults={"reset": 0.1})
    said = compare(server, *PRICE, "--budget", "0.012", code=4)["stderr"]
    assert "leaves too little for another question" in said and "--budget" in said
    stats = server.stats()
    assert 0 < stats["billed"] < N
    assert stats["prompt_tokens"] * 1e-6 + stats["completion_tokens"] * 1e-5 <= 0.012
    assert json.loads((folder / "versus" / "summary.json").read_text())["status"] == "unfinished"
    made = compare(server, *PRICE, "--budget", "1")
    assert (made["status"], made["win_rate"]) == ("done", pytest.approx(expected()))
    assert server.stats()["paid_twice"] == server.stats()["faults"]["reset"]


def test_the_verdicts_are_there_when_the_budget_ends_in_the_control(provider, compare, folder):
    whole = compare(provider(), *PRICE, "--budget", "1", "--controls", "0", "--out", "first")["asked"]["cost_usd"]
    compare(provider(), *PRICE, "--budget", str(whole + 0.012), "--controls", str(N), code=4)
    left = json.loads((folder / "versus" / "summary.json").read_text())
    assert (left["status"], left["win_rate"]) == ("unfinished", pytest.approx(expected()))
    assert "null_model" not in left and left["asked"]["cost_usd"] <= whole + 0.012
    assert results(folder)["annotations.json"] == (folder / "first" / "annotations.json").read_bytes()


def test_another_comparison_in_the_folder_keeps_the_first_ones_results_and_uses_its_answers(provider, compare, folder):
    server = provider()
    compare(server, "--controls", "0")
    once, first = server.stats()["requests"], results(folder)
    assert compare(server, "--controls", "0")["status"] == "done"
    assert server.stats()["requests"] == once and results(folder) == first
    compare(server, "--controls", "0", "--orders", "both")
    assert server.stats()["requests"] == 2 * once
    assert {name: (folder / "versus" / "1" / name).read_bytes() for name in first} == first
    journal = Store(folder / "versus" / "judging.db")
    assert journal.totals().replies == 2 * once
    journal.close()


def test_a_comparison_that_is_refused_leaves_the_one_in_the_folder_as_it_is(compare, folder):
    compare(None, judge="length")
    before = {file.name: file.read_bytes() for file in (folder / "versus").iterdir() if file.is_file()}
    write(folder / "new.json", "new", n=N - 1)
    assert "did not answer the same instructions" in compare(None, judge="length", code=2)["stderr"]
    assert {file.name: file.read_bytes() for file in (folder / "versus").iterdir() if file.is_file()} == before
    assert not (folder / "versus" / "1").exists()


# ── what is refused ───────────────────────────────────────────────────────────────────────────────────────────────


def test_what_cannot_be_compared_is_refused_before_anything_is_asked(provider, compare, folder, capsys):
    server = provider()
    write(folder / "short.json", "short", n=N - 1)
    several = [*json.loads((folder / "new.json").read_text()), *json.loads((folder / "base.json").read_text())]
    (folder / "several.json").write_text(json.dumps(several))
    (folder / "other.json").write_text(json.dumps([{"instruction": "Name a tree.", "input": "", "output": "An oak."}]))
    (folder / "full").mkdir()
    (folder / "full" / "notes.txt").write_text("mine")
    compare(server, "--against", "short.json", "--out", "a", code=2)
    for more, text in (
        (("--against", "several.json", "--out", "b"), "the answers of 2 models"),
        (("--data", "other.json", "--out", "d"), "neither side answers any instruction"),
        (("--out", "full"), "not empty and holds no comparison"),
        (("--judge", "none"), "needs a judge"),
        (("--judge", "pairwize"), "Did you mean 'pairwise'?"),
        (("--judge", "alpaca-eval"), "follows an annotator's configs.yaml"),
        (("--against", "no-such.json"), "there are no tasks to give it"),
        (("--set", "judge.max_tokens=0"), "at least 1"),
        (("--difficulty", "new.json"), "has no column"),
    ):
        code = 3 if "pairwize" in more else 2
        assert text in compare(server, *more, code=code)["stderr"]
    assert server.stats()["requests"] == 0
    assert main(["evaluate", "new.json", "--against", "base.json", "--judge", "pairwise", "--out", "c"]) == 2
    assert "asks a teacher" in capsys.readouterr().err
    assert main(["evaluate", "new.json"]) == 2 and "--data" in capsys.readouterr().err


OUTSIDE = """
@hookimpl
def alpaca_judges():
    def of(name):
        return JudgeSpec(name=name, target=f"alpacakit_odd:{name.title()}", summary="Odd.")
    return [of("first"), of("raises"), of("wild"), of("lazy")]

class First:
    async def compare(self, pairs, ask):
        return [Preference(0.0) for pair in pairs]

class Raises:
    async def compare(self, pairs, ask):
        raise KeyError("who")

class Wild:
    async def compare(self, pairs, ask):
        return [Preference(7) for pair in pairs]

class Lazy:
    async def compare(self, pairs, ask):
        return []
"""


def test_a_judge_from_outside_is_used_by_name_and_its_faults_are_told(compare, folder, monkeypatch):
    monkeypatch.syspath_prepend(folder)
    distributions.write(folder, "alpacakit-odd", OUTSIDE)
    made = compare(None, "--orders", "both", judge="first")
    assert made["win_rate"] == 50 and made["position"]["first"] == 100
    assert made["position"]["disagreed"] == made["position"]["both"] == N - made["same_answers"]
    for name, text in (("raises", "KeyError: 'who'"), ("wild", "not from 0 to 1"), ("lazy", "0 preferences on")):
        assert text in compare(None, "--out", name, judge=name, code=1)["stderr"]
    del sys.modules["alpacakit_odd"]


# ── models that are still to answer, and AlpacaEval's judges ──────────────────────────────────────────────────────


def test_a_model_answers_once_and_its_answers_are_used_again(folder, capsys):
    from local_models import babbler

    model = babbler(folder / "model")
    rows = [{"instruction": f"word{i} word{i + 1}", "input": f"word{i}", "output": "word1"} for i in range(6)]
    (folder / "data.json").write_text(json.dumps(rows))
    command = ["evaluate", str(model), "--data", "data.json", "--against", "data.json", "--judge", "length"]
    command += ["--out", "versus", "--set", "evaluation.max_new_tokens=8", "--json"]
    assert main(command) == 0
    made = json.loads(capsys.readouterr().out)
    file = folder / "versus" / "model_outputs.json"
    outputs = json.loads(file.read_text())
    assert (made["baseline"], made["model"], made["rows"]) == ("data", str(model), 6)
    assert all(row["output"] and row["input"] for row in outputs) and len(outputs) == 6
    file.write_text(json.dumps([row | {"output": "as it was left"} for row in outputs]))
    assert main(command) == 0
    assert {row["output"] for row in json.loads(file.read_text())} == {"as it was left"}


def test_the_answers_of_a_model_count_until_model_rows_or_setting_change(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    rows, host = [Example("Add.", "1 and 1", "2")], PluginHost(only=frozenset())

    def made_of(rows: list[Example], *sets: str) -> dict:
        config = load_config(host, sets=sets, environ={}, folder=tmp_path, needs=frozenset())
        return dict(contender(config, str(tmp_path), rows).source)

    first = made_of(rows)
    assert made_of([Example("Add.", "1 and 1", "two")]) == first  # right answers are no part of it
    assert made_of([Example("Add.", "1 and 2", "3")]) != first
    assert made_of(rows, "evaluation.max_new_tokens=9") != first
    os.utime(tmp_path / "config.json", ns=(1, 1))  # as after another training
    assert made_of(rows) != first


ANNOTATOR = """
two_marks:
  prompt_template: "two_marks/prompt.txt"
  fn_completions: "openai_completions"
  completions_kwargs: {model_name: "any", max_tokens: 50, temperature: 0}
  fn_completion_parser: "regex_parser"
  completion_parser_kwargs:
    outputs_to_match: {1: '\\bA\\b', 2: '\\bB\\b', 1.5: '(?i)\\btie\\b'}
  batch_size: 1
"""
TEMPLATE = """<|im_start|>system
You compare.
<|im_end|>
<|im_start|>user
{instruction}
<answer A 7>
{output_1}
</answer A 7>
<answer B 7>
{output_2}
</answer B 7>
<|im_end|>"""


def test_an_annotator_of_alpacaeval_judges_like_ours(provider, compare, folder):
    (folder / "two_marks").mkdir()
    (folder / "two_marks" / "configs.yaml").write_text(ANNOTATOR)
    (folder / "two_marks" / "prompt.txt").write_text(TEMPLATE)
    server = provider()
    options = ("--judge", "alpaca-eval", "--set", "judge.config=two_marks/configs.yaml", "--controls", "0")
    made = compare(server, *options)
    assert (made["win_rate"], made["n_missing"]) == (pytest.approx(expected()), 0)
    assert all(row["body"]["messages"][0]["content"] == "You compare." for row in server.requests)
    first = results(folder)
    compare(server, *options)
    assert not (folder / "versus" / "1").exists()
    (folder / "two_marks" / "prompt.txt").write_text(TEMPLATE.replace("You compare.", "You weigh."))
    compare(server, *options)  # another prompt is another judge: what the first one said is kept
    assert {name: (folder / "versus" / "1" / name).read_bytes() for name in first} == first
    (folder / "elsewhere").mkdir()
    shutil.move(folder / "two_marks", folder / "elsewhere" / "two_marks")
    compare(server, *(word.replace("two_marks", "elsewhere/two_marks") for word in options))
    assert not (folder / "versus" / "2").exists()
