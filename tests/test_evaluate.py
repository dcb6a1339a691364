"""What counts as right, loss, lengths and intervals, by family, and what two baselines without a model reach."""

from __future__ import annotations

import json
import math

import pytest

from alpaca_core import Completion, Example, RowLoss, Usage
from alpaca_core.bootstrap import interval
from alpaca_core.cli.main import main
from alpaca_core.evaluate import Scores, evaluate, most_frequent, nearest


class Answers:
    """A model that looks its answers up by instruction."""

    batch_size = 4

    def __init__(self, **answers: Completion | str) -> None:
        self.answers, self.requests = answers, []

    def complete_many(self, requests):
        self.requests = list(requests)
        found = (self.answers[request.prompt] for request in requests)
        return [Completion(answer) if isinstance(answer, str) else answer for answer in found]


def row(instruction: str, output: str, label: str = "", input: str = "") -> Example:
    return Example(instruction, input, output, id=instruction, label=label)


ROWS = [row("a", "one", "numbers"), row("b", "two\n", "numbers"), row("c", "red", "colours"), row("d", "x")]


@pytest.mark.parametrize(
    ("answer", "right"),
    [("one", 1), (" one\n", 1), ("One", 0), ("one.", 0), ("", 0), (Completion("one", "length"), 0)],
)
def test_an_answer_is_right_when_it_is_the_output_and_ended_by_itself(answer, right):
    assert evaluate(Answers(a=answer), [row("a", "one ")]).exact_match == right


def test_scores_are_shares_over_all_and_by_known_family():
    scores = evaluate(Answers(a="one", b="2", c="red", d=Completion("xxxx", "length")), ROWS)
    assert (scores.n, scores.exact_match, scores.stop_rate) == (4, 0.5, 0.75)
    assert scores.by_family == {"colours": {"n": 1, "exact_match": 1.0}, "numbers": {"n": 2, "exact_match": 0.5}}


def test_rouge_l_is_the_mean_over_the_answers():
    """Half of "one two three four" and a whole one: F of 2 common words in 2 and 4 is 2/3."""
    rows = [row("a", "one two three four"), row("b", "red")]
    assert evaluate(Answers(a="two three", b="Red!"), rows).rouge_l == pytest.approx((2 / 3 + 1) / 2)


def test_answers_belong_to_their_rows_whatever_order_they_are_asked_in():
    outputs = {"a": "a long answer indeed", "b": "b", "c": "a middling one"}
    rows = [row(name, text, label=name) for name, text in outputs.items()]
    model = Answers(**outputs)
    assert evaluate(model, rows).exact_match == 1
    assert [request.prompt for request in model.requests] == ["b", "c", "a"]  # short ones together


def test_the_model_reads_instruction_and_input():
    model = Answers(a="x")
    evaluate(model, [row("a", "x", input="some text")])
    assert (model.requests[0].prompt, model.requests[0].input) == ("a", "some text")


def test_no_answer_gets_more_tokens_than_a_right_one_of_its_family_can_need():
    """A token is at least a byte; one more for a tokenizer's mark of a word's start and one for the end of text."""
    rows = [row("a", "é" * 10, "x"), row("b", "y", "x"), row("c", "z", "y"), row("d", "w" * 5000, "long")]
    model = Answers(a="", b="", c="", d="")
    evaluate(model, rows, max_new_tokens=100)
    assert {request.prompt: request.max_tokens for request in model.requests} == {"a": 22, "b": 22, "c": 3, "d": 100}


def test_samples_are_the_first_rows_with_their_answers():
    rows = [row(name, "yes") for name in "abcdefg"]
    samples = evaluate(Answers(**dict.fromkeys("abcdefg", "no") | {"b": "yes"}), rows).samples
    assert [(s["instruction"], s["answer"], s["exact_match"]) for s in samples] == [
        ("a", "no", False), ("b", "yes", True), ("c", "no", False), ("d", "no", False), ("e", "no", False)
    ]  # fmt: skip


def test_scores_go_into_json_and_nothing_to_score_is_no_error():
    scores = evaluate(Answers(), [])
    stored = json.loads(json.dumps(scores.as_dict()))
    assert {name: value for name, value in stored.items() if value is not None} == {
        "n": 0, "exact_match": 0.0, "rouge_l": 0.0, "by_family": {}, "stop_rate": 0.0, "samples": []
    }  # fmt: skip
    assert Scores.from_dict(stored) == scores
    scores = evaluate(Answers(a="one", b="two"), ROWS[:2])
    assert Scores.from_dict(json.loads(json.dumps(scores.as_dict()))) == scores


