"""LoRA: small trainable matrices beside frozen linear layers, by peft; and what becomes of them at the end.

The layers are replaced in place and the model keeps its class, so sharding, packing, losses and checkpoints see the
model that they would see without. At the end the adapter is saved and read back, merged and read back again; each
reading must give the logits of the one before.
"""

# ruff: noqa: TID253 - loaded by the worker only

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

from alpaca_core import AlpacaError, ChatTemplate, ConfigError, TrainResult
from alpaca_fsdp import durable, export, landing, student
from alpaca_fsdp.job import STAMP, Job, read_json
from alpaca_fsdp.options import LocalOptions
from alpaca_fsdp.world import World

_NAME = "default"  # peft's own for the one adapter; files do not have it
_WEIGHTS = "adapter_model.safetensors"
_PROBE = 128  # tokens that the logits are compared on, at most
# The largest difference of two logits that rounding explains, as a share of the largest logit, by arithmetic.
_ROUNDING = {torch.float32: 1e-3, torch.bfloat16: 5e-2, torch.float16: 1e-2}


def add(model: Any, job: Job, arithmetic: torch.dtype) -> dict[str, Any]:
    """Put an adapter beside every target layer of ``model`` and freeze all else.

    The adapters are float32 and a function of the seed; as peft makes them, they change nothing yet. Frozen weights
    learn nothing that rounding could lose, so they are kept in the ``arithmetic`` of the forward pass. Returns what
    TrainResult says as ``lora``. Raises ConfigError for a target that no linear layer has as its name, or a row for
    padding.
    """
    from peft import LoraConfig, inject_adapter_in_model
    from peft.tuners.lora import LoraLayer

    options = job.options
    if options.pad_row:
        raise ConfigError(
            "trainer.pad_row gives the student a row more, and LoRA leaves the student as it is.",
            hint="Set trainer.pad_row=false, or train without trainer.lora_rank.",
        )
    torch.manual_seed(job.seed)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        base_model_name_or_path=str(job.base),
        r=options.lora_rank,
        lora_alpha=options.lora_alpha,
        lora_dropout=options.lora_dropout,
        target_modules=_targets(model, options),
    )
    inject_adapter_in_model(config, model, _NAME)
    for parameter in model.parameters():
        if not parameter.requires_grad:
            parameter.data = parameter.data.to(arithmetic)
    for module in model.modules():
        if isinstance(module, LoraLayer):
            module.cast_input_dtype_enabled = False  # autocast and FSDP cast already; peft would copy the input again
    return {
        "rank": options.lora_rank,
        "alpha": options.lora_alpha,
        "targets": options.lora_targets,
        "trainable": sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad),
        "adapter": str(job.adapter),
    }


def told(facts: Mapping[str, Any] | None) -> str:
    """The part of the worker's line of fact that tells of ``add``'s work."""
    return f" · LoRA of rank {facts['rank']}, {facts['trainable']:,} parameters learn" if facts else ""


def _targets(model: Any, options: LocalOptions) -> str | list[str]:
    """What peft takes: its word for all linear layers but the output, or names that are all there."""
    targets = [name.strip() for name in options.lora_targets.split(",")]
    if targets == ["all-linear"]:
        return targets[0]
    linear = {name: m for name, m in model.named_modules() if type(m).__name__ in ("Linear", "Conv1D")}  # GPT-2's name
    for target in targets:
        found = [name for name in linear if name == target or name.endswith("." + target)]
        if not found:
            known = sorted({name.rpartition(".")[2] for name in linear})
            raise ConfigError(
                f"trainer.lora_targets: the student has no linear layer {target!r}.",
                hint=f"It has {', '.join(known)}; all-linear takes all of them but the output.",
            )
        if any(linear[name].weight is model.get_input_embeddings().weight for name in found):
            raise ConfigError(
                f"trainer.lora_targets: {target!r} shares its weights with the embeddings of the student, which an"
                " adapter beside it would change too when they are merged.",
                hint="Leave it out.",
            )
    return targets


def finished(job: Job) -> TrainResult | None:
    """The result of this very job, if its adapter is there already and only the merged model is not."""
    stamp = read_json(job.adapter / STAMP)
    if stamp is None or stamp["identity"] != job.identity:
        return None
    return TrainResult(**dict(stamp["result"], model=job.model, base=str(job.base)))


@dataclass(frozen=True)
class Adapter:
    """What training leaves: peft's ``config``, the ``names`` in files that there must be by the layers, the ``weights``
    that there are, and the ``logits`` of the model in memory for the tokens ``probe``, computed in ``arithmetic``."""

    config: Any
    names: set[str]
    weights: Mapping[str, torch.Tensor]
    probe: torch.Tensor
    logits: torch.Tensor
    arithmetic: torch.dtype


def take(model: Any, tokens: torch.Tensor, arithmetic: torch.dtype) -> Adapter:
    """The adapter of a trained ``model``. Every process has to call it; only the first one gets the weights.
    ``tokens`` are those of any example, on the device that computes."""
    from peft.tuners.lora import LoraLayer

    gathered = get_model_state_dict(
        model, options=StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=True)
    )
    weights = {_in_files(name): weight.clone() for name, weight in gathered.items() if ".lora_" in name}
    probe = tokens[:_PROBE]
    layers = [name for name, module in model.named_modules() if isinstance(module, LoraLayer)]
    names = {_in_files(f"{layer}.lora_{part}.{_NAME}.weight") for layer in layers for part in "AB"}
    return Adapter(model.peft_config[_NAME], names, weights, probe.cpu(), logits(model, probe), arithmetic)


