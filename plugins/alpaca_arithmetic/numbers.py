"""Numbers as people write them, exactly, and expressions of them with + - * / ^ and brackets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

# Nothing here may take long or grow large, whatever a teacher writes.
_LONGEST_NUMBER = 30  # characters
_MOST_TOKENS = 60
_DEEPEST = 20
_LARGEST_EXPONENT = 64
_MOST_BITS = 2000  # of a numerator or denominator
_ROOT_DIGITS = 30  # decimals of a root that is not rational

NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"
_TOKEN = re.compile(rf"\s*(?:({NUMBER})(?![\d.,]*\d)|([-+*/^()]))")


class Unreadable(ValueError):
    """The text is no expression, or one too large or too ambiguous to work out."""


@dataclass(frozen=True)
class Number:
    """A number as it was written: its value and how many decimals it was given to."""

    text: str
    value: Fraction
    decimals: int = 0


def read_number(text: str) -> Number:
    """``text`` matched by ``NUMBER``, after a sign or not, or two of them as a fraction."""
    plain = text.replace(",", "").replace(" ", "")
    if len(plain) > _LONGEST_NUMBER:
        raise Unreadable("too long a number")
    try:
        value = Fraction(plain)
    except (ValueError, ZeroDivisionError) as exc:
        raise Unreadable(f"no number: {text}") from exc
    return Number(text, value, len(plain.partition(".")[2]))


def evaluate(text: str) -> tuple[Fraction, set[str]]:
    """The value of an expression and the operators in it.

    Raises Unreadable for anything else, and for what people read in different ways: a product without a sign
    (``6/2(1+2)``), a power of a power, a power after a minus.
    """
    return _Parser(text).whole()


class _Parser:
    """Recursive descent over exact fractions."""

    def __init__(self, text: str) -> None:
        self.tokens: list[str] = []
        self.place = 0
        at = 0
        text = text.rstrip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if not match or len(self.tokens) >= _MOST_TOKENS:
                raise Unreadable(f"no expression: {text[:80]}")
            self.tokens.append(match[1] or match[2])
            at = match.end()

    def whole(self) -> tuple[Fraction, set[str]]:
        value = self._sum(0)
        if self.place < len(self.tokens):
            raise Unreadable(f"unexpected {self.tokens[self.place]}")
        return value, set(self.tokens) & set("+-*/^")

    def _peek(self) -> str:
        return self.tokens[self.place] if self.place < len(self.tokens) else ""

    def _next(self) -> str:
        self.place += 1
        return self.tokens[self.place - 1] if self.place <= len(self.tokens) else ""

    def _sum(self, depth: int) -> Fraction:
        value = self._product(depth)
        while self._peek() in ("+", "-"):
            sign = 1 if self._next() == "+" else -1
            value = _small(value + sign * self._product(depth))
        return value

    def _product(self, depth: int) -> Fraction:
        value = self._power(depth)
        while self._peek() in ("*", "/"):
            if self._next() == "*":
                value = _small(value * self._power(depth))
            elif divisor := self._power(depth):
                value = _small(value / divisor)
            else:
                raise Unreadable("division by zero")
        return value

    def _power(self, depth: int) -> Fraction:
        minus = self._peek() == "-"
        if minus:
            self._next()
        base = self._atom(depth)
        if self._peek() == "^":
            self._next()
            exponent = self._atom(depth)
            if minus or self._peek() == "^":
                raise Unreadable("an ambiguous power")
            base = power(base, exponent)
        return -base if minus else base

    def _atom(self, depth: int) -> Fraction:
        token = self._next()
        if token == "(" and depth < _DEEPEST:
            value = self._sum(depth + 1)
            if self._next() != ")":
                raise Unreadable("an open bracket")
            return value
        if token[:1].isdigit():
            return read_number(token).value
        raise Unreadable(f"unexpected {token or 'end'}")


def power(base: Fraction, exponent: Fraction) -> Fraction:
    """``base ** exponent`` for small whole exponents."""
    if exponent.denominator != 1 or abs(exponent) > _LARGEST_EXPONENT or (not base and exponent <= 0):
        raise Unreadable("a power too large or not whole")
    if max(base.numerator.bit_length(), base.denominator.bit_length()) * abs(exponent) > _MOST_BITS:
        raise Unreadable("too large a power")
    return base ** int(exponent)


def root(value: Fraction, degree: int) -> Fraction:
    """The real root of a number that is not negative: exact where it is rational, else to 30 decimals."""
    if value < 0 or value.numerator.bit_length() > 400:
        raise Unreadable("no root")
    top, bottom = _whole_root(value.numerator, degree), _whole_root(value.denominator, degree)
    if (top**degree, bottom**degree) == (value.numerator, value.denominator):
        return Fraction(top, bottom)
    scale = 10**_ROOT_DIGITS
    return Fraction(_whole_root(value.numerator * scale**degree // value.denominator, degree), scale)


def _whole_root(n: int, degree: int) -> int:
    """The largest whole number whose power is at most ``n``, by bisection."""
    low, high = 0, 1 << (n.bit_length() // degree + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**degree <= n else (low, middle)
    return low


def _small(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > _MOST_BITS:
        raise Unreadable("too large a value")
    return value


def shown(value: Fraction) -> str:
    """``value`` for people: as it is in up to six decimals, or else its first six digits."""
    if abs(value) >= 10**15:
        return f"{float(value):.6g}" if abs(value) < 10**300 else "a larger number"
    for decimals in range(7):
        if (value * 10**decimals).denominator == 1:
            return f"{float(value):.{decimals}f}"
    return f"{float(value):.6g}"
