"""Every answer of the practice teacher, checked by a second method that reads the task's text and knows nothing of how
it was made: the inverse operation, the standard library, or tables that were written down again here."""

from __future__ import annotations

import re
from datetime import datetime
from random import Random

import pytest
from alpaca_procedural.families import FAMILIES
from alpaca_procedural.wording import Task, write

SAMPLES = 400

NAMES = set(
    "Ana Ben Carla David Emma Felix Grace Hugo Iris Jack Kira Leo Maya Noah Olga Paul Rosa Sam Tina Victor".split()
)
DAYS = set("Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split())
JOBS = set("baker nurse teacher farmer pilot lawyer singer painter driver plumber doctor writer".split())
COUNTRY_OF = dict(
    pair.split("-")
    for pair in (
        "Vienna-Austria Ottawa-Canada Santiago-Chile Beijing-China Havana-Cuba Copenhagen-Denmark Cairo-Egypt "
        "Helsinki-Finland Paris-France Berlin-Germany Accra-Ghana Athens-Greece Budapest-Hungary Baghdad-Iraq "
        "Dublin-Ireland Rome-Italy Tokyo-Japan Nairobi-Kenya Oslo-Norway Lima-Peru Warsaw-Poland Lisbon-Portugal "
        "Madrid-Spain Bangkok-Thailand"
    ).split()
)
MEANS_NOT = dict(
    pair.split("-")
    for pair in (
        "small-big cowardly-brave expensive-cheap dirty-clean shallow-deep late-early difficult-easy slow-fast "
        "empty-full sad-happy soft-hard low-high cold-hot dark-light quiet-loud far-near old-new closed-open poor-rich "
        "smooth-rough weak-strong bitter-sweet short-tall thin-thick false-true dry-wet narrow-wide"
    ).split()
)
PRESENT_OF = dict(
    pair.split("-")
    for pair in (
        "baked-bakes built-builds cleaned-cleans cooked-cooks danced-dances drank-drinks ate-eats fed-feeds "
        "painted-paints played-plays rode-rides sold-sells sang-sings spoke-speaks studied-studies swam-swims "
        "took-takes taught-teaches walked-walks watered-waters wrote-writes"
    ).split()
)
GOOD = set("wonderful great excellent lovely fantastic pleasant brilliant charming superb perfect".split())
BAD = set("terrible awful boring dreadful horrible disappointing unpleasant tedious dull bad".split())


def _text(task: Task) -> str:
    return f"{task.instruction}\n{task.input}"


def _list(task: Task) -> str:
    """The one comma-separated list of lower-case words in the task."""
    (found,) = re.findall(r"[a-z]+(?:, [a-z]+)+", _text(task))
    return found


def _numbers(task: Task) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", _text(task))]


def _only(known: set[str], task: Task) -> str:
    (found,) = known & set(re.findall(r"\w+", _text(task)))
    return found


def _third_person(verb: str) -> str:
    if re.search(r"[^aeiou]y$", verb):
        return verb[:-1] + "ies"
    return verb + ("es" if verb.endswith(("ch", "sh", "s", "x")) else "s")


def passive_voice(task: Task) -> bool:
    other, participle, actor, rest = re.fullmatch(r"(\w+) was (\w+) by (\w+) (.*)", task.output).groups()
    past = "saw" if participle == "seen" else participle
    return f"{actor} {past} {other} {rest}" in _text(task)


def past_tense(task: Task) -> bool:
    name, verb, rest = task.output.split(" ", 2)
    return f"{name} {PRESENT_OF[verb]} {rest}" in _text(task)


def negation(task: Task) -> bool:
    name, verb, rest = re.fullmatch(r"(\w+) does not (\w+) (.*)", task.output).groups()
    return f"{name} {_third_person(verb)} {rest}" in _text(task)


def yes_no_question(task: Task) -> bool:
    name, verb, rest = re.fullmatch(r"Does (\w+) (\w+) (.*)\?", task.output).groups()
    return f"{name} {_third_person(verb)} {rest}." in _text(task)


def join_sentences(task: Task) -> bool:
    who, one, two, when = re.fullmatch(r"(\w+ \w+) (an? \w+) and (an? \w+) (.*)", task.output).groups()
    return f"{who} {one} {when} {who} {two} {when}" in _text(task)


def extract_email(task: Task) -> bool:
    return re.findall(r"[\w.]+@\w+\.\w+", _text(task)) == [task.output]


def extract_numbers(task: Task) -> bool:
    return ", ".join(map(str, _numbers(task))) == task.output


def fact_card(task: Task) -> bool:
    name, job, city, day = (_only(known, task) for known in (NAMES, JOBS, set(COUNTRY_OF), DAYS))
    return task.output == f"Name: {name}; Job: {job}; City: {city}; Day: {day}"


def invitation(task: Task) -> bool:
    (guest,) = re.findall(r"guest ([A-Z]\w+)", _text(task))
    facts = dict(re.findall(r"(event|city|day) (\w+)(?=[,.]|$)", _text(task), re.MULTILINE), guest=guest)
    return task.output == "Dear {guest}, please come to the {event} in {city} on {day}.".format(**facts)


def sentiment(task: Task) -> bool:
    words = set(re.findall(r"\w+", _text(task)))
    good, bad = len(words & GOOD), len(words & BAD)
    return (good, bad) == ((2, 0) if task.output == "positive" else (0, 2))


def clock_time(task: Task) -> bool:
    (found,) = re.findall(r"\d+:\d\d", _text(task))
    return f"{datetime.strptime(found, '%H:%M'):%I:%M %p}".lstrip("0").lower() == task.output


def count_items(task: Task) -> bool:
    return int(task.output) == _text(task).count(",") + 1


def number_items(task: Task) -> bool:
    pieces = re.findall(r"(\d+)\. (\w+)", task.output)
    numbered = [int(number) for number, _ in pieces] == list(range(1, len(pieces) + 1))
    return numbered and ", ".join(word for _, word in pieces) == _list(task)


def remove_item(task: Task) -> bool:
    rest, words = task.output.split(", "), _list(task).split(", ")
    (gone,) = set(words) - set(rest)
    said_twice = len(re.findall(rf"\b{gone}\b", _text(task))) == 2
    return said_twice and words[: words.index(gone)] + words[words.index(gone) + 1 :] == rest


def uppercase(task: Task) -> bool:
    return task.output.isupper() and task.output.swapcase() == _list(task)


def sort_numbers(task: Task) -> bool:
    numbers = [int(number) for number in task.output.split(", ")]
    rising = all(low < high for low, high in zip(numbers, numbers[1:], strict=False))
    return rising and set(numbers) == set(_numbers(task)) and len(numbers) == len(_numbers(task))


def add_numbers(task: Task) -> bool:
    one, two = _numbers(task)
    return int(task.output) - one == two


def compare_numbers(task: Task) -> bool:
    amounts = {int(amount): name for name, amount in re.findall(r"([A-Z]\w+) \w+ (\d+)", _text(task))}
    return len(amounts) == 2 and amounts[max(amounts)] == task.output


def capitals(task: Task) -> bool:
    return ", ".join(COUNTRY_OF[city] for city in task.output.split(", ")) in _text(task)


def opposites(task: Task) -> bool:
    return ", ".join(MEANS_NOT[word] for word in task.output.split(", ")) == _list(task)


def test_every_family_has_an_oracle() -> None:
    assert all(name in globals() for name in FAMILIES)


@pytest.mark.parametrize("name", FAMILIES)
def test_answers_are_right(name: str) -> None:
    """The second method agrees with every one of many tasks."""
    rng = Random(f"oracle {name}")
    tasks = [write(rng, FAMILIES[name]) for _ in range(SAMPLES)]
    assert [task for task in tasks if not globals()[name](task)] == []


@pytest.mark.parametrize("name", FAMILIES)
def test_the_oracle_can_fail(name: str) -> None:
    """It refuses the answer of another task, or does not understand it; by chance two answers may be the same."""
    rng = Random(name)
    tasks = [write(rng, FAMILIES[name]) for _ in range(50)]
    refused = 0
    for task, other in zip(tasks, tasks[1:], strict=False):
        try:
            refused += not globals()[name](Task(name, task.instruction, task.input, other.output))
        except (ValueError, KeyError, AttributeError):
            refused += 1
    assert refused >= 15