def _in_files(name: str) -> str:
    """peft's name in files for a parameter: seen from the PeftModel, and without the adapter's name."""
    name = re.sub(r"_orig_mod\.|_checkpoint_wrapped_module\.", "", name)  # what wrappers add
    return "base_model.model." + name.replace(f".{_NAME}.", ".")


@torch.no_grad()
def logits(model: Any, tokens: torch.Tensor) -> torch.Tensor:
    """The logits of ``tokens`` as one text, by plain attention, in float32 on the CPU."""
    attention, training = model.config._attn_implementation, model.training
    model.set_attn_implementation("eager")
    model.eval()
    try:
        return model(input_ids=tokens[None], use_cache=False).logits[0].float().cpu()
    finally:
        model.set_attn_implementation(attention)
        model.train(training)


def save(
    job: Job, adapter: Adapter, words: Any, template: ChatTemplate, result: TrainResult, rows: int, world: World
) -> None:
    """Write the adapter to ``job.adapter``, whole or not at all, once it reads back as it should, see ``check``; then
    the merged model, if the job wants one."""
    if world.first:
        folder = landing.draft(job.out, job.adapter)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write(folder, adapter)
        check(folder, job.base, adapter)
        export.describe(folder, job, words, template, result, rows, _loading(job))
        durable.publish(folder, job.adapter)
        if job.options.lora_merge:
            merge(job, adapter.probe, words, template, result, rows)
    world.wait()


def write(folder: Path, adapter: Adapter) -> None:
    """The two files that ``PeftModel.from_pretrained`` wants."""
    from safetensors.torch import save_file

    save_file(dict(adapter.weights), folder / _WEIGHTS, {"format": "pt"})
    config = copy(adapter.config)
    config.inference_mode = True  # so that it is not trained by mistake; peft does the same
    if not isinstance(config.target_modules, str):
        config.target_modules = sorted(config.target_modules)  # a set: the same file every time
    config.save_pretrained(folder)


def check(folder: Path, base: Path | str, adapter: Adapter) -> None:
    """Read the adapter in ``folder`` as anyone would, upon a fresh student. Raises AlpacaError unless it has matrices A
    and B for every layer, as they are in memory, some B is not zero, and the logits are those of the model in memory up
    to rounding (``_ROUNDING``)."""
    from safetensors.torch import load_file

    there = load_file(folder / _WEIGHTS)
    wanted = adapter.names
    missing = sorted((wanted - there.keys()) | (wanted - adapter.weights.keys()))
    if missing:
        raise _broken(folder, f"{len(missing)} of {len(wanted)} matrices are missing, such as {missing[0]}")
    other = [name for name in wanted if not torch.equal(there[name], adapter.weights[name])]
    if other:
        raise _broken(folder, f"{len(other)} of {len(wanted)} matrices are not those in memory, such as {min(other)}")
    if not any(there[name].any() for name in wanted if ".lora_B." in name):
        raise _broken(folder, "every matrix B is zero, so the adapter changes nothing")
    again = logits(read(folder, base), adapter.probe)
    if not close(again, adapter.logits, adapter.arithmetic):
        raise _broken(folder, f"its logits differ from those in memory by {_apart(again, adapter.logits):.3g}")


def read(folder: Path, base: Path | str) -> Any:
    """The student with the adapter of ``folder``, float32 on the CPU."""
    from peft import PeftModel

    return PeftModel.from_pretrained(student.load(base)[0], folder)


def merge(job: Job, tokens: torch.Tensor, words: Any, template: ChatTemplate, result: TrainResult, rows: int) -> None:
    """Write student and adapter as one model to ``job.model``, in the process that calls. Both are read from disk; the
    student's files are only read. Raises AlpacaError unless the merged model reads back with the logits of the two."""
    model = read(job.adapter, job.base)
    probe = tokens[:_PROBE]
    apart = logits(model, probe)
    merged = model.merge_and_unload(safe_merge=True)

    def check(folder: Path) -> None:
        from transformers import AutoModelForCausalLM

        again = AutoModelForCausalLM.from_pretrained(folder)
        together = logits(again, probe)
        if not close(together, apart, again.dtype):
            raise _broken(folder, f"its logits differ from the adapter's by {_apart(together, apart):.3g}")

    alone = World(rank=0, size=1, device=torch.device("cpu"), sharded=False)
    export.save(job, merged, words, template, result, rows, alone, check)


def close(one: torch.Tensor, other: torch.Tensor, arithmetic: torch.dtype) -> bool:
    """Whether two models' logits are the same up to what rounding in ``arithmetic`` explains."""
    if torch.get_float32_matmul_precision() != "highest" and arithmetic == torch.float32:
        arithmetic = torch.bfloat16  # TF32 and its like round as coarsely, or nearly
    return _apart(one, other) <= _ROUNDING[arithmetic] * float(other.abs().max())


def _apart(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).abs().max())


def _broken(folder: Path, what: str) -> AlpacaError:
    return AlpacaError(
        f"What was written to {folder} does not read back as it was: {what}.",
        hint="It stays there until training is started again.",
    )


def _loading(job: Job) -> list[str]:
    return [
        "from peft import PeftModel",
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "",
        f'base = AutoModelForCausalLM.from_pretrained("{job.base}")',
        'tokenizer, model = AutoTokenizer.from_pretrained("."), PeftModel.from_pretrained(base, ".")',
    ]
