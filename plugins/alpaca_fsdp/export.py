"""The finished model: a folder that loads with plain ``from_pretrained``.

Gathered weight by weight on the CPU, written, read back, compared; then the folder gets its name.
"""

# ruff: noqa: TID253 - loaded by the worker only

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from alpaca_core import AlpacaError, ChatTemplate, TrainResult
from alpaca_fsdp import landing, pieces
from alpaca_fsdp.job import STAMP, Job, write_json
from alpaca_fsdp.weights import LIMIT, ShardWriter, Slot
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
    """Write the model to a draft, read it back, let ``check`` look at the folder, then give it its name. The first
    process writes; the others only help to gather. Raises AlpacaError when what was written does not read back the
    same."""
    folder = landing.draft(job.out, job.model)
    if world.first:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    weights(folder, model, world)
    if world.first:
        _configure(folder, model, words, _facts(job, result, rows))
        describe(folder, job, words, template, result, rows)
        _load(folder)
        check(folder)
        landing.land(folder, job.model)
    world.wait()


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
    (folder / "README.md").write_text(card(job, result, rows, loading), encoding="utf-8")
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


def weights(folder: Path, model: Any, world: World, limit: int = LIMIT) -> None:
    """Write the weights of ``model`` to ``folder`` in files of at most ``limit`` bytes, in the first process. All have
    to take part. Each weight is read back as soon as it is written, so that the others never wait for long. Raises
    AlpacaError for one that does not read back bit for bit."""
    held, plan = model.state_dict(), pieces.plan(model)
    slots = {name: Slot(t.dtype, tuple(t.shape)) for piece in plan for name, t in piece.targets.items()}
    writer = ShardWriter(folder, slots, limit=limit) if world.first else None
    for piece in plan:
        found = _whole(model, {name: held[name] for name in piece.sources}, world)
        for name, weight in found.items():  # none but in the first process
            writer.add(name, weight)
            if not torch.equal(bits(writer.read(name)), bits(weight)):
                raise AlpacaError(
                    f"{name}, written to {folder}, does not read back as it was.",
                    hint="Check the disk, and give the same command again: it goes on from the last checkpoint.",
                )
    if world.first:
        writer.close()


def bits(weight: torch.Tensor) -> torch.Tensor:
    """The bytes of ``weight``, as numbers: two NaNs are equal here."""
    return weight.detach().contiguous().reshape(-1).view(torch.uint8)


def _whole(model: Any, parts: dict[str, torch.Tensor], world: World) -> dict[str, torch.Tensor]:
    found = {}
    for name, part in parts.items():
        if hasattr(part, "full_tensor"):
            part = part.to(world.device).full_tensor()
        if world.first:
            found[name] = part.detach().cpu()
        del part
    return pieces.converted(model, found) if world.first else {}


def _configure(folder: Path, model: Any, words: Any, facts: dict[str, Any]) -> None:
    """config.json and generation_config.json. The end of text that was learnt ends answers too."""
    from transformers import AutoConfig, GenerationConfig

    config = AutoConfig.for_model(**dict(model.config.to_dict(), alpacakit=facts))
    config.architectures = [type(model).__name__.removeprefix("FSDP")]  # sharding changes a model's class
    config.dtype = str(next(model.parameters()).dtype).removeprefix("torch.")
    config.save_pretrained(folder)
    generation = model.generation_config
    ends = generation.eos_token_id
    ends = ends if isinstance(ends, list) else [] if ends is None else [ends]
    if words.eos_token_id not in ends:
        generation.eos_token_id = [words.eos_token_id, *ends] if ends else words.eos_token_id
    if generation.pad_token_id is None:
        generation.pad_token_id = words.pad_token_id
    try:
        generation.save_pretrained(folder)
    except ValueError:  # some published ones contradict themselves, and may be read but not written
        GenerationConfig(
            bos_token_id=words.bos_token_id, eos_token_id=generation.eos_token_id, pad_token_id=words.pad_token_id
        ).save_pretrained(folder)


def _load(folder: Path) -> None:
    """Open the folder as anyone would, weights without their data: nothing may be missing or left over."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    AutoTokenizer.from_pretrained(folder)
    _, said = AutoModelForCausalLM.from_pretrained(folder, device_map="meta", output_loading_info=True)
    wrong = {name: sorted(map(str, found))[:3] for name, found in said.items() if found}
    if wrong:
        raise AlpacaError(f"The model written to {folder} does not load as it should: {wrong}.")


def card(job: Job, result: TrainResult, rows: int, loading: Sequence[str] = LOADING) -> str:
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
