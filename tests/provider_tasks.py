"""Invented tasks for the provider in the tests: three free choices make an instruction, so few resemble each other."""

from __future__ import annotations

from random import Random

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


def task(rng: Random) -> tuple[str, str, str]:
    """An instruction, an input (empty in about half) and an output, all of them from ``rng``."""
    ask, topic, manner = rng.choice(ASKS), rng.choice(TOPICS), rng.choice(MANNERS)
    one, two = rng.sample(NAMES, 2)
    given = (
        f"{one} wrote {rng.randint(2, 90)} pages, and {two} read {rng.randint(2, 90)}." if rng.random() < 0.5 else ""
    )
    output = f"{one} thinks first of {topic}. Later, {two} adds something {manner}, and both agree on it."
    return f"{ask} about {topic}, {manner}.", given, output
