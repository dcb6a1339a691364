"""Weights in a model folder, one tensor at a time: read from whatever transformers reads, written as safetensors.

A safetensors file is eight bytes with the length of its header (little-endian), the header in JSON (dtype, shape and
place of each tensor), and the tensors' bytes with nothing between them. Shapes and dtypes are known before any weight
is, so the header is written first and each tensor goes straight to its place: a shard is never whole in memory. The
names (`model-00001-of-00003.safetensors`, `model.safetensors.index.json`) are those that ``from_pretrained`` looks for.
"""

# ruff: noqa: TID253 - loaded by what handles weights only

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import torch

from alpaca_core import AlpacaError, ConfigError

LIMIT = 5 * 10**9  # bytes of a shard, unless a single tensor is larger

# The names of dtypes in the format's header.
CODES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
DTYPES = {code: dtype for dtype, code in CODES.items()}


@dataclass(frozen=True)
class Slot:
    """What a tensor is before its values are known."""

    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes."""
        return prod(self.shape) * self.dtype.itemsize

    def __str__(self) -> str:
        return f"{str(self.dtype).removeprefix('torch.')} {'x'.join(map(str, self.shape)) or 'scalar'}"


class ShardWriter:
    """Writes a model's weights into ``folder`` (which it makes), each at once when it is given.

    ``slots`` are all tensors to come; in their order they are dealt to shards of at most ``limit`` bytes. They may be
    added in any order, each once. ``close`` makes sure that all came and are on the disk, and writes the index; used as
    a context manager, the writer closes itself unless an exception goes by. Raises ConfigError for a dtype that the
    format has no name for.
    """

    def __init__(self, folder: Path, slots: Mapping[str, Slot], *, limit: int = LIMIT) -> None:
        for name, slot in slots.items():
            if slot.dtype not in CODES:
                raise ConfigError(f"{name} is {slot.dtype}, which safetensors files cannot hold.")
        self.folder = folder
        self.slots = dict(slots)
        self.missing = set(slots)
        self._place: dict[str, tuple[str, int]] = {}  # file and first byte
        folder.mkdir(parents=True, exist_ok=True)
        shards = _deal(self.slots, limit)
        for number, names in enumerate(shards, 1):
            one = "model.safetensors"
            self._begin(one if len(shards) == 1 else f"model-{number:05d}-of-{len(shards):05d}.safetensors", names)
        self.files = list(dict.fromkeys(file for file, _ in self._place.values()))

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()

    def add(self, name: str, tensor: torch.Tensor) -> None:
        """Write ``tensor``. Raises ValueError for one that was not announced, or not like this, or was added before."""
        slot = Slot(tensor.dtype, tuple(tensor.shape))
        if name not in self.missing or slot != self.slots[name]:
            expected = self.slots[name] if name in self.missing else "nothing of this name"
            raise ValueError(f"{name} is {slot}; expected was {expected}")
        file, at = self._place[name]
        with (self.folder / file).open("r+b") as shard:
            shard.seek(at)
            shard.write(raw(tensor))
        self.missing.remove(name)

    def close(self) -> None:
        """Write the index. Raises ValueError when tensors are missing."""
        if self.missing:
            raise ValueError(f"{len(self.missing)} tensors were not written, such as {min(self.missing)}")
        for file in self.files:
            with (self.folder / file).open("r+b") as shard:
                os.fsync(shard.fileno())
        if len(self.files) > 1:
            index = {
                "metadata": {"total_size": sum(slot.size for slot in self.slots.values())},
                "weight_map": {name: file for name, (file, _) in self._place.items()},
            }
            (self.folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")

    def _begin(self, file: str, names: Sequence[str]) -> None:
        """Write the header of a shard, and give each of its tensors its place."""
        header: dict[str, object] = {"__metadata__": {"format": "pt"}}
        end = 0
        # Larger items first, so that each tensor begins at a multiple of its item size, as readers that map need it.
        for name in sorted(names, key=lambda name: -self.slots[name].dtype.itemsize):
            slot = self.slots[name]
            header[name] = {
                "dtype": CODES[slot.dtype],
                "shape": list(slot.shape),
                "data_offsets": [end, end + slot.size],
            }
            self._place[name] = (file, end)
            end += slot.size
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        begin = 8 + len(text)
        for name in names:
            self._place[name] = (file, begin + self._place[name][1])
        with (self.folder / file).open("wb") as shard:
            shard.write(len(text).to_bytes(8, "little") + text)
            shard.truncate(begin + end)


def raw(tensor: torch.Tensor) -> memoryview:
    """The bytes of a tensor, in row-major order (those of the machine, which on all that PyTorch supports is
    little-endian order)."""
    return memoryview(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())


def _deal(slots: Mapping[str, Slot], limit: int) -> list[list[str]]:
    """Names in shards of at most ``limit`` bytes, in their order; at least one shard."""
    shards: list[list[str]] = [[]]
    room = limit
    for name, slot in slots.items():
        if shards[-1] and slot.size > room:
            shards.append([])
            room = limit
        shards[-1].append(name)
        room -= slot.size
    return shards


class ShardReader:
    """The weights in a model folder: safetensors or PyTorch's pickles (read without running code), whole or sharded.

    ``slots`` says what is there, in the order of the files; ``tensor`` reads one, and keeps nothing. Raises ConfigError
    for a folder without weights, and AlpacaError for a file that is damaged, cut off or a Git LFS pointer.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.slots: dict[str, Slot] = {}
        self._file: dict[str, Path] = {}
        for file in _weight_files(folder):
            for name, slot in _slots(file):
                self.slots[name], self._file[name] = slot, file

    @property
    def size(self) -> int:
        """Bytes of all tensors."""
        return sum(slot.size for slot in self.slots.values())

    def tensor(self, name: str) -> torch.Tensor:
        """The tensor called ``name``, on the CPU. The file is opened for it and closed again: a mapped file would count
        as memory for as long as it is open."""
        file = self._file[name]
        if file.suffix != ".safetensors":
            return _pickled(file)[name].detach()
        from safetensors import safe_open

        with safe_open(file, framework="pt") as opened:
            return opened.get_tensor(name)


