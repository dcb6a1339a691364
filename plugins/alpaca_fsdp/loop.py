"""The loop over optimizer steps."""

# ruff: noqa: TID253 - loaded by the worker only

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from alpaca_core import AlpacaError
from alpaca_fsdp import checkpoint, losses, optimizer, preambles, rows
from alpaca_fsdp.examples import Order, Tokens
from alpaca_fsdp.following import Following
from alpaca_fsdp.options import LocalOptions
from alpaca_fsdp.world import Launcher, World


def _shareable(model: Any) -> bool:
    """Whether what a preamble's tokens are is the same in every example: not where each is to have its own dropout."""
    config = model.config.to_dict()
    layers = any(isinstance(module, torch.nn.Dropout) and module.p > 0 for module in model.modules())
    return not layers and not config.get("attention_dropout")


@dataclass(frozen=True)
class Progress:
    """What a checkpoint has to remember besides tensors."""

    tokens: int = 0
    seconds: float = 0.0
    loss: float = math.nan


class Training:
    """The loop over optimizer steps."""

    def __init__(
        self,
        options: LocalOptions,
        seed: int,
        examples: Sequence[Tokens],
        model: Any,
        filler: int,
        world: World,
        dtype: torch.dtype,
        follow: Following | None = None,
    ) -> None:
        self.options, self.seed = options, seed
        self.examples = preambles.find(examples) if _shareable(model) else examples
        self.model, self.filler, self.world = model, filler, world
        self.order = Order(len(examples), options.batch_size, seed)
        self.steps = options.max_steps or math.ceil(options.epochs * self.order.steps_per_epoch)
        # Under FSDP the sharding does the casting.
        self.casting = (
            torch.autocast(world.device.type, dtype) if dtype != torch.float32 and not world.sharded else nullcontext()
        )
        self.optimizer = optimizer.build(model, options)
        with self.casting:
            self.layout = losses.choose(model, self.examples, options.packing, world.device, dtype)
        self.cap = options.max_seconds or math.inf
        self.step = 0
        self.progress = Progress()
        self.begun = time.monotonic()
        self.follow = follow or Following(world)

    def run(self, checkpoints: Path, launcher: Launcher) -> bool:
        """Train to the last step. False when it stopped before, as asked, with a checkpoint."""
        restored = checkpoint.restore(checkpoints, self.model, self.optimizer, self.world)
        if restored is not None:
            self.step = restored.pop("step")
            self.progress = Progress(**restored)
            self.world.emit("note", step=self.step, steps=self.steps, message=f"going on after step {self.step}")
        self.follow.begin(self.step, self.progress.seconds)
        self.begun = time.monotonic() - self.progress.seconds
        while not self.over:
            stop = self._step(launcher.asked_to_stop)
            rate = self.optimizer.param_groups[0]["lr"]
            values = {"learning_rate": rate, **asdict(self.progress), **self.follow.facts}
            self.world.emit("step", step=self.step, steps=self.steps, **values)
            self.begun += self.follow.after(self, values, stop)
            if not self.over and (stop or self.step % self.options.save_steps == 0):
                checkpoint.save(checkpoints, self.step, self.model, self.optimizer, asdict(self.progress), self.world)
                self.world.emit("checkpoint", step=self.step, steps=self.steps)
                if stop:
                    return False
        if self.step < self.steps:
            message = f"the time cap of {self.options.max_seconds:g} s ended training before its {self.steps} steps"
            self.world.emit("note", step=self.step, steps=self.steps, message=message)
        return True

    @property
    def over(self) -> bool:
        return self.step >= self.steps or self.progress.seconds >= self.cap

    @property
    def rate(self) -> float:
        """The learning rate of the step at hand. The time cap has no say in its first half, so that a training which
        keeps well within it is the same on every machine; after that it counts double, to be through in time."""
        late = 2 * self.progress.seconds / self.cap - 1
        return optimizer.learning_rate(max((self.step + 1) / (self.steps + 1), late), self.options)

    def _step(self, asked_to_stop: bool) -> bool:
        """One optimizer step. True when some process was asked to stop."""
        batch = [self.examples[i] for i in self.order.batch(self.step)]
        supervised = sum(example.supervised for example in batch)
        mine = rows.share(batch, self.world.size, self.options.micro_tokens)
        torch.manual_seed(hash((self.seed, self.step, self.world.rank)))  # dropout: a function of the step too
        found: list[tuple[list[Tokens], rows.Row, torch.Tensor]] = []
        for places in mine[self.world.rank :: self.world.size]:
            examples = [batch[i] for i in places]
            row = self.layout.lay(examples, self.filler, self.world.device)
            with self.casting:
                each = losses.token_losses(self.model, row, self.layout.fused)
            # The mean over the supervised tokens of the whole batch; FSDP divides gradients by the processes.
            (each.sum() * (self.world.size / supervised)).backward()
            found.append((examples, row, each.detach()))
        # One exchange per step: the loss, whether to stop, and the first process's clock.
        loss = torch.stack([each.double().sum() for *_, each in found]).sum()
        clock = time.monotonic() - self.begun if self.world.first else 0.0
        ours = torch.stack([loss, loss.new_tensor(asked_to_stop), loss.new_tensor(clock)])
        loss, stop, clock, *told = self.world.sum(torch.cat([ours, self.follow.given(found, batch)])).tolist()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.options.max_grad_norm)
        norm = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
        if not (math.isfinite(loss) and torch.isfinite(norm)):
            raise self._broken(found)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        tokens = self.progress.tokens + sum(len(example.ids) for example in batch)
        self.progress = Progress(tokens, round(clock, 4), loss / supervised)
        self.follow.took(self, batch, told, float(norm))
        return stop > 0

    def _broken(self, found: list[tuple[list[Tokens], rows.Row, torch.Tensor]]) -> AlpacaError:
        """The error for a loss or gradient that is no number, naming the rows with such a loss, or else all."""
        wrong, seen = set(), set()
        for examples, row, each in found:
            seen |= {example.row for example in examples}
            wrong |= {examples[i].row for i in row.owners[~torch.isfinite(each.cpu())].tolist()} if examples else set()
        wrong = set().union(*self.world.all(wrong)) or set().union(*self.world.all(seen))
        named = ", ".join(map(str, sorted(wrong)[:20])) + (", …" if len(wrong) > 20 else "")
        return AlpacaError(
            f"Step {self.step + 1}: the loss or its gradient is not a finite number. Rows of the data: {named}.",
            hint="Look at these rows, or lower trainer.learning_rate. The last checkpoint is sound.",
        )
