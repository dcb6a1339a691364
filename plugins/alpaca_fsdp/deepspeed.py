"""DeepSpeed's ZeRO in place of FSDP2, where ``--deepspeed CONFIG`` asks for it, as the published README offers.

As there, transformers' Trainer does it on accelerate's DeepSpeed: it fills in what the configuration leaves "auto",
pads rows instead of packing them, and has checkpoints of its own. Nothing here is faster or safer than FSDP2.
"""

# ruff: noqa: TID253 - loaded by the worker only

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from alpaca_core import ConfigError, MissingError, TrainResult
from alpaca_fsdp import data, export, landing, student
from alpaca_fsdp.examples import Tokens, tokenize
from alpaca_fsdp.job import STAMP, Job, write_json
from alpaca_fsdp.rows import IGNORE
from alpaca_fsdp.world import World, hold


def configuration(path: Path) -> dict[str, Any]:
    """What the file of ``--deepspeed`` says, and that the whole weights are gathered at the end, without which there is
    no model to load. Raises ConfigError when it cannot be read, MissingError where deepspeed is not installed."""
    if find_spec("deepspeed") is None:
        raise MissingError(
            "--deepspeed needs the package 'deepspeed', which is not installed.",
            hint="Install it with: pip install wheel && pip install --no-build-isolation deepspeed - or use --fsdp.",
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        content["zero_optimization"]["stage3_gather_16bit_weights_on_model_save"] = True
    except OSError as exc:
        raise ConfigError(f"Cannot read the DeepSpeed configuration {path}: {exc.strerror}.") from exc
    except (ValueError, KeyError, TypeError) as exc:
        raise ConfigError(f"{path} is no DeepSpeed configuration: JSON with a zero_optimization is expected.") from exc
    return content


def run(job: Job, config: dict[str, Any], asked: Any, world: World) -> TrainResult:
    """Train ``job`` from its newest checkpoint on, telling what happens as ``run.run`` does.

    Raises ConfigError for several processes on a CPU.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback, Trainer
    from transformers.trainer_utils import get_last_checkpoint

    if world.device.type == "cpu" and world.size > 1:
        raise ConfigError(
            "--deepspeed takes one process on a CPU: accelerate brings several together on GPUs only.",
            hint="Use --fsdp in its place.",
        )
    if world.first:
        hold(job.out / ".training.lock")
    template, examples = data.load_template(job.template, dict(job.template_options)), data.read(job.data)
    if world.first and isinstance(job.base, Path):
        student.make(job, examples, template)
    world.wait()
    arguments = _arguments(job, config, world)  # before the model, which is then loaded in shards
    words = AutoTokenizer.from_pretrained(job.base)
    model = AutoModelForCausalLM.from_pretrained(job.base, dtype=torch.float32)
    tokens, too_long = tokenize(examples, template, words, job.options.max_length)
    if too_long:
        world.emit("note", message=f"{len(too_long)} of {len(examples)} examples have no room for a response: left out")
    trainer = Trainer(
        model=model, args=arguments, train_dataset=tokens, data_collator=_padded, callbacks=[_teller(asked, world)]
    )
    trainer.remove_callback(PrinterCallback)
    found = trainer.train(resume_from_checkpoint=get_last_checkpoint(str(job.checkpoints)))
    state = trainer.state
    if state.global_step < state.max_steps:
        world.stop(state.global_step)
    result = TrainResult(
        model=job.model,
        base=str(job.base),
        strategy=f"deepspeed-zero{config['zero_optimization'].get('stage', 0)}",
        world_size=world.size,
        steps=state.global_step,
        tokens=int(state.num_input_tokens_seen),
        final_loss=next(line["loss"] for line in reversed(state.log_history) if "loss" in line),
        seconds=round(found.metrics["train_runtime"], 3),
    )
    draft = landing.draft(job.out, job.model)
    if world.first:
        shutil.rmtree(draft, ignore_errors=True)
    trainer.save_model(str(draft))
    if world.first:
        (draft / "training_args.bin").unlink(missing_ok=True)
        words.chat_template = template.jinja
        words.save_pretrained(draft)
        (draft / "README.md").write_text(export.card(job, result, len(examples)), encoding="utf-8")
        write_json(draft / STAMP, {"identity": dict(job.identity), "facts": {}, "result": asdict(result)})
        landing.land(draft, job.model)
        for left in job.checkpoints.glob("checkpoint-*"):
            shutil.rmtree(left)
    world.emit("saved", step=result.steps, message=str(job.model))
    world.wait()
    world.leave()
    return result


def _arguments(job: Job, config: dict[str, Any], world: World) -> Any:
    from transformers import TrainingArguments

    options = job.options
    each = max(1, (options.micro_tokens or 4096) // options.max_length)
    return TrainingArguments(
        output_dir=str(job.checkpoints),
        deepspeed=config,
        per_device_train_batch_size=each,
        gradient_accumulation_steps=max(1, options.batch_size // (each * world.size)),
        num_train_epochs=options.epochs,
        max_steps=options.max_steps or -1,
        learning_rate=options.learning_rate,
        lr_scheduler_type=options.schedule,
        warmup_steps=options.warmup,  # a share of the steps where it is less than 1
        weight_decay=options.weight_decay,
        adam_beta2=options.beta2,
        max_grad_norm=options.max_grad_norm,
        bf16=options.dtype == "bfloat16",
        save_steps=options.save_steps,
        save_total_limit=2,
        logging_steps=1,
        seed=job.seed,
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        include_num_input_tokens_seen="non_padding",
    )


def _padded(batch: list[Tokens]) -> dict[str, torch.Tensor]:
    ids = pad_sequence([example.ids for example in batch], batch_first=True)
    labels = [torch.cat([torch.full((e.prompt,), IGNORE), e.ids[e.prompt :]]) for e in batch]
    mask = pad_sequence([torch.ones_like(example.ids) for example in batch], batch_first=True)
    return {"input_ids": ids, "attention_mask": mask, "labels": pad_sequence(labels, True, IGNORE)}


def _teller(asked: Any, world: World) -> Any:
    """The Trainer's callback that tells of steps and checkpoints, and stops all processes once one was asked to."""
    from transformers import TrainerCallback

    class Teller(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            world.emit("ready", steps=state.max_steps, message=f"DeepSpeed ZeRO x {world.size} · padded rows")

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            stop = world.sum(torch.tensor(float(asked.asked_to_stop), device=world.device))
            if stop > 0 and state.global_step < state.max_steps:
                control.should_save = control.should_training_stop = True

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
            if "loss" in logs:
                found = {"loss": logs["loss"], "learning_rate": logs["learning_rate"]}
                tokens = int(state.num_input_tokens_seen)
                world.emit("step", step=state.global_step, steps=state.max_steps, tokens=tokens, **found)

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            world.emit("checkpoint", step=state.global_step, steps=state.max_steps)

    return Teller()
