"""What a training holds in memory, part by part, and the fastest plan that fits a machine. Arithmetic only: no torch.

All sizes are bytes; people are told GiB (2**30 bytes), as PyTorch and nvidia-smi count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from alpaca_core import AlpacaError, ConfigError
from alpaca_fsdp.shape import Shape

GIB = 2**30
SMALL_PASS = 1024  # tokens of a pass below which computing the layers twice is rather tried: too little work for a GPU
LEAST_PASS = 256
LORA_RANK = 16
DECIDED = ("micro_tokens", "checkpointing", "optimizer_bits", "offload", "reshard")  # options that a plan fills in

# Bytes that the norm before a block keeps for a token and a unit of the hidden size, by the arithmetic: the input in
# float32, what the weight is multiplied with, and the result, which the next matrix needs. PyTorch's own layer norm
# keeps input and result only. "autocast" is bfloat16 in one process, where the residual stream stays float32 and each
# of the matrices behind a norm casts the result anew (two and a half of them, on average).
_NORM = {"rms": {"float32": 12, "bfloat16": 8, "autocast": 13}, "layer": {"float32": 8, "bfloat16": 4, "autocast": 6}}
# The same for a unit of the feed-forward part: input, output and what is between (see ``activations``).
_AHEAD = {
    "gated": {"float32": 16, "bfloat16": 8, "autocast": 8},
    "gelu": {"float32": 8, "bfloat16": 4, "autocast": 4},
    "gelu_new": {"float32": 20, "bfloat16": 10, "autocast": 16},
}
_CHUNK = 1 << 26  # logits that exist at once (``head._LOGITS``)
_SPREAD = 1.1  # the attention's groups hold this many slots for a token (``attention._WASTE`` is the most)

Arithmetic = Literal["float32", "bfloat16", "autocast"]


class TooMuch(AlpacaError):
    """A plan took more memory than it said. The next one is known: start again."""


@dataclass(frozen=True)
class Machine:
    """What there is: ``processes`` devices with ``room`` bytes each, and the host's memory for all of them together
    (None: not known). ``sharded`` says that the processes share the model (FSDP2)."""

    name: str
    room: float
    processes: int = 1
    sharded: bool = False
    gpu: bool = True
    host: float | None = None
    bfloat16: bool = True

    @property
    def arithmetic(self) -> Arithmetic:
        if not self.bfloat16:
            return "float32"
        return "bfloat16" if self.sharded else "autocast"


@dataclass(frozen=True)
class Settings:
    """What a plan decides. ``micro_tokens`` are the tokens of one forward pass in one process. None of it but
    ``optimizer_bits`` and ``lora_rank`` (0: all parameters learn) changes what is learnt."""

    micro_tokens: int
    checkpointing: Literal["none", "full"] = "none"
    optimizer_bits: int = 32
    offload: bool = False
    reshard: bool = False
    lora_rank: int = 0

    def __str__(self) -> str:
        said = [f"{self.micro_tokens:,} tokens a pass"]
        said.append("every layer computed twice" if self.checkpointing == "full" else "no activation checkpointing")
        said += ["weights gathered anew in the backward pass"] if self.reshard else []
        said += ["8-bit optimizer states"] if self.optimizer_bits == 8 else []
        said += ["weights and optimizer in the host's memory"] if self.offload else []
        said += [f"LoRA of rank {self.lora_rank}"] if self.lora_rank else []
        return ", ".join(said)


@dataclass(frozen=True)
class Plan:
    """Settings, and what they take: ``parts`` on each device, ``host`` on all of them together, ``disk`` in all."""

    settings: Settings
    machine: Machine
    parts: Mapping[str, float]
    host: Mapping[str, float]
    disk: Mapping[str, float]

    @property
    def total(self) -> float:
        return sum(self.parts.values())

    @property
    def fits(self) -> bool:
        host = self.machine.host is None or max(self.host.values(), default=0.0) <= self.machine.host
        return self.total <= self.machine.room and (host or not self.settings.offload)

    def __str__(self) -> str:
        return f"{gib(self.total)} of {gib(self.machine.room)} GiB a device: {self.settings}"


@dataclass(frozen=True)
class Asked:
    """What is fixed before: settings by name that the user chose, the tokens that a pass is worth at most, the longest
    example, and which ways out there are."""

    most: int
    longest: int = 512
    fixed: Mapping[str, Any] = field(default_factory=dict)
    eight_bit: bool = True
    lora: bool = False


def gib(amount: float) -> str:
    return f"{amount / GIB:.1f}" if amount < 99.95 * GIB else f"{amount / GIB:.0f}"


# ── the parts ─────────────────────────────────────────────────────────────────────────────────────────────────────


def activations(shape: Shape, arithmetic: Arithmetic) -> float:
    """Bytes that one layer keeps of one token for its backward pass, counted operation by operation in the layers of
    transformers with our packed attention.

    Two norms (``_NORM``); queries, keys, values (keys and values repeated to the number of heads) and the result of
    the attention kernel, in slots; the input of the attention's last matrix; and of the feed-forward part the inputs
    of the activation and of the product, and the input of its last matrix (``_AHEAD``). The count for the layers of
    GPT by Korthikanti et al., "Reducing Activation Recomputation in Large Transformer Models" (2022), section 4.1, is
    made the same way. Compiled layers keep less.
    """
    family, each = shape.family, 4 if arithmetic == "float32" else 2
    norm = _NORM[family.norm][arithmetic] * shape.hidden * 2
    if family.parallel:  # both norms keep the same input
        norm -= (2 if arithmetic == "bfloat16" else 4) * shape.hidden
    attention = each * shape.width * (4 * _SPREAD + 1)
    return norm + attention + _AHEAD[family.act][arithmetic] * shape.feed_forward


def parts(shape: Shape, machine: Machine, settings: Settings) -> dict[str, float]:
    """Bytes on each device by part. Their sum is what a step needs at its peak, where its backward pass begins.

    Weights, gradients and both of AdamW's states are float32: 16 bytes a parameter, shared by the processes under FSDP2
    (Rajbhandari et al., "ZeRO: Memory Optimizations Toward Training Trillion Parameter Models", 2020, section 3.1, less
    the copies in half precision, which are gathered). 8-bit states take a byte and, per block of 256, a float32 scale
    (Dettmers et al., "8-bit Optimizers via Block-wise Quantization", 2022).
    """
    learnt = _lora(shape, settings.lora_rank) if settings.lora_rank else shape.parameters
    frozen = shape.parameters if settings.lora_rank else 0
    share = machine.processes if machine.sharded else 1
    here = 0 if settings.offload else 1
    arithmetic, tokens = machine.arithmetic, settings.micro_tokens
    each = 4 if arithmetic == "float32" else 2
    one = activations(shape, arithmetic) * tokens
    stream = (2 if arithmetic == "bfloat16" else 4) * shape.hidden * tokens
    kept = shape.layers * stream + one if settings.checkpointing == "full" else shape.layers * one
    outside = _NORM[shape.family.norm][arithmetic] * shape.hidden * tokens  # the last norm
    found = {
        "weights": here * (4 * learnt + each * frozen) / share,
        "gradients": here * 4 * learnt / share,
        "optimizer": here * _moments(settings) * learnt / share,
        "gathered": _gathered(shape, machine, settings, each, learnt),
        "activations": kept + outside,
        "logits": _logits(shape, tokens, each, bool(frozen)),
    }
    return found | {"reserve": reserve(machine)}


def _logits(shape: Shape, tokens: int, each: int, frozen: bool) -> float:
    """A chunk's logits, and their float32 log-probabilities, which become the gradient; the gradients of the hidden
    states and, unless it is frozen, of the output matrix in float32, with what a chunk adds to it (see ``head``)."""
    chunk = min(_CHUNK, shape.vocabulary * tokens)
    matrix = 0 if frozen else (4 + each) * shape.vocabulary * shape.hidden
    return chunk * (8 if each == 4 else 10) + each * shape.hidden * tokens + matrix


def reserve(machine: Machine) -> float:
    """What is left alone: 0.5 GiB for the runtime, and 5 % of a GPU for its libraries' workspaces and for memory that
    falls between blocks of the allocator. An assumption, not a measurement."""
    return 0.5 * GIB + (0.05 * machine.room if machine.gpu else 0.0)


def _moments(settings: Settings) -> float:
    return 8.0 if settings.optimizer_bits == 32 else 2 * (1 + 4 / 256)


def _gathered(shape: Shape, machine: Machine, settings: Settings, each: int, learnt: int) -> float:
    """Whole weights in the arithmetic's type, and what waits to be reduced.

    FSDP2 keeps the root's group until the backward pass ends, and with resharding two layers more: the one at work and
    the next. Of the largest group the whole gradient is there twice, in the arithmetic's type and in float32. In one
    process, autocast keeps a copy of the weights in the narrower type until the backward pass has used it.
    """
    if not machine.sharded:
        copied = learnt if settings.lora_rank else shape.multiplied  # what is frozen is narrow already
        return each * copied if machine.arithmetic == "autocast" else 0.0
    whole = shape.root + 2 * shape.layer if settings.reshard else shape.parameters
    largest = max(shape.layer, shape.root)
    return each * whole + (each + 4) * largest * learnt / shape.parameters


def _lora(shape: Shape, rank: int) -> int:
    """Parameters of LoRA's two matrices beside every linear layer (Hu et al., "LoRA", 2021, section 4.1)."""
    h, f, w, kv = shape.hidden, shape.feed_forward, shape.width, shape.kv_heads * shape.head_size
    ahead = (3 if shape.family.act == "gated" else 2) * (h + f)
    return shape.layers * rank * ((h + w) + 2 * (h + kv) + (w + h) + ahead)


