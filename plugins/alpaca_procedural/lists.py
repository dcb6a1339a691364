"""Families over lists of words and over numbers."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from alpaca_procedural.lexicon import CAPITALS, DAYS, NAMES, OPPOSITES, PLACES, THINGS
from alpaca_procedural.wording import Draft, Family


def _commas(words: Iterable[object]) -> str:
    return ", ".join(map(str, words))


def _things(rng: Random, least: int, most: int) -> list[str]:
    return rng.sample(list(THINGS), rng.randint(least, most))


def _count_items(rng: Random) -> Draft:
    words = _things(rng, 3, 8)
    return Draft(_commas(words), str(len(words)))


def _number_items(rng: Random) -> Draft:
    words = _things(rng, 3, 5)
    return Draft(_commas(words), " ".join(f"{i}. {word}" for i, word in enumerate(words, 1)))


def _remove_item(rng: Random) -> Draft:
    words = _things(rng, 3, 4)
    gone = rng.choice(words)
    return Draft(_commas(words), _commas(word for word in words if word != gone), gone)


def _uppercase(rng: Random) -> Draft:
    words = _things(rng, 3, 4)
    return Draft(_commas(words), _commas(words).upper())


def _sort_numbers(rng: Random) -> Draft:
    numbers = rng.sample(range(1, 31), rng.randint(3, 4))
    return Draft(_commas(numbers), _commas(sorted(numbers)))


def _add_numbers(rng: Random) -> Draft:
    name, things = rng.choice(NAMES), rng.choice(list(THINGS.values()))
    one, two = rng.randint(2, 9), rng.randint(2, 9)
    verb = rng.choice(("buys", "finds", "gets", "receives", "makes", "borrows"))
    story = rng.choice(
        (
            f"{name} has {one} {things} and {verb} {two} more.",
            f"{name} owns {one} {things} and then {verb} {two} more.",
            f"With {one} {things} at home, {name} {verb} {two} more.",
            f"On {rng.choice(DAYS)} {name} has {one} {things}, but then {verb} {two} more.",
        )
    )
    question = f"How many {things} does {name} have {rng.choice(('now', 'in all', 'altogether'))}?"
    if rng.random() < 0.4:
        place, (first, second) = rng.choice(PLACES), rng.sample(DAYS, 2)
        story = f"{name} counts {one} {things} {place} on {first} and {two} on {second}."
        question = f"How many {things} is that {rng.choice(('in all', 'altogether'))}?"
    return Draft(f"{story} {question}", str(one + two))


def _compare_numbers(rng: Random) -> Draft:
    (one, two), (low, high) = rng.sample(NAMES, 2), rng.sample(range(2, 100), 2)
    things = rng.choice(list(THINGS.values()))
    does = rng.choice(("has", "sold", "bought", "counted", "packed"))
    data = f"{one} {does} {low} {things} and {two} {does} {high}. Who {does} more {things}?"
    return Draft(data, one if low > high else two)


def _capitals(rng: Random) -> Draft:
    countries = rng.sample(list(CAPITALS), rng.randint(3, 4))
    return Draft(_commas(countries), _commas(CAPITALS[country] for country in countries))


def _opposites(rng: Random) -> Draft:
    words = rng.sample(list(OPPOSITES), rng.randint(3, 4))
    return Draft(_commas(words), _commas(OPPOSITES[word] for word in words))


LIST_FAMILIES = (
    Family(
        "count_items",
        _count_items,
        (
            "{Count the|Give the number of|Find the number of} words in <this> list",
            "{Say|State|Tell me} how many words {are in <this> list|<this> list has|<this> list contains}",
            "{Give|Find|State} the length of <this> list",
            "{Count|Tally} {the|all} {words|items|entries}",
            "Report {the word count|the number of items}",
        ),
        "List",
    ),
    Family(
        "number_items",
        _number_items,
        (
            "{Turn|Change|Convert|Make} <these> words into a numbered list",
            "{Write|Make|Create} a numbered list",
            "{Put|Write|Add} a number before each word",
            "{Put|Write|Add} numbers before <these> {words|items}",
            "Number <these> {words|items|entries} {in order|from 1}",
            "Enumerate <these> {words|items|entries}",
            "{List|Write} <these> {words|items} as 1, 2 and so on",
            "Give {each|every} {word|item} a number",
            "{Show|Write} <these> words as numbered {items|entries}",
        ),
        "Words",
    ),
    Family(
        "remove_item",
        _remove_item,
        (
            "{Remove|Delete|Drop|Cut} the word %s from <this> list",
            "{Remove|Delete|Drop|Cut} %s from <this> list",
            "{Rewrite|Write|Give|Repeat} <this> list without %s",
            "Leave %s out of <this> list",
            "{Omit|Strike|Erase|Exclude} {the word %s|%s} from <this> list",
            "{Keep|Copy|Repeat} {everything|every word|all the words} except %s",
            "{Keep|Copy|Repeat} all but %s",
        ),
        "List",
    ),
    Family(
        "uppercase",
        _uppercase,
        (
            "{Write|Rewrite|Type|Print} <these> words in {capital letters|uppercase|capitals}",
            "{Change|Convert} <these> words to {capital letters|uppercase}",
            "Use only {capital letters|uppercase}",
            "Capitalize {every letter|all letters|all the letters}",
            "Make {everything|all words|each word} uppercase",
            "{Put|Spell} {each|every} word in {capital letters|capitals}",
        ),
        "Words",
    ),
    Family(
        "sort_numbers",
        _sort_numbers,
        (
            "{Sort|Order|Arrange|List} <these> numbers {from smallest to largest|in ascending order|in rising order}",
            "{Sort|Order|Arrange|List} <these> {values|figures} {from low to high|starting with the smallest}",
            "Put <these> {numbers|values} in {ascending|increasing|rising} order",
            "{Sort|Rank|Order} by size, smallest first",
            "{Write|Type} <these> numbers again, {smallest|lowest} first",
            "Line up <these> {numbers|figures} from {least to greatest|lowest to highest}",
            "{Give|Say} <these> {values|figures} in order, {smallest|lowest} first",
            "{Rank|Rewrite|Copy} <these> {numbers|figures} from {small to large|lowest to highest}",
            "Begin with the {smallest and end with the largest|lowest and end with the highest}",
        ),
        "Numbers",
    ),
    Family(
        "add_numbers",
        _add_numbers,
        (
            "{Solve|Work out|Answer} <this> {word problem|addition problem}",
            "{Add up and answer|Find the total}",
        ),
        "Problem",
        prose=True,
        bare=True,
        cues=(
            "How many does have now",
            "How many does have in all",
            "How many does have altogether",
            "has and buys more How many does have in all",
            "counts on and on How many is that in all",
            "counts on and on How many is that altogether",
        ),
    ),
    Family(
        "compare_numbers",
        _compare_numbers,
        (
            "{Compare the amounts|Compare the numbers} and {answer|name the person}",
            "{Say|Decide|Tell me} which person has the larger {number|amount}",
        ),
        "Question",
        prose=True,
        bare=True,
        cues=("and Who has more", "and Who sold more", "and Who bought more", "and Who counted more"),
    ),
    Family(
        "capitals",
        _capitals,
        (
            "{Name|Give|List|Write|State} the {capitals|capital cities} of <these> countries",
            "{Name|Give|List|Write|State} the capital of {each|every} country",
            "{Name|Give|List|Find} {each|every} {capital|capital city}",
            "Replace {each|every} country {by|with} its capital",
            "{Collect|Recall|Report|Answer with} the {capitals|capital cities}",
            "Write the {matching|right} {capital|capital city} for {each|every} country",
            "{Turn|Change} <these> countries into their {capitals|capital cities}",
            "For {each|every} country, {write|give|name} the {capital|capital city}",
            "Say which city is the capital of {each|every} country",
        ),
        "Countries",
        lookup=True,
    ),
    Family(
        "opposites",
        _opposites,
        (
            "{Give|Write|List|Find} the {opposites|antonyms} of <these> {words|adjectives}",
            "{Give|Write|List|Find} the opposite of {each|every} {word|adjective}",
            "Replace {each|every} {word|adjective} {by|with} its {opposite|antonym}",
            "{Give|Write|List|Find} {opposites|antonyms}",
            "{Name|State|Supply} {an antonym|an opposite} for {each|every} {word|adjective}",
        ),
        "Words",
        lookup=True,
    ),
)
