"""A LoRA adapter and its base as one model folder, for sharing."""

from __future__ import annotations

import json
from pathlib import Path

from alpaca_core import AlpacaError
from alpaca_fsdp import lora, student

_PROBE = "The same words are read by the base with its adapter and by the merged model, and both must say the same."


def merge(adapter: Path, out: Path) -> None:
    """Write the model that the adapter in ``adapter`` makes of the base that it names to the folder ``out``, float32,
    with its tokenizer. Raises ConfigError where there is no such base, AlpacaError unless the merged model, read back,
    has the logits of the two up to rounding."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    base = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))["base_model_name_or_path"]
    words = AutoTokenizer.from_pretrained(adapter) if _has_words(adapter) else student.load(base)[1]
    model = lora.read(adapter, base)
    probe = torch.tensor(words(_PROBE)["input_ids"])
    apart = lora.logits(model, probe)
    model.merge_and_unload(safe_merge=True).save_pretrained(out)
    words.save_pretrained(out)
    together = lora.logits(AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32), probe)
    if not lora.close(together, apart, torch.float32):
        raise AlpacaError(f"{adapter}, merged with {base}, does not read back with the logits of the two.")


def _has_words(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model", "tokenizer_config.json"))
