"""Sums and conversions: wrong results are rejected, and nothing else is."""

from __future__ import annotations

from fractions import Fraction

import pytest
from alpaca_arithmetic.filter import Arithmetic
from alpaca_arithmetic.numbers import Unreadable, evaluate, root
from alpaca_arithmetic.questions import read_question
from hypothesis import example, given, settings
from hypothesis import strategies as st

from alpaca_core import Candidate, Keep, Reject

FILTER = Arithmetic()


def reason(instruction: str, output: str, input: str = "") -> str:
    """The reason of a rejection, or an empty string."""
    verdict = FILTER.judge(Candidate(instruction, input, output))
    assert isinstance(verdict, Keep | Reject)
    return verdict.reason if isinstance(verdict, Reject) else ""


# instruction, input, a right output, a wrong one
WORKED_OUT = [
    ("What is 17 + 25?", "", "42", "43"),
    ("Calculate 17 plus 25.", "", "17 + 25 = 42", "17 + 25 = 32"),
    ("Evaluate the following expression:", "(7 - 4) × 2", "The result is 6.", "The result is 8."),
    ("Evaluate 2 + 3 * 4^2", "", "50", "80"),
    ("What is 16 divided by 5?", "", "3.2", "3.5"),
    ("Convert 3/8 to a decimal.", "", "3/8 is 0.375.", "3/8 is 0.35."),
    ("Compute 1,250 + 750", "", "2,000", "1,900"),
    ("What is 3 to the power of 4?", "", "The answer is **81**.", "The answer is **12**."),
    ("What is 20% of 80?", "", "20% of 80 is 16.", "20% of 80 is 18."),
    ("What percentage of 80 is 20?", "", "25%", "40%"),
    ("What is the square root of 144?", "", "12", "14"),
    ("What is the square root of 2?", "", "1.41421", "1.424"),
    ("Subtract 8 from 20.", "", "12", "-12"),
    ("Find the difference between 8 and 20.", "", "12", "13"),
    ("Divide 10 by 3.", "", "3.33", "3.5"),
    ("Add 3/4 + 1/2", "", "5/4", "4/6"),
    ("Find the sum of 4, 7 and 12.", "", "The sum of 4, 7 and 12 is 23.", "The sum of 4, 7 and 12 is 24."),
    ("Multiply the following numbers:", "6, 7", "42", "48"),
    ("Calculate the average of these three numbers.", "4, 7, 12", "7.67", "8.67"),
    ("Find the median of this list.", "[1, 2, 4, 5, 8, 9]", "The median is 4.5.", "The median is 5."),
    ("Find the mode of 3, 5, 5, 9.", "", "5", "9"),
    ("Convert 25 m to km.", "", "25 m is 0.025 km.", "25 m is 25 km."),
    ("How many minutes are in 3 hours?", "", "There are 180 minutes in 3 hours.", "There are 160 minutes in 3 hours."),
    ("Convert the temperature to Celsius.", "98.6°F", "37°C", "31°C"),
    ("Convert 5 miles to kilometers.", "", "5 miles is about 8 km.", "5 miles is about 9 km."),
    ("Convert 2 gallons to liters.", "", "7.57 liters", "5.57 liters"),
    ("Convert 50 mph to m/s.", "", "22.35 m/s", "27.35 m/s"),
]


@pytest.mark.parametrize(("instruction", "input", "right", "wrong"), WORKED_OUT)
def test_a_right_result_is_kept_and_a_wrong_one_rejected(instruction, input, right, wrong):
    assert reason(instruction, right, input) == ""
    assert reason(instruction, wrong, input) != ""


def test_a_reason_says_what_is_stated_and_what_is_right():
    assert reason("Convert 25 m to km", "25 km") == "states 25, not 0.025: “25 meters in kilometers”"
    assert reason("Find the mean.", "8.67", "4, 7, 12") == "states 8.67, not 7.66667: “the mean of 4, 7, 12”"


# -- precision: what is not surely understood is not judged


@pytest.mark.parametrize(
    ("instruction", "input"),
    [
        ("What is 8/2(2+2)?", ""),  # read in two ways
        ("What is 2^3^2?", ""),
        ("What is -2^2?", ""),
        ("What is 3 plus 4 times 2?", ""),
        ("Divide the fractions 1/2 / 3/4", ""),
        ("What is 1/2 ÷ 3/4?", ""),
        ("What is 3 + 5!", ""),
        ("Find the weighted average of 2, 4 and 6.", ""),  # words that may mean more
        ("Find the mean and the standard deviation of 2, 4 and 6.", ""),
        ("Find the sum of all odd numbers from 1 to 9.", ""),
        ("Find the sum of the numbers between 1 and 10.", ""),
        ("List the total number of elements in this list.", "[1, 2, 3, 4]"),
        ("What is 101 + 11 in binary?", ""),
        ("Estimate 6/9 + 4", ""),
        ("Solve 2x + 3 = 7", ""),
        ("Evaluate 2 + 3a", ""),
        ("What is log(2 * 5)?", ""),
        ("What is |3 - 5|?", ""),
        ("Find the sum of 1 + 2 + ... + 10", ""),
        ("What is 20% of 80% of 50?", ""),
        ("What is 5 / 0?", ""),
        ("Find the average of 1,200,300", ""),
        ("Find the average of 3 numbers.", "4, 7"),
        ("Find the mode of 3, 5, 9.", ""),
        ("Add 2.5 - 1 to the list.", "3, 4"),
        ("What is the date 10/20/2020?", ""),
        ("Convert 5 square meters to square feet.", ""),
        ("Convert 5 feet 3 inches to centimeters.", ""),
        ("Convert 2 ounces to milliliters.", ""),
        ("Convert 5 pounds to dollars.", ""),
        ("How many days are there?", ""),
        ("احسب 3 + 4", ""),
        ("", ""),
    ],
)
def test_a_question_that_may_mean_something_else_is_not_worked_out(instruction, input):
    assert read_question(instruction, input) is None


