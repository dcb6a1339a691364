"""Configurations with which other trainers train on a dataset as alpacakit does: the published Alpaca recipe.

Field names are those of TRL 1.16 (``trl sft``), LLaMA-Factory of August 2026 and axolotl of July 2026. Each counts a
batch of 128 examples as four at a time, 32 times, on one device; with more devices the latter number has to shrink.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from alpaca_core.datafiles import writers
from alpaca_core.dataset import write_text
from alpaca_core.protocols import ChatTemplate
from alpaca_core.records import Example
from alpaca_core.sharing.conversations import prompt_completion
from alpaca_core.sharing.exporting import new_folder, some_records

STUDENT = "huggyllama/llama-7b"  # where the run had none that others can load
RATE, EPOCHS, BATCH, WARMUP, LENGTH = 2e-5, 3, 128, 0.03, 512
_AT_ONCE = 4
_NAME = "alpacakit"  # of the dataset, where it needs one


def export_config(source: Path, out: Path, tool: str, student: str, template: ChatTemplate) -> str:
    """Write the rows of ``source`` and a configuration of ``tool``, one of ``TOOLS``, to the new folder ``out``.

    Returns the line that trains ``student`` there. ``template`` renders the prompt. Raises ConfigError for an ``out``
    that exists, no rows, and rows that cannot be used."""
    rows = some_records(source)
    with new_folder(out) as draft:
        name, line = TOOLS[tool](draft, rows, student or STUDENT, template)
        text = (draft / name).read_text(encoding="utf-8")
        head = (
            f"# Stanford Alpaca's recipe, written by alpacakit. In this folder: {line}\n"
            f"# {BATCH} examples a step = {_AT_ONCE} at once x {BATCH // _AT_ONCE} x 1 device: with D devices, divide"
            " the steps of accumulation by D.\n\n"
        )
        write_text(draft / name, head + text)
    return line


def _trl(folder: Path, rows: Any, student: str, template: ChatTemplate) -> tuple[str, str]:
    """Prompt and completion as messages: TRL masks the prompt of such rows, and renders both by the chat template."""
    with writers(folder / "train.jsonl") as [writer]:
        for row in rows:
            writer.write(prompt_completion(row))
    write_text(folder / "chat_template.jinja", template.jinja)
    config = {
        "model_name_or_path": student,
        "datasets": [{"path": "json", "data_files": "train.jsonl", "split": "train"}],
        "chat_template_path": "chat_template.jinja",
        "completion_only_loss": True,
        "max_length": LENGTH,
        "learning_rate": RATE,
        "num_train_epochs": EPOCHS,
        "per_device_train_batch_size": _AT_ONCE,
        "gradient_accumulation_steps": BATCH // _AT_ONCE,
        "lr_scheduler_type": "cosine",
        "warmup_steps": WARMUP,  # below 1 it is a share of the steps
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "logging_steps": 1,
        "report_to": "none",
        "output_dir": "trained",
    }
    write_text(folder / "sft.yaml", yaml(config))
    return "sft.yaml", "trl sft --config sft.yaml"


def _llama_factory(folder: Path, rows: Any, student: str, template: ChatTemplate) -> tuple[str, str]:
    """Alpaca's rows, with LLaMA-Factory's own template of that name."""
    _alpaca(folder, rows)
    columns = {"prompt": "instruction", "query": "input", "response": "output"}
    info = {_NAME: {"file_name": "train.json", "formatting": "alpaca", "columns": columns}}
    write_text(folder / "dataset_info.json", json.dumps(info, indent=2) + "\n")
    config = {
        "model_name_or_path": student,
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "full",
        "dataset_dir": ".",
        "dataset": _NAME,
        "template": "alpaca",
        "cutoff_len": LENGTH,
        "train_on_prompt": False,
        "learning_rate": RATE,
        "num_train_epochs": float(EPOCHS),
        "per_device_train_batch_size": _AT_ONCE,
        "gradient_accumulation_steps": BATCH // _AT_ONCE,
        "lr_scheduler_type": "cosine",
        "warmup_ratio": WARMUP,
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "bf16": True,
        "logging_steps": 1,
        "report_to": "none",
        "output_dir": "trained",
    }
    write_text(folder / "train.yaml", yaml(config))
    return "train.yaml", "llamafactory-cli train train.yaml"


def _axolotl(folder: Path, rows: Any, student: str, template: ChatTemplate) -> tuple[str, str]:
    """Alpaca's rows, with the chat template as a prompt of one's own: ``{instruction}`` and ``{input}`` in it."""
    _alpaca(folder, rows)
    prompt = {
        "system_prompt": "",
        "field_instruction": "instruction",
        "field_input": "input",
        "field_output": "output",
        "format": _formatted(template, "{input}"),
        "no_input_format": _formatted(template, ""),
    }
    config = {
        "base_model": student,
        "datasets": [{"path": "train.json", "ds_type": "json", "type": prompt}],
        "dataset_prepared_path": "prepared",
        "val_set_size": 0.0,
        "train_on_inputs": False,
        "sequence_len": LENGTH,
        "excess_length_strategy": "truncate",
        "sample_packing": False,
        "learning_rate": RATE,
        "num_epochs": EPOCHS,
        "micro_batch_size": _AT_ONCE,
        "gradient_accumulation_steps": BATCH // _AT_ONCE,
        "lr_scheduler": "cosine",
        "warmup_ratio": WARMUP,
        "optimizer": "adamw_torch",
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "bf16": "auto",
        "logging_steps": 1,
        "output_dir": "trained",
    }
    write_text(folder / "train.yaml", yaml(config))
    return "train.yaml", "axolotl train train.yaml"


TOOLS: Mapping[str, Callable[[Path, Any, str, ChatTemplate], tuple[str, str]]] = {
    "trl": _trl,
    "llama-factory": _llama_factory,
    "axolotl": _axolotl,
}


def _alpaca(folder: Path, rows: Any) -> None:
    with writers(folder / "train.json") as [writer]:
        for row in rows:
            writer.write(row)


def _formatted(template: ChatTemplate, given: str) -> str:
    """The prompt with ``{instruction}`` where the instruction goes, for ``str.format``."""
    places = {"{instruction}": "\ue000", "{input}": "\ue001"}  # characters that no template has
    example = Example(places["{instruction}"], places["{input}"] if given else "", "")
    text = template.prompt(example).replace("{", "{{").replace("}", "}}")
    for name, mark in places.items():
        text = text.replace(mark, name)
    return text


def yaml(config: Mapping[str, Any], indent: str = "") -> str:
    """``config`` as YAML: texts and numbers as JSON, which is YAML, so no text is taken for something else."""
    lines = []
    for name, value in config.items():
        if isinstance(value, Mapping):
            lines += [f"{indent}{name}:", yaml(value, indent + "  ").rstrip("\n")]
        elif isinstance(value, list):
            lines.append(f"{indent}{name}:")
            for each in value:
                first, _, rest = yaml(each, indent + "    ").partition("\n")
                lines.append(f"{indent}  - {first.strip()}" + (f"\n{rest.rstrip()}" if rest.strip() else ""))
        else:
            lines.append(f"{indent}{name}: {_scalar(value)}")
    return "\n".join(lines) + "\n"


def _scalar(value: Any) -> str:
    if isinstance(value, float):  # 2e-05 is a text to YAML 1.1, which wants a point in it
        return f"{value:f}".rstrip("0") + ("0" if value == int(value) else "")
    return json.dumps(value, ensure_ascii=False)
