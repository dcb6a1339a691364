"""OpenAI's prices in dollars per million tokens, each with the day it was read and where.

Where none is given for the cache, what is read from it or written to it counts like any other input. Prices move: look
them up before a large run, and set teacher.price_input and teacher.price_output where they differ.
"""

from __future__ import annotations

import re

from alpaca_core import Price

DOCS = "developers.openai.com/api/docs/pricing"

PRICES = {
    "gpt-6-luna": Price(0.10, 0.50, cached=0.01, cache_write=0.125, date="2026-11-23", source=DOCS),
    "gpt-6-sol": Price(2.00, 10.00, cached=0.20, cache_write=2.50, date="2026-11-23", source="codexometer v0.18.4"),
    "gpt-6.1-terra": Price(1.00, 5.00, cached=0.05, cache_write=1.25, date="2026-10-27", source="PromptFuel v1.0.24"),
    "gpt-5.6-luna": Price(0.20, 1.20, cached=0.02, cache_write=0.25, date="2026-11-23", source=DOCS),
    "gpt-5.6-terra": Price(2.00, 12.00, cached=0.20, cache_write=2.50, date="2026-11-23", source=DOCS),
    "gpt-5.4-mini": Price(0.75, 4.50, date="2026-05", source="api-evangelist"),
    "gpt-3.5-turbo-instruct": Price(1.50, 2.00, date="2026-11-23", source=DOCS),
}


def price_of(model: str) -> Price | None:
    """The price of ``model``, also by its dated name (``gpt-6-luna-2026-09-01``). None if it is not in the table."""
    return PRICES.get(re.sub(r"-\d{4}-\d{2}-\d{2}$", "", model))
