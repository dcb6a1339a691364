"""The near-duplicate filter decides exactly as rouge_score does, with far less work."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from random import Random

import pytest
from alpaca_rouge import RougeOptions
from alpaca_rouge.filter import Rouge
from alpaca_rouge.index import RougeIndex
from alpaca_rouge.pairs import LONG
from alpaca_rouge.rule import Need, fmeasure
from alpaca_rouge.tokens import rouge_tokens
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import LCSseq
from rouge_score import rouge_scorer, tokenize

from alpaca_core import Candidate, Example, Keep, Reject, unicode_tokens

THRESHOLDS = (0.4, 0.5, 0.6, 0.65, 0.7, 0.8, 0.9)


def lcs(a: list[str], b: list[str]) -> int:
    row = [0] * (len(b) + 1)
    for x in a:
        diagonal = 0
        for j, y in enumerate(b, start=1):
            diagonal, row[j] = row[j], diagonal + 1 if x == y else max(row[j], row[j - 1])
    return row[-1]


def literal_f(a: list[str], b: list[str]) -> float:
    """rouge_score's arithmetic, written out."""
    common = lcs(a, b)
    if not common:
        return 0.0
    precision, recall = common / len(b), common / len(a)
    return 2 * precision * recall / (precision + recall)


def kept_by_loop(texts: list[list[str]], score, threshold: float) -> list[int]:
    kept: list[int] = []
    for i, text in enumerate(texts):
        if not any(score(text, texts[j]) > threshold for j in kept):
            kept.append(i)
    return kept


def kept_by_index(texts: list[list[str]], threshold: float, compile_from: int | None = None) -> list[int]:
    index, kept = RougeIndex(threshold, compile_from), []
    for i, text in enumerate(texts):
        if index.find(text) is None:
            index.add(text)
            kept.append(i)
    assert index.compiled is (compile_from is not None and len(kept) >= compile_from)
    return kept


# Python throughout, and compiled code from the first kept text on.
BOTH = pytest.mark.parametrize(
    "compile_from",
    [None, pytest.param(1, marks=pytest.mark.skipif(find_spec("numba") is None, reason="numba is not installed"))],
    ids=["python", "compiled"],
)


# -- the decision rule


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_need_is_the_least_lcs_that_the_float_rule_rejects(threshold):
    need = Need(threshold)
    for m in range(1, 121):
        for n in range(1, 121):
            passing = [common for common in range(1, min(m, n) + 1) if fmeasure(common, m, n) > threshold]
            assert need(m, n) == passing[0] if passing else need(m, n) > min(m, n)
        needs = [need(m, n) for n in range(1, 400) if need(m, n) <= min(m, n)]
        assert need.least(m) == min(needs, default=m + 1)


@pytest.mark.parametrize(
    ("common", "m", "n", "rejected"),
    [(7, 10, 10, False), (7, 9, 11, True), (7, 8, 12, True), (7, 7, 13, True), (14, 19, 21, False), (14, 18, 22, True)],
)
@BOTH
def test_pairs_at_seven_tenths_fall_as_float_arithmetic_has_it(common, m, n, rejected, compile_from):
    first = [f"word{i}" for i in range(m)]
    second = first[:common] + [f"other{i}" for i in range(n - common)]
    assert (literal_f(first, second) > 0.7) is rejected
    assert kept_by_index([first, second], 0.7, compile_from) == ([0] if rejected else [0, 1])


# -- decisions against the literal loop


@st.composite
def corpora(draw):
    words = [f"w{i}" for i in range(draw(st.integers(1, 12)))]
    return draw(st.lists(st.lists(st.sampled_from(words), max_size=12), max_size=25))


@BOTH
@settings(max_examples=300)
@given(texts=corpora(), threshold=st.sampled_from((0.0, 0.2, *THRESHOLDS, 1.0)))
def test_the_index_decides_as_the_literal_loop(texts, threshold, compile_from):
    """Small vocabularies, texts of no, one and two tokens, and repeated tokens included."""
    if texts:  # compiled code takes over with the first kept text
        assert kept_by_index(texts, threshold, compile_from) == kept_by_loop(texts, literal_f, threshold)


@BOTH
@pytest.mark.parametrize("threshold", (0.4, 0.5, 0.6, 0.65, 0.7))
def test_texts_of_one_token_and_of_none_are_decided_exactly(threshold, compile_from):
    """Without tokens there is nothing alike; one token is alike to itself, and to itself among few others."""
    texts = [[], ["list"], [], ["list"], ["list", "them"], ["list", "all", "of", "them"], ["them"], ["sort"], ["them"]]
    kept = kept_by_loop(texts, literal_f, threshold)
    assert kept[:3] == [0, 1, 2] and 3 not in kept and 8 not in kept
    assert kept_by_index(texts, threshold, compile_from) == kept


