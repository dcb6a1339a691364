"""One training, from the data to the saved model: the stages in their order."""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from alpaca_core import ChatTemplate, Example, TrainResult
from alpaca_fsdp import cache, data, export, fit, lora, placement, probe, soundness, student, trial
from alpaca_fsdp.examples import Tokens
from alpaca_fsdp.following import Following
from alpaca_fsdp.job import Job
from alpaca_fsdp.loop import Training
from alpaca_fsdp.world import Launcher, World, hold


def run(job: Job, launcher: Launcher) -> TrainResult:
    """Train ``job``, from its newest checkpoint on. Tells the launcher what happens, ``result`` or ``stopped`` last.
    Raises Stopped when it ended before its last step, as asked, with a checkpoint."""
    from accelerate.utils import set_seed
    from transformers.utils import logging

    logging.disable_progress_bar()
    world = World.join(job.sharded, job.options.device)
    probe.exchange(world)
    if world.first:
        hold(job.out / ".training.lock")
    set_seed(job.seed)
    template = data.load_template(job.template, dict(job.template_options))
    examples = data.read(job.data)
    if world.first and isinstance(job.base, Path):
        student.make(job, examples, template)
    world.wait()
    model, words = student.load(job.base, job.options.pad_row)
    for note in soundness.differences(words, model.config):
        world.emit("note", message=note)
    gc.freeze()  # what is here stays to the end: looking through it for garbage took a fifth of the tokenising
    tokens, seconds = _tokens(job, examples, template, words, world)
    endless = sum(int(example.ids[-1]) != words.eos_token_id for example in tokens)
    if endless:
        world.emit("note", message=f"{endless} examples are cut at {job.options.max_length} tokens: they teach no end")
    parameters = model.num_parameters()
    dtype = placement.dtype(job.options, world)
    adapted = None
    if job.options.lora_rank:
        earlier = lora.finished(job)
        if earlier is not None:
            world.emit("note", message=f"{job.adapter} is there already: it is merged, not trained again")
            if world.first:
                lora.merge(job, tokens[0].ids, words, template, earlier, len(examples))
            world.wait()
            return _done(earlier, world)
    job, planned = fit.fit(job, model, tokens, world, dtype)
    if job.options.lora_rank:
        adapted = lora.add(model, job, dtype)
    model, fact = placement.place(model, world, dtype, job.options)
    model.train()
    follow = Following.of(job, model, words, tokens, examples, template, world)
    training = Training(job.options, job.seed, tokens, model, words.eos_token_id, world, dtype, follow)
    training.health.trained = not isinstance(job.base, Path)  # a new one knows nothing yet
    took = trial.run(training, planned, job)
    fact += lora.told(adapted)
    world.emit(
        "ready",
        steps=training.steps,
        message=f"{fact} · {training.layout.name} · {world.device.type} {str(dtype).removeprefix('torch.')} · {took}"
        f" · {len(tokens):,} examples tokenised in {seconds:.2f} s",
    )
    with trial.watched(planned, job):
        finished = training.run(job.checkpoints, launcher)
    follow.close()
    if not finished:
        world.stop(training.step)
    result = TrainResult(
        model=job.model,
        base=str(job.base),
        strategy="fsdp2" if job.sharded else "single",
        world_size=world.size,
        steps=training.step,
        tokens=training.progress.tokens,
        final_loss=training.progress.loss,
        seconds=round(training.progress.seconds, 3),
        parameters=parameters,
        lora=adapted,
    )
    if adapted is None:
        export.save(job, model, words, template, result, len(examples), world)
    else:
        with training.casting:
            adapter = lora.take(model, tokens[0].ids.to(world.device), dtype)
        lora.save(job, adapter, words, template, result, len(examples), world)
    return _done(result, world)


def _done(result: TrainResult, world: World) -> TrainResult:
    world.emit("saved", step=result.steps, message=str(result.model))
    world.emit("result", **dict(asdict(result), model=str(result.model)))
    world.leave()
    return result


def _tokens(
    job: Job, examples: Sequence[Example], template: ChatTemplate, words: Any, world: World
) -> tuple[list[Tokens], float]:
    """The tokenised examples and the seconds that they took. The first process makes them, the others read its file;
    where they find none, as on a node with another disk, they make them too."""
    begun = time.monotonic()
    how = (job.checkpoints / cache.NAME, examples, template, words, job.options.max_length, job.options.encoding)
    if world.first:
        tokens, too_long = cache.tokens(*how)
    world.wait()
    if not world.first:
        tokens, too_long = cache.tokens(*how, write=False)
    if too_long:
        rest = "they teach nothing" if job.options.encoding == "text" else "left out"
        world.emit("note", message=f"{len(too_long)} of {len(examples)} examples have no room for a response: {rest}")
    return tokens, time.monotonic() - begun
