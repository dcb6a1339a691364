"""The practice teacher: it follows the prompt, writes clean tasks of the declared families, and repeats itself."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random

import alpaca_procedural
import pytest
from alpaca_procedural import PER_LABEL, ROWS, QuotaOptions, alpaca_teachers
from alpaca_procedural.families import FAMILIES
from alpaca_procedural.quota import Quota
from alpaca_procedural.teacher import ProceduralTeacher, families_wanted, nearest_family
from alpaca_procedural.wording import Task, expand, write
from alpaca_prompts import SelfInstructOptions
from alpaca_prompts.self_instruct import SelfInstruct
from alpaca_rouge import RougeOptions
from alpaca_rouge.filter import Rouge
from alpaca_rules import AsciiStartOptions, KeywordOptions, LengthOptions
from alpaca_rules.rules import AsciiStart, Keywords, Length, Punctuation, WriteAProgram

from alpaca_core import Candidate, Completion, Example, Keep, Reject, Request, Seed

SEED_FILE = Path(alpaca_procedural.__file__).with_name("seed_tasks.jsonl")


def practice_seeds() -> list[Seed]:
    rows = [json.loads(line) for line in SEED_FILE.read_text(encoding="utf-8").splitlines()]
    return [Seed(row["id"], row["instruction"], **row["instances"][0]) for row in rows]


def family_of(seed: Seed) -> str:
    return seed.id.removeprefix("practice_").rpartition("_")[0]


def ask(seeds: list[Seed], k: int = 0, items: int = 20) -> tuple[Request, Completion]:
    request = SelfInstruct(SelfInstructOptions(items=items)).request(k, Random(k), seeds, [])
    return request, asyncio.run(ProceduralTeacher().complete(request))


def many(per_family: int) -> list[Task]:
    rng = Random(5)
    return [write(rng, family) for family in FAMILIES.values() for _ in range(per_family)]


# --- what is declared


def test_about_twenty_families_and_at_most_three_look_ups() -> None:
    assert len(FAMILIES) == alpaca_procedural.FAMILY_COUNT
    assert 18 <= len(FAMILIES) <= 22
    assert sum(family.lookup for family in FAMILIES.values()) <= 3


def test_the_seeds_are_three_for_each_family_and_in_its_own_words() -> None:
    seeds = practice_seeds()
    assert Counter(map(family_of, seeds)) == dict.fromkeys(FAMILIES, 3)
    assert [seed.id for seed in seeds if nearest_family(seed.instruction) != family_of(seed)] == []
    assert len({seed.instruction for seed in seeds}) == len({seed.id for seed in seeds}) == len(seeds)


# --- the form of the answer


def test_the_answer_is_the_numbered_list_with_labels() -> None:
    request, reply = ask(practice_seeds(), items=7)
    text = request.prefix + reply.text
    items = re.findall(r"(\d+)\. Instruction: (.+)\n\1\. Input:\n(.+)\n\1\. Output:\n(.+)\n(?:###\n|\Z)", text)
    assert [int(number) for number, *_ in items] == list(range(1, 8)) == list(reply.labels)
    assert reply.finish == "stop" and reply.usage.completion_tokens > 7 * 10


def test_the_default_prompt_reads_every_item() -> None:
    request, reply = ask(practice_seeds())
    candidates = list(SelfInstruct(SelfInstructOptions()).parse(request, reply))
    assert all(isinstance(candidate, Candidate) for candidate in candidates)
    assert [candidate.number for candidate in candidates] == list(range(1, 21))
    assert any(candidate.input for candidate in candidates) and not all(candidate.input for candidate in candidates)


def test_the_list_goes_on_from_the_number_asked_for() -> None:
    """With a prefix the text begins inside the first item; without one it begins with the header."""
    teacher = ProceduralTeacher()
    prompt = "###\n3. Instruction: Turn this sentence passive: Tina saw Ben.\n"
    continued = asyncio.run(teacher.complete(Request(0, prompt, prefix="4. Instruction:", items=2, first=4)))
    fresh = asyncio.run(teacher.complete(Request(0, prompt, items=2, first=4)))
    assert "4. Instruction:" + continued.text == fresh.text
    assert list(fresh.labels.values()) == ["passive_voice", "passive_voice"]


def test_the_same_request_has_the_same_answer_and_another_number_another_one() -> None:
    seeds = practice_seeds()
    assert ask(seeds)[1] == ask(seeds)[1]
    request = ask(seeds)[0]
    other = Request(1, request.prompt, items=request.items)
    assert asyncio.run(ProceduralTeacher().complete(other)).text != ask(seeds)[1].text


# --- the seed tasks steer


@pytest.mark.parametrize("start", range(0, len(FAMILIES), 3))
def test_a_seed_file_of_three_families_gives_only_these_three(start: int) -> None:
    chosen = set(list(FAMILIES)[start : start + 3])
    seeds = [seed for seed in practice_seeds() if family_of(seed) in chosen]
    written = {label for k in range(20) for label in ask(seeds, k)[1].labels.values()}
    assert written == chosen


def test_items_are_spread_over_the_families_shown() -> None:
    """Each example has one vote."""
    prompt = "".join(
        f"###\n{n}. Instruction: {text}\n{n}. Input:\n<noinput>\n{n}. Output:\nx\n"
        for n, text in enumerate(["Negate this sentence: Tina runs.", "Negate it.", "Name the capital of Peru."], 1)
    )
    reply = asyncio.run(ProceduralTeacher().complete(Request(0, prompt, items=30)))
    assert Counter(reply.labels.values()) == {"negation": 20, "capitals": 10}


@pytest.mark.parametrize(
    ("instruction", "family"),
    [
        ("What is the capital city of Mongolia?", "capitals"),
        ("Please type this shouting headline in capital letters.", "uppercase"),
        ("Is this movie review positive or negative?", "sentiment"),
        ("Sort the ages of the players from smallest to largest.", "sort_numbers"),
    ],
)
def test_seeds_from_elsewhere_count_for_the_nearest_family(instruction: str, family: str) -> None:
    assert families_wanted(f"###\n1. Instruction: {instruction}\n1. Input:\n<noinput>\n") == [family]


def test_a_prompt_without_examples_gets_every_family() -> None:
    assert families_wanted("Write 20 tasks. Use this form:\nN. Instruction: the instruction") == list(FAMILIES)


def test_every_task_is_known_again_by_its_wording() -> None:
    assert [task for task in many(200) if nearest_family(task.instruction) != task.family] == []


# --- the tasks


def test_tasks_pass_the_published_rules() -> None:
    rules = [
        Length(LengthOptions()),
        Keywords(KeywordOptions()),
        WriteAProgram(),
        Punctuation(),
        AsciiStart(AsciiStartOptions()),
    ]
    for task in many(200):
        candidate = Candidate(task.instruction, task.input, task.output)
        assert [rule.judge(candidate) for rule in rules] == [Keep()] * len(rules), task


def test_instructions_are_clean_sentences() -> None:
    for task in many(500):
        text = f"{task.instruction} {task.input}"
        assert re.match(r"[A-Z]", task.instruction) and re.search(r"[.?!]$", task.instruction), task
        assert not re.search(r"\s\s|[{}|<>%]|\s[.,:;?!]|\b(\w+) \1\b", text), task
        assert not re.search(r"[.?!] [a-z]", text), task


def test_articles_fit_the_words_behind_them() -> None:
    for task in many(500):
        for article, word in re.findall(r"\b([Aa]n?) (\w+)", f"{task.instruction} {task.input} {task.output}"):
            vowel = word[0] in "aeiou" and word != "one"
            assert article.lower() == ("an" if vowel else "a"), (article, word, task)


def test_wordings_are_requests_without_an_end() -> None:
    """The data or a full stop come after them."""
    for family in FAMILIES.values():
        for text in (text for wording in family.wordings for text in expand(wording)):
            assert re.fullmatch(r"[A-Z][A-Za-z0-9%<>,' -]*[a-z0-9>']", text), text


# --- the quota


def test_the_quota_counts_what_the_whole_chain_kept() -> None:
    quota = Quota(QuotaOptions(per_label=2))
    candidate = Candidate("i", "", "o", label="sort_numbers")
    row = Example("i", "", "o", label="sort_numbers")
    quota.kept(Example("a seed has no label", "", "o"))
    assert quota.judge(candidate) == quota.judge(candidate) == Keep()
    quota.kept(row)
    assert quota.judge(candidate) == Keep()
    quota.kept(row)
    assert quota.judge(candidate) == Reject("quota of 2 for sort_numbers reached")
    assert quota.judge(Candidate("i", "", "o", label="capitals")) == Keep()
    assert quota.judge(Candidate("i", "", "o")) == Keep()


def test_the_default_run_fills_the_quotas_from_few_requests() -> None:
    """Enough of every family is left after ROUGE-L 0.7: the slowest is at most 100 rows behind."""
    teacher_spec, filters = next(iter(alpaca_teachers())), [Rouge(RougeOptions()), Quota(QuotaOptions())]
    prompt = SelfInstruct(SelfInstructOptions(examples=teacher_spec.defaults["prompt.examples"]))
    seeds, teacher = practice_seeds(), ProceduralTeacher()
    for seed in seeds:
        filters[0].kept(Example(seed.instruction, seed.input, seed.output, id=seed.id))
    kept: Counter[str] = Counter()
    requests = 0
    while kept.total() < ROWS:
        request = prompt.request(requests, Random(requests), seeds, [])
        reply = asyncio.run(teacher.complete(request))
        for task in prompt.parse(request, reply):
            candidate = replace(task, label=reply.labels[task.number])
            if all(filter.judge(candidate) == Keep() for filter in filters):
                for filter in filters:
                    filter.kept(Example(task.instruction, task.input, task.output, label=candidate.label))
                kept[candidate.label] += 1
        requests += 1
    assert requests <= 800
    assert set(kept) == set(FAMILIES) and min(kept.values()) >= PER_LABEL - 100


def test_a_quota_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        QuotaOptions(per_label=0)
