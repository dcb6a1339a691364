"""Remarks: what people should look at, and no rule can judge. The task is kept, with a reason to doubt it.

``Refusal`` and ``Live`` know English only; the others any script.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

from alpaca_core import Candidate, Flag, Keep
from alpaca_structure.texts import Rule, any_of, is_code, short


class Repetition(Rule):
    """Flags an output with a sentence or line that it says three times, and one that is the input again."""

    def judge(self, candidate: Candidate) -> Keep | Flag:
        output = candidate.output
        if output.strip() and output.split() == candidate.input.split():
            return Flag("the output is the input again")
        if is_code(output):
            return Keep()
        said = Counter(" ".join(part.split()) for part in _AFTER_SENTENCE.split(output))
        part, times = max(said.items(), key=lambda item: item[1] if _is_said(item[0]) else 0)
        return Flag(f"says {times} times {short(part)}") if times >= _OFTEN and _is_said(part) else Keep()


_OFTEN = 3
_AFTER_SENTENCE = re.compile(r"(?<=[.!?؟۔।。！？])\s*|\n")


def _is_said(part: str) -> bool:
    """Whether a repeated part is a saying: not a label ("Chorus:"), a table's rule or a word."""
    several = " " in part or not part.isascii()
    return several and part[-1:] not in ":：|" and sum(char.isalpha() for char in part) >= 8


class Truncation(Rule):
    """Flags an output that seems to break off: prose without an end mark, a code block that nobody closed.

    Verses, lists, code, hashtags and signatures end without a mark, and so do Thai, Lao, Khmer, Burmese and Tibetan.
    """

    def judge(self, candidate: Candidate) -> Keep | Flag:
        output = candidate.output.rstrip()
        if len(_FENCE.findall(output)) % 2:
            return Flag("a code block is not closed")
        lines = [line.strip() for line in output.split("\n") if line.strip()]
        if not lines or is_code(output):
            return Keep()
        *before, last = lines
        if _is_ended(last) or _UNMARKED.search(last[-2000:]):
            return Keep()
        if _HANGING.search(last[-200:]):
            return Flag(f"ends in the middle of a sentence: {short(last[-40:])}")
        if len(output) > _LONG and _is_prose(before, last):
            return Flag(f"{len(output)} characters without an end mark: {short(last[-40:])}")
        return Keep()


_LONG = 200
_FENCE = re.compile(r"^[ \t]*```", re.MULTILINE)
_UNMARKED = re.compile("[\u0e00-\u109f\u1780-\u17ff]\\W{0,3}\\Z|#\\w+\\Z|(?:https?://|www\\.)\\S+\\Z|\\S@\\S+\\Z")
_HANGING = re.compile(r"(?:\S+\s+){5}(?:and|or|but|the|an?|because|while|whose|including|such as)\Z")
_ITEM = re.compile(r"\b[0-9]{1,3}[.)] ")
_WRAPPING = "\"'”’»*_`) ]}"
_NO_END = ",;:،؛、，；：-–—([{&/+=«“‘"


def _is_ended(line: str) -> bool:
    """Whether ``line`` ends in any mark that may end a text, of any script; letters, digits and commas are none."""
    core = line.rstrip(_WRAPPING)
    if not core or (line != core and line[-1] in ")]}"):
        return True
    return core[-1] not in _NO_END and unicodedata.category(core[-1])[0] not in "LNM"


def _is_prose(before: list[str], last: str) -> bool:
    """Whether a last line without an end mark is the end of running text: most lines before it have one."""
    if last.isascii() and len(last.split()) < 4:  # a signature, an item
        return False
    if before:
        return 2 * sum(_is_ended(line) for line in before if len(line.split()) >= 4 or not line.isascii()) > len(before)
    if len(_ITEM.findall(last)) >= 3:  # a list on one line
        return False
    return any(_is_ended(part) for part in _AFTER_SENTENCE.split(last)[:-1])


