"""Weights on their way into a model folder, one at a time: their names there, the files, and the reading back.

Memory holds one gathered weight (and what it becomes), never the model: safetensors files are a header and the
tensors' bytes (https://github.com/huggingface/safetensors, "Format"), so each is written where it belongs as it comes.
"""

# ruff: noqa: TID253 - loaded by the worker only

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from alpaca_core import AlpacaError

LIMIT = 5 * 10**9  # bytes of a file, at most, unless a single weight takes more
INDEX = "model.safetensors.index.json"
_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
# What wrappers of modules put into names.
_WRAPPERS = ("_checkpoint_wrapped_module.", "_orig_mod.")


@dataclass(frozen=True)
class Piece:
    """Weights that are gathered together: their names in the model, and what they become in the folder (as tensors
    without data). Almost always one weight that keeps its name."""

    sources: tuple[str, ...]
    targets: Mapping[str, torch.Tensor]

    @property
    def size(self) -> int:
        return sum(target.nbytes for target in self.targets.values())


@dataclass(frozen=True)
class File:
    """A file of the folder, and the pieces in it."""

    name: str
    pieces: Sequence[Piece]


def plan(model: Any) -> list[Piece]:
    """The weights of ``model`` (sharded or not) under the names that ``save_pretrained`` gives them: tied ones once,
    and those that transformers renames, splits or joins on loading as they were before."""
    from transformers.modeling_utils import remove_tied_weights_from_state_dict

    ignored = set(getattr(model, "_keys_to_ignore_on_save", None) or ())
    weights = {
        name: torch.empty(weight.shape, dtype=weight.dtype, device="meta")
        for name, weight in model.state_dict().items()
        if name not in ignored
    }
    weights = remove_tied_weights_from_state_dict(weights, model)
    whole = converted(model, weights)
    pieces = [Piece((name,), converted(model, {name: weight})) for name, weight in weights.items()]
    alone = {name: target.shape for piece in pieces for name, target in piece.targets.items()}
    if alone == {name: target.shape for name, target in whole.items()}:
        return pieces
    return [Piece(tuple(weights), whole)]  # some are joined in the folder: then all at once


def converted(model: Any, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """``weights`` of ``model`` as they are in a model folder."""
    from transformers.core_model_loading import revert_weight_conversion

    plain = {}
    for name, weight in weights.items():
        for wrapper in _WRAPPERS:
            name = name.replace(wrapper, "")
        plain[name] = weight
    return dict(revert_weight_conversion(model, plain))


def files(pieces: Sequence[Piece], limit: int = LIMIT) -> list[File]:
    """The files of the folder, named as ``from_pretrained`` expects them, in the order of the pieces."""
    groups: list[list[Piece]] = [[]]
    room = limit
    for piece in pieces:
        if groups[-1] and piece.size > room:
            groups.append([])
            room = limit
        groups[-1].append(piece)
        room -= piece.size
    if len(groups) == 1:
        return [File("model.safetensors", groups[0])]
    return [File(f"model-{i:05d}-of-{len(groups):05d}.safetensors", group) for i, group in enumerate(groups, 1)]


def index(written: Sequence[File]) -> dict[str, Any]:
    """The content of ``INDEX``: which file has which weight."""
    return {
        "metadata": {"total_size": sum(piece.size for file in written for piece in file.pieces)},
        "weight_map": {name: file.name for file in written for piece in file.pieces for name in sorted(piece.targets)},
    }


def write(path: Path, file: File, weights: Iterator[Mapping[str, torch.Tensor]]) -> dict[str, str]:
    """Write ``file``, whose pieces ``weights`` brings one after the other: the SHA-256 of every weight, as written."""
    targets = {name: target for piece in file.pieces for name, target in piece.targets.items()}
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    places, at = {}, 0
    for name in sorted(targets, key=lambda name: (-targets[name].itemsize, name)):  # so that all are aligned
        target = targets[name]
        places[name] = at
        span = [at, at + target.nbytes]
        header[name] = {"dtype": _DTYPES[target.dtype], "shape": list(target.shape), "data_offsets": span}
        at = span[1]
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    digests = {}
    with path.open("wb") as out:
        out.write(len(text).to_bytes(8, "little") + text)
        for piece in weights:
            for name, weight in piece.items():
                target = targets[name]
                if weight.shape != target.shape or weight.dtype != target.dtype:
                    raise AlpacaError(f"{name} is {weight.dtype} {list(weight.shape)}, planned was another form.")
                content = _bytes(weight)
                digests[name] = hashlib.sha256(content).hexdigest()
                out.seek(8 + len(text) + places[name])
                out.write(content)
    missing = set(targets) - set(digests)
    if missing:
        raise AlpacaError(f"{path.name} lacks {', '.join(sorted(missing)[:3])}.")
    return digests


def compare(path: Path, digests: Mapping[str, str]) -> None:
    """Read a written file with the safetensors library. Raises AlpacaError unless each weight is what was written."""
    from safetensors import safe_open

    with safe_open(path, "pt") as opened:
        names = set(opened.keys())
        wrong = sorted(names ^ set(digests))
        wrong += [
            name
            for name in sorted(names & set(digests))
            if hashlib.sha256(_bytes(opened.get_tensor(name))).hexdigest() != digests[name]
        ]
    if wrong:
        raise AlpacaError(
            f"{path} does not read back as it was written: {', '.join(wrong[:3])}.",
            hint="Check the disk, and give the same command again: it goes on from the last checkpoint.",
        )


def _bytes(weight: torch.Tensor) -> memoryview:
    if math.prod(weight.shape) == 0:
        return memoryview(b"")
    return memoryview(weight.detach().contiguous().reshape(-1).view(torch.uint8).numpy())