def host(shape: Shape, machine: Machine, settings: Settings) -> dict[str, float]:
    """Bytes of the host's memory, by moment: each process loads the student in float32; the first one gathers the
    finished model and reads it back beside it; what is offloaded stays all the time."""
    offloaded = (8 + _moments(settings)) * shape.parameters if settings.offload else 0.0
    return {
        "loading": 4.0 * shape.parameters * machine.processes,
        "training": offloaded,
        "saving": 8.0 * shape.parameters + offloaded,
    }


def disk(shape: Shape, settings: Settings) -> dict[str, float]:
    """Bytes of the disk: the last two checkpoints and the one being written (weights and optimizer), and the model."""
    learnt = _lora(shape, settings.lora_rank) if settings.lora_rank else shape.parameters
    return {"checkpoints": 3 * (4 + _moments(settings)) * learnt, "model": 4.0 * shape.parameters}


# ── the plan ──────────────────────────────────────────────────────────────────────────────────────────────────────


def weigh(shape: Shape, machine: Machine, settings: Settings) -> Plan:
    """What ``settings`` take on ``machine``, whether it is there or not."""
    return Plan(
        *(settings, machine, parts(shape, machine, settings), host(shape, machine, settings), disk(shape, settings))
    )


def candidates(machine: Machine, asked: Asked) -> list[Settings]:
    """Settings from the fastest to the slowest: keep all activations and gathered weights; gather again; fewer tokens
    a pass; compute every layer twice. Then the same with 8-bit states, with offloading, and with LoRA."""
    sizes = [asked.most]
    while sizes[-1] // 2 >= max(LEAST_PASS, asked.longest):
        sizes.append(sizes[-1] // 2)
    ways: list[dict[str, Any]] = [{}]
    ways += [{"optimizer_bits": 8}] if asked.eight_bit else []
    # What is offloaded travels in every pass: long passes count more than computing twice.
    ways += [{"offload": True, "checkpointing": "full"}] if machine.sharded and machine.gpu else []
    ways += [{"lora_rank": LORA_RANK}] if asked.lora else []
    found = [
        Settings(**{"micro_tokens": size, "checkpointing": twice, "reshard": again, **way, **asked.fixed})
        for way in ways
        for twice in ("none", "full")
        for size in sizes
        for again in ((False, True) if machine.sharded else (False,))
        if twice == "full" or size >= SMALL_PASS or size == sizes[0]
    ]
    # What is fixed makes some of them equal.
    return list(dict.fromkeys(found))


def plan(shape: Shape, machine: Machine, asked: Asked) -> Plan:
    """The first of the candidates that fits. Raises ConfigError with what the smallest one needs, what there is, and
    what to type."""
    found = [weigh(shape, machine, settings) for settings in candidates(machine, asked)]
    for one in found:
        if one.fits:
            return one
    least = min(found, key=lambda one: one.total)
    raise ConfigError(
        f"The student, {shape.parameters:,} parameters, does not fit {machine.name}: the smallest plan needs"
        f" {gib(least.total)} GiB on each device, and there are {gib(machine.room)}.",
        problems=(f"{least.settings}: " + ", ".join(f"{n} {gib(v)}" for n, v in least.parts.items() if v > 0),),
        hint=_hint(shape, machine, asked),
    )


def _hint(shape: Shape, machine: Machine, asked: Asked) -> str:
    """What to type where nothing fits: options to let go, more devices, LoRA."""
    ways = []
    if asked.fixed:
        ways.append("leave " + ", ".join(f"trainer.{name}" for name in asked.fixed) + " to the plan")
    more = (replace(machine, processes=n, sharded=True) for n in (2, 4, 8, 16, 32, 64) if n > machine.processes)
    enough = next((wide.processes for wide in more if _some(shape, wide, asked, offload=False)), None)
    if enough and machine.gpu:
        ways.append(f"take {enough} such devices with --trainer fsdp")
    if machine.gpu and not machine.sharded and _some(shape, replace(machine, sharded=True), asked):
        ways.append("take --trainer fsdp, which can keep weights and optimizer in the host's memory")
    if not asked.lora and not asked.fixed.get("lora_rank") and _some(shape, machine, replace(asked, lora=True)):
        ways.append(f"learn fewer parameters with --set trainer.lora_rank={LORA_RANK}")
    return ("Ways out: " + "; or ".join(ways) + ".") if ways else "Choose a smaller student."


def _some(shape: Shape, machine: Machine, asked: Asked, offload: bool = True) -> bool:
    some = (settings for settings in candidates(machine, asked) if offload or not settings.offload)
    return any(weigh(shape, machine, settings).fits for settings in some)
