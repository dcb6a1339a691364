"""Its hook returns what is no spec."""

from alpaca_core import hookimpl


@hookimpl
def alpaca_filters():
    return ["junk", None, 7]
