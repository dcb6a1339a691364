"""Writes many answers at once, each as if it were alone: its own limits, its own stop strings, its own luck."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

import torch  # noqa: TID253 - this module is imported when the teacher is used

STRETCH = 32  # tokens between two looks at which answers have ended
WIDE = 1024  # the likeliest tokens, which nearly always hold the whole nucleus


@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn: among the ``top_k`` likeliest (0: all), of those the fewest that have the share
    ``top_p``. ``temperature`` is above 0."""

    temperature: float
    top_p: float
    top_k: int = 0


@dataclass
class Answer:
    """An answer to ``prompt`` that is being written, of at most ``limit`` tokens, up to one of the strings ``stop``.

    ``finish`` is None until it has ended. ``tokens`` includes the end of text, and what follows a stop string.
    """

    prompt: list[int]
    limit: int
    stop: tuple[str, ...] = ()
    seed: str = ""
    tokens: list[int] = field(default_factory=list)
    finish: Literal["stop", "length"] | None = None
    chances: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = Random(self.seed)
        if self.limit < 1:
            self.finish = "length"

    def luck(self, steps: int) -> list[float]:
        """Numbers above 0 and up to 1 for the next ``steps`` tokens: the same ones for the same seed and place."""
        until = len(self.tokens) + steps
        while len(self.chances) < until:
            self.chances.append(1.0 - self._random.random())
        return self.chances[len(self.tokens) : until]

    def take(self, tokens: Sequence[int], ends: set[int], words: Any) -> None:
        """The model wrote ``tokens``: keep those up to the end."""
        for token in tokens:
            self.tokens.append(token)
            if token in ends:
                self.finish = "stop"
                return
        if self.stop and any(stop in words.decode(self.tokens, skip_special_tokens=True) for stop in self.stop):
            self.finish = "stop"
        elif len(self.tokens) >= self.limit:
            self.finish = "length"


@torch.inference_mode()
def write(
    model: Any,
    words: Any,
    answers: Sequence[Answer],
    ends: set[int],
    sampling: Sampling | None,
    watch: Callable[[Sequence[Answer]], None] = lambda answers: None,
) -> None:
    """Go on with ``answers`` until all have ended at one of the tokens ``ends``, a stop string or their limit.

    Takes the likeliest tokens where ``sampling`` is None. The model writes a stretch, then the answers that have ended
    leave, so that nobody computes for them any more. ``watch`` is shown the others; what it raises ends the writing.
    """
    pad = words.pad_token_id if words.pad_token_id is not None else min(ends, default=0)
    writing = [answer for answer in answers if answer.finish is None]
    cache = None
    while writing:
        watch(writing)
        if cache is None:
            ids, mask = _side_by_side([answer.prompt + answer.tokens for answer in writing], pad, model.device)
        steps = min(STRETCH, *(answer.limit - len(answer.tokens) for answer in writing))
        made = model.generate(
            input_ids=ids,
            attention_mask=mask,
            past_key_values=cache,
            max_new_tokens=steps,
            pad_token_id=pad,
            eos_token_id=sorted(ends) or None,
            return_dict_in_generate=True,
            logits_processor=[_Draw([answer.luck(steps) for answer in writing], ids, sampling)] if sampling else [],
            **{"do_sample": False, "temperature": None, "top_p": None, "top_k": None},  # drawn by ourselves
        )
        new = made.sequences[:, ids.shape[1] :]
        for answer, tokens in zip(writing, new.tolist(), strict=True):
            answer.take(tokens, ends, words)
        going = [i for i, answer in enumerate(writing) if answer.finish is None]
        ids, mask = made.sequences, torch.cat([mask, torch.ones_like(new)], dim=1)
        cache = getattr(made, "past_key_values", None)
        if len(going) < len(writing):
            writing = [writing[i] for i in going]
            rows = torch.tensor(going, dtype=torch.long, device=ids.device)
            ids, mask = ids[rows], mask[rows]
            cache = _only(cache, rows)


def _side_by_side(texts: Sequence[list[int]], pad: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and mask, padded on the left, so that every answer starts at the same place."""
    longest = max(map(len, texts))
    ids = torch.full((len(texts), longest), pad)
    mask = torch.zeros_like(ids)
    for i, text in enumerate(texts):
        ids[i, longest - len(text) :] = torch.tensor(text)
        mask[i, longest - len(text) :] = 1
    return ids.to(device), mask.to(device)


def _only(cache: Any, rows: torch.Tensor) -> Any:
    """The rows of a cache; None where its kind cannot give them, so that it is computed again."""
    if not len(rows) or not all(hasattr(layer, "batch_select_indices") for layer in getattr(cache, "layers", [None])):
        return None
    cache.batch_select_indices(rows)
    return cache


class _Draw:
    """Leaves of every row's scores the one token that the row's own luck draws, whoever its neighbours are."""

    def __init__(self, luck: Sequence[Sequence[float]], ids: torch.Tensor, sampling: Sampling) -> None:
        wide = torch.float32 if ids.device.type == "mps" else torch.float64
        self._luck = torch.tensor(luck, dtype=wide).to(ids.device)
        self._begin = ids.shape[1]
        self._sampling = sampling

    def __call__(self, ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        step = ids.shape[1] - self._begin
        token = draw(scores, self._luck[:, step : step + 1], self._sampling)
        return torch.full_like(scores, -torch.inf).scatter_(1, token, 0.0)


def draw(scores: torch.Tensor, luck: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """The token of each row at which the sum of the shares reaches ``luck`` (above 0, up to 1; one column).

    The shares are summed in the order of the vocabulary, not of likelihood: so two tokens that are nearly as likely do
    not change places, and with them the answer, when the last bit of a score differs.
    """
    shares = (scores.float() / sampling.temperature).softmax(-1)
    if not sampling.top_k and sampling.top_p >= 1:
        return _reached(shares, luck)
    best, tokens = shares.topk(min(sampling.top_k or WIDE, shares.shape[-1]))
    if sampling.top_k:
        best = best / best.sum(-1, keepdim=True)
    elif (best.sum(-1) < sampling.top_p).any():
        best, tokens = shares.sort(descending=True)
    best = best.masked_fill(best.cumsum(-1) - best >= sampling.top_p, 0.0)
    tokens, order = tokens.sort()
    return tokens.gather(-1, _reached(best.gather(-1, order), luck))


def _reached(shares: torch.Tensor, luck: torch.Tensor) -> torch.Tensor:
    """Where the sum of each row's shares reaches that part of the whole: always at a share above 0."""
    sums = shares.cumsum(-1, dtype=luck.dtype)
    return torch.searchsorted(sums, luck * sums[:, -1:])
