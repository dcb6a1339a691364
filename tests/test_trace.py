"""``alpacakit trace``: the way of one row, in a run made for real; its losses are written as a training writes them."""

import json
from pathlib import Path

import pytest
from alpaca_fsdp.stepfile import StepFile

from alpaca_core.cli.main import main
from alpaca_core.errors import ConfigError
from alpaca_core.tracing import newest_run, row_losses, trace, worst


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of 80 rows, some held out, and three epochs of losses over the others: row 7 rises, row 5 stays high."""
    out = tmp_path_factory.mktemp("trace") / "runs" / "practice"
    assert main(["run", "--trainer", "none", "-n", "80", "--out", str(out)]) == 0
    heldout = {row["id"] for row in json.loads((out / "heldout.json").read_text())}
    ids = [id for id, kept in verdicts(out).items() if kept and id not in heldout]
    file = StepFile(out / "row_losses.jsonl")
    file.begin(0)
    for epoch in (1, 2, 3):
        for row, id in enumerate(ids):
            loss = 1 + epoch if row == 7 else 9.0 if row == 5 else 3.0 / epoch
            file.write([{"epoch": epoch, "step": epoch, "row": row, "id": id, "loss": loss, "tokens": 10 + row}])
    file.close()
    return out, ids


def verdicts(out):
    import sqlite3

    journal = sqlite3.connect(out / "run.db")
    try:
        return dict(journal.execute("SELECT id, kept FROM candidates ORDER BY k, place"))
    finally:
        journal.close()


def test_a_row_leads_back_to_the_request_it_was_answered_in(run):
    out, ids = run
    rows = json.loads((out / "alpaca_data.json").read_text())
    for row in (0, 30, len(ids) - 1):
        found = trace(out, ids[row])
        assert found == trace(out, str(row))
        assert (found["id"], found["row"], found["fate"]) == (ids[row], row, "kept")
        assert {name: found[name] for name in rows[row]} == rows[row]
        assert found["origin"]["request"] == int(ids[row].partition(".")[0])
        assert (found["origin"]["teacher"], found["origin"]["cost_usd"]) == ("procedural", 0.0)
        assert [of["loss"] for of in found["losses"]] == [3.0, 1.5, 1.0]


def test_the_seed_tasks_that_the_teacher_was_shown_are_those_of_its_prompt(run):
    """They are drawn here as the run drew them."""
    from random import Random

    from alpaca_core.config import load_config
    from alpaca_core.plugins import PluginHost
    from alpaca_core.seeds import read_seeds

    out, ids = run
    config = load_config(PluginHost.from_environment(), file=out / "run.toml")
    seeds = read_seeds(Path(config.generation.seed_tasks))
    shown = trace(out, ids[0])["origin"]["shown"]
    assert len(shown) == 10 and set(shown) <= {seed.id for seed in seeds}

    class Drawn(Random):
        def sample(self, tasks, k):
            self.last = super().sample(tasks, k)
            return self.last

    rng = Drawn(f"{config.seed}/0")
    config.prompt.build().request(0, rng, seeds, ())
    assert set(shown) == {seed.id for seed in rng.last}


def test_a_held_out_row_and_a_rejected_candidate_are_not_trained_on(run):
    out, _ = run
    (first, *_) = json.loads((out / "heldout.json").read_text())
    found = trace(out, first["id"])
    assert (found["fate"], found["row"], found["losses"]) == ("held out", None, [])
    rejected = json.loads((out / "rejected.jsonl").read_text().splitlines()[0])
    found = trace(out, rejected["id"])
    assert (found["fate"], found["row"], found["losses"]) == ("rejected", None, [])
    assert found["verdicts"][-1] == f"{rejected['filter']}: {rejected['reason']}"


def test_an_unknown_example_is_refused_with_what_there_is(run):
    out, ids = run
    with pytest.raises(ConfigError, match="knows no example 000999.00") as error:
        trace(out, "000999.00")
    assert ids[0] in error.value.hint and f"from 0 to {len(ids) - 1}" in error.value.hint


def test_the_worst_are_those_that_rose_and_then_those_that_stayed_high(run):
    out, ids = run
    found = worst(out, 3)
    assert [(of["row"], of["rose"]) for of in found[:2]] == [(7, True), (5, False)]
    assert found[0]["id"] == ids[7] and found[0]["losses"] == [2, 3, 4] and found[0]["tokens"] == 17
    assert len(worst(out, 10**6)) == len(ids)


def test_a_line_that_a_kill_cut_off_is_not_read(run, tmp_path):
    out, _ = run
    whole = (out / "row_losses.jsonl").read_text()
    (tmp_path / "row_losses.jsonl").write_text(whole + '{"epoch": 4, "st')
    assert list(row_losses(tmp_path)) == list(row_losses(out))


def test_the_folder_of_a_training_alone_tells_the_losses(run, tmp_path):
    out, ids = run
    (tmp_path / "row_losses.jsonl").write_bytes((out / "row_losses.jsonl").read_bytes())
    found = trace(tmp_path, ids[3])
    assert found == trace(tmp_path, "3") and found.keys() == {"id", "row", "fate", "losses"}
    assert [of["epoch"] for of in found["losses"]] == [1, 2, 3]
    with pytest.raises(ConfigError, match="knows no example nobody"):
        trace(tmp_path, "nobody")


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="neither a run nor the losses"):
        trace(tmp_path, "0")
    with pytest.raises(ConfigError, match=r"has no row_losses\.jsonl"):
        worst(tmp_path, 3)
    with pytest.raises(ConfigError, match="no run in"):
        newest_run(tmp_path)


def test_reading_leaves_the_folder_as_it_is(run):
    out, ids = run
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    trace(out, ids[0])
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == before


def test_the_command_shows_it_and_takes_the_newest_run_by_itself(run, capsys, monkeypatch):
    out, ids = run
    monkeypatch.chdir(out.parent.parent)
    assert main(["trace", ids[7]]) == 0
    said = capsys.readouterr()
    assert said.out.startswith(f"{ids[7]}: kept, row 7\n") and "in runs/practice" in said.err
    for part in ("instruction ", "origin ", "cost ", "shown ", "verdicts ", "losses       epoch 1: 2.0000 over 17"):
        assert f"\n{part}" in said.out
    assert main(["trace", "7", "--run", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == trace(out, ids[7])
    assert main(["trace", "--worst", "2"]) == 0
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split() == ["id", "row", "epoch", "1", "epoch", "2", "epoch", "3", "tokens", "instruction"]
    assert first.startswith(ids[7]) and "rose" in first and second.startswith(ids[5]) and "rose" not in second
    assert main(["trace"]) == 2 and main(["trace", "1", "--worst", "2"]) == 2
