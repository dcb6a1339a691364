"""One training by one contender of ``training.py``, in a process of its own: JSON on standard output.

    python tests/benchmarks/training_peers.py published JOB.json

The contenders: ``published``, our own port of what Stanford Alpaca's train.py does, run by transformers' Trainer;
``grouped``, the same with batches of like length; ``trl``, ``trl-packing`` and ``trl-padding-free``, TRL's SFTTrainer,
which this file needs a Python with TRL for; ``alpaca-2023`` and ``default``, alpacakit's worker by its trainer.

What the published code does, and the port with it: a row becomes prompt and answer, the answer with the text of the end
token behind it. Prompt + answer and the prompt are tokenised one text at a time, cut at 512 tokens; as many labels as
the prompt has tokens are set to -100. A collator pads a micro-batch to its longest row and masks the pad token. Where
the tokenizer has no pad token, [PAD] is added, with the mean of all other rows in both embeddings. Trainer does the
rest. In 2023 that averaged the means of the micro-batches (``loss`` "micro-batches"); today it averages the tokens.

Nothing but torch and transformers is needed for it, and no alpacakit.
"""

from __future__ import annotations

import copy
import json
import sys
import time
from pathlib import Path
from typing import Any

MAX_LENGTH = 512
IGNORED = -100
TASK = "Below is an instruction that describes a task"
ANSWER = "Write a response that appropriately completes the request."


def prompt(row: dict[str, str]) -> str:
    """The prompt that the published model was trained on."""
    if row["input"]:
        given = f"{TASK}, paired with an input that provides further context. {ANSWER}"
        return f"{given}\n\n### Instruction:\n{row['instruction']}\n\n### Input:\n{row['input']}\n\n### Response:"
    return f"{TASK}. {ANSWER}\n\n### Instruction:\n{row['instruction']}\n\n### Response:"


def preprocess(rows: list[dict[str, str]], words: Any) -> dict[str, list[Any]]:
    """Ids and labels, as the published code makes them."""

    def tokenised(texts: list[str]) -> tuple[list[Any], list[int]]:
        how = {"return_tensors": "pt", "padding": "longest", "max_length": MAX_LENGTH, "truncation": True}
        found = [words(text, **how).input_ids[0] for text in texts]
        return found, [ids.ne(words.pad_token_id).sum().item() for ids in found]

    prompts = [prompt(row) for row in rows]
    ids, _ = tokenised([text + row["output"] + words.eos_token for text, row in zip(prompts, rows, strict=True)])
    _, lengths = tokenised(prompts)
    labels = copy.deepcopy(ids)
    for label, length in zip(labels, lengths, strict=True):
        label[:length] = IGNORED
    return {"input_ids": ids, "labels": labels}


def load(base: str, pad_row: bool) -> tuple[Any, Any]:
    """Model and tokenizer, with the published row for padding where there is no pad token."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    words = AutoTokenizer.from_pretrained(base, model_max_length=MAX_LENGTH, padding_side="right")
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    if pad_row and words.pad_token is None:
        words.add_special_tokens({"pad_token": "[PAD]"})
        model.resize_token_embeddings(len(words))
        for embeddings in (model.get_input_embeddings(), model.get_output_embeddings()):
            embeddings.weight.data[-1:] = embeddings.weight.data[:-1].mean(dim=0, keepdim=True)
    return model, words


def watched(kind: type, first: int) -> Any:
    """``kind`` of Trainer, which notes the loss of every step, and tokens and time from step ``first`` on."""

    class Watched(kind):  # type: ignore[misc, valid-type]
        losses: list[float] = []
        real = slots = 0
        begun = ended = 0.0

        def training_step(self, model: Any, inputs: Any, *more: Any, **named: Any) -> Any:
            step = self.state.global_step
            if len(self.losses) == step:
                self.losses.append(0.0)
                if step == first:
                    self.begun = time.perf_counter()
            if step >= first:
                mask = inputs.get("attention_mask")
                self.slots += inputs["input_ids"].numel()
                self.real += inputs["input_ids"].numel() if mask is None else int(mask.sum())
            loss = super().training_step(model, inputs, *more, **named)
            self.losses[step] += self.accelerator.gather(loss.detach()).mean().item()
            self.ended = time.perf_counter()
            return loss

    return Watched


def arguments(job: dict[str, Any]) -> dict[str, Any]:
    """Trainer's arguments for the published recipe on this job."""
    return {
        "output_dir": str(Path(job["folder"]) / "trainer"),
        "use_cpu": job["device"] == "cpu",
        "bf16": job["dtype"] == "bfloat16",
        "per_device_train_batch_size": job["micro_batch"],
        "gradient_accumulation_steps": job["batch_size"] // job["micro_batch"] // job.get("processes", 1),
        "max_steps": job["steps"],
        "learning_rate": job["learning_rate"],
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.03,
        "weight_decay": 0.0,
        "optim": "adamw_torch",
        "save_strategy": "no",
        "logging_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "seed": job["seed"],
    }