class Placeholder(Rule):
    """Flags an output with a bracketed gap that is not in the instruction or input. In letters it may be right."""

    def judge(self, candidate: Candidate) -> Keep | Flag:
        output = candidate.output
        if is_code(output) or _ARROW.search(output):
            return Keep()
        for match in _GAP.finditer(output):
            inside = match[0][1:-1].strip()
            known = match[0] in candidate.instruction or match[0] in candidate.input
            if not known and not _NO_GAP.match(inside) and (match[0][0] == "[" or _NAMED.search(inside)):
                return Flag(f"has a gap to fill in: {short(match[0])}")
        return Keep()


_ARROW = re.compile(r"-{1,2}>")  # of a flow chart, with boxes in brackets
# Neither after nor before what makes the brackets an index, a link or a pattern.
_GAP = re.compile(
    r"(?<![\w\])>!\\^])(?:\[[^\W\d_][^\[\]\n<>{}=,;|\\+*]{1,48}\]|<[^\W\d_][^<>\n/=]{1,40}>"
    r"|\{[^\W\d_][^{}\n:=,;]{2,40}\})(?![\w\[(={*+?])"
)
_NO_GAP = re.compile(
    any_of(
        r"""verse chorus bridge intro outro hook refrain pre-?chorus scene act_ laugh pause applause sigh music start\b
        end\b cut_ fade smil cry whisper clear cough nod sic\b edit\b citation note\b source ref\b redacted
        \w-\w \w+_for_\w+_in_"""
    ),
    re.IGNORECASE,
)
_NAMED = re.compile(
    r"\b"
    + any_of(
        r"""insert your names? date company title address city state country e-?mail phone number recipient sender
        position location product organi[sz]ation link url topic"""
    )
    + r"\b",
    re.IGNORECASE,
)


class Refusal(Rule):
    """Flags an output that begins by declining the task. Said in a dialogue, a letter or a quotation, it is none."""

    def judge(self, candidate: Candidate) -> Keep | Flag:
        start = candidate.output.lstrip()[:400]
        found = _OF_A_MODEL.match(start) or (None if _SPEAKS.search(candidate.instruction) else _OF_ANYONE.match(start))
        if not found or found[0].casefold() in candidate.input.casefold():
            return Keep()
        return Flag(f"reads like a refusal: {short(candidate.output)}")


_SORRY = r"\W{0,3}(?:(?:i['’]?m |i am )?(?:very )?(?:sorry|unfortunately|i apologi[sz]e)\b[,.]? (?:but )?)?"
_UNABLE = r"(?:can ?not|can['’]?t|could(?:n['’]t| not)|(?:am |['’]m )(?:not able to|unable to))"
_OF_A_MODEL = re.compile(
    rf"{_SORRY}(?:as an? (?:ai|artificial intelligence|(?:large )?language model|text[- ]based)\b"
    r"|(?:the|this|your) (?:task|request|instruction|question|prompt) "
    r"(?:can ?not|can['’]t|does not|doesn['’]t|is not|isn['’]t|requires|involves)\b"
    r"[^.\n]{0,200}\b(?:model|gpt|can ?not|can['’]t|unable|human|output|meet|possible)\b"
    r"|you are requesting\b[^.\n]{0,100}\bcannot\b)",
    re.IGNORECASE,
)
_OF_ANYONE = re.compile(
    rf"{_SORRY}(?:(?:i|we) (?:do not|don['’]t) have (?:access|the ability|enough information|the necessary)\b"
    rf"|(?:i|we) ?{_UNABLE}\s(?:\w+ )?"
    + any_of(
        r"""this that you the an? any provide generate create complete answer perform fulfil\w* assist help set access
        predict draw play send make"""
    )
    + r"\b|unable to (?:generate|complete|process|answer|provide|create)\b"
    r"|it(?: is|['’]s) (?:not possible|impossible) (?:for (?:me|an? (?:ai|model)) )?"
    r"to (?:answer|generate|complete|create)\b)",
    re.IGNORECASE,
)
_SPEAKS = re.compile(
    r"\b"
    + any_of(
        r"""repl(?:y|ies) respon[ds]\w* dialog\w* conversation apolog\w+ letter e-?mail message excuse quote says? said
        line sentence rewrite rephrase paraphrase translate convert edit poem song lyrics story speech script tweet
        declin\w+ refus\w+ polite\w*"""
    )
    + r"\b",
    re.IGNORECASE,
)


