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

    Takes the likeliest tokens where ``sampling`` is None. ``finish`` is None until it has ended. ``tokens`` includes
    the end of text, and what follows a stop string.
    """

    prompt: list[int]
    limit: int
    stop: tuple[str, ...] = ()
    seed: str = ""
    sampling: Sampling | None = None
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
    watch: Callable[[Sequence[Answer]], None] = lambda answers: None,
) -> None:
    """Go on with ``answers`` until all have ended at one of the tokens ``ends``, a stop string or their limit.

    The model writes a stretch, then the answers that have ended leave, so that nobody computes for them any more.
    ``watch`` is shown the others; what it raises ends the writing.
    """
    rows = Rows(model, words.pad_token_id, ends, [answer for answer in answers if answer.finish is None])
    while rows.answers:
        watch(rows.answers)
        for answer, tokens in zip(rows.answers, rows.advance(), strict=True):
            answer.take(tokens, ends, words)
        rows.leave()


class Rows:
    """Answers that a model writes side by side, padded on the left so that all of them end at the same place."""

    def __init__(self, model: Any, pad: int | None, ends: set[int], answers: Sequence[Answer]) -> None:
        self.answers = list(answers)
        self._model, self._ends = model, ends
        self._pad = pad if pad is not None else min(ends, default=0)
        self._ids = self._mask = self._cache = None  # no cache: what was read and written is read again

    def advance(
        self, stretch: int = STRETCH, heard: Callable[[list[int]], list[bool]] | None = None
    ) -> list[list[int]]:
        """Write up to ``stretch`` tokens, the same number for each answer; fewer where one comes to its limit.

        ``heard`` is told each token of all rows as it is written, and says which rows are to go on: when none is, the
        stretch ends there. It has to take the tokens into the answers itself.
        """
        answers = self.answers
        if self._cache is None:
            self._ids, self._mask = _side_by_side([answer.prompt + answer.tokens for answer in answers], self._pad)
            self._ids, self._mask = self._ids.to(self._model.device), self._mask.to(self._model.device)
        steps = min(stretch, *(answer.limit - len(answer.tokens) for answer in answers))
        drawn = [_Draw(answers, steps, self._ids)] if any(answer.sampling for answer in answers) else []
        made = self._model.generate(
            input_ids=self._ids,
            attention_mask=self._mask,
            past_key_values=self._cache,
            max_new_tokens=steps,
            pad_token_id=self._pad,
            eos_token_id=sorted(self._ends) or None,
            return_dict_in_generate=True,
            logits_processor=drawn,
            stopping_criteria=[_Heard(heard)] if heard else [],
            **{"do_sample": False, "temperature": None, "top_p": None, "top_k": None},  # drawn by ourselves
        )
        new = made.sequences[:, self._ids.shape[1] :]
        self._ids, self._mask = made.sequences, torch.cat([self._mask, torch.ones_like(new)], dim=1)
        self._cache = getattr(made, "past_key_values", None)
        return new.tolist()

    def leave(self) -> None:
        """Let the answers that have ended go."""
        going = [i for i, answer in enumerate(self.answers) if answer.finish is None]
        if len(going) == len(self.answers):
            return
        self.answers = [self.answers[i] for i in going]
        if self._cache is None or not going:
            self._cache = None
            return
        rows = torch.tensor(going, dtype=torch.long, device=self._ids.device)
        self._ids, self._mask = self._ids[rows], self._mask[rows]
        self._cache = _only(self._cache, rows)
        if _plain(self._cache):
            self._widen(max(len(answer.prompt) + len(answer.tokens) for answer in self.answers))

    def join(self, others: Rows) -> None:
        """Go on with ``others`` too, whose prompts have been read. Where the kind of cache does not allow that, all is
        read again together."""
        if not others.answers:
            return
        if not self.answers:
            self._ids, self._mask, self._cache = others._ids, others._mask, others._cache
        elif _plain(self._cache) and _plain(others._cache):
            width = max(self._ids.shape[1], others._ids.shape[1])
            self._widen(width)
            others._widen(width)
            self._ids, self._mask = torch.cat([self._ids, others._ids]), torch.cat([self._mask, others._mask])
            for mine, theirs in zip(self._cache.layers, others._cache.layers, strict=True):
                mine.keys = torch.cat([mine.keys, theirs.keys])
                mine.values = torch.cat([mine.values, theirs.values])
        else:
            self._cache = None
        self.answers += others.answers

    def _widen(self, width: int) -> None:
        """Pad on the left, or cut there what is padding of all rows, so that the rows are ``width`` tokens wide."""
        more = width - self._ids.shape[1]
        if not more:
            return
        pad = torch.nn.functional.pad  # a negative number of columns cuts them off
        self._ids, self._mask = pad(self._ids, (more, 0), value=self._pad), pad(self._mask, (more, 0))
        for layer in self._cache.layers:
            layer.keys, layer.values = pad(layer.keys, (0, 0, more, 0)), pad(layer.values, (0, 0, more, 0))


def _side_by_side(texts: Sequence[list[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and mask, padded on the left."""
    longest = max(map(len, texts))
    ids = torch.full((len(texts), longest), pad)
    mask = torch.zeros_like(ids)
    for i, text in enumerate(texts):
        ids[i, longest - len(text) :] = torch.tensor(text)
        mask[i, longest - len(text) :] = 1
    return ids, mask


def _only(cache: Any, rows: torch.Tensor) -> Any:
    """The rows of a cache; None where its kind cannot give them, so that it is computed again."""
    if not all(hasattr(layer, "batch_select_indices") for layer in getattr(cache, "layers", [None])):
        return None
    cache.batch_select_indices(rows)
    return cache


def _plain(cache: Any) -> bool:
    """Whether a cache is nothing but keys and values of every token, which can be put beside those of others."""
    from transformers.cache_utils import DynamicLayer

    layers = getattr(cache, "layers", None)
    return bool(layers) and all(type(layer) is DynamicLayer and layer.get_seq_length() for layer in layers)


class _Heard:
    """Tells each token as it is written, and ends the stretch when no row is to go on."""

    def __init__(self, heard: Callable[[list[int]], list[bool]]) -> None:
        self._heard = heard

    def __call__(self, ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        return ~torch.tensor(self._heard(ids[:, -1].tolist()), device=ids.device)


class _Draw:
    """Leaves of every row's scores the one token that the row's own luck draws, whoever its neighbours are. A row that
    takes the likeliest token is left as it is."""

    def __init__(self, answers: Sequence[Answer], steps: int, ids: torch.Tensor) -> None:
        wide = torch.float32 if ids.device.type == "mps" else torch.float64
        self._luck = torch.tensor([answer.luck(steps) for answer in answers], dtype=wide).to(ids.device)
        self._begin = ids.shape[1]
        groups: dict[Sampling, list[int]] = {}
        for i, answer in enumerate(answers):
            if answer.sampling is not None:
                groups.setdefault(answer.sampling, []).append(i)
        self._groups = [(how, torch.tensor(rows, device=ids.device)) for how, rows in groups.items()]

    def __call__(self, ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        step = ids.shape[1] - self._begin
        for sampling, rows in self._groups:
            token = draw(scores[rows], self._luck[rows, step : step + 1], sampling)
            scores[rows] = torch.full_like(scores[rows], -torch.inf).scatter_(1, token, 0.0)
        return scores


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
