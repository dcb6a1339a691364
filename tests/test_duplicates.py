"""Exact duplicates and MinHash duplicates of instruction and input."""

from __future__ import annotations

from random import Random

import pytest
from alpaca_duplicates import ExactOptions, MinHashOptions
from alpaca_duplicates.exact import Exact
from alpaca_duplicates.minhash import MinHashDuplicates
from hypothesis import given, settings
from hypothesis import strategies as st

from alpaca_core import Candidate, Example, Keep, Reject

Question = tuple[str, str]


def exact(**options) -> Exact:
    return Exact(ExactOptions(**options))


def minhash(**options) -> MinHashDuplicates:
    return MinHashDuplicates(MinHashOptions(**options))


def verdicts(filter, questions: list[Question]) -> list[Keep | Reject]:
    """The verdict on each question in turn, told of what it keeps as ``row_N``."""
    spoken = []
    for number, (instruction, input) in enumerate(questions, start=1):
        spoken.append(filter.judge(Candidate(instruction, input, "")))
        if spoken[-1] == Keep():
            filter.kept(Example(instruction, input, "", id=f"row_{number}"))
    return spoken


def kept(filter, *questions: Question) -> list[int]:
    return [i for i, verdict in enumerate(verdicts(filter, list(questions))) if verdict == Keep()]


# -- exact


@pytest.mark.parametrize(
    "again",
    [
        ("Name three rivers in Asia.", ""),
        ("  name THREE rivers\n in Asia", ""),
        ("“Name three rivers in Asia!”", " "),
        ("Name three rivers", "in Asia"),
        ("Ｎａｍｅ three rivers in Asia", ""),
    ],
)
def test_the_same_question_again_is_rejected_however_it_is_set(again):
    assert kept(exact(), ("Name three rivers in Asia.", ""), again) == [0]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Name three rivers in Asia.", "Name three rivers in Africa."),
        ("What is 7 + 3?", "What is 7 - 3?"),
        ("What is 7 * 3?", "What is 7 / 3?"),
        ("Who invented C?", "Who invented C#?"),
        ("What does 😀 mean?", "What does 😡 mean?"),
        ("???", "!!!"),
        ("Say it.", "It say."),
    ],
)
def test_a_difference_that_means_something_is_kept(one, other):
    assert kept(exact(), (one, ""), (other, "")) == [0, 1]


def test_the_input_counts_unless_it_is_left_out():
    questions = [("Translate into Latin.", "the sea"), ("Translate into Latin.", "the sun")]
    assert kept(exact(), *questions) == [0, 1]
    assert kept(exact(fields="instruction"), *questions) == [0]


def test_arabic_with_and_without_vowel_marks_is_the_same_question():
    assert kept(exact(), ("اكتب قصيدة عن البحر", ""), ("اُكتُب قَصيدةً عن البَحر", "")) == [0]


def test_an_exact_duplicate_names_the_first_row_that_was_like_it():
    filter = exact()
    for id in ("seed_1", "seed_2"):
        filter.kept(Example("Name three rivers in Asia.", "", "", id=id))
    assert filter.judge(Candidate("name three rivers in asia", "", "")) == Reject(
        "exactly like seed_1: Name three rivers in Asia."
    )


# -- minhash


RIVERS = "Write a short story of a fisherman who finds a letter in a bottle on the shore of a cold northern sea."


def test_a_question_with_one_word_changed_is_rejected_with_its_estimate_and_the_row():
    near = RIVERS.replace("cold", "grey")
    first, second = verdicts(minhash(), [(RIVERS, ""), (near, "")])
    assert first == Keep()
    assert isinstance(second, Reject)
    estimate, _, where = second.reason.partition(" like ")
    assert 0.7 <= float(estimate) < 1
    assert where == "row_1: Write a short story of a fisherman who finds a letter in a …"


def test_unrelated_questions_and_the_same_words_in_another_order_are_kept():
    assert kept(
        minhash(),
        (RIVERS, ""),
        ("Sort the numbers from the smallest to the largest.", "4 9 2 7 5 1 8 3 6"),
        ("Sort the numbers from the smallest to the largest.", "8 3 1 5 9 6 4 2 7"),
    ) == [0, 1, 2]


def test_of_several_alike_the_most_alike_is_named_and_of_equals_the_first():
    filter = minhash(threshold=0.3)
    for id, text in (("far", RIVERS[:60]), ("near", RIVERS), ("again", RIVERS)):
        filter.kept(Example(text, "", "", id=id))
    verdict = filter.judge(Candidate(RIVERS.upper(), "", ""))
    assert isinstance(verdict, Reject) and verdict.reason.startswith("1.00 like near:")


def test_minhash_compares_the_instruction_alone_if_told_so():
    questions = [("Summarise this.", "A long walk by the sea."), ("Summarise this.", "Rates rose again in May.")]
    assert kept(minhash(), *questions) == [0, 1]
    assert kept(minhash(fields="instruction"), *questions) == [0]


def corpus(rng: Random) -> list[Question]:
    words = [f"word{i}" for i in range(60)]
    texts = [" ".join(rng.choices(words, k=rng.randint(1, 15))) for _ in range(60)]
    for text in list(texts):
        parts = text.split()
        parts[rng.randrange(len(parts))] = rng.choice(words)
        texts.append(" ".join(parts))
    return [(text, "") for text in texts]


def test_the_same_rows_give_the_same_verdicts():
    questions = corpus(Random(4))
    spoken = verdicts(minhash(threshold=0.5), questions)
    assert spoken == verdicts(minhash(threshold=0.5), questions)
    assert any(isinstance(verdict, Reject) for verdict in spoken)


def jaccard(one: str, other: str) -> float:
    pairs = [set(zip(["", *text.split()], text.split(), strict=False)) for text in (one, other)]
    return len(pairs[0] & pairs[1]) / len(pairs[0] | pairs[1])


def test_what_is_rejected_is_as_alike_as_the_estimate_says():
    """An estimate of 256 hashes is within 0.15 of the truth but for one pair in a million."""
    questions = corpus(Random(9))
    estimates = 0
    for number, verdict in enumerate(verdicts(minhash(threshold=0.5, num_perm=256), questions)):
        if isinstance(verdict, Reject):
            row = int(verdict.reason.partition("row_")[2].partition(":")[0])
            truth = jaccard(questions[number][0], questions[row - 1][0])
            assert abs(float(verdict.reason[:4]) - truth) < 0.15
            estimates += 1
    assert estimates > 10


def test_copies_are_found_at_every_threshold():
    for threshold in (0.1, 0.5, 0.9, 1.0):
        assert kept(minhash(threshold=threshold), (RIVERS, ""), (RIVERS, "")) == [0]


@pytest.mark.parametrize("options", [{"threshold": 0}, {"threshold": 1.1}, {"num_perm": 15}, {"num_perm": 1025}])
def test_numbers_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=f"^{next(iter(options))} is .*expected a number"):
        MinHashOptions(**options)


# -- both


@settings(max_examples=200)
@given(st.lists(st.tuples(st.text(max_size=20), st.text(max_size=20)), max_size=8))
def test_any_text_is_judged_the_same_twice_and_a_copy_is_never_kept_where_there_are_words(questions):
    for filter in (exact(), minhash()):
        for instruction, input in questions:
            candidate = Candidate(instruction, input, "")
            verdict = filter.judge(candidate)
            assert filter.judge(candidate) == verdict
            filter.kept(Example(instruction, input, "", id="x"))
            again = filter.judge(candidate)
            assert isinstance(again, Reject) or isinstance(filter, MinHashDuplicates)
