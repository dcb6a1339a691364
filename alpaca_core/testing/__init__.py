"""For the tests of plugins: a kit of laws that every plugin keeps, and stand-ins for the other stages.

    from alpaca_core.testing import conformance

    test_conformance = conformance("alpacakit-polite")

These names are public; docs/plugin-kit.md tells how to use them.
"""

from alpaca_core.testing.fakes import FakeTeacher, TinyRun, tiny_run
from alpaca_core.testing.findings import Check, Failed, Finding, NotApplicable
from alpaca_core.testing.kit import check, checks, conformance
from alpaca_core.testing.provider import FakeProvider
from alpaca_core.testing.samples import candidates, examples, pairs, requests, seeds

__all__ = [
    "Check",
    "Failed",
    "FakeProvider",
    "FakeTeacher",
    "Finding",
    "NotApplicable",
    "TinyRun",
    "candidates",
    "check",
    "checks",
    "conformance",
    "examples",
    "pairs",
    "requests",
    "seeds",
    "tiny_run",
]
