"""The memory plan against what PyTorch really keeps: activations, logits and the whole of a step, on the CPU.

    python tests/benchmarks/memory_plan.py

Prints, for small models of several families and each kind of arithmetic, the bytes that the backward pass keeps
(counted where autograd saves tensors, each storage once, weights left out) beside the plan's number; then the peak of a
process that takes training steps with a mid-size model beside the plan's total. Linux only (/proc).
"""

from __future__ import annotations

import multiprocessing
import sys
from contextlib import nullcontext
from pathlib import Path
from random import Random
from typing import Any

MIB = 2**20
SHAPES = {
    "llama": {"hidden_size": 256, "intermediate_size": 688, "num_attention_heads": 8},
    "qwen2": {"hidden_size": 256, "intermediate_size": 688, "num_attention_heads": 8, "num_key_value_heads": 2},
    "mistral": {"hidden_size": 256, "intermediate_size": 688, "num_attention_heads": 8, "num_key_value_heads": 4},
    "gpt_neox": {"hidden_size": 256, "intermediate_size": 1024, "num_attention_heads": 8},
    "gpt2": {"n_embd": 256, "n_head": 8, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0},
}
LAYERS = 6


def config(kind: str, layers: int = LAYERS, vocabulary: int = 2000, **more: Any) -> Any:
    from transformers import AutoConfig

    depth = {"n_layer": layers} if kind == "gpt2" else {"num_hidden_layers": layers}
    return AutoConfig.for_model(kind, **{**SHAPES[kind], **depth, "vocab_size": vocabulary, **more})


def examples(tokens: int, vocabulary: int = 2000, seed: int = 0) -> list[Any]:
    """Random examples with lengths like those of the Alpaca data, ``tokens`` in all, a third of each a prompt."""
    import torch
    from alpaca_fsdp.examples import Tokens

    rng, found = Random(seed), []
    while left := tokens - sum(len(one.ids) for one in found):
        length = min(left, max(16, min(512, int(rng.lognormvariate(4.7, 0.5)))))
        found.append(Tokens(torch.randint(4, vocabulary, (length,)), max(1, length // 3), len(found)))
    return found


def kept(kind: str, arithmetic: str, checkpointing: str = "none", tokens: int = 1000) -> tuple[int, float]:
    """Bytes that autograd keeps at the end of a forward pass over one packed row, and the plan's activations for it."""
    import torch
    from alpaca_fsdp import losses, memory, placement, shape

    torch.manual_seed(0)
    from transformers import AutoModelForCausalLM

    about = config(kind)
    model = AutoModelForCausalLM.from_config(about, attn_implementation=losses.PACKED.attention).train()
    if checkpointing == "full":
        placement.compute_twice(model)
    if arithmetic == "bfloat16":
        model.to(torch.bfloat16)
    casting = torch.autocast("cpu", torch.bfloat16) if arithmetic == "autocast" else nullcontext()
    row = losses.PACKED.lay(examples(tokens), 0, torch.device("cpu"))
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    storages: dict[int, Any] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights and not _a_copy_of_weights(tensor, model):
            storages[storage.data_ptr()] = storage
        return tensor

    inputs = dict(row.inputs, use_cache=False)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), casting:
        out = model(**inputs, logits_to_keep=row.keep).logits  # the loss is another part of the plan
    counted = sum(storage.nbytes() for storage in storages.values())
    machine = memory.Machine("", 0, sharded=arithmetic != "autocast", bfloat16=arithmetic != "float32")
    found = shape.read(about.to_dict())
    planned = memory.parts(found, machine, memory.Settings(tokens, checkpointing))["activations"]
    if checkpointing == "full":  # the layer that is computed again is not there yet
        planned -= memory.activations(found, machine.arithmetic) * tokens
    del out
    return counted, planned


def _a_copy_of_weights(tensor: Any, model: Any) -> bool:
    """Autocast's copies of the weights: two dimensions, as no activation of a packed row has."""
    shapes = {tuple(p.shape) for p in model.parameters()}
    return tuple(tensor.shape) in shapes or tuple(tensor.T.shape if tensor.ndim == 2 else ()) in shapes


def step(checkpointing: str, layers: int, tokens: int, answer: Any) -> None:
    """In a process of its own: bytes at the peak of the third training step of a mid-size LLaMA, and the plan."""
    import torch
    from alpaca_fsdp import losses, memory, optimizer, placement, recipes, resident, shape
    from alpaca_fsdp.options import LocalOptions
    from transformers import AutoModelForCausalLM

    about = config("llama", layers, 8000, hidden_size=512, intermediate_size=1376, tie_word_embeddings=True)
    torch.manual_seed(0)
    torch.set_num_threads(2)
    row = losses.PACKED.lay(examples(tokens, 8000), 0, torch.device("cpu"))
    before = resident.now()
    model = AutoModelForCausalLM.from_config(about, attn_implementation=losses.PACKED.attention).train()
    if checkpointing == "full":
        placement.compute_twice(model)
    adam = optimizer.build(model, recipes.resolved(LocalOptions(), "some"))
    for _ in range(2):
        losses.token_losses(model, row).mean().backward()
        adam.step()
        adam.zero_grad()
    resident.forget_peak()
    losses.token_losses(model, row).mean().backward()
    adam.step()
    machine = memory.Machine("cpu", 0, gpu=False, bfloat16=False)
    planned = memory.weigh(shape.read(about.to_dict()), machine, memory.Settings(tokens, checkpointing))
    answer.put((resident.peak() - before, planned.total - planned.parts["reserve"]))


def main() -> int:
    sys.path[:0] = [str(Path(__file__).parent.parent.parent)]
    print(
        "| family | arithmetic | checkpointing | kept MiB | planned MiB | planned / kept |\n|---|---|---|---|---|---|"
    )
    for kind in SHAPES:
        for arithmetic in ("float32", "bfloat16", "autocast"):
            for checkpointing in ("none", "full"):
                counted, planned = kept(kind, arithmetic, checkpointing)
                print(
                    f"| {kind} | {arithmetic} | {checkpointing} | {counted / MIB:.1f} | {planned / MIB:.1f}"
                    f" | {planned / counted:.2f} |"
                )
    print("\n| model | checkpointing | tokens | peak MiB | planned MiB | planned / peak |\n|---|---|---|---|---|---|")
    context = multiprocessing.get_context("spawn")
    for layers, checkpointing, tokens in ((8, "none", 1024), (8, "none", 2048), (8, "full", 2048), (16, "none", 1024)):
        answer = context.Queue()
        process = context.Process(target=step, args=(checkpointing, layers, tokens, answer))
        process.start()
        peak, planned = answer.get()
        process.join()
        print(
            f"| 512x{layers} | {checkpointing} | {tokens} | {peak / MIB:.0f} | {planned / MIB:.0f}"
            f" | {planned / peak:.2f} |"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
