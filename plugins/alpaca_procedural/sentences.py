"""Families that rewrite, read or write whole sentences."""

from __future__ import annotations

from random import Random

from alpaca_procedural.lexicon import (
    BLAME,
    CITIES,
    DAYS,
    DEEDS,
    EVENTS,
    GOT,
    HABITS,
    JOBS,
    MAIL_ENDS,
    MAIL_HOSTS,
    NAMES,
    OFTEN,
    ONCE,
    PARTS,
    PLACES,
    PRAISE,
    SHOWS,
    THINGS,
    VEHICLES,
)
from alpaca_procedural.wording import Draft, Family


def article(noun: str) -> str:
    """``noun`` behind its indefinite article. Right for the words of this lexicon, where spelling and sound agree."""
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def _passive_voice(rng: Random) -> Draft:
    actor, other = rng.sample(NAMES, 2)
    deed = rng.choice(list(DEEDS))
    rest = f"{rng.choice(PLACES)} {rng.choice(ONCE)}"
    return Draft(f"{actor} {deed} {other} {rest}.", f"{other} was {DEEDS[deed]} by {actor} {rest}.")


def _habit(rng: Random) -> tuple[str, str, str, str, str]:
    """A person, the three forms of a verb, and the rest of a sentence about a habit."""
    name, companion = rng.sample(NAMES, 2)
    plain, third, past, what = rng.choice(HABITS)
    return name, plain, third, past, f"{what} with {companion} {rng.choice(OFTEN)}"


def _past_tense(rng: Random) -> Draft:
    name, _, third, past, rest = _habit(rng)
    return Draft(f"{name} {third} {rest}.", f"{name} {past} {rest}.")


def _negation(rng: Random) -> Draft:
    name, plain, third, _, rest = _habit(rng)
    return Draft(f"{name} {third} {rest}.", f"{name} does not {plain} {rest}.")


def _yes_no_question(rng: Random) -> Draft:
    name, plain, third, _, rest = _habit(rng)
    return Draft(f"{name} {third} {rest}.", f"Does {name} {plain} {rest}?")


def _join_sentences(rng: Random) -> Draft:
    name, got, when = rng.choice(NAMES), rng.choice(GOT), rng.choice(ONCE)
    one, two = (article(thing) for thing in rng.sample(list(THINGS), 2))
    return Draft(f"{name} {got} {one} {when}. {name} {got} {two} {when}.", f"{name} {got} {one} and {two} {when}.")


def _extract_email(rng: Random) -> Draft:
    name, other = rng.sample(NAMES, 2)
    address = f"{other.lower()}.{rng.choice(JOBS)}@{rng.choice(MAIL_HOSTS)}.{rng.choice(MAIL_ENDS)}"
    day, event, city = rng.choice(DAYS), rng.choice(EVENTS), rng.choice(CITIES)
    sentence = rng.choice(
        (
            f"Please ask {name} in {city} at {address} before {day}.",
            f"{name} needs the {event} plan at {address} by {day}.",
            f"{name} can be reached in {city} at {address} until {day}.",
            f"Send questions about the {event} in {city} to {address} first.",
            f"Since the {event}, {name} has used {address} at work.",
            f"On {day} {name} will answer from {address} about the {event}.",
        )
    )
    return Draft(sentence, address)


def _extract_numbers(rng: Random) -> Draft:
    name, day = rng.choice(NAMES), rng.choice(DAYS)
    one, two = (rng.randint(2, 99) for _ in range(2))
    this, that = rng.sample(list(THINGS.values()), 2)
    verb = rng.choice(("packed", "sold", "counted", "bought", "ordered"))
    return Draft(f"{name} {verb} {one} {this} and {two} {that} on {day}.", f"{one}, {two}")


