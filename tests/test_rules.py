"""The published rules, one by one and in their published order."""

from __future__ import annotations

import alpaca_rules
import pytest
from alpaca_rules import AsciiStartOptions, KeywordOptions, LengthOptions
from alpaca_rules.rules import AsciiStart, Keywords, Length, Punctuation, WriteAProgram

from alpaca_core import Candidate, Keep, Reject


def verdict(rule, instruction: str) -> str:
    """The reason of a rejection, or an empty string."""
    judged = rule.judge(Candidate(instruction, "", "an output"))
    assert isinstance(judged, Keep | Reject)
    return judged.reason if isinstance(judged, Reject) else ""


@pytest.mark.parametrize(
    ("words", "reason"),
    [(0, "0 words, fewer than 4"), (3, "3 words, fewer than 4"), (4, ""), (150, ""), (151, "151 words, more than 150")],
)
def test_length_keeps_4_to_150_words(words, reason):
    assert verdict(Length(LengthOptions(unit="words")), " ".join(["word"] * words)) == reason


def test_length_counts_tokens_of_every_script_by_default():
    length = Length(LengthOptions())
    assert verdict(length, "法国的首都是哪里") == ""
    assert verdict(length, "写诗") == "2 tokens, fewer than 4"
    assert verdict(Length(LengthOptions(unit="words")), "法国的首都是哪里") == "1 words, fewer than 4"


def test_length_takes_other_bounds():
    assert verdict(Length(LengthOptions(shortest=1, longest=2)), "Sing") == ""
    with pytest.raises(ValueError, match="expected 0 <= shortest <= longest"):
        LengthOptions(shortest=5, longest=4)


@pytest.mark.parametrize(
    ("instruction", "word"),
    [
        ("Describe the image below.", "image"),
        ("Describe the IMAGES below.", "images"),
        ("Where would you Go To in winter?", "go to"),
        ("Plot: a heist in Rome", "plot"),
        ("Sort the X-Files by year.", "files"),
    ],
)
def test_keywords_are_found_as_whole_words_in_any_case(instruction, word):
    assert verdict(Keywords(KeywordOptions()), instruction) == f"has the word '{word}'"


@pytest.mark.parametrize("instruction", ["Imagine a musical filer.", "Remap the plots and drawings.", "I go today."])
def test_keywords_inside_other_words_do_not_count(instruction):
    assert verdict(Keywords(KeywordOptions()), instruction) == ""


def test_the_keyword_list_is_the_published_one_and_can_be_changed():
    published = (
        "image images graph graphs picture pictures file files map maps draw plot go_to video audio music "
        "flowchart diagram"
    )
    assert KeywordOptions().words == tuple(word.replace("_", " ") for word in published.split())
    mine = Keywords(KeywordOptions(words=("C++", "secret")))
    assert verdict(mine, "Explain templates in c++ briefly.") == "has the word 'c++'"
    assert verdict(mine, "Draw a map of the music files.") == ""
    assert verdict(Keywords(KeywordOptions(words=())), "Draw a map.") == ""
    with pytest.raises(ValueError, match="empty word"):
        KeywordOptions(words=("map", " "))


def test_write_a_program_looks_at_the_start_in_that_case_only():
    assert verdict(WriteAProgram(), "Write a program that adds.") == "starts with 'Write a program'"
    for kept in ("write a program that adds.", "Please Write a program.", "Write a Python program."):
        assert verdict(WriteAProgram(), kept) == ""


def test_punctuation_looks_at_the_first_character():
    assert verdict(Punctuation(), " - Name a tree.") == "starts with '-'"
    assert verdict(Punctuation(), '"Hamlet" is by whom?') == "starts with '\"'"
    for kept in ("Name a tree!", "“Hamlet” is by whom?", "", "¿Quién escribió Hamlet?"):
        assert verdict(Punctuation(), kept) == ""


def test_ascii_start_judges_english_data_only():
    assert verdict(AsciiStart(AsciiStartOptions()), "Écrire un poème") == "starts with 'É', not ASCII"
    assert verdict(AsciiStart(AsciiStartOptions()), "Name Élodie's town") == ""
    assert verdict(AsciiStart(AsciiStartOptions()), "") == ""
    assert verdict(AsciiStart(AsciiStartOptions(language="en-GB")), "Écrire un poème") != ""
    for language in ("French", "fr", "enm"):
        assert verdict(AsciiStart(AsciiStartOptions(language=language)), "Écrire un poème") == ""


def test_both_chains_hold_the_published_rules_in_the_published_order():
    chains = {spec.name: dict(spec.chain) for spec in alpaca_rules.alpaca_filters() if spec.chain}
    order = ["length", "keywords", "write-a-program", "punctuation", "ascii-start", "rouge"]
    assert {name: list(chain) for name, chain in chains.items()} == {"alpaca": order, "alpaca-2023": order}
    assert chains["alpaca-2023"]["length"] == {"unit": "words"}
    assert chains["alpaca-2023"]["rouge"] == {"tokenizer": "rouge"}
    assert chains["alpaca"]["length"] == {"unit": "tokens"}
    assert chains["alpaca"]["rouge"] == {"tokenizer": "unicode"}
