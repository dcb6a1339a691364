"""Tokenised examples in a file, so that several processes and a training that goes on tokenise them once.

The file is a safetensors file beside the checkpoints. It belongs to one key: the hash of all that the tokens depend on.
A file with another key, or a damaged one, counts as none.
"""

# ruff: noqa: TID253 - loaded by the worker only

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import torch

from alpaca_core import ChatTemplate, Example
from alpaca_fsdp.examples import Tokens, tokenize

NAME = "tokens.safetensors"
_FORM = 1  # goes up when tokens are made or stored in another way


def tokens(
    file: Path,
    examples: Sequence[Example],
    template: ChatTemplate,
    tokenizer: Any,
    max_length: int,
    encoding: str,
    write: bool = True,
) -> tuple[list[Tokens], list[int]]:
    """What ``examples.tokenize`` gives, from ``file`` if it is there. Otherwise made, and with ``write`` put there."""
    made_of = key(examples, template, tokenizer, max_length, encoding)
    found = _read(file, made_of)
    if found is None:
        found = tokenize(examples, template, tokenizer, max_length, encoding)
        if write:
            _write(file, made_of, *found)
    return found


def key(examples: Sequence[Example], template: ChatTemplate, tokenizer: Any, max_length: int, encoding: str) -> str:
    """SHA-256 of the rendered texts, the tokenizer's files, ``max_length`` and ``encoding``, as hex."""
    state = hashlib.sha256(f"{_FORM} {max_length} {encoding}".encode())
    for example in examples:
        for text in (template.prompt(example), template.response(example)):
            content = text.encode("utf-8", "surrogatepass")
            state.update(b"%d " % len(content) + content)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:  # of the last call, but saved too
        backend.no_truncation()
        backend.no_padding()
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file():
                state.update(path.name.encode() + b" " + hashlib.sha256(path.read_bytes()).digest())
    return state.hexdigest()


def _read(file: Path, made_of: str) -> tuple[list[Tokens], list[int]] | None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as content:
            if (content.metadata() or {}).get("key") != made_of:
                return None
            ids, ends, prompts, rows, too_long = (
                content.get_tensor(name) for name in ("ids", "ends", "prompts", "rows", "too_long")
            )
    except (OSError, SafetensorError):
        return None
    ids = ids.long()
    places = zip(pairwise([0, *ends.tolist()]), prompts.tolist(), rows.tolist(), strict=True)
    return [Tokens(ids[begin:end], prompt, row) for (begin, end), prompt, row in places], too_long.tolist()


def _write(file: Path, made_of: str, found: Sequence[Tokens], too_long: Sequence[int]) -> None:
    """Whole or not at all."""
    from safetensors.torch import save_file

    content = {
        "ids": torch.cat([each.ids for each in found]).int(),
        "ends": torch.tensor(list(accumulate(len(each.ids) for each in found))),
        "prompts": torch.tensor([each.prompt for each in found]),
        "rows": torch.tensor([each.row for each in found]),
        "too_long": torch.tensor(too_long, dtype=torch.long),
    }
    draft = file.with_name(f"{file.name}.{os.getpid()}.tmp")
    save_file(content, draft, metadata={"key": made_of})
    os.replace(draft, file)
