"""Rows in the script of the wanted language are kept, others rejected."""

from __future__ import annotations

import pytest
from alpaca_language import LanguageOptions
from alpaca_language.filter import Language
from alpaca_language.languages import NAMES, scripts_of
from alpaca_language.scripts import script_counts
from hypothesis import given, settings
from hypothesis import strategies as st

from alpaca_core import Candidate, Keep, Reject

# A task and its answer in each language.
SENTENCES = {
    "English": ("Say how bread is made at home.", "Mix flour, water, salt and yeast, let it rise, then bake it."),
    "Turkish": ("Evde ekmek nasıl yapılır, anlat.", "Un, su, tuz ve mayayı karıştırın, dinlendirin, sonra pişirin."),
    "Arabic": ("اشرح كيف يُصنع الخبز في المنزل.", "اخلط الدقيق والماء والملح والخميرة واتركه يرتاح ثم اخبزه."),
    "Persian": ("توضیح بده نان خانگی چگونه درست می‌شود.", "آرد و آب و نمک و خمیر را مخلوط کن و بعد بپز."),
    "Russian": ("Расскажи, как пекут хлеб дома.", "Смешайте муку, воду, соль и дрожжи, дайте подняться и испеките."),
    "Greek": ("Πες πώς φτιάχνεται το ψωμί στο σπίτι.", "Ανακάτεψε αλεύρι, νερό, αλάτι και μαγιά και ψήσε το."),
    "Hebrew": ("הסבר איך אופים לחם בבית.", "מערבבים קמח, מים, מלח ושמרים, מתפיחים ואופים."),
    "Hindi": ("बताओ घर पर रोटी कैसे बनती है।", "आटा, पानी और नमक मिलाओ, गूँधो और तवे पर सेंको।"),
    "Thai": ("อธิบายวิธีทำขนมปังที่บ้าน", "ผสมแป้ง น้ำ เกลือ และยีสต์ พักไว้แล้วอบ"),
    "Chinese": ("请说明在家怎么做面包。", "把面粉、水、盐和酵母混合，发酵后放进烤箱烤。"),
    "Japanese": (
        "家でパンを作る方法を説明してください。",
        "小麦粉と水と塩とイーストを混ぜて、寝かせて焼きます。",
    ),
    "Korean": ("집에서 빵을 만드는 방법을 설명해 줘.", "밀가루와 물, 소금, 이스트를 섞어 부풀린 다음 구우세요."),
}
PAIRS = [(wanted, other) for wanted in SENTENCES for other in SENTENCES if wanted != other]
SAME_SCRIPT = {frozenset({"English", "Turkish"}), frozenset({"Arabic", "Persian"})}


def verdict(language: str, instruction: str, output: str, input: str = "", **options) -> str:
    """The reason of a rejection, or an empty string."""
    judged = Language(LanguageOptions(language=language, **options)).judge(Candidate(instruction, input, output))
    assert isinstance(judged, Keep | Reject)
    return judged.reason if isinstance(judged, Reject) else ""


@pytest.mark.parametrize("language", SENTENCES)
def test_a_row_in_its_own_language_is_kept(language):
    assert verdict(language, *SENTENCES[language]) == ""


@pytest.mark.parametrize(("wanted", "other"), PAIRS)
def test_a_row_in_another_script_is_rejected_and_one_in_the_same_script_is_not(wanted, other):
    same = frozenset({wanted, other}) in SAME_SCRIPT or (wanted, other) == ("Japanese", "Chinese")
    assert (verdict(wanted, *SENTENCES[other]) == "") is same


@pytest.mark.parametrize("language", [name for name in SENTENCES if name not in ("English", "Turkish")])
def test_an_answer_in_english_is_rejected_with_what_was_measured(language):
    reason = verdict(language, SENTENCES[language][0], SENTENCES["English"][1])
    assert reason == f"output: 0% of 12 words are in the script of {language}, less than 50% (100% are Latin)"