@BOTH
@pytest.mark.parametrize("threshold", (0.2, 0.5, 0.7))
def test_long_texts_are_decided_exactly(threshold, compile_from):
    rng = Random(5)
    texts: list[list[str]] = []
    for _ in range(50):
        words = [f"w{rng.randrange(400)}" for _ in range(rng.choice((30, 50, LONG - 1, LONG, 80, 120, 200, 500)))]
        if texts and rng.random() < 0.6:  # cut, stretch and mix an earlier text
            words = [w if rng.random() < 0.8 else rng.choice(words) for w in rng.choice(texts)]
            words = words[: int(len(words) * rng.choice((0.5, 0.6, 0.9, 1)))]
        texts.append(words)
    kept = kept_by_loop(texts, literal_f, threshold)
    assert len(kept) < len(texts)
    assert kept_by_index(texts, threshold, compile_from) == kept


@BOTH
def test_a_long_text_is_found_behind_hundreds_of_rarer_words(compile_from):
    shared = [f"w{i}" for i in range(600)]
    assert kept_by_index([shared, [*shared, *(f"rare{i}" for i in range(450))]], 0.7, compile_from) == [0]


@BOTH
@pytest.mark.parametrize("threshold", (0.4, 0.5, 0.6, 0.65, 0.7))
def test_decisions_are_exact_where_many_texts_share_their_rarest_words(threshold, compile_from):
    """So many that their pairs are parted by a third word. Texts that may share two words only are among them."""
    rng = Random(13)
    words = [f"w{i}" for i in range(30)]
    texts = [rng.choices(words, k=rng.choice((2, 3, 4, 10, 11, 12, 13))) for _ in range(2500)]
    numbers = {word: chr(i) for i, word in enumerate(words)}
    packed = ["".join(numbers[word] for word in text) for text in texts]
    kept = kept_by_loop(packed, lambda a, b: fmeasure(LCSseq.similarity(a, b), len(a), len(b)), threshold)
    assert kept_by_index(texts, threshold, compile_from) == kept
    index = RougeIndex(threshold, None)
    for i in kept:
        index.add(texts[i])
    parted = sum(isinstance(there, dict) for there in index._kept._pairs.values())
    assert parted > 20 or threshold < 0.6, parted  # so that this test can fail


@pytest.mark.skipif(find_spec("numba") is None, reason="numba is not installed")
@pytest.mark.parametrize("compile_from", (2, 50, 99))
def test_where_compiled_code_takes_over_changes_no_decision(compile_from):
    rng = Random(17)
    texts = [sentence(rng).split() for _ in range(100)]
    texts += [edited(rng, " ".join(text)).split() for text in texts]
    kept = kept_by_index(texts, 0.6)
    assert 99 < len(kept) < len(texts)
    assert kept_by_index(texts, 0.6, compile_from) == kept


def test_without_a_working_numba_python_goes_on(monkeypatch):
    monkeypatch.setitem(sys.modules, "alpaca_rouge.compiled", None)  # its import fails
    index = RougeIndex(0.7, 1)
    index.add(["word"])
    assert index.find(["word"]) == (0, 1.0) and not index.compiled


@BOTH
def test_thousands_of_copies_told_as_kept_are_all_held(compile_from):
    """Under one word, in one list that doubles as it grows."""
    index = RougeIndex(0.7, compile_from)
    for _ in range(40_000):
        index.add(["word"])
    assert len(index) == 40_000
    assert index.find(["word"]).score == 1 and index.find(["other"]) is None


@BOTH
def test_a_vocabulary_beyond_unicode_decides_the_same(compile_from):
    """Tokens are compared as code points while these last, then as numbers."""
    index = RougeIndex(0.7, compile_from)
    index.add("one two three four five".split())
    index._vocabulary._numbers |= {f"token{i}": i for i in range(5, 0x110000)}
    texts = ["brand new words of late", "brand new words of old", "one two three four six", "one two new words"]
    found = []
    for text in texts:
        found.append(index.find(text.split()))
        index.add(text.split())
    assert found == [None, (1, 0.8000000000000002), (0, 0.8000000000000002), None]


def test_decisions_equal_the_rouge_score_package():
    rng = Random(7)
    texts = [sentence(rng) for _ in range(150)]
    texts += [edited(rng, text) for text in texts] + ["", "?", "Explain", "Explain!", "Explain how"]
    tokens = [tokenize.tokenize(text, None) for text in texts]
    scores = [[rouge_scorer._score_lcs(a, b).fmeasure for b in tokens[:i]] for i, a in enumerate(tokens)]
    for threshold in (0.4, 0.5, 0.6, 0.65, 0.7):
        kept: list[int] = []
        for i, row in enumerate(scores):
            if not any(row[j] > threshold for j in kept):
                kept.append(i)
        assert len(kept) < len(texts)
        assert kept_by_filter(texts, threshold=threshold, tokenizer="rouge") == kept
        if find_spec("numba"):
            assert kept_by_index(tokens, threshold, 1) == kept


@given(st.text())
def test_rouge_tokens_are_those_of_the_rouge_score_package(text):
    assert rouge_tokens(text) == tokenize.tokenize(text, None)


# -- the filter


def sentence(rng: Random) -> str:
    """Words as frequent as in language (Zipf): a few in every second sentence, most of them rare."""
    words = (f"word{int(10 * rng.paretovariate(0.6))}" for _ in range(rng.randint(4, 16)))
    return "Explain how to " + " ".join(words)


