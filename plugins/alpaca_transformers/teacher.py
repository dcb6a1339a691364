"""A local causal language model that answers requests, one by one or many at once."""

from __future__ import annotations

import asyncio
import re
import threading
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch  # noqa: TID253 - this module is imported when the teacher is used

from alpaca_core import Completion, ConfigError, MissingError, Price, Request, Usage
from alpaca_transformers.options import TransformersOptions

_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
_SMALL = 100_000_000  # parameters


class TransformersTeacher:
    """Answers with the model of ``options.model``, which is loaded when first needed.

    A request is rendered by the tokenizer's chat template: ``system``, then the user's message with the key ``input``,
    or with the input after the content if the template knows no such key. A model without a template reads the plain
    text, and goes on from the request's ``prefix``. Greedy unless ``temperature`` says otherwise.

    Raises ConfigError if there is no such model, or its folder cannot be read; MissingError if it would have to come
    from the hub and cannot.
    """

    def __init__(self, options: TransformersOptions) -> None:
        self.options = options
        self._lock = threading.Lock()
        if not options.model:
            raise ConfigError("The transformers teacher needs a model.", hint="Name a folder or hub id with --model.")
        folder = Path(options.model).expanduser()
        if folder.is_dir():
            if not (folder / "config.json").is_file():
                inner = folder / "model"
                hint = f"Did you mean {inner}?" if (inner / "config.json").is_file() else ""
                raise ConfigError(f"{folder} holds no model: it has no config.json.", hint=hint)
        elif folder.exists() or not _HUB_ID.fullmatch(options.model):
            raise ConfigError(f"There is no model folder {folder}.")

    @property
    def batch_size(self) -> int:
        """How many requests are answered together."""
        if self.options.batch_size is not None:
            return self.options.batch_size
        return 128 if self._model.num_parameters() < _SMALL else 16

    def price(self) -> Price:
        """Nothing."""
        return Price(0.0, 0.0)

    async def complete(self, request: Request) -> Completion:
        """One request, in a thread."""
        return (await asyncio.to_thread(self.complete_many, [request]))[0]

    async def aclose(self) -> None:
        """Nothing to give back."""

    def complete_many(self, requests: Sequence[Request]) -> list[Completion]:
        """One completion for each request, in their order. Those of like length are generated together, under the
        ``max_tokens`` and ``stop`` of each. A prompt that fills the model's context gets an empty answer, cut off."""
        with self._lock:
            prompts = [self._encode(request) for request in requests]
            alike: dict[Any, list[int]] = defaultdict(list)
            for i in sorted(range(len(requests)), key=lambda i: len(prompts[i])):
                alike[requests[i].stop, requests[i].max_tokens].append(i)
            found: dict[int, Completion] = {}
            for group in alike.values():
                for at in range(0, len(group), self.batch_size):
                    batch = group[at : at + self.batch_size]
                    answers = self._generate([requests[i] for i in batch], [prompts[i] for i in batch])
                    found.update(zip(batch, answers, strict=True))
        return [found[i] for i in range(len(requests))]

    @cached_property
    def _words(self) -> Any:
        from transformers import AutoTokenizer

        return self._load(AutoTokenizer.from_pretrained)

    @cached_property
    def _model(self) -> Any:
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging

        logging.disable_progress_bar()
        dtype = self.options.dtype if self.options.dtype == "auto" else getattr(torch, self.options.dtype)
        model = self._load(AutoModelForCausalLM.from_pretrained, dtype=dtype)
        return model.to(self._device).eval()

    def _load(self, load: Any, **how: Any) -> Any:
        from huggingface_hub.utils import logging

        name = self.options.model
        folder = Path(name).expanduser()
        logging.set_verbosity_error()  # the hub's client would tell of every retry
        try:
            return load(folder if folder.is_dir() else name, **how)
        except Exception as exc:  # whatever a damaged file or the network makes of it, the user needs one sentence
            said = (str(exc).strip().splitlines() or [type(exc).__name__])[0]
            if folder.is_dir():
                raise ConfigError(f"The model in {folder} cannot be read: {said}") from exc
            raise MissingError(
                f"The model {name} is no folder here, and getting it from the hub failed: {said}",
                hint="Check the name and the connection, or give the path of a folder.",
            ) from exc

    @cached_property
    def _device(self) -> torch.device:
        name = self.options.device
        if name == "auto":
            name = "cuda" if torch.cuda.is_available() else "mps" if torch.mps.is_available() else "cpu"
        elif name == "cuda" and not torch.cuda.is_available():
            raise ConfigError("PyTorch finds no GPU.", hint="Use --set teacher.device=cpu.")
        return torch.device(name)

    @cached_property
    def _knows_input(self) -> bool:
        """Whether the chat template looks at the key ``input`` of a message."""
        message = {"role": "user", "content": "content"}
        return self._render([message]) != self._render([{**message, "input": "input"}])

    def _render(self, messages: list[dict[str, str]]) -> str:
        return self._words.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)

    def _encode(self, request: Request) -> list[int]:
        words = self._words
        whole = "\n\n".join(part for part in (request.prompt, request.input) if part)
        if not words.chat_template:
            text = "\n\n".join(part for part in (request.system, whole) if part) + request.prefix
        else:
            message = {"role": "user", "content": whole}
            if request.input and self._knows_input:
                message = {"role": "user", "content": request.prompt, "input": request.input}
            system = [{"role": "system", "content": request.system}] if request.system else []
            text = self._render([*system, message])
        # BOS by id, once: some tokenizers read the text after a BOS differently when it is part of the text.
        plain = text.removeprefix(words.bos_token or "")
        bos = plain != text or (words.bos_token and not words.chat_template)
        ids = words(plain, add_special_tokens=False, split_special_tokens=self._no_control_tokens)["input_ids"]
        return [words.bos_token_id, *ids] if bos else ids

    @cached_property
    def _no_control_tokens(self) -> bool:
        """Whether the chat template writes none after a BOS. What looks like one in a request is text then."""
        if not self._words.chat_template:
            return False
        text = self._render([{"role": "user", "content": "content"}]).removeprefix(self._words.bos_token or "")
        return not any(token in text for token in self._words.all_special_tokens)

    @torch.inference_mode()
    def _generate(self, requests: Sequence[Request], prompts: Sequence[list[int]]) -> list[Completion]:
        model, words = self._model, self._words
        longest = max(map(len, prompts))
        room = (getattr(model.config, "max_position_embeddings", None) or 1 << 30) - longest
        if room < 1:
            if len(requests) == 1:
                return [Completion("", "length", Usage(len(prompts[0])), self.options.model)]
            return [self._generate([r], [p])[0] for r, p in zip(requests, prompts, strict=True)]
        ends = _ids(model.generation_config.eos_token_id) | _ids(words.eos_token_id)
        pad = words.pad_token_id if words.pad_token_id is not None else min(ends, default=0)
        ids = torch.full((len(prompts), longest), pad)
        mask = torch.zeros_like(ids)
        for i, prompt in enumerate(prompts):  # on the left, so that every answer starts at the same place
            ids[i, longest - len(prompt) :] = torch.tensor(prompt)
            mask[i, longest - len(prompt) :] = 1
        how: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        if self.options.temperature > 0:
            torch.manual_seed(requests[0].k)
            how = {"do_sample": True, "temperature": self.options.temperature}
        if requests[0].stop:
            how |= {"stop_strings": list(requests[0].stop), "tokenizer": words}
        answers = model.generate(
            input_ids=ids.to(self._device),
            attention_mask=mask.to(self._device),
            max_new_tokens=min(requests[0].max_tokens, room),
            pad_token_id=pad,
            eos_token_id=sorted(ends) or None,
            **how,
        )[:, longest:].tolist()
        return [self._read(*given, ends) for given in zip(requests, prompts, answers, strict=True)]

    def _read(self, request: Request, prompt: list[int], answer: list[int], ends: set[int]) -> Completion:
        end = next((i for i, token in enumerate(answer) if token in ends), None)
        answer = answer[:end]
        text = self._words.decode(answer, skip_special_tokens=True)
        stops = [text.find(stop) for stop in request.stop if stop in text]
        finish = "stop" if end is not None or stops else "length"
        usage = Usage(prompt_tokens=len(prompt), completion_tokens=len(answer) + (end is not None))
        return Completion(text[: min(stops)] if stops else text, finish, usage, self.options.model)


def _ids(value: int | Sequence[int] | None) -> set[int]:
    return set() if value is None else {value} if isinstance(value, int) else set(value)
