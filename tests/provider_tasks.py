"""What the provider in the tests says: invented tasks, as many and in the form and language that the prompt asks for.

Three free choices make an instruction, so few resemble each other. All that it knows it reads in the prompt.
"""

from __future__ import annotations

import json
import re
from random import Random

from provider_words import ARABIC, CHINESE

ASKS = (
    """
Write a short letter|Make a checklist|Compose two rhyming verses|Give a balanced opinion|Prepare interview questions
Invent a riddle|Summarize the main worries|Explain the basic rules|List four common mistakes|Draft a polite complaint
Tell an anecdote|Suggest seven names|Outline a training day|Compare old and new habits|Plan a weekly budget
Describe a typical morning|Propose three experiments|Argue in favour|Argue against spending money|Write a product label
Create a quiz|Rank the usual risks|Imagine a dialogue between strangers|Translate the jargon|Correct a popular myth
Write a job advertisement|Formulate an apology|Offer gentle advice|Collect useful verbs|Predict next year's trend
Define five technical terms|Give directions to a newcomer|Write a headline|Sketch a lesson|Brainstorm gifts
Write a limerick|State the safety measures|Find a fitting metaphor|Estimate the yearly cost|Write a farewell speech
""".replace("\n", "|")
    .strip("|")
    .split("|")
)

TOPICS = (
    """
the night shift at a bakery|growing tomatoes on balconies|an orchestra of retired miners|sleep among long-haul pilots
learning to knit at sixty|a village without street lamps|beekeeping behind a school|lost umbrellas on trains
repairing antique clocks|the first snow in a desert town|a chess club for toddlers|winter swimming in cold rivers
moving house with three cats|volunteering at an animal shelter|the smell of old libraries|commuting by ferry
a broken elevator in an office tower|cooking lentils for forty guests|teaching grandparents to type|lighthouse keepers
a marathon through vineyards|sharing tools among neighbours|night markets near the harbour|hiccups during weddings
planting oaks along highways|waiting rooms at dentists|a museum of failed inventions|tidal power for islands
mushroom hunting after rain|juggling lessons for lawyers|silence at breakfast|honey from city rooftops
training guide dogs|collecting rainwater for laundry|a parade of tractors|translating lullabies|origami for surgeons
counting butterflies in meadows|goats that escape on Sundays|handwritten recipes|camping beside glaciers
a debate team for shy people|renting costumes for carnival|rescuing stranded kayaks|polite robots in hospitals
bicycle couriers in fog|weather proverbs of fishermen|a hotel for houseplants|fixing leaky roofs|stargazing from barges
""".replace("\n", "|")
    .strip("|")
    .split("|")
)

MANNERS = (
    """
without using any adjectives|in exactly four sentences|for readers aged nine|as if it were the year 1890
with one surprising fact|in a cheerful tone|for somebody in a great hurry|using only short words|with a sad ending
so that a sceptic would nod|mentioning the weather twice|from the viewpoint of a sparrow|as bullet points
for a company newsletter|with a pun at the close|in the style of a sports reporter|avoiding the letter z
and say what remains unknown|addressed to the mayor|with numbers where possible|for a shy colleague
as a conversation over tea|and end on a question|fit for reading aloud|with a clear recommendation
that a pirate would enjoy|in formal English|for beginners who dislike theory|before the deadline tonight
as seen by three generations|and keep it under eighty words|with a warning for parents|in the second person
and thank everyone involved|for an audience of engineers|as though nobody had ever tried it|in plain modern prose
with examples from kitchens|so it fits on a postcard|beginning with the word yesterday
""".replace("\n", "|")
    .strip("|")
    .split("|")
)

NAMES = "Ada|Bruno|Chidi|Dalia|Emil|Fatou|Gita|Hugo|Ines|Jonas|Keiko|Lars|Mona|Nils|Oona|Pavel|Rosa|Samir".split("|")

LAST_NUMBER = re.compile(r"(\d+)\.\s*Instruction:\s*$")
OPEN_OBJECT = re.compile(r'\{"tasks": \[$')
LANGUAGE = re.compile(r"instruction, input and output in (?:the language with the code )?([^,]+),")
TOPIC = re.compile(r"^Tasks? (\d+)(?: to (\d+))?: (.+)$", re.MULTILINE)
BASIS = re.compile(r"^Basis \d+: (.+)$", re.MULTILINE)
GRADED = "Grade it from 0 to 5"  # what a judge is told
COMPARED = re.compile(r"<answer A (\w+)>\n(.*)\n</answer A \1>\n<answer B \1>\n(.*)\n</answer B \1>", re.DOTALL)
PLEASING = "kindly"  # of two answers the one with this word is the better
# Each spoils every third task of an answer, or its whole form.
DAMAGES = ("no input", "no output", "counts from 1", "no separators", "quotes a header", "bold", "no text")


def answer(prompt: str, rng: Random, items: int, chat: bool, damage: str) -> str:
    """What a model says to ``prompt``: tasks up to number ``items``, from the number that it ends on or else from 1;
    but as many as there are topics or bases, where the prompt gives some.

    A chat model writes the beginning of the form itself, a completion goes on behind it. ``damage`` is one of DAMAGES
    or "".
    """
    if GRADED in prompt:
        return grade(prompt, rng, damage)
    if pair := COMPARED.search(prompt):
        return prefer(pair[2], pair[3], rng, damage)
    end = prompt[-100:]
    asked, opened = LAST_NUMBER.search(end), OPEN_OBJECT.search(end)
    first = int(asked[1]) if asked else 1
    subjects = topics_in(prompt) or ["" for _ in BASIS.findall(prompt)] or ["" for _ in range(first, items + 1)]
    language = language_of(prompt)
    tasks = [task_in(language, rng, subject) for subject in subjects]
    if '{"tasks": [{' in prompt:
        text = as_json(tasks, damage)
        return text.split("[", 1)[1] if opened and not chat else text
    text = listing(tasks, first, damage)
    return text.split("Instruction:", 1)[1] if asked and not chat else text