def _weight_files(folder: Path) -> list[Path]:
    """The files with weights, in the order of preference that ``from_pretrained`` has."""
    if not folder.is_dir():
        raise ConfigError(
            f"There is no model folder {folder}.",
            hint="Give a folder. A model of the hub is fetched with: hf download NAME --local-dir FOLDER",
        )
    for name in ("model.safetensors", "pytorch_model.bin"):
        if (folder / name).is_file():
            return [folder / name]
        index = folder / f"{name}.index.json"
        if index.is_file():
            try:
                files = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
            except (ValueError, KeyError, TypeError, AttributeError) as exc:
                raise AlpacaError(f"{index} is no index of weights: {type(exc).__name__}: {exc}") from exc
            lost = [file for file in files if not (folder / file).is_file()]
            if lost:
                raise AlpacaError(
                    f"{folder} lacks {len(lost)} of {len(files)} files with weights: {', '.join(lost)}",
                    hint="Fetch the model again.",
                )
            return [folder / file for file in files]
    raise ConfigError(
        f"{folder} holds no weights.", hint="Looked for: model.safetensors, pytorch_model.bin, and either's index."
    )


def _slots(file: Path) -> Iterator[tuple[str, Slot]]:
    with file.open("rb") as opened:
        if opened.read(24).startswith(b"version https://git-lfs"):
            raise AlpacaError(
                f"{file} is a Git LFS pointer, not the weights themselves.",
                hint=f"Fetch them with: git -C {file.parent} lfs pull",
            )
    if file.suffix != ".safetensors":
        for name, tensor in _pickled(file).items():
            yield name, Slot(tensor.dtype, tuple(tensor.shape))
        return
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as opened:
            for name in opened.offset_keys():
                part = opened.get_slice(name)
                code = part.get_dtype()
                if code not in DTYPES:
                    raise ConfigError(f"{file}: {name} is of the dtype {code}, which is not handled.")
                yield name, Slot(DTYPES[code], tuple(part.get_shape()))
    except SafetensorError as exc:
        raise AlpacaError(f"{file} is damaged or cut off: {exc}", hint="Fetch the model again.") from exc


def _pickled(file: Path) -> dict[str, torch.Tensor]:
    """The tensors of a PyTorch file, mapped rather than read."""
    try:
        found = torch.load(file, map_location="cpu", mmap=True, weights_only=True)
    except Exception as exc:  # a zip's, a pickle's or PyTorch's own, whatever is wrong with the file
        said = (str(exc).strip().splitlines() or [type(exc).__name__])[0]
        raise AlpacaError(f"{file} cannot be read as weights: {said}", hint="Fetch the model again.") from exc
    odd = [name for name, value in found.items() if not isinstance(value, torch.Tensor)]
    if odd:
        raise AlpacaError(f"{file} holds more than weights: {odd[0]} is {type(found[odd[0]]).__name__}")
    return found