def published(job: dict[str, Any], sampling: str = "random") -> dict[str, Any]:
    import torch
    from torch.nn.utils.rnn import pad_sequence
    from transformers import Trainer, TrainingArguments

    model, words = load(job["base"], pad_row=True)
    begun = time.perf_counter()
    data = preprocess(rows(job), words)
    seconds = time.perf_counter() - begun

    class Supervised(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(data["input_ids"])

        def __getitem__(self, i: int) -> dict[str, Any]:
            return {name: values[i] for name, values in data.items()}

    def collate(examples: list[dict[str, Any]]) -> dict[str, Any]:
        ids = pad_sequence([e["input_ids"] for e in examples], batch_first=True, padding_value=words.pad_token_id)
        labels = pad_sequence([e["labels"] for e in examples], batch_first=True, padding_value=IGNORED)
        return {"input_ids": ids, "labels": labels, "attention_mask": ids.ne(words.pad_token_id)}

    trainer = watched(Trainer, job["warm_up"])(
        model=model,
        processing_class=words,
        args=TrainingArguments(**arguments(job), train_sampling_strategy=sampling),
        train_dataset=Supervised(),
        data_collator=collate,
    )
    if job["loss"] == "micro-batches":
        trainer.model_accepts_loss_kwargs = False
    trainer.train()
    return found(trainer, seconds)


def trl(job: dict[str, Any], **setting: Any) -> dict[str, Any]:
    import datasets
    from trl import SFTConfig, SFTTrainer

    datasets.disable_caching()
    model, words = load(job["base"], pad_row=False)
    if words.pad_token is None:
        words.pad_token = words.unk_token
    given = arguments(job)
    if setting.get("packing"):  # a packed row is as long as several examples: as many tokens to a step as the others
        slots = job["mean_tokens"] * job["batch_size"]
        given |= {"per_device_train_batch_size": 1, "gradient_accumulation_steps": max(1, round(slots / MAX_LENGTH))}
    data = datasets.Dataset.from_list([{"prompt": prompt(row), "completion": row["output"]} for row in rows(job)])
    # Without packing, TRL refuses to cut rows that are not padded: the few long ones stay whole.
    length = None if setting.get("padding_free") else MAX_LENGTH
    config = SFTConfig(**given, max_length=length, gradient_checkpointing=False, **setting)
    begun = time.perf_counter()
    trainer = watched(SFTTrainer, job["warm_up"])(model=model, args=config, train_dataset=data, processing_class=words)
    seconds = time.perf_counter() - begun
    trainer.train()
    return found(trainer, seconds)


def found(trainer: Any, preprocessing: float) -> dict[str, Any]:
    import torch

    return {
        "tokens_per_second": trainer.real / (trainer.ended - trainer.begun),
        "padding": 1 - trainer.real / trainer.slots,
        "preprocessing": preprocessing,
        "gpu_gib": torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else None,
        "losses": trainer.losses,
    }


def alpacakit(job: dict[str, Any], preset: str) -> dict[str, Any]:
    """By the trainer ``local`` (or ``fsdp`` with several processes): the worker in its own process, and its events."""
    import re

    from alpaca_fsdp.options import FsdpOptions, LocalOptions
    from alpaca_fsdp.trainer import FsdpTrainer, LocalTrainer

    from alpaca_core import TrainJob

    names = ("device", "dtype", "batch_size", "learning_rate", "loss", "micro_batch")
    options = {name: job[name] for name in names} | {"max_steps": job["steps"], "preset": preset}
    options |= job.get("options", {})
    processes = job.get("processes", 1)
    several = FsdpOptions(**options, processes=processes) if processes > 1 else LocalOptions(**options)
    what = TrainJob(
        data=Path(job["data"]),
        out=Path(job["folder"]) / "out",
        student=job["base"],
        template="alpaca_templates.alpaca:AlpacaTemplate",
        template_options={},
        seed=job["seed"],
        options=several,
        notice="",
        fresh=True,
    )
    events: list[Any] = []
    (FsdpTrainer if processes > 1 else LocalTrainer)(several).train(what, events.append)
    steps = [event for event in events if event.kind == "step"]
    ready = next(event.message for event in events if event.kind == "ready")
    before, last = steps[job["warm_up"] - 1], steps[-1]
    memory = [event.memory / 2**30 for event in steps if event.memory and job["device"] == "cuda"]
    return {
        "tokens_per_second": (last.tokens - before.tokens) / (last.seconds - before.seconds),
        "padding": None if "padded" in ready else 0.0,
        "preprocessing": float(re.search(r"tokenised in ([\d.]+) s", ready)[1]),  # type: ignore[index]
        "gpu_gib": max(memory, default=None),
        "mfu": last.mfu,
        "losses": [event.loss for event in steps],
        "ready": ready,
    }


def rows(job: dict[str, Any]) -> list[dict[str, str]]:
    return json.loads(Path(job["data"]).read_text(encoding="utf-8"))


CONTENDERS = {
    "published": published,
    "grouped": lambda job: published(job, "group_by_length"),
    "trl": trl,
    "trl-packing": lambda job: trl(job, packing=True),
    "trl-padding-free": lambda job: trl(job, padding_free=True),
    "alpaca-2023": lambda job: alpacakit(job, "alpaca-2023"),
    "default": lambda job: alpacakit(job, ""),
}


def main() -> None:
    import os

    name, path = sys.argv[1:]
    result = CONTENDERS[name](json.loads(Path(path).read_text()))
    if os.environ.get("RANK", "0") == "0":
        Path(path).with_suffix(".result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
