"""The finished model: a folder that loads with plain ``from_pretrained``."""

# ruff: noqa: TID253 - loaded by the worker only

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

from alpaca_core import AlpacaError, ChatTemplate, TrainResult
from alpaca_fsdp import landing
from alpaca_fsdp.job import STAMP, Job, write_json
from alpaca_fsdp.world import World


def save(
    job: Job, model: Any, words: Any, template: ChatTemplate, result: TrainResult, rows: int, world: World
) -> None:
    """Gather the weights to the first process, write them to a draft in ``job.out``, read them back, then land."""
    weights = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    if world.first:
        draft = job.out / landing.DRAFT
        shutil.rmtree(draft, ignore_errors=True)
        facts = {
            "student": job.student,
            "rows": rows,
            "template": job.template,
            "seed": job.seed,
            "steps": result.steps,
            "tokens": result.tokens,
            "final_loss": result.final_loss,
        }
        if job.notice:
            facts["notice"] = job.notice
        _write(draft, model.config, weights, facts)
        words.chat_template = template.jinja
        words.save_pretrained(draft)
        (draft / "README.md").write_text(_card(job, result, rows), encoding="utf-8")
        write_json(draft / STAMP, {"identity": dict(job.identity), "facts": facts, "result": asdict(result)})
        _compare(draft, weights)
        landing.land(draft, job.model)
    world.wait()


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


def _card(job: Job, result: TrainResult, rows: int) -> str:
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
        f"| data (SHA-256) | `{job.identity['data']}` |",
        f"| seed | {job.seed} |\n",
        "The tokenizer's chat template renders the prompt that the model was trained on; an example's input is the key",
        "`input` of the user message:\n",
        "```python",
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "",
        'tokenizer, model = (kind.from_pretrained(".") for kind in (AutoTokenizer, AutoModelForCausalLM))',
        'message = {"role": "user", "content": "Add the numbers.", "input": "2, 3"}',
        "prompt = tokenizer.apply_chat_template(",
        '    [message], add_generation_prompt=True, return_tensors="pt", return_dict=True',
        ")",
        "print(tokenizer.decode(model.generate(**prompt)[0]))",
        "```",
    ]
    return "\n".join(lines) + "\n"
