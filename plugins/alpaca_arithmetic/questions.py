"""Which questions can be worked out, and their right answers.

A question is read only when *all* of it is understood: once numbers, operations and units are taken out, nothing but
filler words may be left. So "the average of 2 and 4" is read, and "the weighted average of 2 and 4" is not.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from math import prod

from alpaca_arithmetic.numbers import NUMBER, Unreadable, evaluate, read_number, root
from alpaca_arithmetic.units import UNIT, UNITS, Unit, converted

_LONGEST = 400  # characters of a question

_FILLER = frozenset(
    """a an the of for to and me you in is are what whats this that these those it its following given below above
    calculate compute find evaluate solve determine work out give get return show tell provide output print do perform
    please can could resolve obtain identify using
    result results value values answer sum expression equation problem question operation calculation exercise math
    mathematical mathematics arithmetic numerical numeric simple basic number numbers integer integers decimal decimals
    fraction fractions input task outcome one two display how much based on when need should pair""".split()
)
_LIST_FILLER = _FILLER | frozenset(
    """list lists set sets array sequence series data dataset point points element elements item items by with
    their them your overall prices price scores score all""".split()
)
_CONVERSION_FILLER = _FILLER | frozenset(
    """convert change express turn into from how many much equal equals equivalent there as unit units measurement
    length weight height distance temperature duration time mass volume speed degrees degree would be""".split()
)
_SIGNS = str.maketrans(
    {"×": "*", "·": "*", "∙": "*", "⋅": "*", "÷": "/", "⁄": "/", "−": "-", "–": "-", "²": "^2 ", "³": "^3 ", "’": "'"}
)
_SPOKEN = (
    (re.compile(r"\\times(?![a-z])|\bmultiplied by\b|\btimes\b"), " * "),
    (re.compile(r"\\div(?![a-z])|\bdivided by\b"), " / "),
    (re.compile(r"\bplus\b"), " + "),
    (re.compile(r"\bminus\b"), " - "),
    (re.compile(r"\b(?:raised )?to the power (?:of )?"), " ^ "),
    (re.compile(r"(?<=\d) squared\b"), "^2"),
    (re.compile(r"(?<=\d) cubed\b"), "^3"),
)
_WRITTEN = (
    (re.compile(r"\*\*"), "^"),
    (re.compile(r"(?<=[\d)])\s*x\s*(?=[\d(])"), "*"),
)
_ROUNDING = re.compile(
    r"[,;.]?\s*(?:and\s+)?\b(?:round|rounded|rounding)(?:\s+off)?(?:\s+(?:the|your|it))?(?:\s+(?:result|answer))?\s+to\s+"
    r"(?:the\s+nearest\s+(?:whole\s+number|integer|tenth|hundredth|thousandth)"
    r"|(?:one|two|three|four|five|[1-5])\s+(?:decimal\s+(?:places?|points?)|decimals))"
)
_RUN = re.compile(r"[-+]?[\d(][\d\s.,+\-*/^()]*[\d)]")
_NO_INPUT = re.compile(r"\W*(?:no\W?input|n/a|none)?\W*", re.IGNORECASE)
_COUNTS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_COUNT = re.compile(
    rf"\b({'|'.join(_COUNTS)}|\d+)\s+(?:given\s+|following\s+)?(?:numbers|integers|values|scores|prices)\b"
)
_N = rf"(-?{NUMBER})"


@dataclass(frozen=True)
class Question:
    """What is asked, for people, with all its right answers. ``own`` are the numbers in its text.

    ``unit`` is the one that the answer is in. ``rounded`` says that a whole number may stand for the answer near it.
    """

    text: str
    answers: tuple[Fraction, ...]
    own: frozenset[Fraction] = frozenset()
    source: Unit | None = None
    unit: Unit | None = None
    percent: bool = False
    rounded: bool = False


def read_question(instruction: str, input: str) -> Question | None:
    """The question that instruction and input ask together, or None for one that is not surely understood."""
    text = instruction if _NO_INPUT.fullmatch(input) else f"{instruction}\n{input}"
    if len(text) > _LONGEST or "..." in text or "…" in text or not any(char.isdigit() for char in text):
        return None
    if "÷" in text and ("/" in text or "⁄" in text):
        return None  # 1/2 ÷ 3/4
    text = text.casefold().translate(_SIGNS).replace("$", " ") if _no_money(text) else ""
    text, rounded = _ROUNDING.subn(" ", text)
    for read in _READERS:
        try:
            question = read(text)
        except Unreadable:
            continue
        if question:
            return replace(question, own=_numbers(text), rounded=bool(rounded))
    return None


def _numbers(text: str) -> frozenset[Fraction]:
    """The numbers in ``text``, and the fractions made of them."""
    found = set()
    for match in re.findall(rf"{NUMBER}(?:\s*/\s*\d+)?", text):
        for number in (match, *match.split("/")):
            try:
                found.add(read_number(number).value)
            except Unreadable:
                continue
    return frozenset(found)


def _no_money(text: str) -> bool:
    """Whether dollar signs, if any, are TeX's."""
    return "$" not in text or re.fullmatch(r"[^$]*\$[^$]*[-+*/^\\×÷][^$]*\$[^$]*", text) is not None