def _fact_card(rng: Random) -> Draft:
    name, job, city, day = rng.choice(NAMES), rng.choice(JOBS), rng.choice(CITIES), rng.choice(DAYS)
    got, things = rng.choice(GOT), rng.choice(list(THINGS.values()))
    sentence = rng.choice(
        (
            f"{name}, a {job} from {city}, {got} {things} on {day}.",
            f"On {day} {name}, who is a {job} in {city}, {got} {things}.",
            f"The {job} {name} {got} {things} in {city} on {day}.",
            f"In {city} on {day}, {job} {name} {got} {things}.",
        )
    )
    return Draft(sentence, f"Name: {name}; Job: {job}; City: {city}; Day: {day}")


def _invitation(rng: Random) -> Draft:
    name, event, city, day = rng.choice(NAMES), rng.choice(EVENTS), rng.choice(CITIES), rng.choice(DAYS)
    details = [f"guest {name}", f"event {event}", f"city {city}", f"day {day}"]
    rng.shuffle(details)
    return Draft(", ".join(details), f"Dear {name}, please come to the {event} in {city} on {day}.")


def _sentiment(rng: Random) -> Draft:
    good = rng.random() < 0.5
    one, two = rng.sample(PRAISE if good else BLAME, 2)
    show, part, name = rng.choice(SHOWS), rng.choice(PARTS), rng.choice(NAMES)
    city, day = rng.choice(CITIES), rng.choice(DAYS)
    sentence = rng.choice(
        (
            f"The {show} in {city} was {one} and the {part} was {two}.",
            f"{name} found the {show} {one} and the {part} {two} on {day}.",
            f"What {article(one)} {show} in {city}, {name}, and such {article(two)} {part}!",
            f"On {day} the {part} was {one}, and {name} called the {show} {two}.",
        )
    )
    return Draft(sentence, "positive" if good else "negative")


def _clock_time(rng: Random) -> Draft:
    hour, minute = rng.choice([h for h in range(1, 24) if h != 12]), rng.randrange(0, 60, 5)
    (name, other), city, day = rng.sample(NAMES, 2), rng.choice(CITIES), rng.choice(DAYS)
    time = f"{hour}:{minute:02d}"
    sentence = rng.choice(
        (
            f"{name} meets {other} in {city} at {time} on {day}.",
            f"On {day} {name} takes the {time} {rng.choice(VEHICLES)} to {city}.",
            f"The {rng.choice(EVENTS)} with {name} in {city} starts at {time} on {day}.",
            f"{name} calls {other} from {city} every {day} at {time}.",
            f"At {time} on {day}, {name} leaves {city} with {other}.",
            f"{name} opens a shop in {city} at {time} every {day}.",
            f"The {day} {rng.choice(VEHICLES)} reaches {city} at {time}, says {name}.",
        )
    )
    return Draft(sentence, f"{hour % 12}:{minute:02d} {'am' if hour < 12 else 'pm'}")


