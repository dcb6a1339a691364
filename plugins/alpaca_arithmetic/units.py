"""Units of measurement: a table small enough to check by eye.

Factors are exact by definition: the international yard and pound of 1959, NIST Special Publication 811, and the SI
brochure. Where a name means several things (gallons of the United States and of Great Britain, kilobytes of 1,000 and
1,024), all of them are right.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from itertools import product


@dataclass(frozen=True)
class Unit:
    """``factors`` times the dimension's base unit, after ``offset`` was added (temperatures only)."""

    name: str
    dimension: str
    factors: tuple[Fraction, ...]
    offset: Fraction = Fraction(0)


# dimension: names, separated by |, the first for people; = factor of each meaning.
_TABLE = """
length: millimeters|millimeter|millimetres|millimetre|mm = 0.001
length: centimeters|centimeter|centimetres|centimetre|cm|cms = 0.01
length: meters|meter|metres|metre|m = 1
length: kilometers|kilometer|kilometres|kilometre|km|kms = 1000
length: inches|inch = 0.0254
length: feet|foot|ft = 0.3048
length: yards|yard|yd|yds = 0.9144
length: miles|mile|mi = 1609.344
mass: milligrams|milligram|mg = 0.000001
mass: grams|gram|g = 0.001
mass: kilograms|kilogram|kg|kgs|kilos|kilo = 1
mass: tonnes|tonne|metric tons|metric ton = 1000
mass: tons|ton = 1000 907.18474 1016.0469088
mass: ounces|ounce|oz = 0.028349523125
mass: pounds|pound|lb|lbs = 0.45359237
mass: stones|stone = 6.35029318
time: milliseconds|millisecond|ms = 0.001
time: seconds|second|sec|secs = 1
time: minutes|minute|min|mins = 60
time: hours|hour|hr|hrs = 3600
time: days|day = 86400
time: weeks|week = 604800
time: years|year = 31536000 31557600 31622400 31556952
volume: milliliters|milliliter|millilitres|millilitre|ml = 0.001
volume: centiliters|centiliter|centilitres|centilitre|cl = 0.01
volume: liters|liter|litres|litre|l = 1
volume: cubic meters|cubic meter|cubic metres|cubic metre = 1000
volume: gallons|gallon|gal = 3.785411784 4.54609
volume: quarts|quart|qt = 0.946352946 1.1365225
volume: pints|pint = 0.473176473 0.56826125
volume: cups|cup = 0.2365882365 0.24 0.25 0.284130625
volume: fluid ounces|fluid ounce|fl oz = 0.0295735295625 0.0284130625 0.03
volume: tablespoons|tablespoon|tbsp = 0.01478676478125 0.015 0.0177581640625 0.02
volume: teaspoons|teaspoon|tsp = 0.00492892159375 0.005 0.00591938802083
speed: kilometers per hour|kilometres per hour|km/h|kmh|kph = 1
speed: miles per hour|mph = 1.609344
speed: meters per second|metres per second|m/s = 3.6
data: bits|bit = 0.125
data: bytes|byte = 1
data: kilobytes|kilobyte|kb = 1000 1024
data: megabytes|megabyte|mb = 1000000 1048576
data: gigabytes|gigabyte|gb = 1000000000 1073741824
data: terabytes|terabyte|tb = 1000000000000 1099511627776
"""
_KELVIN = {
    "celsius|centigrade|°c|degrees celsius|degree celsius|c": (Fraction(1), Fraction("273.15")),
    "fahrenheit|°f|degrees fahrenheit|degree fahrenheit|f": (Fraction(5, 9), Fraction("459.67")),
    "kelvin|kelvins|k": (Fraction(1), Fraction(0)),
}


def _read_table() -> dict[str, Unit]:
    units: dict[str, Unit] = {}
    for line in _TABLE.strip().splitlines():
        dimension, _, rest = line.partition(": ")
        names, _, factors = rest.partition(" = ")
        names = names.split("|")
        unit = Unit(names[0], dimension, tuple(map(Fraction, factors.split())))
        units |= dict.fromkeys(names, unit)
    for names, (factor, offset) in _KELVIN.items():
        unit = Unit(names.split("|")[0].title(), "temperature", (factor,), offset)
        units |= dict.fromkeys(names.split("|"), unit)
    return units


UNITS = _read_table()
# Longest first, so that "miles per hour" is not "miles".
UNIT = "|".join(re.escape(name) for name in sorted(UNITS, key=len, reverse=True))


def converted(value: Fraction, source: Unit, target: Unit) -> tuple[Fraction, ...]:
    """``value`` of ``source`` in ``target``, for each meaning that the two names have together."""
    return tuple(
        (value + source.offset) * here / there - target.offset
        for here, there in product(source.factors, target.factors)
    )
