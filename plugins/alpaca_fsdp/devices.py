"""Devices that can be named before they are there: memory, speed and price, as data."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from alpaca_core import ConfigError
from alpaca_fsdp.memory import GIB


@dataclass(frozen=True)
class Device:
    """``memory`` in GiB as PyTorch reports it, ``teraflops`` of dense bfloat16 with sums in float32, ``dollars`` per
    hour (None: not rented). ``mfu`` is the best share of these operations that was published for a model of 7 to 8
    billion parameters, and ``best`` says by whom."""

    memory: float
    teraflops: float
    dollars: float | None
    price: str
    mfu: float
    best: str


_A100 = "llm-foundry, MPT-7B on 8 A100"
_H100 = "llm-foundry, MPT-7B on 8 H100"
_H200 = "KempnerForge, Llama 3 8B on one H200"
_4090 = "torchtune, Llama 3.1 8B on one RTX 4090"
_RUNPOD = "RunPod, March 2026"
# Peaks are NVIDIA's data sheets. Prices are list prices of the date given: they move, so give your own.
DEVICES = {
    "A100-40GB": Device(39.4, 312, 1.29, "Lambda, 2025", 0.60, _A100),
    "A100-80GB": Device(79.1, 312, 1.39, _RUNPOD, 0.60, _A100),
    "H100": Device(79.1, 989, 2.69, _RUNPOD, 0.43, _H100),
    "H200": Device(139.8, 989, 3.59, _RUNPOD, 0.51, _H200),
    "L40S": Device(44.4, 362, 0.79, _RUNPOD, 0.45, _4090),
    "A10G": Device(22.1, 70, 1.01, "AWS g5.xlarge, 2025", 0.45, _4090),
    "RTX4090": Device(23.5, 165, 0.34, _RUNPOD, 0.45, _4090),
    "RTX3090": Device(23.6, 71, 0.22, _RUNPOD, 0.45, _4090),
}
# Shares of the peak to reckon with: usually, and at worst. Liger's example trains Llama 3 8B on the Alpaca data at 0.40
# on 4 A100. The published Alpaca command took 79 minutes on 4 A100-80GB for 19.8 million tokens, which is 0.13.
USUAL_MFU, WORST_MFU = 0.40, 0.133
# A CPU's core, in float32: 75 million multiplications and additions in a microsecond is what matrices reach on AVX-512;
# a training of this project's reached 0.75 of it with a 30 million parameter student.
CPU_TERAFLOPS = 0.1
CPU_MFU = (0.75, 0.6, 0.3)


def named(text: str) -> tuple[int, str, Device]:
    """How many of which device ``4xA100-80GB`` means; ``cpu`` is this machine's. Raises ConfigError listing those
    that are known."""
    count, name = re.fullmatch(r"(?:(\d+)\s*[x×*]\s*)?(.*)", text.strip(), re.IGNORECASE).groups()  # type: ignore[union-attr]
    wanted = _plain(name)
    if wanted == "cpu":
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
        speed = CPU_TERAFLOPS * (os.cpu_count() or 1)
        return int(count or 1), "cpu", Device(memory, speed, None, "", CPU_MFU[0], "this project's benchmark")
    for known, device in DEVICES.items():
        if wanted in (_plain(known), _plain(known).removesuffix("gb")) and count != "0":
            return int(count or 1), known, device
    raise ConfigError(
        f"--gpus {text!r} names no device that is known.",
        hint=f"Say how many of which, such as 4xA100-80GB. Known are {', '.join(DEVICES)} and cpu.",
    )


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]|nvidia|geforce", "", name.lower())
