"""Python in outputs that does not compile."""

from __future__ import annotations

from alpaca_core import FilterSpec, hookimpl


@hookimpl
def alpaca_filters() -> list[FilterSpec]:
    return [
        FilterSpec(
            name="code",
            target="alpaca_code.filter:Code",
            summary="Rejects outputs whose Python code has a syntax error. Nothing is executed.",
        )
    ]
