"""The shape of a student: what its config.json says of its size, read without torch and without loading it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from alpaca_core import ConfigError
from alpaca_fsdp.recipes import ARCHITECTURES


@dataclass(frozen=True)
class Family:
    """How models of one ``model_type`` are built. ``bias`` says which linear layers have one; ``act`` which activation
    the feed-forward part has: gated (silu of one matrix times another), or the exact or the approximate gelu."""

    bias: Literal["none", "qkv", "all"] = "none"
    norm: Literal["rms", "layer"] = "rms"
    act: Literal["gated", "gelu", "gelu_new"] = "gated"
    parallel: bool = False  # attention and feed-forward read the same residual stream
    head_norms: bool = False  # queries and keys are normed
    tied: bool = False  # the output matrix is the embedding, unless the config says otherwise
    positions: bool = False  # learnt position embeddings


FAMILIES = {
    "llama": Family(),
    "mistral": Family(),
    "qwen2": Family(bias="qkv"),
    "qwen3": Family(head_norms=True),
    "gpt2": Family(bias="all", norm="layer", act="gelu_new", tied=True, positions=True),
    "gpt_neox": Family(bias="all", norm="layer", act="gelu", parallel=True),
}
_BYTES = {"F64": 8, "F32": 4, "BF16": 2, "F16": 2, "float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True)
class Shape:
    """A decoder in numbers. ``parameters`` are all of them, ``layer`` those of one layer. ``known`` says that they were
    counted, or are of a family listed here; else the model was read as if it were a LLaMA."""

    family: Family
    layers: int
    hidden: int
    feed_forward: int
    heads: int
    kv_heads: int
    head_size: int
    vocabulary: int
    tied: bool
    parameters: int
    layer: int
    known: bool = True

    @property
    def width(self) -> int:
        """Queries of a token: heads times their size."""
        return self.heads * self.head_size

    @property
    def root(self) -> int:
        """Parameters outside the layers: embeddings, output matrix, last norm."""
        return self.parameters - self.layers * self.layer

    @property
    def multiplied(self) -> int:
        """Parameters that a token is multiplied with: all but an embedding that is only looked up."""
        return self.parameters - (0 if self.tied else self.vocabulary * self.hidden)

    def flops(self, length: float) -> float:
        """Floating-point operations to learn one token of a text of ``length`` tokens: six for each parameter that it
        is multiplied with (two forward, four backward: Kaplan et al., "Scaling Laws for Neural Language Models", 2020,
        section 2.1) and, for causal attention, ``6 * layers * width * length``."""
        return 6 * self.multiplied + 6 * self.layers * self.width * length

    def counted(self, parameters: int) -> Shape:
        """The same with a number of parameters that was counted; layers get their share of the difference."""
        layer = max(1, round(self.layer * parameters / self.parameters))
        return self if parameters == self.parameters else replace(self, parameters=parameters, layer=layer, known=True)


def read(config: Mapping[str, Any]) -> Shape:
    """The shape that a config.json describes. Raises ConfigError naming what is missing in it."""
    config = {**config, **config.get("text_config", {})}

    def first(*names: str, default: Any = None) -> Any:
        found = next((config[name] for name in names if config.get(name) is not None), default)
        if found is None:
            raise ConfigError(f"The student's config.json has none of {', '.join(names)}: its size is not known.")
        return found

    family = FAMILIES.get(config.get("model_type", ""))
    known, family = family is not None, family or FAMILIES["llama"]
    hidden, layers = first("hidden_size", "n_embd", "d_model"), first("num_hidden_layers", "n_layer", "n_layers")
    heads = first("num_attention_heads", "n_head", "n_heads")
    kv_heads = first("num_key_value_heads", default=heads)
    size = first("head_dim", default=hidden // heads)
    ahead = first("intermediate_size", "n_inner", default=4 * hidden)
    vocabulary = first("vocab_size")
    tied = bool(first("tie_word_embeddings", default=family.tied))
    qkv = (heads + 2 * kv_heads) * size
    attention = hidden * qkv + heads * size * hidden
    if config.get("attention_bias", family.bias == "all"):
        attention += qkv + hidden
    elif family.bias == "qkv":
        attention += qkv
    mlp = (3 if family.act == "gated" else 2) * hidden * ahead
    if config.get("mlp_bias", family.bias == "all"):
        mlp += (2 * ahead if family.act == "gated" else ahead) + hidden
    norm = hidden * (2 if family.norm == "layer" else 1)
    layer = attention + mlp + 2 * norm + (2 * size if family.head_norms else 0)
    root = vocabulary * hidden * (1 if tied else 2) + norm
    if family.positions:
        root += first("n_positions", "max_position_embeddings") * hidden
    return Shape(
        *(family, layers, hidden, ahead, heads, kv_heads, size, vocabulary, tied),
        parameters=layers * layer + root,
        layer=layer,
        known=known,
    )


def of(student: str) -> Shape:
    """The shape of ``--student``: a new one, a folder, or a hub id whose config.json is in the hub's cache.

    The parameters of a family not listed here are counted in the headers of its safetensors files, where these are at
    hand. Raises ConfigError when there is no config.json; asks no network.
    """
    if student in ARCHITECTURES:
        new = ARCHITECTURES[student]
        return read(
            {
                "model_type": "llama",
                "hidden_size": new.hidden,
                "intermediate_size": new.feed_forward,
                "num_hidden_layers": new.layers,
                "num_attention_heads": new.heads,
                "vocab_size": new.vocabulary,
                "tie_word_embeddings": True,
            }
        )
    folder = Path(student) if Path(student).is_dir() else _cached(student)
    try:
        shape = read(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    except OSError as exc:
        raise ConfigError(f"The student {student!r} holds no model: it has no config.json.") from exc
    except ValueError as exc:
        raise ConfigError(f"{folder / 'config.json'} is not JSON: {exc}.") from exc
    return shape if shape.known else shape.counted(stored(folder) or shape.parameters)


def _cached(student: str) -> Path:
    """The folder of the hub's cache that holds the student's config.json."""
    try:
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(student, "config.json")
    except Exception:  # no such package, or no possible id: not at hand either way
        found = None
    if not isinstance(found, str):
        raise ConfigError(
            f"The size of the student {student!r} is not known: it is no folder, and its config.json is not in the"
            " hub's cache.",
            hint=f"Fetch that one small file with: hf download {student} config.json",
        )
    return Path(found).parent


def stored(folder: Path) -> int | None:
    """How many parameters the safetensors files in ``folder`` hold by their headers, or by the index where only that
    is there; None where neither is."""
    files = sorted(folder.glob("*.safetensors"))
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        about = json.loads(index.read_text(encoding="utf-8"))
        names = set(about.get("weight_map", {}).values())
        if not names <= {file.name for file in files}:
            kind = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            each = _BYTES.get(kind.get("dtype") or kind.get("torch_dtype") or "float32", 4)
            total = about.get("metadata", {}).get("total_size")
            return None if total is None else int(total) // each
        files = [file for file in files if file.name in names]
    return sum(map(_header, files)) if files else None


def _header(file: Path) -> int:
    """The parameters in one safetensors file: its header is JSON, after its length in eight bytes."""
    with file.open("rb") as content:
        header = json.loads(content.read(int.from_bytes(content.read(8), "little")))
    return sum(math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")