def _only(words: frozenset[str] | set[str], text: str) -> bool:
    """Whether ``text`` holds these words and punctuation only."""
    left = re.findall(r"[^\W\d_]+", text.replace("'", ""))
    return all(word in words for word in left) and not re.search(r"[^\s\w.,:;?!=\"'“”()\[\]{}-]|\d|_", text)


def _read_conversion(text: str) -> Question | None:
    """ "Convert 3 miles to kilometers": one quantity, and one other unit of the same kind."""
    quantity = re.compile(rf"(-?{NUMBER})\s*(?:degrees\s+)?({UNIT})(?![\w/°²³^])")
    amounts = {(match[1].replace(",", ""), UNITS[match[2]]) for match in quantity.finditer(text)}
    rest = quantity.sub(" ", text)
    if len(amounts) != 1:
        return None
    ((amount, source),) = amounts
    mention = re.compile(rf"(?<![\w°/])({UNIT})(?![\w/°²³^])")
    targets = {UNITS[match[1]] for match in mention.finditer(rest)} - {source}
    if len(targets) != 1 or not _only(_CONVERSION_FILLER, mention.sub(" ", rest)):
        return None
    (target,) = targets
    if source.dimension != target.dimension:
        return None
    answers = converted(read_number(amount).value, source, target)
    return Question(f"{amount} {source.name} in {target.name}", answers, source=source, unit=target)


def _read_percentage(text: str) -> Question | None:
    """ "20% of 80", "what percentage of 80 is 20"."""
    share = re.compile(rf"{_N}\s*(?:%|percent\b)\s*of\s*{_N}")
    which = re.compile(
        rf"\bwhat\s+(?:percent|percentage)\s+of\s+{_N}\s+is\s+{_N}|{_N}\s+is\s+what\s+percent(?:age)?\s+of\s+{_N}"
    )
    if match := share.search(text):
        part, whole = (read_number(number).value for number in match.groups())
        if _only(_FILLER, share.sub(" ", text, count=1)):
            return Question(f"{match[1]}% of {match[2]}", (part * whole / 100,))
    if match := which.search(text):
        whole, part = (match[1], match[2]) if match[1] else (match[4], match[3])
        if read_number(whole).value and _only(_FILLER, which.sub(" ", text, count=1)):
            value = 100 * read_number(part).value / read_number(whole).value
            return Question(f"{part} as a percentage of {whole}", (value, value / 100), percent=True)
    return None


def _read_root(text: str) -> Question | None:
    """ "The square root of 144"."""
    pattern = re.compile(rf"(?:\b(square|cube)\s+root\s+(?:of\s+)?(?:the\s+number\s+)?|√\s*)({NUMBER})(?![.,]?\d)")
    match = pattern.search(text)
    if not match or not _only(_FILLER, pattern.sub(" ", text, count=1)):
        return None
    degree = 3 if match[1] == "cube" else 2
    value = root(read_number(match[2]).value, degree)
    return Question(f"the {match[1] or 'square'} root of {match[2]}", (value,))


def _read_pair(text: str) -> Question | None:
    """ "Subtract 3 from 10", "divide 10 by 4", "the difference between 3 and 10"."""
    for pattern, work, words in _PAIRS:
        if (match := pattern.search(text)) and _only(_FILLER, pattern.sub(" ", text, count=1)):
            one, other = (read_number(number).value for number in match.groups())
            return Question(words.format(*match.groups()), work(one, other))
    return None


def _difference(one: Fraction, other: Fraction) -> tuple[Fraction, ...]:
    return (one - other, other - one)


def _quotient(one: Fraction, other: Fraction) -> tuple[Fraction, ...]:
    if not other:
        raise Unreadable("division by zero")
    return (one / other,)


_END = r"(?!\s*[-+*/^(]|[\d.,]*\d)"
_PAIRS: tuple[tuple[re.Pattern[str], Callable[[Fraction, Fraction], tuple[Fraction, ...]], str], ...] = (
    (re.compile(rf"\bsubtract\s+{_N}\s+from\s+{_N}{_END}"), lambda a, b: (b - a,), "{1} - {0}"),
    (re.compile(rf"\bdivide\s+(?:the number\s+)?{_N}\s+by\s+{_N}{_END}"), _quotient, "{0} / {1}"),
    (re.compile(rf"\badd\s+{_N}\s+to\s+{_N}{_END}"), lambda a, b: (a + b,), "{0} + {1}"),
    (re.compile(rf"\bquotient\s+of\s+{_N}\s+and\s+{_N}{_END}"), _quotient, "{0} / {1}"),
    (
        re.compile(rf"\bdifference\s+(?:of|between)\s+{_N}\s+and\s+{_N}{_END}"),
        _difference,
        "the difference of {0} and {1}",
    ),
)


