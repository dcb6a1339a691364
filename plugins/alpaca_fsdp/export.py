"""The finished model: a folder that loads with plain ``from_pretrained``."""

# ruff: noqa: TID253 - loaded by the worker only

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

from alpaca_core import AlpacaError, ChatTemplate, TrainResult
from alpaca_fsdp.job import STAMP, Job, write_json
from alpaca_fsdp.world import World

LOADING = (
    "from transformers import AutoModelForCausalLM, AutoTokenizer",
    "",
    'tokenizer, model = (kind.from_pretrained(".") for kind in (AutoTokenizer, AutoModelForCausalLM))',
)


def save(
    job: Job,
    model: Any,
    words: Any,
    template: ChatTemplate,
    result: TrainResult,
    rows: int,
    world: World,
    check: Callable[[Path], None] = lambda folder: None,
) -> None:
    """Gather the weights to the first process, write them beside ``job.model``, read them back, let ``check`` look at
    the folder, then rename it."""
    weights = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    if world.first:
        folder = draft(job.model)
        shutil.rmtree(folder, ignore_errors=True)
        _write(folder, model.config, weights, _facts(job, result, rows))
        describe(folder, job, words, template, result, rows)
        _compare(folder, weights)
        check(folder)
        put(folder, job.model)
    world.wait()


def draft(place: Path) -> Path:
    """Where what will be ``place`` is written."""
    return place.with_name(place.name + ".tmp")


def put(draft: Path, place: Path) -> None:
    """Make the complete ``draft`` the folder ``place``, instead of what is there."""
    old = place.with_name(place.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        os.replace(place, old)
    os.replace(draft, place)
    shutil.rmtree(old, ignore_errors=True)


def describe(
    folder: Path,
    job: Job,
    words: Any,
    template: ChatTemplate,
    result: TrainResult,
    rows: int,
    loading: Sequence[str] = LOADING,
) -> None:
    """Add the tokenizer, the card and the stamp to ``folder``. ``loading`` is Python that makes tokenizer and model."""
    words.chat_template = template.jinja
    words.save_pretrained(folder)
    (folder / "README.md").write_text(_card(job, result, rows, loading), encoding="utf-8")
    facts = _facts(job, result, rows)
    write_json(folder / STAMP, {"identity": dict(job.identity), "facts": facts, "result": asdict(result)})


def _facts(job: Job, result: TrainResult, rows: int) -> dict[str, Any]:
    facts = {
        "student": job.student,
        "rows": rows,
        "template": job.template,
        "seed": job.seed,
        "steps": result.steps,
        "tokens": result.tokens,
        "final_loss": result.final_loss,
    }
    if result.lora:
        facts["lora"] = {name: value for name, value in result.lora.items() if name != "adapter"}
    if job.notice:
        facts["notice"] = job.notice
    return facts


def _write(folder: Path, config: Any, weights: dict[str, torch.Tensor], facts: dict[str, Any]) -> None:
    # Sharding changes a model's class, so the weights go into a new, plain one.
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(**dict(config.to_dict(), alpacakit=facts))
    with torch.device("meta"):
        plain = AutoModelForCausalLM.from_config(config)
    plain.load_state_dict(weights, assign=True, strict=False)
    plain.tie_weights()
    plain.save_pretrained(folder)


def _compare(folder: Path, weights: dict[str, torch.Tensor]) -> None:
    """Read the folder as anyone would and compare every weight."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    AutoTokenizer.from_pretrained(folder)
    again = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).state_dict()
    wrong = [name for name, weight in weights.items() if not torch.equal(again.get(name, torch.empty(0)), weight)]
    if wrong:
        raise AlpacaError(f"The model written to {folder} does not read back as it was: {', '.join(wrong[:3])}.")


def _card(job: Job, result: TrainResult, rows: int, loading: Sequence[str]) -> str:
    """The model card."""
    lines = [f"> {job.notice}\n"] if job.notice else []
    made = "trained from scratch on" if job.student.startswith("new:") else "fine-tuned on"
    lines += [
        "# An instruction-following model made with alpacakit\n",
        f"`{job.student}`, {result.parameters:,} parameters, {made} {rows:,} examples of instruction data.\n",
        "| | |",
        "|---|---|",
        f"| steps | {result.steps:,} of {job.options.batch_size} examples |",
        f"| tokens seen | {result.tokens:,} |",
        f"| last training loss | {result.final_loss:.4f} |",
        f"| how | {result.strategy}, {result.world_size} process(es) |",
        *_lora(result),
        f"| data (SHA-256) | `{job.identity['data']}` |",
        f"| seed | {job.seed} |\n",
        "The tokenizer's chat template renders the prompt that the model was trained on; an example's input is the key",
        "`input` of the user message:\n",
        "```python",
        *loading,
        'message = {"role": "user", "content": "Add the numbers.", "input": "2, 3"}',
        "prompt = tokenizer.apply_chat_template(",
        '    [message], add_generation_prompt=True, return_tensors="pt", return_dict=True',
        ")",
        "print(tokenizer.decode(model.generate(**prompt)[0]))",
        "```",
    ]
    return "\n".join(lines) + "\n"


def _lora(result: TrainResult) -> list[str]:
    if not result.lora:
        return []
    rank, alpha, targets, trained = (result.lora[name] for name in ("rank", "alpha", "targets", "trainable"))
    return [f"| LoRA | {trained:,} parameters learnt: rank {rank}, alpha {alpha:g}, targets {targets} |"]