def test_the_language_may_be_a_name_a_code_or_a_script():
    instruction, output = SENTENCES["Russian"]
    for name in ("Russian", "russian", "ru", "ru-RU", "ru_RU", "Cyrillic", "cyrl", "uk", "sr-Cyrl"):
        assert verdict(name, instruction, output) == "", name
    for name in ("English", "en", "en-GB", "pt-BR", "sr-Latn", "Latin", "ar", "zh-Hant", "zh"):
        assert verdict(name, instruction, output) != "", name
    assert scripts_of("sr") == {"LATIN", "CYRILLIC"}
    assert scripts_of("Egyptian Arabic") == scripts_of("ar-EG") == scripts_of("Arab") == {"ARABIC"}
    assert scripts_of("zh-Hans-CN") == scripts_of("Han") == scripts_of("Chinese")


@pytest.mark.parametrize("name", ["Klingon", "", " ", "xx", "the"])
def test_an_unknown_language_is_refused_with_what_to_name_instead(name):
    with pytest.raises(ValueError, match="does not know; expected a name .* or its script"):
        LanguageOptions(language=name)


def test_every_language_has_scripts():
    assert all(scripts_of(name) for name in NAMES) and len(NAMES) > 100


@pytest.mark.parametrize("least", (-0.1, 1.1, float("nan")))
def test_a_share_outside_0_to_1_is_refused(least):
    with pytest.raises(ValueError, match="expected a number from 0 to 1"):
        LanguageOptions(least=least)


def test_the_share_can_be_set():
    mixed = "اكتب جملة عن gardens and weather"  # 3 of 6 words
    assert verdict("Arabic", mixed, "", least=0.5) == ""
    assert "50% of 6 words" in verdict("Arabic", mixed, "", least=0.6)


# -- what does not count


@pytest.mark.parametrize(
    "output",
    [
        "```python\ndef add(a, b):\n    return a + b\n```",
        "استخدم `numpy.linalg.norm(first - second)`",
        "def add_two_numbers(first, second):\n    # الجمع\n    return first + second\nprint(add_two_numbers(1, 2))",
        "SELECT name, age FROM people WHERE age > 30;",
        "https://example.org/some/long/path/to/a/page?with=query",
        "<ul class='menu'><li>الخبز</li></ul>",
        "E = m * c ** 2",
        "Visual Studio Code",  # short: a name
        "42",
        "",
    ],
)
def test_code_addresses_formulas_and_names_may_be_latin_in_any_language(output):
    assert verdict("Arabic", "اكتب ما يُطلب منك في هذا السؤال.", output) == ""


def test_a_chinese_letter_weighs_as_much_as_an_english_word():
    assert script_counts("用 Python 写一个函数") == {"CJK": 6, "LATIN": 1}
    assert verdict("Chinese", "用 Python 和 NumPy 写一个函数 sort_list", "") == ""


def test_the_input_may_be_in_any_script():
    assert verdict("English", "Name the language of this text.", "It is Russian.", input="Мы идём домой вечером") == ""


@pytest.mark.parametrize(
    ("language", "instruction", "output"),
    [
        ("English", "Translate this sentence: good evening, dear friends.", "Добрый вечер, дорогие друзья, мы рады."),
        ("English", "Write five greetings in Russian.", "Привет, здравствуйте, добрый день, добрый вечер, салют."),
        ("Arabic", "ترجم الجملة: الطقس جميل اليوم في المدينة.", "The weather is beautiful in the city today."),
        ("Chinese", "把下面的句子翻译成英文。", "We are going home tonight by train."),
        ("Japanese", "次の文を英語にしてください。", "We are going home tonight by train."),
        ("Russian", "Переведи предложение.", "We are going home tonight by train."),
    ],
)
def test_an_output_in_another_language_is_kept_where_the_task_asks_for_one(language, instruction, output):
    assert verdict(language, instruction, output) == ""


@settings(max_examples=300)
@given(st.text(max_size=80), st.text(max_size=200), st.sampled_from(sorted(SENTENCES)))
def test_any_text_is_judged_and_the_same_twice(instruction, output, language):
    filter = Language(LanguageOptions(language=language))
    candidate = Candidate(instruction, "", output)
    assert filter.judge(candidate) == filter.judge(candidate)


@pytest.mark.parametrize("filler", ["a ", "(", "=", "a.", "<a", "`", "def a", "{ ", "a=", "</", "x@y.", "\\a", " "])
def test_long_texts_take_no_long_time(filler):
    """The patterns look at each place once or a few times: 100,000 characters are judged well within the time limit."""
    script_counts(filler * (100_000 // len(filler)))
