"""What a training will take on devices that need not be there: memory, minutes, dollars. No torch."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from alpaca_core import ConfigError, Example, TrainEstimate, TrainJob
from alpaca_fsdp import data, devices, memory, shape
from alpaca_fsdp.devices import Device
from alpaca_fsdp.options import LocalOptions
from alpaca_fsdp.recipes import resolved

LETTERS = 3.9  # of a rendered example in a token, of LLaMA's tokenizer and its like on English; 10 % off either way
# The published data: 52,002 rows. 127 tokens a row follow from a training log of the published command.
PUBLISHED_ROWS, PUBLISHED_LENGTH = 52_002, 127.0
# Bytes a second between host and device (PCIe 4.0 with 16 lanes, four fifths of its 31.5), and of the host's memory.
_BUS, _HOST = 25e9, 20e9
GPU_TOKENS = 16384  # tokens of a pass on a GPU, beyond which there is nothing to gain


def estimate(
    job: TrainJob, sharded: bool, gpus: str, rows: Sequence[Example] | int | None, price: float | None
) -> TrainEstimate:
    """The fastest plan for ``job`` on ``gpus`` (``4xA100-80GB``; empty: what this machine has) and what it takes.

    ``rows`` are the data, or how many rows of the published data's mean length, or None for all of these. ``price`` is
    in dollars per device and hour, None: the table's. Several devices always share the model. Raises ConfigError when
    the student's size is not known, the device is unknown, or nothing fits, with numbers.
    """
    options: LocalOptions = resolved(job.options, job.student)
    count, name, device = devices.named(gpus or here())
    gpu = name != "cpu"
    if gpu or sharded:
        count = getattr(options, "processes", None) or (count if gpu else max(2, count))
    student = shape.of(job.student)
    lengths = _lengths(job, rows, options.max_length)
    mean, tokens_a_batch = lengths[1], lengths[1] * min(options.batch_size, lengths[0])
    machine = memory.Machine(
        f"{count} x {name}",
        device.memory * memory.GIB / (1 if gpu else count),
        count,
        sharded or count > 1,
        gpu=gpu,
        host=None if gpu else device.memory * memory.GIB,
        bfloat16=options.dtype == "bfloat16" or (options.dtype == "auto" and gpu),
    )
    fixed = {name: value for name in memory.DECIDED if (value := getattr(options, name)) is not None}
    rank = options.lora_rank
    asked = memory.Asked(
        most_tokens(tokens_a_batch / count, options.max_length, gpu),
        options.max_length,
        fixed | ({"lora_rank": rank} if rank else {}),
    )
    plan = memory.plan(student, machine, asked)
    steps = math.ceil(options.epochs * math.ceil(lengths[0] / options.batch_size))
    steps = min(steps, options.max_steps or steps)
    tokens = int(min(steps * tokens_a_batch, options.epochs * lengths[0] * mean))
    shares = devices.CPU_MFU if not gpu else (device.mfu, devices.USUAL_MFU, devices.WORST_MFU)
    seconds = tuple(_seconds(student, plan, tokens, steps, mean, device, share) for share in shares)
    hourly = device.dollars if price is None else price
    return TrainEstimate(
        machine=machine.name,
        parameters=student.parameters,
        rows=lengths[0],
        tokens=tokens,
        steps=steps,
        plan=str(plan.settings),
        settings=asdict(plan.settings),
        memory=dict(plan.parts),
        room=machine.room,
        host=dict(plan.host),
        disk=dict(plan.disk),
        seconds=seconds,  # type: ignore[arg-type]
        dollars=None if hourly is None else tuple(count * hourly * each / 3600 for each in seconds),  # type: ignore[arg-type]
        basis=tuple(_basis(rows, device, gpu, hourly, price)),
        notes=tuple(_notes(student, plan, sharded)),
    )


def most_tokens(batch: float, longest: int, gpu: bool) -> int:
    """The tokens that one pass is worth: on a GPU those of ``batch``, one process's part of a step; on a CPU 4,096."""
    if not gpu:
        return max(4096, longest)
    return max(512, longest, min(GPU_TOKENS, -(-int(batch) // 512) * 512))


def here() -> str:
    """What this machine has, as ``--gpus`` names it. Raises ConfigError for a GPU that is not in the table."""
    found = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    if not found:
        return "cpu"
    said = re.sub(r"[\s-]", "", found[0].read_text()).lower()
    for name in devices.DEVICES:
        if all(part.lower() in said for part in name.split("-")):
            return f"{len(found)}x{name}"
    raise ConfigError(
        "This machine's GPU is not in the table of devices.",
        hint=f"Name the one that is most like it: --gpus {'|'.join(devices.DEVICES)}",
    )


def _lengths(job: TrainJob, rows: Sequence[Example] | int | None, most: int) -> tuple[int, float]:
    """How many rows, and their mean length in tokens, cut off at ``most``."""
    if rows is None or isinstance(rows, int):
        return (PUBLISHED_ROWS if rows is None else rows), min(PUBLISHED_LENGTH, most)
    template = data.load_template(job.template, dict(job.template_options))
    total = 0.0
    for row in rows:
        total += min(most, 2 + (len(template.prompt(row)) + len(template.response(row))) / LETTERS)
    return len(rows), total / len(rows)


def _seconds(
    student: shape.Shape, plan: memory.Plan, tokens: int, steps: int, mean: float, device: Device, share: float
) -> float:
    """Operations over the speed that is reckoned with. Computing the layers twice makes four passes of three; LoRA
    leaves out a third, the gradients of the weights. With offloading, weights go to the device twice a pass and
    gradients back, and the optimizer reads and writes the host's memory: seven numbers a parameter."""
    settings, count = plan.settings, plan.machine.processes
    work = student.flops(mean) * tokens * (4 / 3 if settings.checkpointing == "full" else 1)
    work *= 2 / 3 if settings.lora_rank else 1
    seconds = work / (count * device.teraflops * 1e12 * share)
    if plan.machine.gpu is False and plan.machine.sharded:  # all processes share the cores that ``device`` counts
        seconds *= count
    if settings.offload:
        each = 4 * student.parameters / count
        seconds += tokens / (count * settings.micro_tokens) * 3 * each / _BUS + steps * 7 * each / _HOST
    return seconds


def _basis(rows: Sequence[Example] | int | None, device: Device, gpu: bool, hourly: float | None, price: float | None):
    if rows is None or isinstance(rows, int):
        yield f"rows of {PUBLISHED_LENGTH:g} tokens, the published data's mean (--data FILE looks at yours)"
    else:
        yield f"{LETTERS:g} letters a token, within 10 % on English; other scripts take more tokens"
    if gpu:
        yield (
            f"{device.teraflops:g} TFLOP/s, of which {device.mfu:.0%} at best ({device.best}),"
            f" {devices.USUAL_MFU:.0%} usually (Liger's example, Llama 3 8B on Alpaca data),"
            f" {devices.WORST_MFU:.0%} at worst (the published command, 79 minutes on 4 A100-80GB)"
        )
    else:
        best, usual, worst = devices.CPU_MFU
        yield f"{device.teraflops:g} TFLOP/s in float32, {usual:.0%} of it reached ({worst:.0%} to {best:.0%})"
    if hourly is not None:
        yield f"${hourly:g} a device and hour ({device.price if price is None else 'as given'})"


def _notes(student: shape.Shape, plan: memory.Plan, sharded: bool):
    if not student.known:
        yield "the model's family is not known: it was read as a LLaMA, and no weights were at hand to count"
    if plan.machine.processes > 1 and not sharded:
        yield "several devices take --trainer fsdp"
    if plan.settings.optimizer_bits == 8:
        yield "8-bit optimizer states need torchao: pip install 'alpacakit[8bit]'"
    if plan.settings.offload:
        yield f"offloading takes {memory.gib(plan.host['training'])} GiB of the host's memory, all the time"
    yield "loading, saving and evaluation are not in these minutes"
