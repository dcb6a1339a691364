"""The flags of the published command (README of tatsu-lab/stanford_alpaca), and what each is here.

A flag that is not given has the value that the published code had: that of transformers' TrainingArguments (version
4.28), or its own.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from alpaca_core import ConfigError, TrainJob
from alpaca_fsdp import data
from alpaca_fsdp.options import FsdpOptions
from alpaca_fsdp.task import Task

TEMPLATE = "alpaca_templates.alpaca:AlpacaTemplate"
PRESET = "alpaca-2023"


def _truth(text: str) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    try:
        return words[text.lower()]
    except KeyError:
        raise ValueError(text) from None


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _one_of(*names: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in names:
            raise ValueError(text)
        return text

    read.expected = " or ".join(names)  # type: ignore[attr-defined]
    return read


@dataclass(frozen=True)
class Flag:
    """``read`` makes the value of a text, or raises ValueError. Without a ``default`` the flag must be given."""

    read: Callable[[str], Any]
    default: Any = None

    @property
    def expected(self) -> str:
        """What is expected of a value, in words."""
        names = {_truth: "True or False", _count: "a whole number from 1", int: "a whole number", float: "a number"}
        return getattr(self.read, "expected", None) or names.get(self.read, "a text")


FLAGS = {
    "model_name_or_path": Flag(str),
    "data_path": Flag(str),
    "output_dir": Flag(str),
    "cache_dir": Flag(str, ""),
    "model_max_length": Flag(_count, 512),
    "bf16": Flag(_truth, False),
    "fp16": Flag(_truth, False),
    "tf32": Flag(_truth, False),
    "use_cpu": Flag(_truth, False),
    "no_cuda": Flag(_truth, False),
    "num_train_epochs": Flag(float, 3.0),
    "max_steps": Flag(int, -1),
    "per_device_train_batch_size": Flag(_count, 8),
    "per_device_eval_batch_size": Flag(_count, 8),
    "gradient_accumulation_steps": Flag(_count, 1),
    "gradient_checkpointing": Flag(_truth, False),
    "evaluation_strategy": Flag(_one_of("no"), "no"),
    "eval_strategy": Flag(_one_of("no"), "no"),
    "save_strategy": Flag(_one_of("steps", "epoch", "no"), "steps"),
    "save_steps": Flag(_count, 500),
    "save_total_limit": Flag(_count, 2),
    "learning_rate": Flag(float, 5e-5),
    "weight_decay": Flag(float, 0.0),
    "warmup_ratio": Flag(float, 0.0),
    "warmup_steps": Flag(float, 0.0),
    "lr_scheduler_type": Flag(_one_of("cosine", "linear", "constant", "constant_with_warmup"), "linear"),
    "optim": Flag(_one_of("adamw_torch", "adamw_torch_fused", "adamw_hf"), "adamw_torch"),
    "seed": Flag(int, 42),
    "logging_steps": Flag(_count, 500),
    "report_to": Flag(_one_of("none", "tensorboard", "wandb", "trackio"), "none"),
    "run_name": Flag(str, ""),
    "fsdp": Flag(str, ""),
    "fsdp_transformer_layer_cls_to_wrap": Flag(str, ""),
    "deepspeed": Flag(str, ""),
}
# What hub and tracker read themselves.
ENVIRONMENT = {"cache_dir": "HF_HUB_CACHE", "run_name": "WANDB_NAME"}
REQUIRED = ("model_name_or_path", "data_path", "output_dir")


def read(words: Sequence[str], environment: Mapping[str, str] = os.environ) -> Task:
    """The training that the published flags ``words`` ask for, under torchrun's variables in ``environment``.

    Raises ConfigError naming every mistake. The task's notes tell of each given flag what it became.
    """
    given = parse(words)
    value = {name: given.get(name, flag.default) for name, flag in FLAGS.items()}
    processes = int(environment.get("WORLD_SIZE", 1))
    options, became = _options(value, processes)
    if value["deepspeed"] and "RANK" not in environment:
        raise ConfigError("--deepspeed needs torchrun.", hint="torchrun --nproc_per_node=1 -m alpaca_fsdp.train …")
    sharded = "RANK" in environment and (processes > 1 or bool(value["fsdp"] or value["deepspeed"]))
    became |= _placement(value, processes, sharded)
    job = TrainJob(
        data=Path(value["data_path"]),
        out=Path(value["output_dir"]),
        student=value["model_name_or_path"],
        template=TEMPLATE,
        seed=value["seed"],
        options=FsdpOptions(**options),
    )
    notes = [f"--{name} {_shown(given[name])}: {became[name]}" for name in FLAGS if name in given]
    if "deepspeed" not in given and processes > 1 and not value["fsdp"]:
        notes.append(f"without --fsdp: {processes} processes shard the model all the same")
    absent = ("num_train_epochs", "learning_rate", "lr_scheduler_type", "seed")
    unsaid = [f"{name} {_shown(value[name])}" for name in absent if name not in given]
    if unsaid:
        notes.append(f"not given, so as in the published code: {', '.join(unsaid)}")
    return Task(
        job,
        sharded,
        in_place=True,
        logging_steps=value["logging_steps"],
        notes=tuple(notes),
        tf32=value["tf32"],
        environment={name: value[flag] for flag, name in ENVIRONMENT.items() if value[flag]},
        deepspeed=value["deepspeed"],
    )


def described() -> list[str]:
    """A line of help for each flag."""
    shown = {name: "required" if name in REQUIRED else _shown(flag.default) for name, flag in FLAGS.items()}
    return [f"    --{name:<35} {flag.expected} ({shown[name]})" for name, flag in FLAGS.items()]


def parse(words: Sequence[str]) -> dict[str, Any]:
    """The values given, as ``--flag value`` or ``--flag=value``; a flag of truth may stand alone. Raises ConfigError
    with all mistakes: unknown flags, values that do not fit, required flags that are not there."""
    given: dict[str, Any] = {}
    problems = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            problems.append(f"{word}: a value without a flag")
            continue
        name, equals, text = word.removeprefix("--").partition("=")
        alone = not equals and (not rest or rest[0].startswith("--"))
        if not equals and not alone:
            text = rest.pop(0)
        flag = FLAGS.get(name)
        if flag is None:
            close = get_close_matches(name, FLAGS, n=1)
            problems.append(f"--{name}: there is no such flag" + (f". Did you mean --{close[0]}?" if close else ""))
            continue
        if alone and flag.read is not _truth:
            problems.append(f"--{name}: expected {flag.expected}, found nothing")
            continue
        try:
            given[name] = flag.read("True" if alone else text)
        except ValueError:
            problems.append(f"--{name}: expected {flag.expected}, found {text!r}")
    problems += [f"--{name} is missing" for name in REQUIRED if name not in given]
    if given.get("fp16"):
        problems.append("--fp16 True: half precision needs its loss scaled, which is not done here: give --bf16 True")
    if problems:
        raise ConfigError(
            "These flags are not as the published command has them:",
            problems=problems,
            hint="See: python -m alpaca_fsdp.train --help",
        )
    return given


def _options(value: dict[str, Any], processes: int) -> tuple[dict[str, Any], dict[str, str]]:
    """The trainer's options, and by flag what it became."""
    each, rounds = value["per_device_train_batch_size"], value["gradient_accumulation_steps"]
    batch = each * rounds * processes
    options = {
        "preset": PRESET,
        "device": "cpu" if value["use_cpu"] or value["no_cuda"] else "auto",
        "dtype": "bfloat16" if value["bf16"] else "float32",
        "epochs": value["num_train_epochs"],
        "max_steps": value["max_steps"] if value["max_steps"] > 0 else None,
        "batch_size": batch,
        "max_length": value["model_max_length"],
        "micro_tokens": each * value["model_max_length"],
        "learning_rate": value["learning_rate"],
        "schedule": value["lr_scheduler_type"].removesuffix("_with_warmup"),
        "warmup": value["warmup_ratio"],
        "weight_decay": value["weight_decay"],
        "beta2": 0.999,
        "save_steps": value["save_steps"],
    }
    if value["lr_scheduler_type"] == "constant":
        options["warmup"] = 0.0
    elif 0 < value["warmup_steps"] < 1:
        options["warmup"] = value["warmup_steps"]
    elif value["warmup_steps"]:
        options["warmup"] = value["warmup_steps"] / (options["max_steps"] or options["epochs"] * _epoch(value, batch))
    if value["save_strategy"] == "epoch":
        options["save_steps"] = _epoch(value, batch)
    elif value["save_strategy"] == "no":
        options["save_steps"] = 10**9
    reporters = "" if value["report_to"] == "none" else value["report_to"]
    options |= {
        "micro_batch": each,
        "report_to": reporters,
        "checkpointing": "full" if value["gradient_checkpointing"] else None,
        "offload": "offload" in value["fsdp"].split() or None,
    }
    set_to = {name: f"trainer.{name} = {setting}" for name, setting in options.items()}
    no_evaluation = "no effect: nothing is evaluated while training"
    became = {
        "model_name_or_path": "the student",
        "data_path": "the data",
        "output_dir": "the model lands here, with metrics.jsonl and, until it is there, checkpoints/",
        "cache_dir": "HF_HUB_CACHE, where models of the hub are kept",
        "run_name": "WANDB_NAME, which Weights & Biases reads",
        "model_max_length": set_to["max_length"],
        "bf16": set_to["dtype"] + ", weights and sums in float32",
        "fp16": "no effect: it is not done here",
        "use_cpu": set_to["device"],
        "no_cuda": set_to["device"],
        "num_train_epochs": set_to["epochs"],
        "max_steps": set_to["max_steps"],
        "per_device_train_batch_size": f"{each} x {rounds} rounds x {processes} process(es): {set_to['batch_size']};"
        f" {set_to['micro_tokens']}",
        "per_device_eval_batch_size": no_evaluation,
        "gradient_accumulation_steps": "see per_device_train_batch_size",
        "evaluation_strategy": no_evaluation,
        "eval_strategy": no_evaluation,
        "save_strategy": set_to["save_steps"],
        "save_steps": set_to["save_steps"],
        "save_total_limit": "no effect: the newest two checkpoints are kept until the model has landed",
        "learning_rate": set_to["learning_rate"],
        "weight_decay": set_to["weight_decay"],
        "warmup_ratio": set_to["warmup"],
        "warmup_steps": set_to["warmup"],
        "lr_scheduler_type": set_to["schedule"],
        "optim": "fused AdamW, the same arithmetic",
        "seed": "the seed",
        "report_to": set_to["report_to"],
        "gradient_checkpointing": set_to["checkpointing"],
        "logging_steps": "how often a step is printed; metrics.jsonl has them all",
    }
    return options, became


def _placement(value: dict[str, Any], processes: int, sharded: bool) -> dict[str, str]:
    """By flag what it became, of those that say where and how the model lies."""
    from_model = "no effect: the layers are found from the model, whatever their class is called"
    fsdp = f"FSDP2 full shard over {processes} process(es)" if sharded else "no effect: a single process, no torchrun"
    if "offload" in value["fsdp"].split():
        fsdp += "; trainer.offload = True"
    return {
        "tf32": "no effect without a GPU; on one, float32 products in TF32" if value["tf32"] else "off",
        "fsdp": fsdp,
        "fsdp_transformer_layer_cls_to_wrap": from_model,
        "deepspeed": "DeepSpeed's ZeRO as this file says, in place of FSDP2",
    }


def _epoch(value: dict[str, Any], batch: int) -> int:
    """Optimizer steps of an epoch."""
    return -(-len(data.read(Path(value["data_path"]))) // batch)


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return shlex.quote(str(value))
