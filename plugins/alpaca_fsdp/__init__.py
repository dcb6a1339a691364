"""Trainers ``local`` and ``fsdp``: one worker of ours, in one process or sharded over many."""

from alpaca_core import TrainerSpec, hookimpl
from alpaca_fsdp.options import FsdpOptions, LocalOptions


@hookimpl
def alpaca_trainers():
    return [
        TrainerSpec(
            name="local",
            target="alpaca_fsdp.trainer:LocalTrainer",
            summary="One process: a CPU or one GPU.",
            extra="alpacakit[fsdp]",
            requires=("torch", "transformers", "accelerate", "sentencepiece"),
            options=LocalOptions,
        ),
        TrainerSpec(
            name="fsdp",
            target="alpaca_fsdp.trainer:FsdpTrainer",
            summary="torchrun with FSDP2 full shard: GPUs, or CPU processes over gloo.",
            extra="alpacakit[fsdp]",
            requires=("torch", "transformers", "accelerate", "sentencepiece"),
            options=FsdpOptions,
        ),
    ]
