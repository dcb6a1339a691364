"""What an output states as its result, and whether that is right."""

from __future__ import annotations

import re
from fractions import Fraction

from alpaca_arithmetic.numbers import NUMBER, Number, Unreadable, read_number
from alpaca_arithmetic.questions import Question
from alpaca_arithmetic.units import UNIT, UNITS

_LONGEST = 2000  # characters of an output

_SIGNED = rf"[-−–]?{NUMBER}(?:\s*/\s*\d+)?"
_ALONE = r"(?<![\w.,/^])"  # no letter or digit before it, and none after
_AFTER = r"(?![\w/^]|[.,]\d)"
_ABOUT = r"(?:approximately|about|roughly|around|exactly|≈|~)?"
# The number at the end of an output, alone or after a verb.
_FINAL = re.compile(
    rf"(?:^|(?:\b(?:is|are|be|equals?|equal to|evaluates to|gives|makes|answer|result|get)\s|[=≈]|:\s)\s*){_ABOUT}\s*"
    rf"(?P<number>{_SIGNED})\s*(?P<percent>%|percent\b)?\s*(?:in decimal form|as a decimal)?$",
    re.IGNORECASE,
)
_NUMBERS = re.compile(rf"{_ALONE}{_SIGNED}{_AFTER}")
_QUANTITY = re.compile(
    rf"{_ALONE}(?P<number>[-−–]?{NUMBER})\s*(?:degrees?\s+)?(?P<unit>{UNIT})(?![\w/°²³^])", re.IGNORECASE
)
_UNCLEAR = re.compile(
    r"\d\s*[x×*]\s*10\b|\de[-+]?\d|\d\s*(?:thousand|million|billion|trillion|hundred|dozen)\b|√|±", re.I
)


def stated(output: str, question: Question) -> Number | None:
    """The result that ``output`` states, or None where it states none, several, or one in words."""
    text = output.strip().replace("**", "").strip("`$ \n").rstrip(".!").rstrip()
    if not text or len(text) > _LONGEST or _UNCLEAR.search(text):
        return None
    try:
        return _quantity(text, question) if question.unit else _final(text, question)
    except Unreadable:
        return None


def right(number: Number, question: Question) -> bool:
    """Whether ``number`` is an answer as exactly as it is written.

    An answer with decimals is right if it is the true one rounded, or cut off after two or more. A whole number is
    right if it is the true one, or that rounded where two decimals would not have written it out: 3 for 10/3, but not
    5 for 4.5. Conversions may be one per cent off, since people use rounded factors.
    """
    return any(_near(number, answer, question) for answer in question.answers)


def _near(number: Number, answer: Fraction, question: Question) -> bool:
    off = abs(number.value - answer)
    if off <= abs(answer) / 10**9:
        return True
    if question.unit and off <= abs(answer) / 100:
        return True
    if "/" in number.text:
        return False
    step = Fraction(1, 10**number.decimals)
    if number.decimals >= 2 and abs(number.value) <= abs(answer) and off < step:
        return True
    whole_and_short = not number.decimals and (answer * 100).denominator == 1
    return off <= step / 2 and (question.rounded or not whole_and_short)


def _final(text: str, question: Question) -> Number | None:
    """The number at the end, unless another one that the question does not hold is right."""
    final = _FINAL.search(text)
    if not final or (final["percent"] and not question.percent):
        return None
    for other in _NUMBERS.findall(text[: final.start("number")]):
        number = _read(other)
        if abs(number.value) not in question.own and right(number, question):
            return None
    return _read(final["number"])


def _quantity(text: str, question: Question) -> Number | None:
    """The one quantity in the wanted unit, or the number that is the whole output."""
    if re.fullmatch(_SIGNED, text):
        return _read(text)
    found = {(UNITS[match["unit"].casefold()], _plain(match["number"])) for match in _QUANTITY.finditer(text)}
    if any(unit not in (question.source, question.unit) for unit, _ in found):
        return None  # 5 feet 3 inches
    amounts = {number for unit, number in found if unit == question.unit}
    others = [number for unit, number in found if unit == question.source]
    others += _NUMBERS.findall(_QUANTITY.sub(" ", text))
    if len(amounts) != 1 or any(abs(_read(number).value) not in question.own for number in others):
        return None  # 2 hours and 30 minutes
    return _read(amounts.pop())


def _plain(text: str) -> str:
    return re.sub(r"[−–]", "-", text).replace(",", "").replace(" ", "")


def _read(text: str) -> Number:
    return read_number(_plain(text))
