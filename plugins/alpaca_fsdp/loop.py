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

from alpaca_fsdp import checkpoint, losses, optimizer, placement, preambles, published, rehearsal, rows
from alpaca_fsdp.examples import Tokens
from alpaca_fsdp.following import Following
from alpaca_fsdp.health import Health
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
        self.order = published.order(options, len(examples), seed, world.size)
        self.steps = options.max_steps or math.ceil(options.epochs * self.order.steps_per_epoch)
        # Under FSDP the sharding does the casting.
        self.casting = (
            torch.autocast(world.device.type, dtype) if dtype != torch.float32 and not world.sharded else nullcontext()
        )
        self.optimizer = optimizer.build(model, options)
        with self.casting:
            self.layout = losses.choose(
                model, self.examples, options.packing, world.device, dtype, lambda fits: all(world.all(fits))
            )
        self.cap = options.max_seconds or math.inf
        self.step = 0
        self.progress = Progress()
        self.saved = 0  # the step of the last checkpoint
        self.health = Health(model.get_input_embeddings().weight.shape[0])
        self.begun = time.monotonic()
        self.follow = follow or Following(world)

    def run(self, checkpoints: Path, launcher: Launcher) -> bool:
        """Train to the last step. False when it stopped before, as asked, with a checkpoint."""
        restored = checkpoint.restore(checkpoints, self.model, self.optimizer, self.world)
        if restored is not None:
            self.step = self.saved = restored["step"]
            self.progress = Progress(**restored["progress"])
            self.health = Health(**restored["health"])
            self.world.emit("note", step=self.step, steps=self.steps, message=f"going on after step {self.step}")
        room = rehearsal.rehearse if restored is None else rehearsal.check_room
        room(checkpoints, self.model, self.optimizer, self.world, self._to_write)
        self.follow.begin(self.step, self.progress.seconds)
        self.begun = time.monotonic() - self.progress.seconds
        while not self.over:
            stop = self._step(launcher.asked_to_stop)
            rate = float(self.optimizer.param_groups[0]["lr"])
            values = {"learning_rate": rate, **asdict(self.progress), **self.follow.facts}
            self.world.emit("step", step=self.step, steps=self.steps, **values)
            self.begun += self.follow.after(self, values, stop)
            due = self.step - self.saved >= self.options.save_steps
            if stop or self.over or (due and not self.health.doubtful):
                self._save(checkpoints)
                if stop and not self.over:
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
        return optimizer.learning_rate(max(published.done(self.step, self.steps, self.options), late), self.options)

    @property
    def _to_write(self) -> int:
        """Checkpoints that will be written: the regular ones, and one at the end or when asked to stop."""
        return (self.steps - self.step) // self.options.save_steps + 1

    def _save(self, checkpoints: Path) -> None:
        facts = {"progress": asdict(self.progress), "health": self.health.memory}
        checkpoint.save(checkpoints, self.step, self.model, self.optimizer, facts, self.world)
        self.saved = self.step
        self.world.emit("checkpoint", step=self.step, steps=self.steps)

    def _step(self, asked_to_stop: bool) -> bool:
        """One optimizer step. True when some process was asked to stop."""
        batch = [self.examples[i] for i in self.order.batch(self.step)]
        supervised = max(1, sum(example.supervised for example in batch))
        factors = published.factors(self.options, batch)
        mine = rows.share(batch, self.world.size, self.options.micro_tokens, padded=self.layout is losses.PADDED)
        torch.manual_seed(hash((self.seed, self.step, self.world.rank)))  # dropout: a function of the step too
        found: list[tuple[list[Tokens], rows.Row, torch.Tensor]] = []
        total = torch.zeros((), dtype=torch.float64, device=self.world.device)
        own = mine[self.world.rank :: self.world.size]
        for number, places in enumerate(own, 1):
            if self.options.reshard is False:
                placement.keep_gathered(self.model, number < len(own))
            examples = [batch[i] for i in places]
            row = self.layout.lay(examples, self.filler, self.world.device)
            with self.casting:
                each = losses.token_losses(self.model, row, self.layout.fused and factors is None)
            found.append((examples, row, each.detach()))
            if factors is not None and places:
                each = each * factors[places][row.owners].to(each.device)
            # The mean over the supervised tokens of the whole batch; FSDP divides gradients by the processes.
            (each.sum() * (self.world.size / supervised)).backward()
            total = total + each.detach().double().sum()
        # One exchange per step: the loss, whether to stop, and the first process's clock.
        clock = time.monotonic() - self.begun if self.world.first else 0.0
        ours = torch.stack([total, total.new_tensor(asked_to_stop), total.new_tensor(clock)])
        loss, stop, clock, *told = self.world.sum(torch.cat([ours, self.follow.given(found, batch)])).tolist()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.options.max_grad_norm)
        norm = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
        self.health.check(self.step, loss / supervised, float(norm), found, self.world)
        optimizer.set_rate(self.optimizer, self.rate)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        tokens = self.progress.tokens + sum(len(example.ids) for example in batch)
        self.progress = Progress(tokens, round(clock, 4), loss / supervised)
        self.follow.took(self, batch, told, float(norm))
        return stop > 0