class Live(Rule):
    """Flags instructions that want today's facts, or something done in the world: the answer is made up."""

    def judge(self, candidate: Candidate) -> Keep | Flag:
        instruction = _QUOTED.sub(" ", candidate.instruction.strip())
        found = _ACTION.match(instruction)
        if not found and not _INVENTED.match(instruction) and len(candidate.input.split()) <= _MOST_WORDS:
            found = _TODAY.search(instruction)
        return Flag(f"wants the live world: {short(found[0])}") if found else Keep()


_MOST_WORDS = 5  # of an input: more may hold the facts
_QUOTED = re.compile(r"\"[^\"\n]{0,500}\"|“[^”\n]{0,500}”")
_POLITE = r"(?:please |kindly |can you |could you |(?:i want|i need) you to )?"
_ACTION = re.compile(
    _POLITE + r"(?:(?:set|create|add)(?: up)? (?:an? |my |the )?(?:\w+ )?(?:alarm|timer|reminder)s?\b"
    r"(?! (?:app|system|function|program|class))"
    r"|remind me\b|turn (?:on|off|up|down) the\b|call (?:my|mom|dad)\b|text my\b|order (?:me )?(?:an? |some )"
    r"|send (?:an? |the |my )(?:e-?mail|text|message|sms) (?:to|from)\b"
    r"|book (?:me )?(?:an? |the )(?:\w+ )?(?:flight|ticket|hotel|table|room|appointment|cab|taxi|ride)\b"
    r"|open (?:the |my )(?:\w+ )?(?:app|browser|file|door|website)\b|play (?:the |a |some )?(?:song|music)\b"
    r"|(?:visit|go to|browse) (?:the |a |this )?(?:\w+ )?(?:website|web ?page|site)\b"
    r"|search (?:the (?:web|internet)|online|google)\b"
    r"|(?:conduct|do|perform|run) an? (?:\w+ )?(?:web |internet |online |google )search\b)",
    re.IGNORECASE,
)
_FACT = any_of(
    r"""news headlines? weather temperature forecast (?:stock|share)_prices? prices? exchange_rates? traffic scores?
    events? date time trends? standings status situation information"""
)
_NOW = any_of("today tomorrow tonight right_now outside now this_week")
_TODAY = re.compile(
    r"\b(?:latest|current|today['’]s|tomorrow['’]s|(?:most )?recent|live|real[- ]time|up[- ]to[- ]date) "
    rf"(?:[\w'’-]+ ){{0,3}}?{_FACT}\b"
    rf"|\b(?:weather|temperature|forecast|news|stock price|exchange rate)\b[^.?!\n]{{0,60}}\b{_NOW}\b"
    r"|\bwhat (?:time|day|date) is it\b"
    r"|\bwhat(?:['’]s| is) the (?:time|date|weather)(?: now| today| like| in \w+)*\s*(?:\?|\Z)"
    rf"|\bhappening (?:\w+ ){{0,4}}{_NOW}\b|\bwill it rain {_NOW}\b"
    r"|\bnear(?:by)? (?:me|my location)\b|\bmy (?:local area|current location)\b",
    re.IGNORECASE,
)
# What may be made up, or is about the subject and not the moment.
_MADE_UP = any_of(
    r"""headline dialog\w* conversation story poem tweet satire prompt joke question api code query function program
    app"""
)
_INVENTED = re.compile(
    _POLITE
    + any_of(
        r"""write compose craft draft invent imagine rewrite rephrase reword paraphrase translate classif categori
        convert edit\b correct change explain_how design develop build given identify_the"""
    )[:-1]
    + rf"|(?:generate|create|come up with|make)\b.{{0,200}}\b{_MADE_UP}\b)",
    re.IGNORECASE | re.DOTALL,
)