def edited(rng: Random, text: str) -> str:
    words = text.split()
    for _ in range(rng.randint(0, 4)):
        words[rng.randrange(len(words))] = f"word{rng.randrange(10, 500)}"
    return " ".join(words)


def kept_by_filter(texts: list[str], **options) -> list[int]:
    rouge, kept = Rouge(RougeOptions(**options)), []
    for i, text in enumerate(texts):
        if rouge.judge(Candidate(text, "", "")) == Keep():
            rouge.kept(Example(text, "", "", id=str(i)))
            kept.append(i)
    return kept


def test_a_rejection_names_the_kept_instruction_and_its_true_score():
    rouge = Rouge(RougeOptions())
    rouge.kept(Example("Name the five largest lakes of the world.", "", "", id="seed_12"))
    verdict = rouge.judge(Candidate("Name the six largest lakes of the world!", "", ""))
    assert verdict == Reject("0.88 like seed_12: Name the five largest lakes of the world.")


def test_judging_changes_nothing():
    """Asked in between about anything, new words included, the filter gives the same verdicts."""
    rng = Random(3)
    texts = [sentence(rng) for _ in range(100)]
    texts += [edited(rng, text) for text in texts]
    quiet, asked = Rouge(RougeOptions(threshold=0.5)), Rouge(RougeOptions(threshold=0.5))
    for i, text in enumerate(texts):
        for _ in range(3):
            asked.judge(Candidate(sentence(rng) + f" brand new{rng.random()}", "", ""))
        verdicts = [rouge.judge(Candidate(text, "", "")) for rouge in (quiet, asked, asked)]
        assert verdicts[0] == verdicts[1] == verdicts[2]
        if verdicts[0] == Keep():
            for rouge in (quiet, asked):
                rouge.kept(Example(text, "", "", id=str(i)))
    assert len(quiet.index) == len(asked.index) < len(texts)


def test_what_is_told_as_kept_counts_though_it_would_be_rejected():
    """Seeds may be alike; all of them are compared with."""
    rouge = Rouge(RougeOptions())
    for i in range(2):
        rouge.kept(Example("Give three tips for staying healthy.", "", "", id=f"seed_{i}"))
    assert len(rouge.index) == 2


@BOTH
def test_the_work_stays_small(compile_from):
    """A sign error in the order of the tokens changes no decision; it multiplies the work. It is pinned here."""
    rng = Random(11)
    texts = [sentence(rng) for _ in range(3000)]
    texts += [edited(rng, text) for text in texts]
    index = RougeIndex(0.7, compile_from)
    for text in texts:
        tokens = unicode_tokens(text)
        if index.find(tokens) is None:
            index.add(tokens)
    assert len(index) > 3000
    # Measured 5.4 and 5.9; with the order turned round hundreds.
    assert index.comparisons / len(texts) < (6.0 if index.compiled else 5.5)


# -- scripts


@pytest.mark.parametrize(
    ("text", "unrelated"),
    [
        ("اكتب قصيدة قصيرة عن البحر في الشتاء", "ما هي عاصمة فرنسا وكم عدد سكانها"),
        ("请写一首关于冬天大海的短诗", "法国的首都是哪里有多少人口"),
        ("겨울 바다에 대한 짧은 시를 써 주세요", "프랑스의 수도는 어디이며 인구는 얼마입니까"),
        ("सर्दियों में समुद्र के बारे में एक छोटी कविता लिखो", "फ्रांस की राजधानी क्या है"),
        ("Écrivez un court poème sur la mer", "Où se trouve la capitale de la Norvège"),
        ("เขียนบทกวีสั้นเกี่ยวกับทะเล", "เมืองหลวงของฝรั่งเศสคืออะไร"),
    ],
)
def test_copies_in_any_script_are_found_and_unrelated_texts_kept(text, unrelated):
    assert kept_by_filter([text, unrelated, text]) == [0, 1]


def test_arabic_with_and_without_vowel_marks_is_the_same_text():
    assert unicode_tokens("اُكْتُبْ قَصِيدَةً") == unicode_tokens("اكتب قصيدة") == ["اكتب", "قصيدة"]


def test_tokens_by_script():
    assert unicode_tokens("Où est l’Été?") == ["ou", "est", "l", "ete"]
    assert unicode_tokens("用Python3写") == ["用", "python3", "写"]
    assert unicode_tokens("ＡＢＣ１２ Straße") == ["abc12", "strasse"]
    assert len(unicode_tokens("がぎ")) == 2 and unicode_tokens("がぎ") != unicode_tokens("かき")
    assert unicode_tokens("हिन्दी में") == ["हिन्दी", "में"]


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_on_ascii_text_both_tokenizers_agree(text):
    assert unicode_tokens(text) == rouge_tokens(text)


@pytest.mark.parametrize("threshold", (-0.1, 1.1, float("nan")))
def test_a_threshold_outside_0_to_1_is_refused(threshold):
    with pytest.raises(ValueError, match="expected a number from 0 to 1"):
        RougeOptions(threshold=threshold)
