"""Whether a student's files are what they should be: found out before an hour is spent on loading them, or training
on a tokenizer that belongs to another model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from alpaca_core import ConfigError

_LFS = b"version https://git-lfs.github.com/spec/"


def check_files(folder: Path) -> None:
    """Look at the files of a model folder. Raises ConfigError listing those that are missing, cut short, or pointers
    that Git LFS left in place of a file."""
    problems = []
    for path in sorted(folder.iterdir()):
        if path.is_file():
            problem = _pointer(path) or (_cut_short(path) if path.suffix == ".safetensors" else "")
            problems += [f"{path.name}: {problem}"] if problem else []
    for index in folder.glob("*.index.json"):
        try:
            named = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (ValueError, KeyError, AttributeError):
            if not _pointer(index):
                problems.append(f"{index.name}: is not an index of weights")
            continue
        problems += [f"{name}: is named in {index.name} and is not there" for name in named if not _there(folder, name)]
    if problems:
        raise ConfigError(
            f"The student {folder} is not complete:",
            problems=sorted(problems),
            hint="Get these files again (of a Git repository: git lfs pull).",
        )


def check_words(tokenizer: Any, config: Any, student: str) -> None:
    """Whether ``tokenizer`` can end a text. Raises ConfigError where it has no end of text, one that is not its own id
    and back, or one that is the unknown token too: a model would learn to end everywhere or nowhere."""
    eos, bos, unk = tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.unk_token_id
    if eos is None:
        raise ConfigError(f"The tokenizer of {student} has no end-of-text token, so nothing could ever end.")
    said = tokenizer.convert_ids_to_tokens(eos)
    back = tokenizer.convert_tokens_to_ids(tokenizer.eos_token)
    problems = []
    if not tokenizer.eos_token or back != eos or said != tokenizer.eos_token:
        problems.append(f"end of text is id {eos}, which is {said!r}; its text {tokenizer.eos_token!r} is id {back}")
    if eos == unk and bos not in (None, eos):  # GPT-2 has one token for all three, on purpose
        problems.append(f"end of text and the unknown token are the same id, {eos}")
    if eos == 0 and bos == 0 and getattr(config, "model_type", "") == "llama":
        problems.append("start and end of text are both id 0: the marks of an early LLaMA conversion")
    if problems:
        raise ConfigError(
            f"The tokenizer of {student} is not sound:",
            problems=problems,
            hint="Get its files again from where the model is published, or use a newer conversion of the model.",
        )


def differences(tokenizer: Any, config: Any) -> list[str]:
    """Ids that the model's config and its tokenizer name differently, as sentences."""
    notes = []
    for name in ("bos_token_id", "eos_token_id"):
        there, here = getattr(config, name, None), getattr(tokenizer, name)
        if there is not None and here is not None and here not in (there if isinstance(there, list) else [there]):
            notes.append(
                f"{name} is {there} in the model's config and {here} in its tokenizer: the tokenizer's is used"
            )
    return notes


def _there(folder: Path, name: str) -> bool:
    return (folder / name).is_file()


def _pointer(path: Path) -> str:
    with path.open("rb") as file:
        return "is a Git LFS pointer, not the file itself" if file.read(len(_LFS)) == _LFS else ""


def _cut_short(path: Path) -> str:
    """What the header of a safetensors file says against its size: 8 bytes with the header's length, the header as
    JSON, and the tensors without gaps (https://github.com/huggingface/safetensors, "Format")."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > size - 8:
            return f"is cut short at {size:,} bytes, within its header"
        try:
            header = json.loads(file.read(length))
            end = max((entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"), default=0)
        except (ValueError, KeyError, TypeError, AttributeError):
            return "has no safetensors header"
    expected = 8 + length + end
    return "" if size == expected else f"has {size:,} bytes, and its header says {expected:,}"