@pytest.mark.parametrize(
    ("instruction", "output"),
    [
        ("What is 17 + 25?", "Forty-two."),
        ("What is 17 + 25?", "42, because 17 + 3 = 20 and 20 + 22 = 42, as 22 is 2 more than 20"),
        ("What is 17 + 25?", "It is 42. Another sum: 1 + 1 = 2"),  # the right one is there
        ("What is 17 + 25?", ""),
        ("What is 17 + 25?", "def add():\n    return 17 + 25"),
        ("What is 17 divided by 5?", "3 with a remainder of 2"),
        ("What is 17 divided by 5?", "3 2/5"),
        ("What is 17 divided by 5?", "The ratio is 17:5"),
        ("What is 3000000 * 2?", "6 million"),
        ("What is 3000000 * 2?", "6 x 10^6"),
        ("What is 3000000 * 2?", "6e6"),
        ("What is the square root of 50?", "5√2"),
        ("What is the square root of 64?", "±8"),
        ("Convert 2.5 hours to minutes.", "2 hours and 30 minutes"),
        ("Convert 64 inches to feet.", "5 feet 4 inches"),
        ("Convert 5 km to m.", "5 km is 5000 m, and 3 km are 3000 m."),
    ],
)
def test_an_output_that_states_no_one_result_is_kept(instruction, output):
    assert read_question(instruction, "") is not None
    assert reason(instruction, output) == ""


# -- rounding


@pytest.mark.parametrize(
    ("output", "kept"),
    [("3.3", True), ("3.33", True), ("3.3333", True), ("3", True), ("10/3", True), ("3.4", False), ("3.35", False)],
)
def test_an_answer_is_right_as_exactly_as_it_is_written(output, kept):
    assert (reason("Divide 10 by 3.", output) == "") is kept


def test_a_whole_number_stands_for_a_short_decimal_only_where_rounding_was_asked_for():
    assert reason("Find the average of 4 and 5.", "5") == "states 5, not 4.5: “the mean of 4, 5”"
    assert reason("Find the average of 4 and 5 and round to the nearest whole number.", "5") == ""
    assert reason("Find the average of 4 and 5 and round to the nearest whole number.", "6") != ""


def test_the_last_digits_of_floating_point_are_no_mistake():
    assert reason("Divide 83 by 6.", "13.833333333333334") == ""


def test_decimals_may_be_cut_off_after_two():
    assert reason("Divide 2 by 3.", "0.66") == "" and reason("Divide 2 by 3.", "0.6") != ""


# -- expressions


@st.composite
def expressions(draw, depth: int = 0) -> str:
    if depth > 3 or draw(st.booleans()):
        return str(draw(st.integers(0, 50)))
    left, right = draw(expressions(depth + 1)), draw(expressions(depth + 1))
    text = f"{left} {draw(st.sampled_from('+-*/'))} {right}"
    return f"({text})" if depth else text


@settings(max_examples=300)
@given(expressions())
def test_expressions_have_the_value_that_python_gives_them(text):
    """Python's own arithmetic over Fractions, on text made here of numbers, signs and brackets only."""
    import re

    fractions = re.sub(r"(\d+)", r"Fraction(\1)", text)
    try:
        value, _ = evaluate(text)
    except Unreadable:
        with pytest.raises(ZeroDivisionError):
            eval(fractions, {"Fraction": Fraction})
    else:
        assert value == eval(fractions, {"Fraction": Fraction})


@pytest.mark.parametrize(
    "text",
    [
        "9^9^9",
        "9^99999",
        "99^64*99^64*99^64*99^64*99^64",
        "(" * 50 + "1" + ")" * 50,
        "1+" * 500 + "1",
        "9" * 40,
        "1 2",
        "",
        "+",
        "0^0",
    ],
)
def test_what_would_take_long_or_is_no_expression_is_refused(text):
    with pytest.raises(Unreadable):
        evaluate(text)


def test_roots_are_exact_where_they_are_rational():
    assert root(Fraction(144), 2) == 12 and root(Fraction(27, 8), 3) == Fraction(3, 2)
    assert abs(root(Fraction(2), 2) ** 2 - 2) < Fraction(1, 10**29)


# -- any text


WORDS = st.sampled_from(
    "what is convert average of sum % ( ) + - * / ^ × ÷ = , . $ ! 1,000 km m °F 3 0 12 1/2 -4 9^9 median √ \n".split(
        " "
    )
)


@settings(max_examples=500)
@given(
    st.one_of(st.text(max_size=100), st.lists(WORDS, max_size=15).map(" ".join)),
    st.one_of(st.text(max_size=100), st.lists(WORDS, max_size=8).map(" ".join)),
)
@example("What is 9^64 * 9^64?", "9" * 300)
@example("What is 2 + ٣?", "٤")
def test_any_text_is_judged_and_the_same_twice(instruction, output):
    candidate = Candidate(instruction, "", output)
    assert FILTER.judge(candidate) == FILTER.judge(candidate)


@pytest.mark.parametrize("filler", ["1,", "1 ", "is ", "= 1", "-", "1/", "1 m ", "(1", "١", "10 x "])
def test_long_texts_take_no_long_time(filler):
    long = filler * (100_000 // len(filler))
    for instruction in (long, filler * (400 // len(filler)), "What is 1 + 1?", "Convert 5 m to km."):
        for output in (long, filler * (2000 // len(filler))):
            FILTER.judge(Candidate(instruction, "", output))
