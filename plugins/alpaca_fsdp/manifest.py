"""The manifest of a weight difference: what each tensor was, so that a recovered model can be known to be the same.

A hash is SHA-256 over a tensor's values as float32, row by row, little-endian. float16 and bfloat16 fit into float32
without loss, so the same weights have the same hash in any of them; the dtype stands beside it.
"""

# ruff: noqa: TID253 - loaded by what handles weights only

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from alpaca_core import AlpacaError
from alpaca_fsdp.weights import CODES, DTYPES, Slot, raw

MANIFEST = "alpacakit-diff.json"
VERSION = 1
SHOWN = 10  # tensors named in a message at most


@dataclass(frozen=True)
class Print:
    """A tensor's fingerprint: ``dtype`` by its name in safetensors files, ``shape``, ``sha256``."""

    dtype: str
    shape: tuple[int, ...]
    sha256: str

    @classmethod
    def of(cls, tensor: torch.Tensor) -> Print:
        return cls(CODES[tensor.dtype], tuple(tensor.shape), hashlib.sha256(raw(tensor.float())).hexdigest())

    @property
    def slot(self) -> Slot:
        return Slot(DTYPES[self.dtype], self.shape)


@dataclass(frozen=True)
class Fact:
    """What the manifest knows of one tensor: the tuned one, the base's, and how many values the file of exact values
    holds for it (``difference.EXACT``), from which byte on."""

    tuned: Print
    base: Print
    exact: int = 0
    at: int = 0


def write(folder: Path, facts: Mapping[str, Fact]) -> None:
    """Write the manifest of a difference."""
    tensors = {name: asdict(fact) for name, fact in facts.items()}
    text = json.dumps({"alpacakit_diff": VERSION, "tensors": tensors}, indent=1)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def read(folder: Path) -> dict[str, Fact] | None:
    """The manifest, or None where the difference has none. Raises AlpacaError for one that cannot be read."""
    path = folder / MANIFEST
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["alpacakit_diff"] != VERSION:
            raise AlpacaError(
                f"{path} is of version {content['alpacakit_diff']}; this alpacakit reads {VERSION}.",
                hint="Upgrade with: pip install -U alpacakit",
            )
        return {
            name: Fact(_print(fact["tuned"]), _print(fact["base"]), int(fact["exact"]), int(fact["at"]))
            for name, fact in content["tensors"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise AlpacaError(
            f"{path} is damaged: {type(exc).__name__}: {exc}", hint="Fetch the difference again."
        ) from exc


def _print(content: Mapping[str, object]) -> Print:
    made = Print(str(content["dtype"]), tuple(content["shape"]), str(content["sha256"]))  # type: ignore[arg-type]
    if made.dtype not in DTYPES:
        raise ValueError(f"dtype {made.dtype}")
    return made


def differing(expected: Mapping[str, Print], found: Mapping[str, Print | None]) -> list[str]:
    """A line for each tensor whose values or shape are other than expected (its dtype may be another)."""
    lines = []
    for name, wanted in expected.items():
        here = found[name]
        if here is None:
            lines.append(f"{name}: not there")
        elif here.shape != wanted.shape:
            lines.append(f"{name}: {wanted.slot} expected, {here.slot} here")
        elif here.sha256 != wanted.sha256:
            kind = f", {here.dtype} instead of {wanted.dtype}" if here.dtype != wanted.dtype else ""
            lines.append(f"{name}: other values{kind}")
    return lines


def reason(expected: Mapping[str, Print], found: Mapping[str, Print | None]) -> str:
    """The likeliest reason why a base is not the one that a difference was made against."""
    wrong = {name for name, wanted in expected.items() if not _same(wanted, found[name])}
    there = {name: here for name in wrong if (here := found[name]) is not None}
    if len(there) < len(wrong):
        return "It names its tensors otherwise: another architecture, or converted by another version."
    shaped = {name: here for name, here in there.items() if here.shape != expected[name].shape}
    if len(shaped) == len(wrong) <= 2 and all(
        here.shape[1:] == expected[name].shape[1:] for name, here in shaped.items()
    ):
        return (
            "Its vocabulary has another size: a [PAD] row was added to it, or taken away. Use it as it was published."
        )
    if shaped:
        return "Its shapes are other ones: another model."
    if all(".q_proj." in name or ".k_proj." in name for name in wrong):
        return "Only query and key projections differ: a converter that orders their rows otherwise."
    if any(here.dtype != expected[name].dtype for name, here in there.items()):
        wanted = ", ".join(sorted({expected[name].dtype for name in wrong}))
        return f"It was converted to another dtype, which rounded its values. Use it in {wanted}."
    if len(wrong) * 2 < len(expected):
        return "Most of it is the same: a damaged file, or a model fine-tuned in part."
    return "Another model, or another conversion of it."


def _same(wanted: Print, here: Print | None) -> bool:
    return here is not None and (here.shape, here.sha256) == (wanted.shape, wanted.sha256)


def named(lines: list[str]) -> list[str]:
    """The first lines, and how many more there are."""
    more = len(lines) - SHOWN
    return lines if more <= 0 else [*lines[:SHOWN], f"and {more:,} more"]
