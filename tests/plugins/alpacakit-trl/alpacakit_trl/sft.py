"""Supervised fine-tuning by TRL on the data beside this file. Written by alpacakit-trl; runs wherever TRL is installed.

``settings.json`` holds what it goes by, ``data.jsonl`` the rows. The model comes into ``../model``. Run again, it goes
on from its newest checkpoint.
"""

# ruff: noqa: TID253 - a script, never imported

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from datasets import load_dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from transformers.trainer_utils import get_last_checkpoint
from trl import SFTConfig, SFTTrainer

HERE = Path(__file__).resolve().parent


class Told(TrainerCallback):
    """What happens, as JSON lines on standard output."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.loss = 0.0

    def on_log(self, args, state, control, logs=None, **_) -> None:
        if logs and "loss" in logs:
            self.loss = logs["loss"]
            tell("step", state, loss=self.loss, learning_rate=logs.get("learning_rate"), epoch=logs.get("epoch") or 0.0)

    def on_save(self, args, state, control, **_) -> None:
        tell("checkpoint", state, message=str(HERE / f"checkpoint-{state.global_step}"))


def tell(kind: str, state, **more) -> None:
    print(json.dumps({"kind": kind, "step": state.global_step, "steps": state.max_steps, **more}), flush=True)


def main() -> None:
    settings = json.loads((HERE / "settings.json").read_text(encoding="utf-8"))
    tokenizer = AutoTokenizer.from_pretrained(settings["student"])
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    arguments = SFTConfig(
        output_dir=str(HERE),
        num_train_epochs=settings["epochs"],
        max_steps=settings["max_steps"],
        per_device_train_batch_size=settings["batch_size"],
        learning_rate=settings["learning_rate"],
        max_length=settings["max_length"],
        save_steps=settings["save_steps"],
        use_cpu=settings["device"] == "cpu",
        seed=settings["seed"],
        lr_scheduler_type="cosine",
        warmup_steps=0.03,
        completion_only_loss=True,
        save_total_limit=2,
        logging_steps=1,
        report_to="none",
        disable_tqdm=True,
    )
    told = Told()
    trainer = SFTTrainer(
        AutoModelForCausalLM.from_pretrained(settings["student"]),
        arguments,
        train_dataset=load_dataset("json", data_files=str(HERE / "data.jsonl"), split="train"),
        processing_class=tokenizer,
        callbacks=[told],
    )
    done = trainer.train(resume_from_checkpoint=get_last_checkpoint(str(HERE)))
    tokenizer.chat_template = settings["chat_template"]
    trainer.save_model(str(HERE.parent / "model"))
    tokenizer.save_pretrained(HERE.parent / "model")
    result = {
        "world_size": arguments.world_size,
        "steps": trainer.state.global_step,
        "tokens": int(trainer.state.num_input_tokens_seen or 0),
        "final_loss": told.loss or done.training_loss,
        "seconds": time.perf_counter() - told.started,
        "parameters": sum(weights.numel() for weights in trainer.model.parameters()),
    }
    if trainer.is_world_process_zero():
        (HERE / "result.json.new").write_text(json.dumps(result), encoding="utf-8")
        os.replace(HERE / "result.json.new", HERE / "result.json")
        tell("saved", trainer.state, message=str(HERE.parent / "model"))


if __name__ == "__main__":
    main()
