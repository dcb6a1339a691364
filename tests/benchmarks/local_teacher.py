"""Tokens per second of the teacher ``transformers``, by how many requests are answered together.

python tests/benchmarks/local_teacher.py                       a LLaMA of 82M random parameters, made for the occasion
python tests/benchmarks/local_teacher.py --model FOLDER        any other model, on the GPU where there is one

Answers of a random model do not end by themselves, so all are as long as --tokens; prompts are of 40 to 80 tokens.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from random import Random

import torch  # noqa: TID253
from alpaca_transformers.options import TransformersOptions
from alpaca_transformers.teacher import TransformersTeacher

from alpaca_core import Request


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--model", help="folder or hub id (default: a new random LLaMA)")
    arguments.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    arguments.add_argument("--dtype", default="auto", help="auto, float32, bfloat16 or float16")
    arguments.add_argument("--batches", default="1,4,16", help="batch sizes to try")
    arguments.add_argument("--tokens", type=int, default=128, help="length of the answers")
    arguments.add_argument("--greedy", action="store_true", help="take the likeliest token instead of drawing")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = given.model or str(random_llama(Path(folder)))
        measure(model, given, [int(size) for size in given.batches.split(",")])


def measure(model: str, given: argparse.Namespace, sizes: list[int]) -> None:
    """Print a line for each batch size, best of two."""
    how = {"model": model, "device": given.device, "dtype": given.dtype, "temperature": 0.0 if given.greedy else None}
    teacher = TransformersTeacher(TransformersOptions(**how, batch_size=max(sizes)))
    for note in asyncio.run(teacher.prepare()):
        print(note)
    on_gpu = torch.cuda.is_available() and given.device in ("auto", "cuda")
    print(f"\n{'batch':>5}  {'seconds':>8}  {'tokens/s':>9}  {'of the first':>12}{'  peak GB' * on_gpu}")
    first = 0.0
    for size in sizes:
        asked = requests(size, given.tokens)
        teacher.complete_many([Request(0, "warm up", max_tokens=2)] * size)
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
        pace = seconds = 0.0
        for _ in range(2):
            began = time.perf_counter()
            answers = teacher.complete_many(asked)
            took = time.perf_counter() - began
            if (now := sum(answer.usage.completion_tokens for answer in answers) / took) > pace:
                pace, seconds = now, took
        first = first or pace
        peak = f"  {torch.cuda.max_memory_allocated() / 1e9:7.1f}" if on_gpu else ""
        print(f"{size:5}  {seconds:8.2f}  {pace:9,.1f}  {pace / first:11.1f}x{peak}", flush=True)


def requests(count: int, tokens: int) -> list[Request]:
    """Prompts of various lengths."""
    rng = Random(0)
    words = "river stone cloud apple pear plum red green blue one two three".split()
    return [Request(k, " ".join(rng.choices(words, k=rng.randint(40, 80))), max_tokens=tokens) for k in range(count)]


def random_llama(folder: Path) -> Path:
    """A LLaMA with random weights and a tokenizer of words, saved in ``folder``."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    vocabulary = {"<unk>": 0, "<s>": 1, "</s>": 2} | {f"word{i}": i for i in range(3, 32000)}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=words, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="</s>"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=640,
        intermediate_size=1728,
        num_hidden_layers=9,
        num_attention_heads=10,
        num_key_value_heads=5,
        max_position_embeddings=4096,
        bos_token_id=1,
        eos_token_id=2,
    )
    model = LlamaForCausalLM(config)
    model.lm_head.weight.data *= 20  # as sure of the next token as trained models are, roughly
    model.save_pretrained(folder)
    return folder


if __name__ == "__main__":
    main()
