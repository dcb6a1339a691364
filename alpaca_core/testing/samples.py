"""Small data for tests of plugins: tasks that a person could have written, and texts that nobody would."""

from __future__ import annotations

from random import Random

from alpaca_core.records import Candidate, Example, Pair, Request, Seed

_TASKS = (
    ("Name a fruit that is yellow when ripe.", "", "A banana is yellow when it is ripe."),
    ("Convert the distance into metres.", "3 kilometres", "3 kilometres are 3000 metres."),
    ("Suggest a quiet hobby for a rainy afternoon.", "", "Try drawing what you can see from the window."),
    ("Sort these words by length.", "stone, ox, river", "ox, stone, river"),
    ("Explain why the sky looks blue at noon.", "", "Air scatters short waves of light more than long ones."),
    ("Rewrite the sentence in the past tense.", "The baker sells bread.", "The baker sold bread."),
    ("Describe how bread dough should feel after kneading.", "", "It should be smooth, springy and not sticky."),
    ("Name a fruit that is yellow when it is ripe.", "", "A lemon is yellow when it is ripe."),  # nearly the first
    ("WRITE A SHORT GREETING TO A NEIGHBOUR.", "", "Good morning! It is good to see you."),
    ("Draw a picture of the harbour at night.", "", "I cannot draw, as I am a language model."),
    ("Translate the greeting into Greek.", "Good evening", "Καλησπέρα"),
    ("Add the numbers.", "2, 3 and 5", "2 + 3 + 5 = 10"),
    ("Hi", "", ""),
)

#: Texts that a parser or a filter meets sooner or later.
WILD = (
    *("", " ", "\n\n\n", "\0", "\ufeff", "\ud7ff\u200f", "###", "1.", "1. Instruction:", "{", "[]", "null", "{{ x }}"),
    *("{% for", "<think>", "```", "- ", "# ", "Ä" * 5000, "a " * 5000, "日本語の文", "مرحبا", "🦙🦙", "1. Output:\n2."),
    *(
        "1. Instruction: Say.\n1. Input:\n<noinput>\n1. Output:\nYes",
        "9999999999999. Instruction: x",
        "%s %d {0}",
        "\\",
    ),
)


def seeds(n: int = 5) -> list[Seed]:
    """``n`` seed tasks, the same at every call; 13 at most differ."""
    return [Seed(f"seed_{i}", *_TASKS[i % len(_TASKS)]) for i in range(n)]


def candidates(n: int = len(_TASKS)) -> list[Candidate]:
    """``n`` candidates as the core hands them to filters, the same at every call: good ones, a near-duplicate, one in
    capitals, one in another script, one without an output; 13 at most differ."""
    return [Candidate(*_TASKS[i % len(_TASKS)], number=i + 1, id=f"000000.{i + 1:02}") for i in range(n)]


def examples(n: int = len(_TASKS)) -> list[Example]:
    """``n`` rows as ``candidates`` are once they are kept."""
    return [Example(row.instruction, row.input, row.output, row.id) for row in candidates(n)]


def requests(n: int = 3) -> list[Request]:
    """``n`` requests of various forms: a plain one, one with a prefix and a stop string, one of a student."""
    forms = (
        {"prompt": "Write 3 tasks and their answers, as a list.", "items": 3},
        {"prompt": "Come up with tasks:", "prefix": "1. Instruction:", "system": "Be brief.", "stop": ("\n2.",)},
        {"prompt": "Sort these words — naïve, 東京, ox.", "input": "by length", "max_tokens": 64},
    )
    return [Request(k, **forms[k % len(forms)]) for k in range(n)]  # type: ignore[arg-type]


def pairs() -> list[Pair]:
    """Pairs of answers for judges: different ones, equal ones, empty ones."""
    return [
        Pair("Name a fruit that is yellow when ripe.", "", "A ripe banana is yellow.", "Bread."),
        Pair("Sort these words by length.", "stone, ox, river", "ox", "ox, stone, river, as far as I can see."),
        Pair("Say yes.", "", "Yes, I say it.", "Yes, I say it."),
        Pair("Say nothing.", "", "", "Nothing comes to mind."),
    ]


def wild_texts(n: int = 120) -> list[str]:
    """Texts to survive: ``WILD``, and as many joined, cut and shuffled pieces of them as make ``n``."""
    rng = Random(0)
    pieces = [*WILD, *(f"{i}. {part}: " for i in range(1, 4) for part in ("Instruction", "Input", "Output")), "\n###\n"]
    mixed = ["".join(rng.choices(pieces, k=rng.randint(2, 9)))[: rng.randint(1, 400)] for _ in range(n - len(WILD))]
    return [*WILD, *mixed]


def wild_candidates() -> list[Candidate]:
    """Candidates to survive: wild texts in every field."""
    texts = wild_texts(60)
    return [
        Candidate(text, texts[-i - 1], texts[(7 * i) % len(texts)], number=1, id=f"000001.{i:02}")
        for i, text in enumerate(texts)
    ]
