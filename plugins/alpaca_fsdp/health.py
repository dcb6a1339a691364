"""Whether a training still learns: looked at before each update, so that a broken one changes no weight."""

# ruff: noqa: TID253 - loaded by the worker only

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch

from alpaca_core import AlpacaError
from alpaca_fsdp.examples import Tokens
from alpaca_fsdp.rows import Row
from alpaca_fsdp.world import World

Found = Sequence[tuple[Sequence[Tokens], Row, torch.Tensor]]  # examples of a row, the row, the losses of its tokens

MEMORY = 50  # steps that the smoothed loss looks back on
SETTLED = 20  # steps until its lowest counts: a lucky first batch is no measure
RISE = 1.0  # nats above the lowest smoothed loss: every token e times less likely than it was
PATIENCE = 50  # steps in a row above that
ZEROS = 3  # steps in a row with a loss of exactly 0
NAMED = 20  # rows that an error names at most


@dataclass
class Health:
    """Stops a training that is broken. Healthy ones pass: a loss on its way down, however noisy, is not for
    ``PATIENCE`` steps in a row ``RISE`` above the lowest of its means over about ``MEMORY`` steps.

    ``vocabulary`` is the number of tokens that the student chooses from, ``trained`` says that it knows a language
    already. The others are what is remembered of the losses so far (see ``memory``).
    """

    vocabulary: int
    trained: bool = False
    seen: int = 0
    smoothed: float = 0.0
    lowest: float = math.inf
    high: int = 0
    zeros: int = 0

    def check(self, step: int, loss: float, norm: float, found: Found, world: World) -> None:
        """Take note of ``step``'s mean loss and gradient norm, the same in every process. ``found`` is what this
        process computed. Raises AlpacaError, with the rows of the data by loss, worst first, when

        * the loss or the gradient is not a finite number,
        * the first loss is more than 1 nat worse than guessing every token alike, ln(vocabulary),
        * the loss is exactly 0 for ``ZEROS`` steps in a row,
        * or the smoothed loss stays ``RISE`` above its lowest for ``PATIENCE`` steps in a row.

        A first loss of a ``trained`` student that is hardly better than guessing is told in a note.
        """
        guessing = math.log(self.vocabulary)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            what = "the loss or its gradient is not a finite number"
            hint = "Look at these rows, or lower trainer.learning_rate."
            raise _error(step, what, hint, worst(found, world, only_broken=True))
        if step == 0 and loss > guessing + 1:
            what = (
                f"the first loss is {loss:.2f}, and guessing among {self.vocabulary:,} tokens would give {guessing:.2f}"
            )
            hint = "Tokenizer and weights of the student do not belong together, or are damaged: get its files again."
            raise _error(step, what, hint, worst(found, world))
        if step == 0 and self.trained and loss > guessing - 1:
            message = f"the first loss is {loss:.2f}: a student that knows the language starts at 1 to 3, and one that"
            message += f" guesses at {guessing:.2f}. Is it the right tokenizer?"
            world.emit("note", message=message)
        self.zeros = self.zeros + 1 if loss == 0 else 0
        if self.zeros == ZEROS:
            what = f"the loss is exactly 0, {ZEROS} steps in a row: there is nothing left to learn, or it collapsed"
            hint = "Look at the data and the student. If it knows the data by heart, end sooner: trainer.max_steps."
            raise _error(step, what, hint, worst(found, world))
        self._smooth(loss)
        if self.high == PATIENCE:
            what = (
                f"the loss rises: {self.smoothed:.2f} on average, and it was {self.lowest:.2f}."
                f" For {PATIENCE} steps it has stayed more than {RISE:g} above that"
            )
            hint = "Lower trainer.learning_rate, and go on from the last checkpoint or with --fresh."
            raise _error(step, what, hint, worst(found, world))

    @property
    def doubtful(self) -> bool:
        """Whether the last losses may be the start of a collapse: no time to write a checkpoint over a sound one."""
        return self.high > 0 or self.zeros > 0

    @property
    def memory(self) -> dict[str, float]:
        """What a checkpoint has to keep, as JSON without infinity: ``Health(**memory)`` goes on from it."""
        return {name: value for name, value in asdict(self).items() if math.isfinite(value)}

    def _smooth(self, loss: float) -> None:
        self.seen += 1
        self.smoothed += (loss - self.smoothed) / min(self.seen, MEMORY)  # at first the plain mean
        self.high = self.high + 1 if self.smoothed > self.lowest + RISE else 0
        if self.seen >= SETTLED:
            self.lowest = min(self.lowest, self.smoothed)


def worst(found: Found, world: World, only_broken: bool = False) -> list[int]:
    """Rows of the data with the highest mean loss in this batch, worst first, over all processes. With ``only_broken``
    those whose loss is not finite, or else all."""
    losses: dict[int, float] = {}
    for examples, row, each in found:
        each = each.float().cpu()
        for i, example in enumerate(examples):
            losses[example.row] = each[row.owners == i].mean().item()
    everywhere = {row: loss for part in world.all(losses) for row, loss in part.items()}
    broken = sorted(row for row, loss in everywhere.items() if not math.isfinite(loss))
    if only_broken:
        return broken or sorted(everywhere)
    return sorted(everywhere, key=lambda row: (-everywhere[row], row))


def _error(step: int, what: str, hint: str, rows: Sequence[int]) -> AlpacaError:
    named = ", ".join(map(str, rows[:NAMED])) + (", …" if len(rows) > NAMED else "")
    return AlpacaError(
        f"Step {step + 1}: {what}. Rows of the data: {named}.", hint=f"{hint} The last checkpoint is sound."
    )
