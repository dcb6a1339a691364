"""Needs an alpacakit of the future, says its metadata. Importing it would fail too."""

from alpaca_core import something_of_the_future

__all__ = ["something_of_the_future"]
