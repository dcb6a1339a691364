"""Sums and conversions that can be worked out, and outputs that state another result."""

from __future__ import annotations

from alpaca_core import FilterSpec, hookimpl


@hookimpl
def alpaca_filters() -> list[FilterSpec]:
    return [
        FilterSpec(
            name="arithmetic",
            target="alpaca_arithmetic.filter:Arithmetic",
            summary="Rejects wrong results of sums, means, shares and unit conversions that it can work out.",
        )
    ]
