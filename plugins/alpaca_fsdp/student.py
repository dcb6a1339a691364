"""The student: a new LLaMA made for the data, or any causal language model."""

# ruff: noqa: TID253 - loaded by the worker only

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from alpaca_core import ChatTemplate, ConfigError, Example
from alpaca_fsdp import data, durable, published, soundness, tokenizer
from alpaca_fsdp.job import STAMP, Job, read_json, write_json
from alpaca_fsdp.recipes import ARCHITECTURES


def make(job: Job, examples: Sequence[Example], template: ChatTemplate) -> None:
    """Write the ``new:*`` student of ``job`` to its folder, unless it is there: a pure function of the data, the
    template and the seed."""
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = Path(job.base)
    about = {name: job.identity[name] for name in ("data", "student", "template", "template_options", "seed")}
    shape = ARCHITECTURES[job.student]
    about |= {"max_length": job.options.max_length, "architecture": asdict(shape)}
    if (read_json(folder / STAMP) or {}).get("made_of") == about:
        return
    lines = data.fixed_lines(template)
    pieces = tokenizer.train(_fields(examples, template, lines), shape.vocabulary)
    words = tokenizer.build(pieces, lines, job.options.max_length)
    words.chat_template = template.jinja
    torch.manual_seed(job.seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(words),
            hidden_size=shape.hidden,
            intermediate_size=shape.feed_forward,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.heads,
            max_position_embeddings=max(1024, job.options.max_length),
            initializer_range=shape.init,
            tie_word_embeddings=True,
            bos_token_id=words.bos_token_id,
            eos_token_id=words.eos_token_id,
            pad_token_id=words.pad_token_id,
        )
    )
    if shape.mimetic:
        _mimic(model)
    draft = folder.with_name(folder.name + ".tmp")
    shutil.rmtree(draft, ignore_errors=True)
    model.save_pretrained(draft)
    words.save_pretrained(draft)
    (draft / "tokenizer.model").write_bytes(pieces)
    write_json(draft / STAMP, {"made_of": about, "notice": job.notice})
    durable.publish(draft, folder)


@torch.no_grad()
def _mimic(model: Any) -> None:
    """See ``Architecture.mimetic``."""
    for layer in model.model.layers:
        layer.self_attn.k_proj.weight.copy_(layer.self_attn.q_proj.weight)
        layer.self_attn.o_proj.weight.copy_(layer.self_attn.v_proj.weight.T)


def _fields(examples: Sequence[Example], template: ChatTemplate, lines: Sequence[str]) -> list[str]:
    """What a tokenizer has to know: prompts without the template's fixed lines, and responses."""
    fixed = re.compile("|".join(map(re.escape, lines)) or r"(?!)")
    texts = []
    for example in examples:
        texts += [text for text in fixed.split(template.prompt(example)) if text]
        texts.append(template.response(example))
    return texts


def load(student: Path | str, pad_row: bool | None = False) -> tuple[Any, Any]:
    """Model (float32, on the CPU) and tokenizer of a folder or hub id. The tokenizer has a pad token afterwards: an
    existing one, so that the embedding keeps its size, or with ``pad_row`` one of its own, as published. Raises
    ConfigError when there is no such student, or it is not sound (see ``soundness``)."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if Path(student).is_dir():
        soundness.check_files(Path(student))
    try:
        words = AutoTokenizer.from_pretrained(student)
        model = AutoModelForCausalLM.from_pretrained(student, dtype=torch.float32)
    except (OSError, ValueError) as exc:
        raise ConfigError(
            f"Cannot load the student {student}: {str(exc).strip().splitlines()[0]}",
            hint="--student takes a folder or hub id of a causal language model, new:tiny or new:small.",
        ) from exc
    if pad_row:
        published.add_pad_row(model, words)
    soundness.check_words(words, model.config, str(student))
    if words.pad_token_id is None:
        words.pad_token = words.unk_token or words.eos_token
    rows = model.get_input_embeddings().weight.shape[0]
    if len(words) > rows:
        raise ConfigError(f"The tokenizer of {student} has {len(words)} tokens, but the model has rows for {rows}.")
    return model, words


def layers(model: Any) -> list[torch.nn.Module]:
    """The transformer layers: the modules that the model itself says must not be split, or, if it names none, the
    members of its largest module list."""
    names = set(getattr(model, "_no_split_modules", None) or ())
    # The class of a sharded layer is called FSDPLlamaDecoderLayer; the one it was made from is among its bases.
    found = [m for m in model.modules() if names & {kind.__name__ for kind in type(m).__mro__}]
    if not found:
        lists = [m for m in model.modules() if isinstance(m, torch.nn.ModuleList)]
        found = list(max(lists, key=lambda m: sum(p.numel() for p in m.parameters()), default=()))
    return found