def test_scores_that_were_stored_before_there_was_a_loss_still_load():
    old = {"n": 1, "exact_match": 1.0, "rouge_l": 1.0, "by_family": {}, "stop_rate": 1.0, "samples": []}
    scores = Scores.from_dict(old)
    assert (scores.exact_match, scores.loss, scores.rouge_l_interval, scores.answer_tokens) == (1.0, None, None, None)


class Scored(Answers):
    """A model that tells its losses too: a nat for each token of the output."""

    def losses(self, examples, jinja=""):
        return [RowLoss(float(len(row.output)) * (2 if row.label else 1), len(row.output)) for row in examples]


def test_the_loss_is_the_mean_over_tokens_and_not_over_rows():
    """One token of 2 nats and nine of 1 nat each."""
    scores = evaluate(Scored(a="", b=""), [row("a", "x", "kind"), row("b", "y" * 9)])
    assert scores.loss == pytest.approx(1.1) and scores.perplexity == pytest.approx(math.exp(1.1))
    assert (scores.output_tokens, scores.output_characters, scores.cut) == (5, 5, 0)


def test_a_model_that_tells_no_losses_has_none_and_neither_have_baselines():
    for scores in (evaluate(Answers(a="one"), ROWS[:1]), most_frequent(ROWS, ROWS), nearest(ROWS, ROWS)):
        assert (scores.loss, scores.perplexity, scores.cut, scores.output_tokens) == (None, None, None, None)
        assert scores.answer_tokens is None and scores.answer_characters > 0


def test_lengths_are_means_over_the_answers_beside_the_outputs_own():
    answers = {"a": Completion("one two", usage=Usage(9, 3)), "b": Completion("x", usage=Usage(9, 2))}
    scores = evaluate(Answers(**answers), ROWS[:2])
    assert (scores.answer_tokens, scores.answer_characters, scores.output_characters) == (2.5, 4, 3)


def test_intervals_hold_the_score_and_are_the_same_every_time():
    rows = [row(str(n), "yes") for n in range(50)]
    model = Answers(**{str(n): "yes" if n % 5 else "no" for n in range(50)})
    one, other = evaluate(model, rows), evaluate(model, rows)
    assert one == other and one.exact_match == 0.8
    low, high = one.exact_match_interval
    # Of 50 draws at 0.8 the standard error is 0.057, and 1.96 of them lie to each side.
    assert (low, high) == (pytest.approx(0.8 - 0.11, abs=0.03), pytest.approx(0.8 + 0.11, abs=0.03))
    assert one.rouge_l_interval == (low, high)


def test_an_interval_is_of_the_ratio_where_rows_have_weights():
    values, weights = [0.0, 0.0, 30.0] * 30, [1, 1, 10] * 30
    low, high = interval(values, weights)
    assert low < 30 / 12 < high and interval(values, weights) == (low, high)
    assert interval([2.0, 4.0, 6.0], [1, 2, 3]) == (2, 2)
    with pytest.raises(ValueError):
        interval([])


def test_most_frequent_gives_each_familys_commonest_training_answer():
    train = [row("1", "yes", "x"), row("2", "no", "x"), row("3", "no", "x"), row("4", "yes", "y")]
    held_out = [row("5", "no", "x"), row("6", "yes", "x"), row("7", "yes", "y"), row("8", "no", "unseen")]
    scores = most_frequent(train, held_out)
    assert [sample["answer"] for sample in scores.samples] == ["no", "no", "yes", ""]
    assert scores.exact_match == 0.5


def test_nearest_gives_the_answer_of_the_most_similar_training_row():
    train = [
        row("Add the two numbers.", "12", input="5 7"),
        row("Add the two numbers.", "30", input="11 19"),
        row("Name the capital of the country.", "Paris", input="France"),
    ]
    held_out = [row("Add both numbers.", "9", input="11 19"), row("What is the capital of France?", "Paris")]
    assert [sample["answer"] for sample in nearest(train, held_out).samples] == ["30", "Paris"]
    assert nearest([], held_out).exact_match == 0


def test_scores_are_not_written_over_another_file(tmp_path, capsys):
    data = tmp_path / "data.json"
    data.write_text('[{"instruction": "a", "input": "", "output": "one"}]')
    before = data.read_bytes()
    assert main(["evaluate", str(tmp_path), "--data", str(data), "--out", str(data)]) == 2
    assert "exists already" in capsys.readouterr().err and data.read_bytes() == before
