"""Written for an alpacakit that is gone. Its metadata says so, and it is not even imported."""

from alpaca_core import something_of_the_past

__all__ = ["something_of_the_past"]
