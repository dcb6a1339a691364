"""Money: what may be spent, what is reserved for requests in flight, what is gone. Dollars throughout."""

from __future__ import annotations

from alpaca_core.errors import ConfigError
from alpaca_core.records import Price, Request, Usage
from alpaca_core.store import Store

DEFAULT_BUDGET = 5.0  # dollars, where the price is known and no budget was given


class Ledger:
    """Keeps a hard budget: a request's worst price is reserved before it is sent and settled after.

    ``price`` None means unknown: then nothing can be promised, and a budget is refused.
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
        self.spent = spent or 0.0
        self.reserved = 0.0

    def worst(self, request: Request) -> float | None:
        """The most that ``request`` can cost: a token is at least one byte of text, and an answer is at most
        ``max_tokens`` long. 64 tokens are added for what chat formats put around the messages."""
        if self.price is None:
            return None
        text = request.system + request.prompt + request.input + request.prefix
        usage = Usage(prompt_tokens=len(text.encode()) + 64, completion_tokens=request.max_tokens)
        return self.price.cost(usage)

    def affords(self, worst: float | None) -> bool:
        """Whether ``worst`` more dollars stay within the budget."""
        return worst is None or self.budget is None or self.spent + self.reserved + worst <= self.budget

    def reserve(self, worst: float | None) -> None:
        self.reserved += worst or 0.0

    def settle(self, worst: float | None, cost: float | None) -> None:
        """Give back the reserve and book what was really spent."""
        self.reserved -= worst or 0.0
        self.spent += cost or 0.0

    def settle_unpriced(self, store: Store) -> None:
        """Price what was sent while the price was not known, now that it is: lost attempts at their worst."""
        if self.price is None:
            return
        costs = []
        for attempt, k, answered in store.unpriced():
            found = store.reply(k) if answered else None
            cost = self.price.cost(found[1].usage) if found else self.worst(store.request(k))
            costs.append((cost or 0.0, attempt))
        store.priced(costs)
        self.spent = store.totals().cost or 0.0

    def cost(self, usage: Usage) -> float | None:
        """What a reply of ``usage`` cost."""
        return None if self.price is None else self.price.cost(usage)