def _mean(numbers: list[Fraction]) -> Fraction:
    return sum(numbers, Fraction(0)) / len(numbers)


def _median(numbers: list[Fraction]) -> Fraction:
    ordered, half = sorted(numbers), len(numbers) // 2
    return ordered[half] if len(numbers) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _mode(numbers: list[Fraction]) -> Fraction:
    (value, most), *others = Counter(numbers).most_common(2)
    if most < 2 or (others and others[0][1] == most):
        raise Unreadable("no one value is the most frequent")
    return value


_OF_LISTS: dict[str, tuple[Callable[[list[Fraction]], Fraction | int], frozenset[str]]] = {
    "sum": (
        sum,
        frozenset({"sum", "add", "addition", "up", "together"}),
    ),
    "product": (prod, frozenset({"product", "multiply", "multiplication", "times", "together"})),
    "mean": (_mean, frozenset({"mean", "average"})),
    "median": (_median, frozenset({"median"})),
    "mode": (_mode, frozenset({"mode"})),
}


def _read_list(text: str) -> Question | None:
    """ "The median of 3, 7, 5": one operation over numbers that stand together."""
    count = _COUNT.search(text)
    if count:
        text = text[: count.start()] + " numbers " + text[count.end() :]
    found = list(re.finditer(rf"(?:(?<![\w)])-)?{NUMBER}", text))
    if len(found) < 2 or len(found) > 100:
        return None
    between = [text[one.end() : other.start()] for one, other in zip(found, found[1:], strict=False)]
    for gap, following in zip(between, found[1:], strict=True):
        joined = re.fullmatch(r"\s*[,;]\s*(?:and\s+)?|\s+(?:and|by|with|times)\s+|\s+", gap)
        if not joined or (not gap.strip() and following[0].startswith("-")):
            return None
    if any("," in match[0] for match in found) and not all(gap.strip(",;") for gap in between):
        return None  # 1,200,300: one number or three?
    if count and len(found) != (_COUNTS.index(count[1]) + 2 if count[1] in _COUNTS else int(count[1][:3])):
        return None
    numbers = [read_number(match[0]).value for match in found]
    rest = text[: found[0].start()] + " ".join(between) + text[found[-1].end() :]
    words = set(re.findall(r"[^\W\d_]+", rest))
    for name, (work, names) in _OF_LISTS.items():
        if words & names and _only(_LIST_FILLER - {"sum"} | names, rest):
            listed = ", ".join(match[0] for match in found)
            return Question(f"the {name} of {listed}", (Fraction(work(numbers)),))
    return None


_OPERATION_WORDS = {
    "sum": "+", "add": "+", "addition": "+", "subtract": "-", "subtraction": "-", "difference": "-",
    "product": "*", "multiply": "*", "multiplication": "*", "divide": "/", "division": "/", "quotient": "/",
}  # fmt: skip
_FORMS = frozenset(
    {"convert", "into", "as", "decimal", "form", "percentage", "percent", "equivalent", "express", "simplify", "series"}
)


def _read_expression(text: str) -> Question | None:
    """ "Evaluate (7 - 4) * 2", "what is 16 divided by 4", "convert 3/4 to a decimal"."""
    written = text
    for pattern, sign in _SPOKEN:
        text = pattern.sub(sign, text)
    spoken = text != written
    for pattern, sign in _WRITTEN:
        text = pattern.sub(sign, text)
    if re.search(r"\d[^\W\d]|[^\W\d]\d|[\d)]\s*!", text):
        return None  # 2a, a2, 5!
    runs = {"".join(match[0].split()): match[0] for match in _RUN.finditer(text)}
    if len(runs) != 1:
        return None
    ((plain, run),) = runs.items()
    signs = re.findall(r"[-+*/^]", plain)
    if re.match(r"[-+]\s", run) or re.search(r"/[^-+(]*[*/]", plain):
        return None  # a dash that may be no sign; 1/2 / 3/4
    if spoken and len(signs) > 1 and (len(set(signs)) > 1 or signs[0] not in "+*"):
        return None  # words have no precedence: 3 plus 4 times 2
    value, operators = evaluate(plain)
    rest = _RUN.sub(" ", text)
    words = set(re.findall(r"[^\W\d_]+", rest))
    wanted = {_OPERATION_WORDS[word] for word in words & set(_OPERATION_WORDS)}
    if not operators or not _only(_FILLER | set(_OPERATION_WORDS) | _FORMS, rest):
        return None
    if wanted and (len(wanted) > 1 or not wanted <= operators or operators - wanted - {"/"}):
        # "The sum of 8 + 5" is one thing; "the sum of 3 * 4" may be two.
        return None
    if words & {"percentage", "percent"}:
        return Question(f"{_tidy(run)} as a percentage", (value * 100, value), percent=True)
    return Question(_tidy(run), (value,))


def _tidy(run: str) -> str:
    return " ".join(run.split())


_READERS = (_read_conversion, _read_percentage, _read_root, _read_pair, _read_list, _read_expression)
