"""Amounts as people read them."""

from __future__ import annotations

import math


def dollars(amount: float) -> str:
    """Dollars, to the hundredth of a cent where they are few, and to two figures where they are fewer."""
    if amount >= 1 or amount == 0:
        return f"${amount:.2f}"
    places = max(4, 1 - math.floor(math.log10(abs(amount))))
    return f"${amount:.{places}f}"


def clock(seconds: float) -> str:
    """``1:05`` for 65 seconds, ``2:00:00`` for two hours."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
