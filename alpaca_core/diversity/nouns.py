"""The noun that a phrase is about: where an English noun phrase ends, which word is its head, and its singular."""

from __future__ import annotations

from collections.abc import Sequence

from alpaca_core.diversity.lexicon import (
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
_STARTERS = DETERMINERS | {"none", "most"}
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

    It is the last word of the phrase that is no adjective, and no name unless an article or a number makes it a common
    noun ("a SQL Query"). ``end`` is where the clause ends. ``two_objects`` says that a second noun phrase, if there is
    one, is the object: "give the class a quiz".
    """
    lower = [token.lower() for token in tokens[start:end]]
    titled = _titled(tokens[start:end])
    noun = name = ""
    determined = indefinite = False
    place = 0
    while place < len(lower):
        word, after, before = lower[place], _at(lower, place + 1), _at(lower, place - 1)
        found = noun or name
        if _is_noun_here(word, after, found, determined):
            return word
        if word in _STARTERS and not (found and not (two_objects and word in _SECOND)):
            noun = name = ""
            determined, indefinite = True, indefinite or word not in _DEFINITE
        elif _ends(word, after, before, found, determined):
            break
        elif word == OPAQUE or word[0].isdigit():
            determined, indefinite = True, indefinite or word != OPAQUE
        elif word.endswith(("'s", "s'")):  # what it belongs to has been read
            noun = name = ""
            determined, indefinite = True, False
        elif not _qualifies(word) and len(word) > 1:
            if tokens[start + place][0].isupper() and not titled:
                noun = "" if adjective(noun) else noun
                name = "" if noun else word
            else:
                noun = word
        place += 1 + _skipped(lower, place)
    if not noun and indefinite:
        noun = name
    return singular(noun) if noun.isascii() else ""


def _ends(word: str, after: str, before: str, found: str, determined: bool) -> bool:
    """Whether the noun phrase ends before ``word``. ``found`` is the noun so far, ``determined`` says that an article,
    a number or the like was there."""
    if word in _STARTERS:
        return True
    if word == OPAQUE or word[0].isdigit():
        return bool(found) and not word[-1].isalpha() and _ends_phrase(after)
    if word.endswith(("'s", "s'")):
        return word[:-2] in PRONOUNS | QUESTION  # "that's"
    if word in COORDINATION:
        goes_on = after[:1].isalpha() and after not in _CLOSED | DETERMINERS
        if not goes_on or after in VERBS and after not in ADJECTIVES:
            return True
        return not (adjective(found) if found else determined or word == "," or adjective(before))
    if not word[0].isalpha():
        return True
    if word in _CLOSED and (word, after) != ("for", "loop"):
        if found:
            return not (word == "best" and not _ends_phrase(after))
        if not determined:
            return word not in _BARE
        return word not in MODIFIERS and (word not in PRONOUNS or after == "of")
    if word.endswith("ing") and word not in NOUNS_IN_ING and (found or not determined):
        return _starts_phrase(after)  # "a letter asking for …"
    if _participle(word):
        return _ends_phrase(after) if found else not determined and after in PREPOSITIONS
    if found.endswith("s") and (word == "people" or word.endswith("s") and after in AUXILIARY):
        return True  # "mistakes people make", "ways firms can …"
    if word in ("sure", "certain"):
        return after in ("the", "that", "to", "it", "all", "you", "your")
    return bool(found) and (word in _PREDICATES and after in PREPOSITIONS or word in _ADVERBS and _ends_phrase(after))


def _is_noun_here(word: str, after: str, found: str, determined: bool) -> bool:
    """Whether a word that mostly ends a phrase or stands before a noun is the noun itself: "the ending of it"."""
    if word not in _NOUNS_TOO or not determined or found and not adjective(found):
        return False
    return _ends_phrase(after) or _participle(after)


def _qualifies(word: str) -> bool:
    """Whether ``word`` stands before a noun and is never one."""
    if word in ADJECTIVES or word in _CLOSED or word in COORDINATION or word in ("thank", "none", "most"):
        return True
    if word.endswith("ly") and word not in _NOT_ADVERBS or word.endswith("est") and word not in NOMINAL:
        return True
    return "-" in word and word.rpartition("-")[2] in COMPOUND_ADJECTIVES


def _skipped(lower: Sequence[str], place: int) -> int:
    """How many words after the one at ``place`` belong to it: "three of", "3 to 5", "thank you"."""
    word, after = lower[place], _at(lower, place + 1)
    counts = word == OPAQUE or word[0].isdigit() or word in _STARTERS
    if counts and (after == "of" or after == "to" and is_number(_at(lower, place + 2))):
        return 1
    return int((word, after) == ("thank", "you"))


def _at(lower: Sequence[str], place: int) -> str:
    return lower[place] if 0 <= place < len(lower) else ""


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
    return word[:1].isdigit() or word in NUMBERS


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
