"""Verbs and objects of instructions: what is read, what is left out, and that the counts add up."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alpaca_core.diversity.counts import Diversity, analyse, beginning, script_of
from alpaca_core.diversity.imperatives import Reading, read
from alpaca_core.diversity.lexicon import DETERMINERS, FOREIGN, SHARED, VERBS
from alpaca_core.diversity.nouns import singular

PAIRS = {
    # what may stand before the verb
    "Write a poem about the sea.": "write poem",
    "Please write a poem.": "write poem",
    "Could you please draw a map of the village?": "draw map",
    "I would like you to name two rivers.": "name river",
    "Your task is to count the vowels.": "count vowel",
    "Briefly describe the plot.": "describe plot",
    "Given a recipe, list the ingredients.": "list ingredient",
    "Given a recipe. List the ingredients.": "list ingredient",
    "In this task, you are given two words, and you need to write a rhyme.": "write rhyme",
    "Using the words below, form a sentence.": "form sentence",
    "Using these words form a sentence": "form sentence",
    "If the text is long, shorten every paragraph.": "shorten paragraph",
    "You are a sailor on leave. Write a letter home.": "write letter",
    "Imagine you run a bakery. Design a menu.": "design menu",
    "Pretend to be a tourist and ask a question.": "ask question",
    "Words: wet, open, clean. Give an antonym of each word.": "give antonym",
    "Grammar drill - correct the sentence.": "correct sentence",
    "How tall are giraffes? Draw a chart.": "draw chart",
    # verbs of several words, and several verbs
    "Come up with a slogan.": "come slogan",
    "Find out the capital of Peru.": "find capital",
    "Fill in the blanks.": "fill blank",
    "Figure out a schedule for two nurses.": "figure schedule",
    "Make up a riddle.": "make riddle",
    "Write down three wishes.": "write wish",
    "Think of a nickname for a parrot.": "think nickname",
    "Compare and contrast two poems.": "compare poem",
    "Find and briefly explain the mistake.": "find mistake",
    "Help write a speech.": "write speech",
    "Help a tourist who is lost. Draw a map.": "draw map",
    "Re-write the headline.": "rewrite headline",
    "Summarise the chapter.": "summarize chapter",
    "Yodelize the anthem.": "yodelize anthem",
    # where the noun phrase ends, and which noun heads it
    "Make a list of ideas.": "make list",
    "Give me an example of irony.": "give example",
    "Tell us, in one sentence, the moral.": "tell moral",
    "Explain in your own words the rule.": "explain rule",
    'Translate the following sentence: "He left."': "translate sentence",
    'Replace the word "big".': "replace word",
    "Find the tallest building in town.": "find building",
    "List at least five uses of vinegar.": "list use",
    "Name 3 to 5 famous women.": "name woman",
    "Pick one of the planets.": "pick planet",
    "Rate the singer's newest album.": "rate album",
    "Invent a long, funny and surprising story.": "invent story",
    "Suggest a machine learning course.": "suggest course",
    "Draft a letter apologizing to a neighbour.": "draft letter",
    "Sort the towns listed by size.": "sort town",
    "Describe the movie Titanic.": "describe movie",
    "Build a SQL Query.": "build query",
    "Create an API that serves maps.": "create api",
    "Make the sentence negative.": "make sentence",
    "Offer the guest a drink.": "offer drink",
    "Write a for loop.": "write loop",
    "Compose a thank you note.": "compose note",
    "Discuss the ending.": "discuss ending",
    "Invent a plausible new ending for it.": "invent ending",
    "Compare web-based and printed maps.": "compare map",
    "Identify two mistakes people make.": "identify mistake",
    # nothing that could be an object
    "Explain why the sky is blue.": "explain",
    "Tell me how to knit.": "tell",
    "Given a text, shorten it.": "shorten",
    'Translate "good night" to French.': "translate",
    "Describe Mount Fuji.": "describe",
    "Reply to the guest.": "reply",
    "Multiply 12 by 4.": "multiply",
    "Imagine a world without glass.": "imagine world",
}
QUESTIONS = {
    "What is the boiling point of water?": "what",
    "what's a quark": "what",
    "In which year did the war end?": "which",
    "Based on the table, who won?": "who",
    "Do plants sleep?": "yes/no",
    "Is this sentence correct? Answer yes or no.": "yes/no",
    "Imagine you are a chef, what would you cook?": "what",
    "How does it feel?\nTake a walk every day.": "how",
    "This tea or that one?": "other",
}
FOREIGN_ROWS = {
    "اكتب قصيدة عن البحر": "Arabic",
    "请写一首关于秋天的诗": "Han",
    "次の文を要約してください": "Japanese",
    "여름에 대한 시를 써 주세요": "Hangul",
    "Напиши стихотворение": "Cyrillic",
    "एक कविता लिखो": "Devanagari",
    "เขียนบทกวี": "Thai",
    "Describe la casa de tu abuela": "Latin",
    "Écris une lettre": "Latin",
    "Schreibe einen Brief an die Nachbarn": "Latin",
    "Scrivi una poesia": "Latin",
    "Escreva um conto": "Latin",
    "Tulis cerita pendek tentang kucing": "Latin",
    "Bir mektup yaz": "Latin",
}


@pytest.mark.parametrize("text", PAIRS)
def test_an_instruction_has_this_verb_and_object(text: str) -> None:
    verb, _, object_ = PAIRS[text].partition(" ")
    assert read(text) == Reading("verb", verb, object_)


@pytest.mark.parametrize("text", QUESTIONS)
def test_a_question_is_no_verb(text: str) -> None:
    assert read(text) == Reading("question", QUESTIONS[text])


@pytest.mark.parametrize(
    "text", ["", " \n", "🙂", "12 + 7", "A recipe for soup.", "The cat is on the mat.", "List of rivers"]
)
def test_what_tells_and_asks_nothing_is_unparsed(text: str) -> None:
    assert read(text) == Reading("unparsed")


@pytest.mark.parametrize("text", FOREIGN_ROWS)
def test_other_languages_get_no_verb(text: str) -> None:
    found = analyse([text])
    assert (found.other, dict(found.scripts), dict(found.verbs)) == (1, {FOREIGN_ROWS[text]: 1}, {})


@pytest.mark.parametrize(
    "text",
    ["Describe El Niño.", "Explain the résumé.", "Translate «la vie est belle» to English.", "Are cats mammals?"],
)
def test_foreign_words_do_not_make_english_foreign(text: str) -> None:
    assert analyse([text]).other == 0


def test_quoted_text_and_code_are_no_instruction() -> None:
    assert read('"Write a poem" is what she said.').kind == "unparsed"
    assert read("`print list` fails here.").kind == "unparsed"
    assert read("```\nWrite a poem\n```").kind == "unparsed"


def test_only_the_beginning_of_a_long_text_is_read() -> None:
    assert read("The cat sat. " * 100 + "Write a poem.").kind == "unparsed"
    assert analyse(["Write a poem. " + "x" * 100_000]).pairs == {("write", "poem"): 1}


@pytest.mark.parametrize(
    ("plural", "one"),
    [
        ("ideas", "idea"), ("stories", "story"), ("classes", "class"), ("dishes", "dish"), ("boxes", "box"),
        ("heroes", "hero"), ("women", "woman"), ("analyses", "analysis"), ("movies", "movie"), ("houses", "house"),
        ("leaves", "leaf"), ("physics", "physics"), ("topics", "topic"), ("news", "news"), ("bus", "bus"),
        ("glass", "glass"), ("analysis", "analysis"), ("cactus", "cactus"), ("haikus", "haiku"), ("data", "data"),
    ],
)  # fmt: skip
def test_nouns_count_in_the_singular(plural: str, one: str) -> None:
    assert singular(plural) == one


def test_the_lexicon_does_not_contradict_itself() -> None:
    assert all(word == word.lower() and word.isascii() for word in VERBS)
    assert not FOREIGN & SHARED
    assert not FOREIGN & VERBS
    assert not VERBS & DETERMINERS


@given(st.lists(st.text(max_size=30) | st.sampled_from([*PAIRS, *QUESTIONS, *FOREIGN_ROWS]), max_size=5))
def test_the_counts_add_up_whatever_the_rows(rows: list[str]) -> None:
    found = analyse(rows)
    assert found.rows == len(rows) == found.parsed + found.questions + found.unparsed + found.other
    assert found.questions == sum(found.asked.values())
    assert found.other == sum(found.scripts.values()) == sum(found.beginnings.values())
    assert all(sum(n for (verb, _), n in found.pairs.items() if verb == v) <= n for v, n in found.verbs.items())


def test_the_order_of_the_rows_changes_nothing() -> None:
    rows = [*PAIRS, *QUESTIONS, *FOREIGN_ROWS]
    assert json.dumps(analyse(rows).as_dict()) == json.dumps(analyse(reversed(rows)).as_dict())


def test_figures_of_pairs() -> None:
    rows = ["Write a poem."] * 2 + ["Write a song.", "Draw a map.", "Explain why."]
    found = analyse(rows)
    assert (found.parsed, found.paired, found.distinct) == (5, 4, 3)
    assert found.entropy == pytest.approx(1.5)
    assert found.top_share(1) == 0.5 and found.top_share() == 1
    assert list(found.pairs) == [("write", "poem"), ("draw", "map"), ("write", "song")]


@given(st.lists(st.integers(1, 1000), max_size=30))
def test_entropy_lies_between_one_pair_and_all_alike(counts: list[int]) -> None:
    found = Diversity(sum(counts), {}, {("verb", str(n)): count for n, count in enumerate(counts)}, 0, 0, 0)
    assert -1e-9 <= found.entropy <= math.log2(len(counts) or 1) + 1e-9


def test_no_rows_have_no_figures() -> None:
    found = analyse([])
    assert (found.rows, found.entropy, found.top_share(), found.english) == (0, 0, 0, True)


def test_instructions_in_other_languages_are_counted_by_how_they_begin() -> None:
    found = analyse(["اكتب رسالة", "من فضلك، أكتب قصة", "لخّص النص", "请列出五种水果", "列出三个国家", "次の文を直して"])
    assert not found.english
    assert dict(found.beginnings) == {
        ("Arabic", "أكتب"): 2,
        ("Arabic", "لخّص"): 1,
        ("Han", "列出"): 2,
        ("Japanese", "次の"): 1,
    }


def test_a_beginning_is_a_word_or_two_letters() -> None:
    assert beginning("¿Por favor, explica la regla?") == "explica"
    assert beginning("S'il vous plaît, écris.") == "écris"
    assert beginning("\u202eاكتب\u202c نصا") == "اكتب"
    assert beginning("翻译") == "翻译" and beginning("写") == "写" and beginning("!?") == ""


def test_a_script_is_that_of_most_letters() -> None:
    assert script_of("Translate 猫 into English") == "Latin"
    assert script_of("把 cat 翻译成中文的句子") == "Han"
    assert script_of("12:30 🙂") == "Latin"
