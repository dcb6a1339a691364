"""Money: what may be spent, what is reserved for requests in flight, what is gone. Dollars throughout."""

from __future__ import annotations

import json
import unicodedata
from fractions import Fraction

from alpaca_core.errors import ConfigError
from alpaca_core.records import Completion, Price, Request, Usage
from alpaca_core.store import Store

DEFAULT_BUDGET = 5.0  # dollars, where the price is known and no budget was given
FRAME = 64  # tokens that chat formats put around the messages, at most; OpenAI's and Anthropic's take under 20
FORM = 512  # tokens of a provider's own words on how to keep to a schema, at most


class Ledger:
    """Keeps a hard budget: a request's worst price is reserved before it is sent and settled after.

    ``price`` None means unknown: then nothing can be promised, and a budget is refused. Sums are exact fractions: as
    floats, those of many thousand replies would drift.
    """

    def __init__(self, price: Price | None, budget: float | None, spent: float | None = None) -> None:
        if price is None and budget is not None:
            raise ConfigError(
                f"A budget of ${budget:g} cannot be kept: the price of this model is unknown.",
                hint="Give it with --set teacher.price_input=... --set teacher.price_output=... (dollars per million"
                " tokens), or leave out --budget.",
            )
        self.price = price
        self.budget = None if price is None else DEFAULT_BUDGET if budget is None else budget
        self._spent = Fraction(spent or 0)
        self._reserved = Fraction(0)

    @property
    def spent(self) -> float:
        """Dollars that are gone."""
        return max(0.0, float(self._spent))  # sums read from a journal are floats, off by a hair

    @property
    def reserved(self) -> float:
        """Dollars that the requests in flight may cost at worst."""
        return float(self._reserved)

    def worst(self, request: Request, *, batch: bool = False) -> float | None:
        """The most that ``request`` can cost, asked alone or in a ``batch``.

        A token is at least one byte of the text, or of its NFKC form, which some tokenizers read in its place and
        which may be longer. Every token of the prompt may be written to a cache, where that is dearer. An answer has
        ``max_tokens`` at most, reasoning included.
        """
        if self.price is None:
            return None
        tokens = _most_tokens(request.system + request.prompt + request.input + request.prefix) + FRAME
        if request.schema is not None:
            tokens += 2 * _most_tokens(json.dumps(request.schema, ensure_ascii=False)) + FORM
        written = Usage(tokens, request.max_tokens, cache_write_tokens=tokens)
        dearer = max(self.price.cost(Usage(tokens, request.max_tokens)), self.price.cost(written))
        return dearer * (self.price.batch if batch else 1.0)

    def affords(self, worst: float | None) -> bool:
        """Whether ``worst`` more dollars stay within the budget."""
        if worst is None or self.budget is None:
            return True
        return self._spent + self._reserved + Fraction(worst) <= Fraction(self.budget)

    def reserve(self, worst: float | None) -> None:
        """Set ``worst`` dollars aside for a request that is about to be sent."""
        self._reserved += Fraction(worst or 0)

    def settle(self, worst: float | None, cost: float | None) -> None:
        """Give back the reserve and book what was really spent."""
        self._reserved -= Fraction(worst or 0)
        self._spent += Fraction(cost or 0)

    def settle_unpriced(self, *stores: Store) -> None:
        """Price what was sent while the price was not known, now that it is: lost attempts at their worst. ``stores``
        are all journals that this ledger pays for."""
        if self.price is None:
            return
        for store in stores:
            self._settle_unpriced(store)
        self._spent = sum((Fraction(store.totals().cost or 0) for store in stores), Fraction(0))

    def _settle_unpriced(self, store: Store) -> None:
        costs = []
        for attempt, k, answered, batch in store.unpriced():
            found = store.reply(k) if answered else None
            worst = self.worst(store.request(k), batch=batch)
            cost = self.bill(found[1], worst, batch=batch) if found else worst
            costs.append((cost or 0.0, attempt))
        store.priced(costs)

    def bill(self, reply: Completion, worst: float | None, *, batch: bool = False) -> float | None:
        """What ``reply`` cost, asked alone or in a ``batch``: ``worst`` where the server does not count its tokens. It
        may bill them all the same."""
        used = reply.usage
        counted = used.completion_tokens or (used.prompt_tokens and not reply.text)
        return self.cost(used, batch=batch) if counted else worst

    def cost(self, usage: Usage, *, batch: bool = False) -> float | None:
        """What a reply of ``usage`` cost, asked alone or in a ``batch``."""
        if self.price is None:
            return None
        return self.price.cost(usage) * (self.price.batch if batch else 1.0)


def _most_tokens(text: str) -> int:
    """The most tokens that any tokenizer makes of ``text``."""
    if text.isascii():
        return len(text)
    return max(len(text.encode()), len(unicodedata.normalize("NFKC", text).encode()))
