"""One training, from the data to the saved model: the stages in their order."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from alpaca_core import TrainResult
from alpaca_fsdp import data, export, placement, student
from alpaca_fsdp.examples import tokenize
from alpaca_fsdp.job import Job
from alpaca_fsdp.loop import Training
from alpaca_fsdp.world import Launcher, World, hold


def run(job: Job, launcher: Launcher) -> TrainResult | None:
    """Train ``job``, from its newest checkpoint on. Tells the launcher what happens, ``result`` or ``stopped`` last.
    None when it stopped."""
    from accelerate.utils import set_seed
    from transformers.utils import logging

    logging.disable_progress_bar()
    world = World.join(job.sharded, job.options.device)
    if world.first:
        hold(job.out / ".training.lock")
    set_seed(job.seed)
    template = data.load_template(job.template, dict(job.template_options))
    examples = data.read(job.data)
    if world.first and isinstance(job.base, Path):
        student.make(job, examples, template)
    world.wait()
    model, words = student.load(job.base)
    tokens, too_long = tokenize(examples, template, words, job.options.max_length)
    if too_long:
        world.emit("note", message=f"{len(too_long)} of {len(examples)} examples have no room for a response: left out")
    parameters = model.num_parameters()
    dtype = placement.dtype(job.options, world)
    model, fact = placement.place(model, world, dtype)
    model.train()
    training = Training(job.options, job.seed, tokens, model, words.eos_token_id, world, dtype)
    world.emit(
        "ready",
        steps=training.steps,
        message=f"{fact} · {training.layout.name} · {world.device.type} {str(dtype).removeprefix('torch.')}",
    )

    finished = training.run(job.checkpoints, launcher)
    if not finished:
        world.emit("stopped", step=training.step)
        world.leave()
        return None
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
    )
    export.save(job, model, words, template, result, len(examples), world)
    world.emit("saved", step=training.step, message=str(job.model))
    world.emit("result", **dict(asdict(result), model=str(job.model)))
    world.leave()
    return result
