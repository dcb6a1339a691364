"""Money: the worst price of a request, and a budget that nothing in flight can break."""

from __future__ import annotations

import unicodedata
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alpaca_core.errors import ConfigError
from alpaca_core.ledger import DEFAULT_BUDGET, Ledger
from alpaca_core.records import Completion, Price, Request, Usage

PRICE = Price(input=1.0, output=10.0, cached=0.1)
IN_FLIGHT = 256


# ── prices ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_price_is_per_million_tokens_and_cached_ones_cost_less():
    assert PRICE.cost(Usage(prompt_tokens=1_000_000, completion_tokens=100_000)) == pytest.approx(2.0)
    assert PRICE.cost(Usage(prompt_tokens=1_000_000, cached_tokens=1_000_000)) == pytest.approx(0.1)


def test_tokens_written_to_a_cache_have_their_own_price():
    price = Price(input=1.0, output=10.0, cache_write=1.25)
    assert price.cost(Usage(prompt_tokens=1_000_000, cache_write_tokens=400_000)) == pytest.approx(1.1)


def test_a_batch_costs_its_share_of_the_price_and_so_does_its_worst():
    ledger, request, usage = Ledger(PRICE, 1.0), Request(0, "hello", max_tokens=100), Usage(500, 100)
    assert ledger.cost(usage, batch=True) == pytest.approx(0.5 * ledger.cost(usage))
    assert ledger.worst(request, batch=True) == pytest.approx(0.5 * ledger.worst(request))


@pytest.mark.parametrize(
    ("text", "usage", "bill"),
    [
        ("An answer.", Usage(1000, 100), 0.002),
        ("An answer.", Usage(0, 0), 9.0),  # the server does not count
        ("An answer.", Usage(1000, 0), 9.0),  # or not all
        ("", Usage(1000, 0), 0.001),
    ],
)
def test_what_a_server_does_not_count_is_billed_at_its_worst(text, usage, bill):
    assert Ledger(PRICE, 10.0).bill(Completion(text, usage=usage), 9.0) == pytest.approx(bill)


# ── the worst price ───────────────────────────────────────────────────────────────────────────────────────────────


@given(st.text(max_size=200), st.text(max_size=50), st.integers(1, 4000))
def test_the_worst_price_covers_a_token_for_every_byte_in_any_script_and_the_longest_answer(prompt, system, longest):
    worst = Ledger(PRICE, 1.0).worst(Request(0, prompt, system=system, max_tokens=longest))
    for form in (prompt + system, unicodedata.normalize("NFKC", prompt + system)):
        usage = Usage(len(form.encode("utf-8", "surrogatepass")), longest)
        assert worst >= PRICE.cost(usage)


def test_a_letter_that_a_tokenizer_may_unfold_counts_unfolded():
    one, unfolded = "\N{ARABIC LIGATURE SALLALLAHOU ALAYHE WASALLAM}" * 100, 3300  # bytes; 3 each before
    worst = Ledger(PRICE, 1.0).worst(Request(0, one, max_tokens=1))
    assert worst >= PRICE.cost(Usage(unfolded, 1))


def test_the_worst_price_counts_every_part_of_the_request():
    ledger = Ledger(PRICE, 1.0)
    bare = ledger.worst(Request(0, "p"))
    for more in ({"system": "s" * 99}, {"input": "i" * 99}, {"prefix": "f" * 99}, {"schema": {"title": "t" * 99}}):
        assert ledger.worst(Request(0, "p", **more)) >= bare + PRICE.cost(Usage(99))


def test_the_worst_price_takes_the_dearer_of_reading_a_prompt_and_writing_it_to_a_cache():
    request = Request(0, "p" * 1000, max_tokens=1)
    dearer = Price(input=1.0, output=10.0, cached=0.1, cache_write=1.25)
    assert Ledger(dearer, 1.0).worst(request) >= dearer.cost(Usage(1000, 1, cache_write_tokens=1000))
    cheaper = Price(input=1.0, output=10.0, cache_write=0.5)
    assert Ledger(cheaper, 1.0).worst(request) >= cheaper.cost(Usage(1000, 1))


# ── the budget ────────────────────────────────────────────────────────────────────────────────────────────────────


@given(
    budget=st.floats(0, 2),
    price=st.builds(Price, st.floats(0, 20), st.floats(0, 100), st.none() | st.floats(0, 2)),
    batch=st.booleans(),
    steps=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 3072), st.integers(0, IN_FLIGHT), st.booleans())),
)
def test_no_interleaving_of_requests_exceeds_the_budget(budget, price, batch, steps):
    """Each step sends as many requests as may be, then one of them, any, comes home or is lost."""
    ledger, flying, paid = Ledger(price, budget), [], Fraction(0)
    for size, answer, which, lost in steps:
        request = Request(0, "x" * size, max_tokens=3072)
        worst = ledger.worst(request, batch=batch)
        while len(flying) < IN_FLIGHT and ledger.affords(worst):
            ledger.reserve(worst)
            flying.append((worst, ledger.cost(Usage(size, answer), batch=batch)))
        if flying:
            worst, cost = flying.pop(which % len(flying))
            ledger.settle(worst, worst if lost else cost)
            paid += Fraction(worst if lost else cost)
        assert paid + sum(Fraction(worst) for worst, _ in flying) <= Fraction(budget)
    for worst, cost in flying:
        ledger.settle(worst, cost)
    assert ledger.reserved == 0
    assert ledger.spent <= budget


def test_the_sum_of_many_small_costs_does_not_drift():
    cost, ledger = 1e-7, Ledger(PRICE, 1.0)
    for _ in range(100_000):
        ledger.reserve(cost * 3)
        ledger.settle(cost * 3, cost)
    assert ledger.spent == float(Fraction(cost) * 100_000)
    assert ledger.reserved == 0
    assert sum([cost] * 100_000) != ledger.spent  # as floats they do


def test_what_is_reserved_counts_against_the_budget_until_it_is_settled():
    ledger = Ledger(PRICE, 1.0, 0.25)
    ledger.reserve(0.5)
    assert not ledger.affords(0.5)
    ledger.settle(0.5, 0.1)
    assert ledger.spent == pytest.approx(0.35)
    assert ledger.affords(0.5)


def test_a_budget_is_refused_where_the_price_is_unknown():
    with pytest.raises(ConfigError, match="unknown"):
        Ledger(None, 3.0, None)
    assert Ledger(None, None, None).affords(None)


def test_a_known_price_has_a_budget_even_if_none_was_given():
    assert Ledger(PRICE, None, 0.0).budget == DEFAULT_BUDGET


def test_a_budget_of_nothing_pays_for_what_costs_nothing():
    ledger = Ledger(Price(0.0, 0.0), 0.0)
    assert ledger.affords(ledger.worst(Request(0, "free")))
