"""Reads one instruction: what it tells to do (root verb) and to what (direct object), by rules for English.

English instructions begin with their verb: "Write a poem". So no parser is needed, only what may stand before the verb
(politeness, a lead-in up to its comma, a sentence that sets the stage) and where the noun phrase after it ends.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from alpaca_core.lexicon import (
    ADJECTIVES,
    ANSWERING,
    AUXILIARY,
    DETERMINERS,
    ENDING_IN_S,
    ENDS,
    FILLERS,
    FOREIGN,
    IRREGULAR,
    MODIFIERS,
    NOUNS_IN_ING,
    PARTICLES,
    PLURALS_IN_ICS,
    PREPOSITIONS,
    PRONOUNS,
    QUESTION,
    RECIPIENTS,
    SHARED,
    STAGING,
    VERBS,
)


class Reading(NamedTuple):
    """What an instruction is: an imperative (``verb``, and ``object`` where it has one), a question (``verb`` is its
    question word, or "yes/no"), English that holds neither, or another language."""

    kind: Literal["verb", "question", "unparsed", "other"]
    verb: str = ""
    object: str = ""


LONGEST = 1000  # letters that are read: an instruction says early what it wants
_CLAUSES = 8  # clauses that are looked at

# What is quoted or code is no instruction: it becomes one opaque token.
OPAQUE = "§"
_QUOTED = re.compile(
    r"```.*?(?:```|$)|`[^`\n]*`|\"[^\"]*(?:\"|$)|“[^”]*(?:”|$)|«[^»]*»|(?<![\w'])'[^'\n]+(?:'\w[^'\n]*)*'(?!\w)",
    re.DOTALL,
)
_ASIDE = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|<[^<>]*>|https?://\S+")
_TOKEN = re.compile(
    r"(?:[A-Za-z]\.){2,}|[^\W\d_]+(?:['-][^\W_]+)*(?:'(?=\s))?|\$?\d[\w.,%:/-]*\w|\d|[.!?]+(?=\s|$)|[,;:/&\n§]|---?"
)
_STOPS = frozenset(".!?;:\n")

_ASKING_FOR = re.compile(
    r"(?:(?:can|could|would|will) you (?:please |kindly |help me |try to )*"
    r"|(?:i|we) (?:would |'d )?(?:want|need|like|ask) you (?:now )?to |i'd like you to |i want to |i need to "
    r"|you (?:are|will be) (?:asked|required|tasked|supposed|expected|going|told) (?:to|with) "
    r"|you (?:need|have|want) to |you (?:should|must|will|can|could|may) "
    r"|(?:your|the|our|this) (?:task|job|goal|objective|assignment|mission|aim|challenge) (?:here )?(?:is|will be) to "
    r"|help me (?:to )?|help (?:us |to )?(?=[a-z]+ )|let's |let us |try to |feel free to |be sure to |make sure to "
    r"|do your best to |go ahead and |take (?:a|some) (?:moment|time|minute|look) (?:to|and) |use your \w+ to )"
)
_COORDINATION = frozenset(("and", "or", "&", "/", ",", "then"))
_DITRANSITIVE = frozenset("give tell teach show send ask offer assign help".split())
_NOT_A_VERB = (
    PREPOSITIONS | ENDS | DETERMINERS | PRONOUNS | QUESTION | AUXILIARY | FILLERS | ADJECTIVES
) - VERBS | frozenset("half twice let's sure hello hi".split())
_NO_OBJECT = frozenset("it them him her me us you myself yourself himself herself itself".split())
_ENGLISH = (VERBS | PREPOSITIONS | DETERMINERS | PRONOUNS | ENDS | QUESTION | AUXILIARY | FILLERS) - SHARED


def read(text: str) -> Reading:
    """The reading of one instruction. Never fails; looks at the first LONGEST letters only."""
    text = text[:LONGEST].replace("’", "'").replace("‘", "'")
    text = _ASIDE.sub(" ", _QUOTED.sub(f" {OPAQUE} ", text)).strip()
    tokens = _TOKEN.findall(text)
    lower = [token.lower() for token in tokens]
    if _foreign(tokens, lower):
        return Reading("other")
    question = staged = ""
    start = seen = 0
    while start < len(tokens) and seen < _CLAUSES:
        end = next((place for place in range(start, len(tokens)) if tokens[place][0] in _STOPS), len(tokens))
        stop = tokens[end] if end < len(tokens) else ""
        if end > start:
            seen += 1
            place = _imperative(tokens, lower, start, end)
            if place >= 0:
                verb = _base(lower[place])
                if verb in STAGING:
                    staged = staged or verb
                    place = _next_verb(lower, place + 1, end)
                    verb = _base(lower[place]) if place >= 0 else ""
                if verb and not (question and verb in ANSWERING):
                    return Reading("verb", verb, _object(tokens, lower, place, end))
            elif not question:
                question = _question(lower, start, end, stop)
        if question and stop in ("\n", ":"):  # what follows is what the question is about
            break
        start = end + 1
    if question:
        return Reading("question", question)
    return Reading("verb", staged) if staged else Reading("unparsed")


def _foreign(tokens: Sequence[str], lower: Sequence[str]) -> bool:
    """Whether the words are of another language: more of its small words and letters than English words."""
    foreign = english = words = 0
    for token, word in zip(tokens[:60], lower, strict=False):
        if not word[0].isalpha():
            continue
        words += 1
        if word in _ENGLISH:
            english += 1
        elif (word in FOREIGN or not word.isascii()) and (token == word or words == 1):
            foreign += 1
    return foreign > english or (not english and words > 3 and _base(lower[0]) not in VERBS)


def _imperative(tokens: Sequence[str], lower: Sequence[str], start: int, end: int) -> int:
    """Where the verb of the clause stands; -1 if it tells nobody to do anything."""
    place = _verb_at(tokens, lower, start, end)
    if place >= 0 or lower[start] in QUESTION - {"when", "where"} or lower[start] in AUXILIARY:
        return place
    # A lead-in: "Given a text, …", "You are a poet, …", "In this task, you need to …".
    for comma in range(start + 1, end - 1):
        if lower[comma] == ",":
            if lower[comma + 1] in QUESTION:
                return -1
            place = _verb_at(tokens, lower, comma + 1, end)
            if place >= 0:
                return place
    if lower[start] in PREPOSITIONS or lower[start] in ("if", "when", "to"):
        for place in range(start + 2, end - 1):  # the comma is missing: "Using these words create a sentence"
            if lower[place] in VERBS and (lower[place + 1] in DETERMINERS or lower[place + 1] in RECIPIENTS):
                before = lower[place - 1]
                if before[0].isalnum() and before not in _NOT_A_VERB and before not in ADJECTIVES:
                    return place
    return -1


def _verb_at(tokens: Sequence[str], lower: Sequence[str], start: int, end: int) -> int:
    """Where the verb stands if an imperative begins at ``start``, else -1."""
    place = start
    while place < end:
        word = lower[place]
        if word in FILLERS or word == "," or word[0].isdigit() or (word.endswith("ly") and _base(word) not in VERBS):
            place += 1
            continue
        if word in _BEGINNINGS:
            found = _ASKING_FOR.match(" ".join(lower[place : min(end, place + 10)]) + " ")
            if found:
                place += found.group().count(" ")
                continue
        break
    if place >= end:
        return -1
    word = lower[place]
    after = lower[place + 1] if place + 1 < end else ""
    if _base(word) in VERBS:
        if after in AUXILIARY and after not in ("do", "can") or after == "of" and "of" not in PARTICLES.get(word, ()):
            return -1
        if word in AUXILIARY and after not in DETERMINERS | {"not", "some"}:  # "Do plants sleep?"
            return -1
        return place
    if after in DETERMINERS and word.isalpha() and len(word) > 2 and not tokens[place][1:2].isupper():
        if word not in _NOT_A_VERB and not word.endswith(("ing", "tion", "ment", "ness", "ity", "s", "ed")):
            return place
    return -1


_BEGINNINGS = frozenset(
    "can could would will i we i'd you your the our this help let's let try feel be make do go take use".split()
)


def _next_verb(lower: Sequence[str], start: int, end: int) -> int:
    """Where, behind a verb that sets the stage, the one stands that is meant: "imagine a town and describe it"."""
    for place in range(start, end - 1):
        if lower[place] in ("and", ",", "then") and _base(lower[place + 1]) in VERBS:
            return place + 1
    return -1


def _question(lower: Sequence[str], start: int, end: int, stop: str) -> str:
    """The question word of a clause, "yes/no" for one without, or nothing if it is no question."""
    while start < end - 1 and (lower[start] in FILLERS or lower[start] == ","):
        start += 1
    asks = stop.endswith("?")
    for place in range(start, end if asks else min(end, start + 2)):
        word = lower[place].partition("'")[0]
        if word in QUESTION and (place == start or asks or lower[start] in PREPOSITIONS):
            return word
    if lower[start] in AUXILIARY or asks:
        return "yes/no"
    for place in range(start + 1, end - 1):  # "In one sentence, what is …"
        if lower[place] == "," and lower[place + 1].partition("'")[0] in QUESTION:
            return lower[place + 1].partition("'")[0]
    return ""


def _object(tokens: Sequence[str], lower: Sequence[str], verb: int, end: int) -> str:
    """The head noun of the first noun phrase behind the verb, in the singular; empty where there is none."""
    place = _behind(lower, verb, end)
    titled = sum(token[0].isupper() for token in tokens[verb + 1 : end]) > 0.7 * (end - verb - 1)
    head = name = ""
    determined = indefinite = False
    while place < end:
        token, word = tokens[place], lower[place]
        after = lower[place + 1] if place + 1 < end else ""
        place += 1
        if word == OPAQUE or word[0].isdigit():
            if head:
                break
            indefinite = indefinite or word != OPAQUE
            determined = True
        elif word.endswith(("'s", "s'")):
            head = name = ""
            determined, indefinite = True, False
        elif word in _COORDINATION:
            if not (head and _adjective(lower[place - 2]) and after and after not in DETERMINERS | PREPOSITIONS):
                if head or name or not determined and word != ",":
                    break
        elif not word[0].isalpha():
            break
        elif word in DETERMINERS or word in ("one", "none", "most"):
            if head and lower[verb] not in _DITRANSITIVE:
                break
            if after == "of":
                place += 1
            head = name = ""
            determined = True
            indefinite = indefinite or word not in ("the", "this", "that", "these", "those", "its")
        elif word in PREPOSITIONS or word in ENDS or word in PRONOUNS:
            if head or name or word not in MODIFIERS and not (determined and word in PRONOUNS and after != "of"):
                break
            if not determined and word not in ("given", "following", "more", "past", "related"):
                break
        elif head and word.endswith("ing") and word not in NOUNS_IN_ING and _starts_phrase(after):
            break
        elif head and word.endswith("ed") and not word.endswith("eed") and (_ends_phrase(after) or not after):
            break
        elif word in ADJECTIVES or word.endswith("ly") and word not in ("family", "assembly", "anomaly", "reply"):
            if not head and after in ("the", "that") and word in ("sure", "certain"):
                return ""
        elif token[0].isupper() and not titled:
            name = "" if head else word
        elif len(word) > 1:
            head = word
    if not head and name and indefinite:
        head = name
    return singular(head) if head.isascii() else ""


def _behind(lower: Sequence[str], verb: int, end: int) -> int:
    """Where the object may begin: behind the verb, its particle, coordinated verbs, recipients and adverbs."""
    place = verb + 1
    while place < end:
        word = lower[place]
        for particle in sorted(PARTICLES.get(_base(lower[place - 1]), ()), key=len, reverse=True):
            parts = particle.split()
            if list(lower[place : place + len(parts)]) == parts:
                place += len(parts)
                break
        else:
            if word in _COORDINATION and place + 1 < end and _base(lower[place + 1]) in VERBS:
                place += 2
            elif word in RECIPIENTS and place + 1 < end and lower[place + 1][0] not in ",":
                place += 1
            elif word.endswith("ly") and word not in ("family",):
                place += 1
            elif word in ("to", "for") and place + 1 < end and lower[place + 1] in ("me", "us"):
                place += 2
            elif word == "in" and (behind := _manner(lower, place, end)):
                place = behind
            else:
                return place
    return place


_MANNER = frozenset("detail details brief words sentence sentences terms depth english paragraph short order".split())


def _manner(lower: Sequence[str], place: int, end: int) -> int:
    """Behind "in detail", "in your own words"; 0 where no object can follow."""
    for last in range(place + 1, min(end - 1, place + 5)):
        if lower[last] in _MANNER:
            return last + 1
    return 0


def _starts_phrase(word: str) -> bool:
    return word == OPAQUE or word[:1].isdigit() or word in DETERMINERS | PREPOSITIONS | PRONOUNS | QUESTION | {"to"}


def _ends_phrase(word: str) -> bool:
    return not word[:1].isalpha() or word in DETERMINERS | PREPOSITIONS | ENDS | PRONOUNS or word.endswith("ly")


_ADJECTIVAL = ("ful", "ous", "ive", "able", "ible", "al", "ic", "ish", "less", "ant", "ent", "ing", "ed")
_NOMINAL = frozenset(
    """
    narrative adjective archive objective alternative directive perspective initiative incentive detective native table
    variable vegetable proposal journal animal meal goal signal material manual tutorial email festival hospital capital
    total ritual trial editorial topic music graphic comic logic metric statistic traffic characteristic critic lyric
    student president document argument element event sentiment content comment component parent agent accident client
    statement restaurant plant participant consonant want assistant giant speed seed need
""".split()
)


def _adjective(word: str) -> bool:
    return (
        word in ADJECTIVES or word.endswith(_ADJECTIVAL) and word not in _NOMINAL | NOUNS_IN_ING and word[-4:] != "ment"
    )


def _base(word: str) -> str:
    """The verb in one spelling: without a hyphen, with -ize."""
    if word in VERBS:
        return word
    plain = word.replace("-", "")
    if plain.endswith(("ise", "yse")) and f"{plain[:-2]}ze" in VERBS:
        plain = f"{plain[:-2]}ze"
    return plain if plain in VERBS else word


def singular(noun: str) -> str:
    """``noun``, in lower case, in the singular."""
    if noun in IRREGULAR:
        return IRREGULAR[noun]
    if not noun.endswith("s") or noun in ENDING_IN_S or noun.endswith(("ss", "us", "is")) or len(noun) < 4:
        return noun
    if noun.endswith("ics") and noun not in PLURALS_IN_ICS:
        return noun
    if noun.endswith("ies") and noun not in ("series", "species"):
        return f"{noun[:-3]}y"
    if noun.endswith(("sses", "shes", "ches", "xes", "zzes", "oes")):
        return noun[:-2]
    return noun[:-1]
