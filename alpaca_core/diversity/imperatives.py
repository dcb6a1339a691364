"""Reads one instruction: what it tells to do (root verb) and to what (direct object), by rules for English.

English instructions begin with their verb: "Write a poem". So no parser is needed, only what may stand before the verb
(politeness, a lead-in up to its comma, a sentence that sets the stage) and where the noun phrase after it ends.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from alpaca_core.diversity.lexicon import (
    ADJECTIVES,
    ANSWERING,
    AUXILIARY,
    DETERMINERS,
    ENDS,
    FILLERS,
    FOREIGN,
    PARTICLES,
    PREPOSITIONS,
    PRONOUNS,
    QUESTION,
    RECIPIENTS,
    SHARED,
    STAGING,
    VERBS,
)
from alpaca_core.diversity.nouns import COORDINATION, OPAQUE, head, is_number


class Reading(NamedTuple):
    """What an instruction is: an imperative (``verb``, and ``object`` where it has one), a question (``verb`` is its
    question word, "yes/no" or "other"), English that holds neither, or another language."""

    kind: Literal["verb", "question", "unparsed", "other"]
    verb: str = ""
    object: str = ""


LONGEST = 1000  # letters that are read: an instruction says early what it wants
_WORDS = 200  # as many of its words
_CLAUSES = 8  # and of its clauses

# What is quoted or code is no instruction: it becomes one opaque word.
_QUOTED = re.compile(
    r"```.*?(?:```|$)|`[^`\n]*`|\"[^\"]*(?:\"|$)|“[^”]*(?:”|$)|«[^»]*»|(?<![\w'])'[^'\n]+(?:'\w[^'\n]*)*'(?!\w)",
    re.DOTALL,
)
_ASIDE = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|<[^<>]*>|https?://\S+")
_WORD = re.compile(
    r"(?:[A-Za-z]\.){2,}|\b(?:Mrs?|Ms|Dr|St|Inc|Ltd|Co|vs|etc)\.(?= [^A-Z])"  # U.S., Inc. that
    r"|[^\W\d_]+(?:['-][^\W_]+)*(?:'(?=\s))?"
    r"|\$?\d[\w.,%:/-]*\w|\d"
    r"|[.!?]+(?=\s|$)|[,;:/&\n§]|(?<=\s)[-–—]+(?=\s)"
)
_STOPS = frozenset(".!?;:\n-–—")

# What stands before the verb and makes it no less an imperative.
_ASKING_FOR = re.compile(
    r"(?:(?:can|could|would|will) you (?:please |kindly |help me (?:to )?|try to )*"
    r"|(?:i|we) (?:would )?(?:want|need|like|ask) you (?:now )?to |i'd like you to "
    r"|you (?:are|will be) (?:asked|required|tasked|supposed|expected|going|told) to "
    r"|you (?:need|have|want) to |need to |you (?:should|must|will|can|could|may) "
    r"|(?:your|the|our|this) (?:task|job|goal|objective|assignment|mission|aim|challenge) (?:here )?(?:is|will be) to "
    r"|help (?:me|us) (?:to )?|help to |let's |let us |try to |feel free to |be sure to |make sure to |do your best to "
    r"|go ahead and |take (?:a|some) (?:moment|time|minute|look) (?:to|and) )"
)
_ASKING = frozenset(
    "can could would will i we i'd you your the our this need help let let's try feel be make do go take".split()
)
_TWO_OBJECTS = frozenset("give tell teach show send ask offer assign write".split())
_NOT_A_VERB = (PREPOSITIONS | ENDS | DETERMINERS | PRONOUNS | QUESTION | AUXILIARY | FILLERS | ADJECTIVES) - VERBS
_NOT_A_VERB |= frozenset("half twice sure hello hi".split())
# Before a colon these name what follows: "List: apple, egg".
_LABELS = frozenset(
    "list question answer input output review query plot note comment result test challenge order code plan title "
    "headline head total index name".split()
)
# Behind a word, these make it a subject: "Research has shown".
_FINITE = frozenset("is are was were will would has have had should may".split())
_NOUN_ENDINGS = ("ing", "tion", "ment", "ness", "ity", "s", "ed")
_MANNER = frozenset("detail details brief words sentence sentences terms depth english paragraph short order".split())
_AMOUNTS = (
    ("at", "least"),
    ("at", "most"),
    ("up", "to"),
    ("no", "more", "than"),
    ("more", "than"),
    ("about",),
    ("around",),
)
_ENGLISH = (VERBS | PREPOSITIONS | DETERMINERS | PRONOUNS | ENDS | QUESTION | AUXILIARY | FILLERS) - SHARED


def read(text: str) -> Reading:
    """The reading of one instruction. Never fails; looks at the first LONGEST letters only."""
    tokens = words(text)
    lower = [token.lower() for token in tokens]
    if foreign(tokens, lower):
        return Reading("other")
    question = ""
    staged = Reading("unparsed")
    start = 0
    for _ in range(_CLAUSES):
        end = next((place for place in range(start, len(tokens)) if tokens[place][0] in _STOPS), len(tokens))
        stop = tokens[end] if end < len(tokens) else ""
        if end > start:
            place = _imperative(tokens, lower, start, end)
            if place >= 0 and lower[place] in STAGING:
                staged = _reading(tokens, lower, place, end)
                question = question or _question(tokens, lower, place + 1, end, "")
                place = _next_verb(lower, place + 1, end)
            elif place < 0 and not question:
                question = _question(tokens, lower, start, end, stop)
            if place >= 0 and not (question and lower[place] in ANSWERING):
                return _reading(tokens, lower, place, end)
        if end == len(tokens) or question and stop in "\n:":  # what follows is what the question is about
            break
        start = end + 1
    return Reading("question", question) if question else staged


def _reading(tokens: Sequence[str], lower: Sequence[str], place: int, end: int) -> Reading:
    verb = base(lower[place])
    return Reading("verb", verb, head(tokens, _behind(lower, place, end), end, two_objects=verb in _TWO_OBJECTS))


def words(text: str) -> list[str]:
    """Words, numbers and the signs that part clauses; each quotation and piece of code is one OPAQUE word."""
    text = text[:LONGEST].replace("’", "'").replace("‘", "'").replace(OPAQUE, " ")
    return _WORD.findall(_ASIDE.sub(" ", _QUOTED.sub(_hidden, text)).strip())[:_WORDS]


def _hidden(quoted: re.Match[str]) -> str:
    """The stop of a sentence that ends inside its quotation marks stays."""
    ends = quoted.group()[-2:-1] in tuple(".!?") and quoted.string[quoted.end() :].lstrip()[:1].isupper()
    return f" {OPAQUE} . " if ends else f" {OPAQUE} "


def foreign(tokens: Sequence[str], lower: Sequence[str]) -> bool:
    """Whether the words are of another language: more of its small words and letters than English words, or not one
    English word among four."""
    strange = english = seen = 0
    for token, word in zip(tokens[:60], lower, strict=False):
        if word[0].isalpha():
            seen += 1
            if token == word or seen == 1:  # no names
                english += word in _ENGLISH
                strange += word not in _ENGLISH and (word in FOREIGN or not word.isascii())
    unknown = not english and seen > 3 and SHARED.isdisjoint(lower) and base(lower[0]) not in VERBS
    return strange > english or unknown


def base(word: str) -> str:
    """The verb in one spelling: without a hyphen where there is one without, and with -ize."""
    if word in VERBS:
        return word
    plain = word.replace("-", "")
    if plain.endswith(("ise", "yse")) and f"{plain[:-2]}ze" in VERBS:
        plain = f"{plain[:-2]}ze"
    return plain if plain in VERBS else word


def _imperative(tokens: Sequence[str], lower: Sequence[str], start: int, end: int) -> int:
    """Where the verb of the clause stands; -1 if it tells nobody to do anything."""
    place = _verb_at(tokens, lower, start, end)
    asks = lower[start] in AUXILIARY or lower[start] in QUESTION - {"when", "where"}
    if place >= 0 or asks or lower[start + 1 : start + 2] and lower[start + 1] in QUESTION:
        return place
    # A lead-in: "Given a text, …", "You are a poet, …", "You see a text and you need to …".
    for at in range(start + 1, end - 1):
        follows = lower[at + 1]
        if lower[at] == ",":
            if follows in QUESTION:
                return -1
            place = _verb_at(tokens, lower, at + 1, end)
            if place >= 0 and lower[place + 1 : min(place + 2, end)] in ([], [","]):  # a list of words
                place = -1
        elif lower[at] == "and" and follows in ("you", "need", "your"):
            place = _verb_at(tokens, lower, at + 1, end)
        if place >= 0:
            return place
    if lower[start] in PREPOSITIONS or lower[start] in ("if", "when", "to"):
        for place in range(start + 2, end - 1):  # the comma is missing: "Using these words create a sentence"
            before, after = lower[place - 1], lower[place + 1]
            if lower[place] in VERBS and (after in DETERMINERS or after in RECIPIENTS or after in QUESTION):
                if before[0].isalnum() and before not in _NOT_A_VERB:
                    return place
    return -1


def _verb_at(tokens: Sequence[str], lower: Sequence[str], start: int, end: int) -> int:
    """Where the verb stands if an imperative begins at ``start``, else -1."""
    place = start
    while place < end:
        word = lower[place]
        helps = word == "help" and base(lower[place + 1] if place + 1 < end else "") in VERBS
        if word in FILLERS or word in (",", OPAQUE) or word[0].isdigit() or _adverb(word) or helps:
            place += 1
        elif word in _ASKING and (found := _ASKING_FOR.match(" ".join(lower[place : min(end, place + 10)]) + " ")):
            place += found.group().count(" ")
        else:
            break
    if place >= end:
        return -1
    word = lower[place]
    after = lower[place + 1] if place + 1 < end else ""
    if word in _LABELS and not after and tokens[end : end + 1] and tokens[end] in ":-\n":
        return -1
    if base(word) in VERBS or base(word.rpartition("-")[2]) in VERBS:  # also "copy-edit"
        if after in _FINITE:
            return -1
        if after == "of" and word not in ("think", "conceive", "dispose", "beware"):  # "List of …"
            return -1
        asks = tokens[end : end + 1] and tokens[end][0] == "?"
        if word in AUXILIARY and (asks or after in PRONOUNS - DETERMINERS):  # "Do plants sleep?"
            return -1
        return place
    if after in DETERMINERS and word.isalpha() and len(word) > 2 and not tokens[place][1:2].isupper():
        if not word.endswith(_NOUN_ENDINGS) and (  # a verb that the lexicon lacks
            word not in _NOT_A_VERB or word in ADJECTIVES and after in ("the", "this", "these", "my", "our")
        ):
            return place
    return -1


def _adverb(word: str) -> bool:
    return word.endswith("ly") and base(word) not in VERBS


def _next_verb(lower: Sequence[str], start: int, end: int) -> int:
    """Where, behind a verb that sets the stage, the one stands that is meant: "imagine a town and describe it"."""
    for place in range(start, end - 1):
        if lower[place] in ("and", ",", "then") and base(lower[place + 1]) in VERBS - STAGING:
            return place + 1
    return -1


def _question(tokens: Sequence[str], lower: Sequence[str], start: int, end: int, stop: str) -> str:
    """The question word of a clause, "yes/no" or "other" for one without, or nothing if it is no question."""
    while start < end - 1 and (lower[start] in FILLERS or lower[start] == ","):
        start += 1
    if start >= end:
        return ""
    asks = stop.startswith("?")
    for place in range(start, end):
        word = lower[place].partition("'")[0]
        leads = place == start or place == start + 1 and lower[start] in PREPOSITIONS or lower[place - 1] == ","
        if lower[place : place + 2] in (["what", "a"], ["what", "an"]) and not asks:  # "What a day!"
            return ""
        if word in QUESTION and (asks or leads):
            return word
    if lower[start] in AUXILIARY and (asks or tokens[start][0].isupper()):
        return "yes/no"
    return "other" if asks else ""


def _behind(lower: Sequence[str], verb: int, end: int) -> int:
    """Where the object may begin: behind the verb, its particle, coordinated verbs, recipients and adverbs."""
    place = verb + 1
    while place < end:
        word = lower[place]
        rest = lower[place + 1 : end]
        if skipped := _particle(base(lower[place - 1]), lower[place:end]) or _amount(lower[place:end]):
            place += skipped
        elif word in COORDINATION and rest and _verb_follows(rest):
            place += 3 if _adverb(rest[0]) else 2
        elif word in RECIPIENTS and rest or word.endswith("ly") and word != "family":
            place += 1
        elif word in ("to", "for") and rest and rest[0] in ("me", "us"):
            place += 2
        elif word in ("in", ",") and (behind := _manner(lower, place, end)):
            place = behind
        else:
            break
    return place


def _particle(verb: str, behind: Sequence[str]) -> int:
    """How many of the words behind ``verb`` belong to it."""
    for particle in PARTICLES.get(verb, ()):
        parts = particle.split()
        if list(behind[: len(parts)]) == parts:
            return len(parts)
    return 0


def _amount(behind: Sequence[str]) -> int:
    """How many words say roughly how many: "at least" before a number."""
    for amount in _AMOUNTS:
        number = behind[len(amount) : len(amount) + 1]
        if tuple(behind[: len(amount)]) == amount and number and is_number(number[0]):
            return len(amount)
    return 0


def _verb_follows(rest: Sequence[str]) -> bool:
    """Whether the word behind "and" is a verb: one of the lexicon, or one that a determiner follows."""
    if _adverb(rest[0]) and len(rest) > 1:
        return base(rest[1]) in VERBS
    if base(rest[0]) in VERBS:
        return True
    return rest[0].isalpha() and rest[0] not in _NOT_A_VERB and rest[1:2] != [] and rest[1] in DETERMINERS


def _manner(lower: Sequence[str], place: int, end: int) -> int:
    """Behind "in detail", "in your own words" and "in brief," with their commas; 0 where it is something else."""
    start = place + (lower[place] == ",")
    if lower[start : start + 1] != ["in"]:
        return 0
    for last in range(start + 1, min(end - 1, start + 5)):
        if lower[last] in _MANNER:
            return last + 1 + (lower[last + 1] == ",")
    return 0
