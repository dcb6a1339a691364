"""Options of the trainers ``local`` and ``fsdp``. Standard library only: read at start-up."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from typing import Any, Literal


def option(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


REPORTERS = ("tensorboard", "wandb", "trackio")


@dataclass(frozen=True)
class LocalOptions:
    """Defaults are the published Alpaca recipe. Those set to None follow the student, because what suits seven billion
    trained parameters teaches a new million nothing: see ``student.RECIPES``."""

    preset: str = option("", "named sets of options, with commas between: what is set here wins over them")
    device: Literal["auto", "cpu", "cuda"] = option("auto", "where to train: auto takes a GPU if there is one")
    dtype: Literal["auto", "float32", "bfloat16"] = option(
        "auto", "arithmetic of the model: auto is bfloat16 on a GPU and float32 on a CPU; weights stay float32"
    )
    epochs: float = option(3.0, "passes over the data")
    max_steps: int | None = option(None, "stop after so many optimizer steps (default: as many as epochs take)")
    max_seconds: float | None = option(
        None, "time cap: the learning rate reaches its end by then, and training stops (default: none)"
    )
    batch_size: int = option(128, "examples per optimizer step, over all processes")
    max_length: int = option(512, "tokens per example at most; longer ones are cut on the right")
    learning_rate: float | None = option(None, "peak learning rate (default: 2e-5; new:* students have their own)")
    schedule: Literal["cosine", "linear", "constant"] | None = option(
        None, "learning rate after warm-up (default: cosine; new:* students have their own)"
    )
    warmup: float | None = option(None, "share of the steps for warm-up (default: 0.03; new:* students differ)")
    weight_decay: float | None = option(None, "weight decay of matrices (default: 0; new:* students differ)")
    beta2: float | None = option(None, "AdamW's second beta (default: 0.999; new:* students differ)")
    max_grad_norm: float = option(1.0, "clip the gradient to this norm")
    packing: bool = option(True, "pack examples into rows without padding; the losses are the same")
    micro_tokens: int | None = option(
        None, "tokens of one forward pass per process, at most (default: as many as fit the memory, 4096 on a CPU)"
    )
    save_steps: int = option(500, "write a checkpoint every so many steps; the last two are kept")
    lora_rank: int | None = option(None, "train LoRA adapters of this rank, all else frozen (default: train all)")
    lora_alpha: float | None = option(None, "LoRA: adapters count alpha / rank times (default: twice the rank)")
    lora_dropout: float = option(0.0, "LoRA: dropout of what goes into an adapter")
    lora_targets: str = option("all-linear", "LoRA: layers by name, with commas between, such as q_proj,v_proj")
    lora_merge: bool = option(True, "LoRA: write the merged model too, not the adapter alone")
    encoding: Literal["ids", "text"] | None = option(
        None,
        "ids: end of text by id, control tokens in the data stay text; text: all by text, as published (default: ids)",
    )
    stepping: Literal["own", "trainer"] | None = option(
        None, "examples and learning rate of each step: ours, or those of transformers' Trainer (default: own)"
    )
    loss: Literal["tokens", "micro-batches"] = option(
        "tokens", "mean over the batch's supervised tokens, or over its micro-batches' means, as it was in 2023"
    )
    micro_batch: int = option(4, "examples of a micro-batch, where stepping or loss speak of them")
    pad_row: bool | None = option(
        None, "a tokenizer without a pad token gets [PAD], and the model a row for it, as published (default: no)"
    )
    # Memory: what is None follows from the devices found (see memory.py).
    checkpointing: Literal["none", "full"] | None = option(
        None, "activation checkpointing; full: layers are computed twice and keep little (default: as memory asks)"
    )
    optimizer_bits: Literal[32, 8] | None = option(
        None, "bits of AdamW's two states; 8 needs alpacakit[8bit] (default: 32, or 8 where nothing else fits)"
    )
    offload: bool | None = option(
        None, "keep weights and optimizer in the host's memory: trainer fsdp, GPU only (default: as memory asks)"
    )
    reshard: bool | None = option(
        None, "fsdp: free gathered weights after the forward pass, gather again (default: as memory asks)"
    )
    compile: bool | None = option(
        None, "compile each layer (default: on a GPU, where there are no Liger kernels for the model)"
    )
    samples: int = option(3, "prompts that the student answers at each epoch's end and at the very end; 0: none")
    report_to: str = option("", "trackers to tell of every step: tensorboard, wandb, trackio, with commas between")

    def __post_init__(self) -> None:
        _positive(self, "epochs", "batch_size", "max_grad_norm", "save_steps", "micro_batch")
        _positive(self, "max_steps", "max_seconds", "learning_rate", "micro_tokens", optional=True)
        reporters(self.report_to)
        if self.samples < 0:
            raise ValueError(f"samples must not be negative, not {self.samples}")
        if self.max_length < 8:
            raise ValueError(f"max_length must be at least 8, not {self.max_length}")
        if self.warmup is not None and not 0 <= self.warmup < 1:
            raise ValueError(f"warmup is a share of the steps, at least 0 and less than 1, not {self.warmup}")
        if self.beta2 is not None and not 0 <= self.beta2 < 1:
            raise ValueError(f"beta2 must be at least 0 and less than 1, not {self.beta2}")
        if self.weight_decay is not None and self.weight_decay < 0:
            raise ValueError(f"weight_decay must not be negative, not {self.weight_decay}")
        _check_lora(self)


@dataclass(frozen=True)
class FsdpOptions(LocalOptions):
    """The same, over several processes."""

    processes: int | None = option(None, "how many on each node (default: one per GPU; 2 where there is none)")
    nodes: int = option(1, "machines that train together, with a folder for --out that all of them see")
    rendezvous: str = option("", "with several nodes: HOST:PORT of one of them, where they meet")

    def __post_init__(self) -> None:
        super().__post_init__()
        _positive(self, "processes", optional=True)
        _positive(self, "nodes")
        if self.rendezvous and not re.fullmatch(r"\S+:\d+", self.rendezvous):
            raise ValueError(f"rendezvous must be HOST:PORT, not {self.rendezvous!r}")


def reporters(text: str) -> list[str]:
    """The names in ``report_to``. Raises ValueError for one that is not known."""
    names = [name.strip() for name in text.split(",") if name.strip() not in ("", "none")]
    for name in names:
        if name not in REPORTERS:
            raise ValueError(f"report_to knows {', '.join(REPORTERS)}, not {name!r}")
    return names


def _positive(options: Any, *names: str, optional: bool = False) -> None:
    for name in names:
        value = getattr(options, name)
        if not (optional and value is None) and not value > 0:
            raise ValueError(f"{name} must be greater than 0, not {value}")


def _check_lora(options: LocalOptions) -> None:
    _positive(options, "lora_rank", "lora_alpha", optional=True)
    if not 0 <= options.lora_dropout < 1:
        raise ValueError(f"lora_dropout must be at least 0 and less than 1, not {options.lora_dropout}")
    if not all(re.fullmatch(r"[\w.-]+", name.strip()) for name in options.lora_targets.split(",")):
        raise ValueError(f"lora_targets must be names of layers with commas between, not {options.lora_targets!r}")
    if options.lora_rank is None:  # whoever sets these means to have LoRA
        for name, default in ((each.name, each.default) for each in fields(options) if each.name.startswith("lora_")):
            if getattr(options, name) != default:
                raise ValueError(f"{name} is set and lora_rank is not: set lora_rank too, such as lora_rank=8")
