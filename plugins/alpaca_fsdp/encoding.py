"""Texts to token ids: prompt and answer in one pass, with the length of the prompt that two passes would find."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

# Parts of a tokenizer with which one pass provably finds what two would; see ``one_pass``.
_NORMALIZERS = {"Prepend", "Replace", "NFC"}
_SPLITTERS = {"Metaspace", "ByteLevel", "Digits", "Split"}


def encode(
    prompts: Sequence[str], wholes: Sequence[str], tokenizer: Any, uncounted: int | None = None, **how: Any
) -> tuple[list[list[int]], list[int]]:
    """The ids of every text of ``wholes``, and how many ids its beginning, the text in ``prompts``, has by itself, not
    counting ``uncounted``.

    ``how`` goes to the tokenizer. A prompt that by itself is no prefix of the whole (an answer that begins with "//"
    may merge with the prompt's colon to "://") counts with the ids that it has by itself: then as many of the whole's.
    """

    def ids(texts: Sequence[str]) -> Any:
        return tokenizer(list(texts), return_attention_mask=False, return_token_type_ids=False, **how)

    found = ids(wholes)
    lengths: list[int | None] = [None] * len(wholes)
    if one_pass(tokenizer, how.get("add_special_tokens", True)):
        for row, (prompt, encoding) in enumerate(zip(prompts, found.encodings, strict=True)):
            if (length := _boundary(prompt, encoding)) is not None:
                lengths[row] = length - found["input_ids"][row][:length].count(uncounted)
    open_ones = [row for row, length in enumerate(lengths) if length is None]
    if open_ones:
        again = ids([prompts[row] for row in open_ones])["input_ids"]
        for row, alone in zip(open_ones, again, strict=True):
            lengths[row] = len(alone) - alone.count(uncounted)
    return found["input_ids"], lengths  # type: ignore[return-value]


def one_pass(tokenizer: Any, special: bool) -> bool:
    """Whether a token that begins where the prompt ends shows that the prompt has the same ids by itself.

    It does for BPE: merges never come apart, so where no token spans the end, none ever did, and what is left of it
    merged in the order that it has alone. Before that, the text must be cut up and normalised by rules that look at
    neighbouring characters only; nothing may depend on where a word ends or be appended to every text.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if not getattr(tokenizer, "is_fast", False) or backend is None:
        return False
    parts = json.loads(backend.to_str())
    model, normalizers, splitters = parts["model"], _flat(parts["normalizer"]), _flat(parts["pre_tokenizer"])
    if model["type"] != "BPE" or any(
        model.get(name) for name in ("dropout", "ignore_merges", "end_of_word_suffix", "continuing_subword_prefix")
    ):
        return False
    if any(token["single_word"] for token in parts["added_tokens"]):
        return False
    if not {part["type"] for part in normalizers} <= _NORMALIZERS:
        return False
    if any(len(part["pattern"].get("String", "")) != 1 for part in normalizers if part["type"] == "Replace"):
        return False
    if not {part["type"] for part in splitters} <= _SPLITTERS:
        return False
    bare, dressed = (backend.encode("a", add_special_tokens=added).ids for added in (False, special))
    return dressed[len(dressed) - len(bare) :] == bare


def _flat(part: Any) -> list[dict[str, Any]]:
    """``part`` of a tokenizer's JSON, or what it is a sequence of."""
    if part is None:
        return []
    inner = part.get("normalizers") or part.get("pretokenizers")
    return [part] if inner is None else [small for each in inner for small in _flat(each)]


def _boundary(prompt: str, encoding: Any) -> int | None:
    """The place of the first token after ``prompt``, if a token begins exactly there. A prompt that ends in white space
    or beyond ASCII gives None: what follows may change how its last characters are cut up or composed."""
    end = len(prompt)
    if not prompt or not prompt[-1].isascii() or prompt[-1].isspace():
        return None
    first = encoding.char_to_token(end)
    if first is None or encoding.token_to_chars(first)[0] != end:
        return None
    before = encoding.token_to_chars(first - 1) if first else None
    return first if before is None or before[1] <= end else None
