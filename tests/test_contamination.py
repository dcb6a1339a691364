"""Rows that hold questions of evaluation files are rejected, with the file, the row and the measure."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest
from alpaca_contamination import ContaminationOptions
from alpaca_contamination.filter import Contamination
from alpaca_contamination.index import RougeL, Runs
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score import rouge_scorer

from alpaca_core import Candidate, ConfigError, Keep, Reject

LONG = (
    "A baker sells forty loaves on Monday and twice as many on Tuesday, but gives a tenth of them to the school. "
    "How many loaves are left to sell on Wednesday?"
)
ROWS = [
    {"question": LONG, "answer": "108"},
    {"instruction": "Rewrite the sentence in the passive voice.", "input": "The storm broke two old windows."},
    {"prompt": "def median(numbers):", "task_id": "x/1"},
    {"question": "Where do swallows spend the winter?"},
]


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "exam.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in ROWS) + "\n")
    return path


def contamination(*files: Path, **options) -> Contamination:
    return Contamination(ContaminationOptions(files=files, **options))


def reason(filter: Contamination, instruction: str, input: str = "", output: str = "An answer.") -> str:
    """The reason of a rejection, or an empty string."""
    verdict = filter.judge(Candidate(instruction, input, output))
    assert isinstance(verdict, Keep | Reject)
    return verdict.reason if isinstance(verdict, Reject) else ""


# -- what is found


def test_an_unrelated_row_is_kept(lines):
    assert reason(contamination(lines), "Name three birds that stay through the winter.") == ""


@pytest.mark.parametrize("field", ["instruction", "input", "output"])
def test_thirteen_words_in_a_row_are_found_wherever_they_stand(lines, field):
    row = {"instruction": "Solve this.", "input": "", "output": "I cannot."}
    row[field] = "Here: " + LONG[:70].upper() + " ... and so on"
    assert reason(contamination(lines), **row) == (
        "13 words in a row of exam.jsonl, line 1: “a baker sells forty loaves on monday and twice as many on tuesday”"
    )


def test_numbers_in_a_row_are_nothing_that_two_texts_share(tmp_path):
    path = tmp_path / "exam.json"
    counting = " ".join(map(str, range(1, 17)))
    path.write_text(json.dumps([{"question": f"Turn this matrix by ninety degrees: {counting}"}]))
    assert reason(contamination(path), "Print a calendar.", output=f"March {counting}") == ""
    assert "13 words" in reason(contamination(path), "Help me.", f"Turn this matrix by ninety degrees: {counting}")


def test_twelve_words_in_a_row_are_not_enough(lines):
    words = LONG.split()
    shared = " ".join(words[:12])
    assert reason(contamination(lines), "Explain this to me, word by word, as to a child.", shared + " nothing") == ""
    assert "12 words in a row" in reason(contamination(lines, words=12), "Explain this to me.", shared + " nothing")


@pytest.mark.parametrize(
    ("instruction", "input", "place"),
    [
        ("where do swallows spend the winter", "", "line 4"),
        ("def median(numbers):", "", "line 3"),
        ("Rewrite the sentence in the passive voice: the storm broke two old windows", "", "line 2"),
        ("Rewrite the sentence in the passive voice.", "The storm broke two old windows.", "line 2"),
        ("def median(numbers):", "[1, 2, 3]", "line 3"),
    ],
)
def test_a_short_question_is_found_as_a_whole(lines, instruction, input, place):
    assert f"the question of exam.jsonl, {place}" in reason(contamination(lines, words=30), instruction, input)


def test_a_short_question_inside_a_longer_text_is_not_enough(lines):
    text = "Tell a story in which a pupil asks where do swallows spend the winter, and nobody in the class knows."
    assert reason(contamination(lines), text) == ""


def test_a_paraphrase_close_by_rouge_l_is_rejected_and_a_farther_one_kept(lines):
    near, far = "Where do the swallows spend winter?", "Where can swallows go in the winter months?"
    assert reason(contamination(lines), near) == "ROUGE-L 0.83 with the question of exam.jsonl, line 4"
    assert reason(contamination(lines), far) == ""
    assert reason(contamination(lines, threshold=1.0), near) == ""


def test_a_question_in_any_script_is_found(tmp_path):
    path = tmp_path / "exam.json"
    path.write_text(json.dumps([{"question": "أين تقضي طيور السنونو فصل الشتاء؟"}, {"question": "燕子在哪里过冬？"}]))
    assert "row 1" in reason(contamination(path), "أَيْنَ تقضي طيور السنونو فصل الشتاء")
    assert "row 2" in reason(contamination(path), "燕子在哪里过冬")
    assert reason(contamination(path), "请写一首关于大海的短诗") == ""


# -- files


def test_several_files_count_and_the_place_says_which(lines, tmp_path):
    other = tmp_path / "more.json"
    other.write_text(json.dumps([{"prompt": "Name the longest river of Europe."}], indent=2))
    assert reason(contamination(lines, other), "name the longest river of Europe") == "the question of more.json, row 1"


def test_a_file_that_is_not_there_is_refused_with_its_name(tmp_path):
    with pytest.raises(ValueError, match=r"files names a file that is not there: .*none\.json"):
        ContaminationOptions(files=(tmp_path / "none.json",))


def test_without_files_the_filter_says_how_to_name_them():
    with pytest.raises(ConfigError, match="needs the evaluation files") as caught:
        Contamination(ContaminationOptions())
    assert caught.value.hint == "Name them: --set filter.contamination.files=evaluation.jsonl"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"question": "a"}\n{"text": "b"}\n', "line 2: expected a JSON object with text in instruction, prompt or"),
        ('[{"question": "a"}, 3]', "row 2: expected"),
        ('[{"question": ""}]', "row 1: expected"),
        ("not json\n", "line 1: expected"),
        ("[", "row 1: expected"),
        ("[]", "it holds no row"),
        ("", "it holds no row"),
        ("[" * 100_000, "row 1: expected"),
    ],
)
def test_every_mistake_in_a_file_is_named_with_its_place(tmp_path, text, problem):
    path = tmp_path / "exam.json"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        contamination(path)
    assert any(problem in line for line in caught.value.problems)


def test_a_file_that_is_not_utf_8_is_refused(tmp_path):
    path = tmp_path / "exam.json"
    path.write_bytes(b'[{"question": "\xff"}]')
    with pytest.raises(ConfigError, match="cannot be read"):
        contamination(path)


@pytest.mark.parametrize("options", [{"words": 0}, {"threshold": -0.1}, {"threshold": 1.1}])
def test_numbers_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=f"^{next(iter(options))} is .*expected"):
        ContaminationOptions(**options)


# -- the index


@st.composite
def corpora(draw):
    words = [f"w{i}" for i in range(draw(st.integers(1, 12)))]
    texts = st.lists(st.sampled_from(words), max_size=12)
    return draw(st.lists(texts, max_size=12)), draw(st.lists(texts, max_size=6))


@settings(max_examples=300)
@given(corpora(), st.sampled_from((0.0, 0.3, 0.5, 0.7, 0.9, 1.0)))
def test_rouge_l_finds_what_the_rouge_score_package_finds(corpus, threshold):
    texts, queries = corpus
    index = RougeL(texts, threshold)
    for query in queries:
        scores = [rouge_scorer._score_lcs(query, text).fmeasure if query and text else 0.0 for text in texts]
        best = max(scores, default=0.0)
        found = index.find(query)
        assert (found is not None) is (best > threshold)
        if found:
            assert found.score == best and found.text == scores.index(best)


def test_rouge_l_compares_few():
    rng = Random(3)
    words = [f"w{int(10 * rng.paretovariate(0.6))}" for _ in range(5000)]
    texts = [rng.choices(words, k=12) for _ in range(1000)]
    index = RougeL(texts, 0.7)
    for _ in range(100):
        assert index.find(rng.choices(words, k=12)) is None
    assert index.comparisons < 100 * 1000 / 7  # measured: one in 7.7; all of them with the order turned round


@settings(max_examples=300)
@given(corpora(), st.integers(1, 5))
def test_runs_find_what_a_search_through_all_texts_finds(corpus, n):
    texts, queries = corpus
    runs = Runs(texts, n)
    joined = [" ".join(["", *text, ""]) for text in texts]
    for query in queries:
        parts = [" ".join(["", *query[i : i + n], ""]) for i in range(len(query) - n + 1)]
        assert (runs.find(query) is not None) is any(part in text for part in parts for text in joined)
        assert (runs.same(query) is not None) is (0 < len(query) < n and query in texts)


@settings(max_examples=200)
@given(st.text(max_size=100), st.text(max_size=100), st.text(max_size=100))
def test_any_row_is_judged_and_the_same_twice(tmp_path_factory, instruction, input, output):
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    if not path.exists():
        path.write_text("\n".join(json.dumps(row) for row in ROWS))
    filter = contamination(path)
    candidate = Candidate(instruction, input, output)
    assert filter.judge(candidate) == filter.judge(candidate)
