"""The noun that a phrase is about: where an English noun phrase ends, which word is its head, and its singular."""

from __future__ import annotations

from collections.abc import Sequence

from alpaca_core.lexicon import (
    ADJECTIVAL,
    ADJECTIVES,
    AUXILIARY,
    COMPOUND_ADJECTIVES,
    DETERMINERS,
    ENDING_IN_S,
    ENDS,
    IRREGULAR,
    MODIFIERS,
    NOMINAL,
    NOUNS_IN_ING,
    NUMBERS,
    PARTICIPLES,
    PLURALS_IN_ICS,
    PREPOSITIONS,
    PRONOUNS,
    QUESTION,
    VERBS,
)

# What is quoted or code: one word of which nothing is known.
OPAQUE = "§"
COORDINATION = frozenset(("and", "or", "&", "/", ",", "then"))

_CLOSED = PREPOSITIONS | ENDS | PRONOUNS
_DEFINITE = frozenset("the this that these those its".split())
_SECOND = frozenset("a an the some".split()) | NUMBERS
# Adjectives where a phrase follows them: "the elements present in the region".
_PREDICATES = frozenset("present native due such".split())
_ADVERBS = frozenset("home abroad forward forwards backward backwards outdoors indoors ahead twice overnight".split())
# Modifiers that may come without a determiner: "Rewrite following text", "Explain online banking".
_BARE = frozenset("given following more past related online missing underlying existing provided used".split())
# Modifiers that are nouns where nothing follows them: "the ending of the story".
_NOUNS_TOO = frozenset("ending beginning sound look opposite saying working feel inside outside past".split())
_NOT_ADVERBS = frozenset("family assembly anomaly reply supply ally bully jelly butterfly fly belly".split())


def head(tokens: Sequence[str], start: int, end: int, *, two_objects: bool = False) -> str:
    """The head of the noun phrase that begins at ``start``, in the singular; empty where there is no common noun.

    ``end`` is where the clause ends. ``two_objects`` says that a second noun phrase, if there is one, is the object:
    "give the class a quiz".
    """
    lower = [token.lower() for token in tokens[start:end]]
    titled = _titled(tokens[start:end])
    noun = name = ""
    determined = indefinite = False
    place = 0
    while place < len(lower):
        word = lower[place]
        after = lower[place + 1] if place + 1 < len(lower) else ""
        found = noun or name
        if word == OPAQUE or word[0].isdigit():
            if found and not word[-1].isalpha() and _ends_phrase(after):
                break
            determined = True
            indefinite = indefinite or word != OPAQUE
            if after == "of":  # "three of the words"
                place += 1
            elif after == "to" and lower[place + 2 : place + 3] and is_number(lower[place + 2]):  # "3 to 5 words"
                place += 1
        elif word.endswith(("'s", "s'")):
            if word[:-2] in PRONOUNS | QUESTION:  # "that's"
                break
            noun = name = ""
            determined, indefinite = True, False
        elif word in COORDINATION:
            goes_on = after[:1].isalpha() and after not in _CLOSED and after not in DETERMINERS
            if not goes_on or after in VERBS and after not in ADJECTIVES:
                break
            if not adjective(found) if found else not (determined or word == "," or adjective(lower[place - 1])):
                break
        elif not word[0].isalpha():
            break
        elif word in DETERMINERS or word in ("none", "most"):
            if found and not (two_objects and word in _SECOND):
                break
            noun = name = ""
            determined = True
            indefinite = indefinite or word not in _DEFINITE
            if after == "of" or after == "to" and lower[place + 2 : place + 3] and is_number(lower[place + 2]):
                place += 1
        elif word == "thank" and after == "you":  # "a thank you letter"
            place += 1
        elif word == "for" and after == "loop":
            pass
        elif word in _CLOSED:
            if word in _NOUNS_TOO and determined and (not found or adjective(found)):
                if _ends_phrase(after) or _participle(after):
                    return word
            if found and not (word == "best" and after[:1].isalpha() and after not in _CLOSED):
                break
            if not found and word not in MODIFIERS and not (determined and word in PRONOUNS and after != "of"):
                break
            if not found and not determined and word not in _BARE:
                break
        elif (found or not determined) and word.endswith("ing") and word not in NOUNS_IN_ING and _starts_phrase(after):
            break
        elif _participle(word) and (_ends_phrase(after) if found else not determined and after in PREPOSITIONS):
            break
        elif (
            found
            and found.endswith("s")
            and (
                word == "people"
                or word.endswith("s")
                and after in AUXILIARY  # "mistakes people make", "ways firms can"
            )
        ):
            break
        elif found and (word in _PREDICATES and after in PREPOSITIONS or word in _ADVERBS and _ends_phrase(after)):
            break
        elif word in ADJECTIVES or word.endswith("ly") and word not in _NOT_ADVERBS:
            if word in ("sure", "certain") and after in ("the", "that", "to", "it", "all", "you", "your"):
                break
        elif (
            word.endswith("est")
            and word not in NOMINAL
            or word.rpartition("-")[2] in COMPOUND_ADJECTIVES
            and "-" in word
        ):
            pass
        elif tokens[start + place][0].isupper() and not titled:
            noun = "" if adjective(noun) else noun
            name = "" if noun else word
        elif len(word) > 1:
            noun = word
        place += 1
    if not noun and indefinite:
        noun = name
    return singular(noun) if noun.isascii() else ""


def adjective(word: str) -> bool:
    """Whether ``word`` looks like an adjective, by a list and by its ending."""
    if word in ADJECTIVES:
        return True
    return word.endswith(ADJECTIVAL) and word not in NOMINAL | NOUNS_IN_ING and not word.endswith("ment")


def singular(noun: str) -> str:
    """``noun``, in lower case, in the singular."""
    if noun in IRREGULAR:
        return IRREGULAR[noun]
    if not noun.endswith("s") or noun in ENDING_IN_S or noun.endswith(("ss", "us", "is")) or len(noun) < 4:
        return noun
    if noun.endswith("ics") and noun not in PLURALS_IN_ICS:
        return noun
    if noun.endswith("ies"):
        return f"{noun[:-3]}y"
    if noun.endswith(("sses", "shes", "ches", "xes", "zzes", "oes")):
        return noun[:-2]
    return noun[:-1]


def is_number(word: str) -> bool:
    """Whether ``word`` is a number, in figures or in letters."""
    return word[0].isdigit() or word in NUMBERS


def _titled(tokens: Sequence[str]) -> bool:
    """Whether capitals mean nothing because all words have them: "Write A Poem About The Sea"."""
    capitals = [token for token in tokens if token[0].isupper()]
    return len(capitals) > 0.7 * len(tokens) and any(word.lower() in DETERMINERS | PREPOSITIONS for word in capitals)


def _participle(word: str) -> bool:
    return word in PARTICIPLES or word.endswith("ed") and not word.endswith("eed") and len(word) > 4


def _starts_phrase(word: str) -> bool:
    return word == OPAQUE or word[:1].isdigit() or word in DETERMINERS | PREPOSITIONS | PRONOUNS | QUESTION


def _ends_phrase(word: str) -> bool:
    return not word[:1].isalpha() or word in DETERMINERS or word in _CLOSED or word.endswith("ly")
