"""Python code in outputs compiles, or the row is rejected; nothing is ever executed."""

from __future__ import annotations

import warnings

import pytest
from alpaca_code.filter import Code, syntax_error
from hypothesis import given, settings
from hypothesis import strategies as st

from alpaca_core import Candidate, Keep, Reject

ASK = "Write a Python function that adds two numbers."
GOOD = "def add(a, b):\n    return a + b\n"
BAD = "def add(a, b)\n    return a + b\n"


def reason(output: str, instruction: str = ASK, input: str = "") -> str:
    """The reason of a rejection, or an empty string."""
    verdict = Code().judge(Candidate(instruction, input, output))
    assert isinstance(verdict, Keep | Reject)
    return verdict.reason if isinstance(verdict, Reject) else ""


def fenced(code: str, language: str = "python") -> str:
    return f"Here it is:\n\n```{language}\n{code}```\n\nIt adds two numbers."


@pytest.mark.parametrize("language", ["python", "Python", "py", "python3"])
def test_a_fenced_python_block_is_judged_whatever_was_asked(language):
    assert reason(fenced(GOOD, language), "Help me.") == ""
    assert reason(fenced(BAD, language), "Help me.") == "Python, line 1: expected ':': “def add(a, b)”"


@pytest.mark.parametrize("language", ["", "java", "text", "pycon", "javascript"])
def test_other_blocks_are_left_alone(language):
    assert reason(fenced(BAD, language)) == ""


def test_one_bad_block_of_several_is_enough():
    assert reason(fenced(GOOD) + fenced(BAD)) != ""
    assert reason(fenced(GOOD) + fenced(GOOD)) == ""


def test_an_output_of_nothing_but_code_is_judged_where_python_is_asked_for():
    assert reason(GOOD + "\nprint(add(1, 2))") == ""
    assert reason(BAD + "\nprint(add(1, 2))") == "Python, line 1: expected ':': “def add(a, b)”"
    assert reason("total = 0\nfor n in [1, 2]:\n    total += n\nprint(tot al)") != ""


@pytest.mark.parametrize(
    "output",
    [
        "total = 0\nfor n in [1, 2]:\n    total += n\nprint(tot al)\nThis adds the numbers of the list.",
        "The function adds two numbers:\n\nprint(tot al)",
        "You should add them.",
        "print(tot al)\n\n# Output:\n5",
        '"""\nIt\'s a test (\n"""\nprint(tot al)',
        "42",
        "",
    ],
)
def test_an_output_that_is_not_only_code_is_not_judged_without_fences(output):
    assert reason(output) == ""


@pytest.mark.parametrize(
    "instruction",
    [
        "Write a function that adds.",
        "Translate this Python function to Java.",
        "Write it in Python or in C++.",
        "Py it.",
    ],
)
def test_code_without_fences_is_not_judged_where_it_may_be_in_another_language(instruction):
    assert reason("total = 0\nprint(tot al)", instruction) == ""


def test_python_2_is_told_apart():
    assert reason(fenced("for n in range(3):\n    print n\n")) == "Python 2, line 2: “print n”"
    assert reason(fenced("exec code\n")) == "Python 2, line 1: “exec code”"


@pytest.mark.parametrize(
    "code",
    [
        "    def add(a, b):\n        return a + b\n",
        "%matplotlib inline\n!pip install numpy\nimport numpy\n",
        ">>> add(1, 2\n3\n",
        "return 1\n",
        "await later()\n",
        "def add(a, b):\n    ...\n",
        "match a:\n    case 1:\n        pass\n",
        "",
        "# nothing\n",
    ],
)
def test_pieces_of_programs_notebooks_and_transcripts_are_kept(code):
    assert reason(fenced(code)) == ""


def test_a_block_that_was_cut_off_is_not_judged():
    assert reason("```python\ndef add(a, b):\n    return (a +") == ""


def test_the_line_is_that_of_the_block():
    code = "%matplotlib inline\n\n    def add(a, b)\n"
    assert reason(fenced(code)).startswith("Python, line 3:")


def test_nothing_is_executed(tmp_path):
    code = f"open({str(tmp_path / 'made')!r}, 'w')\nraise SystemExit\n"
    assert reason(fenced(code)) == ""
    assert list(tmp_path.iterdir()) == []


def test_warnings_are_neither_shown_nor_mistakes():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert reason(fenced('x = "\\d" is 1\n')) == ""


@pytest.mark.parametrize(
    "code",
    [
        "-" * 40_000 + "1",
        "(" * 40_000,
        "not " * 10_000 + "x",
        "x = " + "9" * 40_000,
        "a" + "[0]" * 15_000,
        "f(" * 90 + ")" * 90,
    ],
)
def test_what_is_too_deep_or_too_large_to_tell_is_kept(code):
    assert syntax_error(code) == ""


def test_a_snippet_of_more_than_50000_characters_is_not_judged():
    assert reason(fenced("x = 1\n" * 10_000 + BAD)) == ""
    assert reason(fenced("x = 1\n" * 5_000 + BAD)) != ""


def test_null_bytes_and_half_surrogate_pairs_are_mistakes_with_a_reason():
    assert "null bytes" in reason(fenced("x = 1\0\n"))
    assert "cannot be read" in reason(fenced("x = '\ud800'\n"))


PIECES = st.sampled_from('def ( ) : \n \t print x = [ ] { } \' " # ``` python f" \\ , 0o8'.split(" "))


@settings(max_examples=300)
@given(st.one_of(st.text(max_size=200), st.lists(PIECES).map(" ".join)))
def test_any_text_is_judged_and_the_same_twice(output):
    for text in (output, fenced(output + "\n")):
        candidate = Candidate(ASK, "", text)
        assert Code().judge(candidate) == Code().judge(candidate)


@pytest.mark.parametrize(
    "filler", ["```python\n", "```", "a = ", "\n", "'''", " ", "a", "print(", "%a\n", "('", "if a:"]
)
def test_long_texts_take_no_long_time(filler):
    Code().judge(Candidate(ASK, "", filler * (100_000 // len(filler))))