SENTENCE_FAMILIES = (
    Family(
        "passive_voice",
        _passive_voice,
        (
            "{Rewrite|Put|Write|Express} <this> sentence in the passive {voice|form}",
            "{Change|Turn|Convert} <this> sentence {from active to passive|into the passive voice}",
            "{Give|Find} the passive {form|version} of <this> sentence",
            "Make <this> sentence passive",
            "{Use|Try} the passive voice {here|for <this> sentence}",
        ),
        "Sentence",
        prose=True,
    ),
    Family(
        "past_tense",
        _past_tense,
        (
            "{Rewrite|Put|Write|Express} <this> sentence in the {past tense|simple past}",
            "{Change|Convert|Move} <this> sentence {to|into} the past tense",
            "Put the verb {in|into} the {past tense|simple past}",
            "Use the {past tense|simple past} {here|instead|for <this> sentence}",
            "Make <this> sentence {about the past|a sentence about the past}",
            "{Give|Find} the past tense form",
        ),
        "Sentence",
        prose=True,
    ),
    Family(
        "negation",
        _negation,
        (
            "Make <this> sentence negative",
            "{Rewrite|Put|Write} <this> sentence in the negative",
            "{Turn|Change|Convert} <this> sentence into {a negative one|its negative form}",
            "{Give|Write} the negative {form|version} of <this> sentence",
            "Negate <this> sentence",
            "Use 'does not' in <this> sentence",
            "{Deny|Contradict} <this> {sentence|statement}",
            "{Rewrite|Repeat} <this> sentence with {'not'|'does not'}",
        ),
        "Sentence",
        prose=True,
    ),
    Family(
        "yes_no_question",
        _yes_no_question,
        (
            "{Turn|Change|Convert|Make} <this> statement into a {question|yes-or-no question}",
            "{Rewrite|Rephrase|Express} <this> statement as a {question|yes-or-no question}",
            "{Write|Form} the {matching|corresponding} {question|yes-or-no question}",
            "{Make|Form} a question out of <this> statement",
            "{Ask|Say} <this> as a {question|yes-or-no question}",
        ),
        "Statement",
        prose=True,
    ),
    Family(
        "join_sentences",
        _join_sentences,
        (
            "{Join|Combine|Merge} <these> two sentences {into one|into a single sentence}",
            "Make one sentence out of <these> two",
            "{Shorten|Reduce} <these> two sentences to one",
            "{Express|Write} <these> two sentences as one",
        ),
        "Sentences",
        prose=True,
    ),
    Family(
        "extract_email",
        _extract_email,
        (
            "{Extract|Copy|Take|Pull} the email address from <this> {message|note|text}",
            "{Find|Identify|Spot|Locate} the email address {here|in <this> message|in <this> note}",
            "{Give|Write|Return} only the email address",
            "{Answer with|Show} just the email address",
            "{Quote|Report|Repeat} the email address and nothing else",
        ),
        "Message",
        prose=True,
    ),
    Family(
        "extract_numbers",
        _extract_numbers,
        (
            "{Extract|Copy|Collect} {the|both} numbers from <this> sentence",
            "{Find|Identify|List} {the|both} numbers in <this> sentence",
            "{Give|Write|Return} only the numbers from <this> sentence",
        ),
        "Sentence",
        prose=True,
    ),
    Family(
        "fact_card",
        _fact_card,
        (
            "{Fill in|Write|Make|Create} a {fact card|record} {from|with|for} <this> {text|sentence}",
            "{Turn|Convert} <this> {text|sentence} into a {fact card|record}",
            "{List|Extract|Note|Collect} the {key facts|main facts} {of|in} <this> {text|sentence}",
            "{List|Extract|Note} name, job, city and day",
        ),
        "Text",
        prose=True,
    ),
    Family(
        "invitation",
        _invitation,
        (
            "{Write|Compose} {a short|a polite|a one-line} invitation {from|with|using} <these> details",
            "{Turn|Make} <these> details into an invitation",
            "Invite the guest {using|with the help of} <these> details",
            "{Write|Send} the guest an invitation",
            "Invite {somebody|the guest} politely",
            "{Draft|Prepare} an invitation",
        ),
        "Details",
    ),
    Family(
        "sentiment",
        _sentiment,
        (
            "{Classify|Label|Mark|Rate} <this> {review|comment|opinion} as positive or negative",
            "{Decide|Say|State} whether <this> {review|comment|opinion} is positive or negative",
            "{Give|Find|Name|Judge} the {tone|sentiment|feeling} of <this> {review|comment|opinion}",
            "{Classify|Label|Judge} <this> {review|comment}",
            "{Answer|Reply} positive or negative",
        ),
        "Review",
        prose=True,
    ),
    Family(
        "clock_time",
        _clock_time,
        (
            "{Give|Write|State|Show} the time {with am or pm|on the 12-hour clock}",
            "{Convert|Change} the time to {the 12-hour clock|12-hour format|am or pm}",
            "Use {am or pm|the 12-hour clock} for the time",
            "{Read|Tell|Report} the time {in 12-hour style|using am or pm}",
            "{Express|Say} the time in 12-hour format",
            "{Find the time and add|Answer with the time and} am or pm",
        ),
        "Sentence",
        prose=True,
    ),
)
