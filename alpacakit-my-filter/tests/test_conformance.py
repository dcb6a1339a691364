"""The laws that every plugin keeps."""

from alpaca_core.testing import conformance

test_conformance = conformance("alpacakit-my-filter")
