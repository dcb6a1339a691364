"""Anthropic's prices in dollars per million tokens, each with the day it was read and where.

Prices move: look them up before a large run, and set teacher.price_input and teacher.price_output where they differ.
What is written to a cache is at the price of five minutes. claude-haiku-5-5 is five times as dear for prompts of more
than 100,000 tokens.
"""

from __future__ import annotations

import re

from alpaca_core import Price

DOCS = "platform.claude.com/docs/en/models"
NOTES = "PromptFuel v1.0.23"  # its cached tokens cost half as much since 2026-10-07

PRICES = {
    "claude-haiku-5-5": Price(0.10, 0.50, cached=0.01, cache_write=0.125, date="2026-11-23", source=DOCS),
    "claude-sonnet-5-5": Price(2.00, 10.00, cached=0.10, cache_write=2.50, date="2026-11-23", source=NOTES),
    "claude-opus-5-5": Price(4.00, 20.00, cached=0.20, cache_write=5.00, date="2026-11-23", source=DOCS),
    "claude-sonnet-5": Price(2.00, 10.00, cached=0.20, cache_write=2.50, date="2026-11-23", source=DOCS),
    "claude-opus-5": Price(5.00, 25.00, cached=0.50, cache_write=6.25, date="2026-11-23", source=DOCS),
}


def price_of(model: str) -> Price | None:
    """The price of ``model``, also by a dated name (``claude-haiku-5-5-20261007``). None if it is not in the table."""
    return PRICES.get(re.sub(r"-\d{8}$", "", model))