def grade(prompt: str, rng: Random, damage: str) -> str:
    """What a judge says of the row in ``prompt``: a score of its own in one of several forms, or none that is one."""
    if damage:
        return rng.choice(["I would rather not say.", "There are 3 things to say about this.", "9"])
    score = rng.choice(["1", "2", "3", "3.5", "4", "4.5", "5"])
    form = rng.choice(["{}", "Score: {}", "{}/5", "**{}**", "Grade: {} out of 5"])
    return f"{form.format(score)}\nIt says what {rng.choice(NAMES)} would say."


def prefer(a: str, b: str, rng: Random, damage: str) -> str:
    """What a judge says of two answers: which one is better, in one of several forms, or nothing that is a verdict."""
    if damage:
        return rng.choice(["I would rather not say.", "A or B, who knows?", "Both have their merits."])
    verdict = {(True, False): "A", (False, True): "B"}.get((PLEASING in a, PLEASING in b), "tie")
    form = rng.choice(["{}", "Verdict: {}", "**{}**", "({})", "{}."])
    return f"{form.format(verdict)}\nSo {rng.choice(NAMES)} would say."


def topics_in(prompt: str) -> list[str]:
    """The topic of each task."""
    return [topic for first, last, topic in TOPIC.findall(prompt) for _ in range(int(first), int(last or first) + 1)]


def language_of(prompt: str) -> str:
    """The language that is asked for: ``ar``, ``zh``, or English: ``en``."""
    found = LANGUAGE.search(prompt)
    name = re.split("[-_]", found[1].lower())[0] if found else ""
    return {"arabic": "ar", "ar": "ar", "chinese": "zh", "zh": "zh"}.get(name, "en")


def task_in(language: str, rng: Random, subject: str) -> tuple[str, str, str]:
    """A task about ``subject`` (or about anything, if that is empty) in ``language``."""
    if language == "en":
        return task(rng, subject)
    asks, topics, manners, pattern, given, output, numbers = ARABIC if language == "ar" else CHINESE
    ask, topic, manner = rng.choice(asks), subject or rng.choice(topics), rng.choice(manners)
    pages = [str(rng.randint(2, 90)).translate(numbers) for _ in range(2)]
    return (
        pattern.format(ask=ask, topic=topic, manner=manner),
        given.format(*pages) if rng.random() < 0.5 else "",
        output.format(topic=topic, manner=manner, pages=pages[0]),
    )


def task(rng: Random, subject: str = "") -> tuple[str, str, str]:
    """An instruction, an input (empty in about half) and an output, all of them from ``rng`` but for the subject."""
    ask, topic, manner = rng.choice(ASKS), subject or rng.choice(TOPICS), rng.choice(MANNERS)
    one, two = rng.sample(NAMES, 2)
    given = (
        f"{one} wrote {rng.randint(2, 90)} pages, and {two} read {rng.randint(2, 90)}." if rng.random() < 0.5 else ""
    )
    output = f"{one} thinks first of {topic}. Later, {two} adds something {manner}, and both agree on it."
    return f"{ask} about {topic}, {manner}.", given, output


def listing(tasks: list[tuple[str, str, str]], first: int, damage: str = "") -> str:
    """The tasks as a numbered list; ``damage`` spoils every third of them, or the whole form."""
    parts = []
    for place, (instruction, given, output) in enumerate(tasks):
        number = place + 1 if damage == "counts from 1" else place + first
        hurt = place % 3 == 1
        fields = {"Instruction": f" {instruction}", "Input": f"\n{given or '<noinput>'}", "Output": f"\n{output}"}
        if hurt and damage == "quotes a header":
            fields["Output"] += f"\n### Notes\n{number + 7}. Input: is only quoted here."
        if hurt and damage in ("no input", "no output"):
            del fields[damage.removeprefix("no ").capitalize()]
        if hurt and damage == "no text":
            fields["Output"] = ""
        mark = "**" if damage == "bold" else ""
        parts.append("".join(f"{mark}{number}. {field}:{mark}{text}\n" for field, text in fields.items()))
    return ("" if damage == "no separators" else "###\n").join(parts).rstrip("\n")


def as_json(tasks: list[tuple[str, str, str]], damage: str = "") -> str:
    """The tasks as a JSON object; ``damage`` spoils every third of them, or the whole form."""
    rows = []
    for place, (instruction, given, output) in enumerate(tasks):
        fields = {"instruction": instruction, "input": given, "output": output}
        hurt = place % 3 == 1
        if hurt and damage in ("no input", "no output"):
            del fields[damage.removeprefix("no ")]
        if hurt and damage == "no text":
            fields["output"] = ""
        if damage == "counts from 1":
            fields = {"number": place + 1, **fields}
        row = json.dumps(fields, ensure_ascii=False)
        rows.append(row.replace(': "', ': "so-called "', 1) if hurt and damage == "quotes a header" else row)
    text = '{"tasks": [' + (" " if damage == "no separators" else ", ").join(rows) + "]}"
    return f"```json\n{text}\n```" if damage == "bold" else text
