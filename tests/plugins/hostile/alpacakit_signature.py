"""Its hook takes an argument that no caller gives."""

from alpaca_core import hookimpl


@hookimpl
def alpaca_teachers(registry):
    registry.add("signature")
