"""A dataset filtered again: every row ends kept or rejected, told of, and counted."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import pytest

from alpaca_core import ConfigError, Flag, Keep, Reject, Repair, Seed
from alpaca_core.dataset import read_records, write_records
from alpaca_core.judging import Chain
from alpaca_core.refilter import Tally, kind_of, refilter, refilter_file


class Once:
    """Rejects an instruction that was kept before."""

    def __init__(self) -> None:
        self.seen: dict[str, str] = {}

    def judge(self, candidate):
        same = self.seen.get(candidate.instruction)
        return Reject(f"same as {same}") if same else Keep()

    def kept(self, example):
        self.seen[example.instruction] = example.id


class Says:
    """Gives the verdict of a function, and remembers nothing."""

    def __init__(self, verdict) -> None:
        self.judge = verdict

    def kept(self, example):
        pass


def capitalise(candidate):
    if candidate.output[:1].islower():
        return Repair(replace(candidate, output=candidate.output.capitalize()), "capital")
    return Keep()


def records(*instructions: str) -> list[dict]:
    return [{"instruction": text, "input": "", "output": "Yes", "source": i} for i, text in enumerate(instructions)]


def kept(rows, chain, seeds=()):
    return [row.record for row in refilter(rows, chain, seeds) if row.kept]


def test_every_row_ends_kept_as_it_was_or_rejected_with_its_reason():
    rows = records("a", "b", "a", "c")
    judged = list(refilter(rows, Chain([("once", Once())])))
    assert [row.record for row in judged if row.kept] == [rows[0], rows[1], rows[3]]
    assert judged[2].rejection == rows[2] | {"id": "row_3", "filter": "once", "reason": "same as row_1"}


def test_rows_are_compared_with_seeds_only_where_seeds_are_given():
    rows, seeds = records("a", "b"), [Seed("seed_1", "b", "", "")]
    assert kept(rows, Chain([("once", Once())])) == rows
    assert kept(rows, Chain([("once", Once())]), seeds) == rows[:1]


def test_without_a_filter_every_row_is_kept():
    rows = records("a", "a", "")
    assert kept(rows, Chain([])) == rows


def test_only_a_filter_that_repairs_changes_a_row():
    rows = [{"instruction": "Name a tree.", "input": "", "output": "oak", "source": 1}]
    [row] = refilter(rows, Chain([("grammar", Says(capitalise))]))
    assert row.record == {"instruction": "Name a tree.", "input": "", "output": "Oak", "source": 1}
    assert row.repaired and row.verdict["flags"] == ["grammar: capital"]


# -- counts


def tally(rows, *filters) -> dict:
    counts = Tally()
    for row in refilter(rows, Chain(filters)):
        counts.add(row)
    return counts.as_dict()


def test_rows_are_counted_by_verdict_filter_and_kind_of_reason():
    rows = records("a", "b", "a", "a", "c", "dd")
    rows[4]["output"] = "yes"
    long = Says(lambda candidate: Reject("2 letters") if len(candidate.instruction) > 1 else Flag("short"))
    assert tally(rows, ("once", Once()), ("long", long), ("grammar", Says(capitalise))) == {
        "rows": 6,
        "kept": 3,
        "rejected": {"once": 2, "long": 1},
        "reasons": {"once": {"same as row_N": 2}, "long": {"N letters": 1}},
        "flags": {"long": 3, "grammar": 1},
        "repaired": 1,
    }


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("0.82 like seed_12: It's 5 o'clock", "N like …"),
        ("1,024 tokens, more than 512", "N tokens, more than N"),
        ("starts with '\"'", "starts with '…'"),
        ("it's said twice", "it's said twice"),
        ("", ""),
    ],
)
def test_reasons_are_of_one_kind_when_they_differ_in_what_is_special_to_a_row(reason, kind):
    assert kind_of(reason) == kind


def test_kinds_of_reasons_have_a_bound_and_still_add_up():
    words = ["".join(chr(97 + int(digit)) for digit in str(n)) for n in range(3000)]
    counts = tally(records(*words), ("odd", Says(lambda candidate: Reject(candidate.instruction))))
    assert counts["rejected"] == {"odd": 3000}
    assert counts["reasons"]["odd"]["other reasons"] == 2000


# -- files


def test_each_row_is_written_where_it_belongs(tmp_path):
    rows = records("a", "b", "a")
    write_records(tmp_path / "in.jsonl", rows)
    files = {name: tmp_path / f"{name}.jsonl" for name in ("kept", "rejected", "verdicts")}
    counts = refilter_file(tmp_path / "in.jsonl", Chain([("once", Once())]), **files)
    assert (counts.rows, counts.kept) == (3, 2)
    assert read_records(files["kept"]) == rows[:2]
    assert [row["reason"] for row in read_records(files["rejected"])] == ["same as row_1"]
    assert [json.loads(line)["kept"] for line in files["verdicts"].read_text().splitlines()] == [True, True, False]


def test_a_filter_that_fails_leaves_nothing_written(tmp_path):
    write_records(tmp_path / "in.jsonl", records("a", "b", ""))
    fails = Chain([("odd", Says(lambda candidate: Keep() if candidate.instruction[0] else Reject("empty")))])
    with pytest.raises(Exception, match="filter 'odd' failed on row_3"):
        refilter_file(tmp_path / "in.jsonl", fails, kept=tmp_path / "a.json", rejected=tmp_path / "b.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_after_the_first_mistake_no_row_is_judged(tmp_path):
    judged = []
    path = tmp_path / "in.jsonl"
    write_records(path, [*records("a", "b"), {"instruction": "c"}, *records("d")])
    chain = Chain([("all", Says(lambda candidate: judged.append(candidate.instruction) or Keep()))])
    with pytest.raises(ConfigError, match="line 3: output: missing"):
        refilter_file(path, chain, kept=tmp_path / "kept.json")
    assert judged == ["a", "b"]


@pytest.mark.parametrize(
    ("source", "target"),
    [("in.jsonl", "out.json"), ("in.csv", "out.jsonl"), ("in.parquet", "out.csv"), ("in.jsonl", "out.parquet")],
)
def test_what_is_held_in_memory_does_not_grow_with_the_rows(tmp_path, source, target):
    """Python's memory blocks, a row being four at least, while rows go from file to file: 24,000 rows hold no more than
    9,000, and both are more than the batches that Parquet comes in."""

    def most_blocks(n: int) -> int:
        rows = ({"instruction": f"a {i}", "input": f"b {i}", "output": f"c {i}"} for i in range(n))
        write_records(tmp_path / source, rows)
        blocks: list[int] = []

        def watch(candidate):
            if candidate.number % 500 == 0:
                blocks.append(sys.getallocatedblocks())
            return Keep() if candidate.number % 2 else Reject("even")

        before = sys.getallocatedblocks()
        files = {"kept": tmp_path / target, "rejected": tmp_path / "no.jsonl", "verdicts": tmp_path / "said.jsonl"}
        refilter_file(tmp_path / source, Chain([("watch", Says(watch))]), **files)
        assert len(read_records(tmp_path / target)) == n / 2
        return max(blocks) - before

    most_blocks(500)  # imports
    assert most_blocks(24_000) < most_blocks(9_000) + 4 * 1_000
