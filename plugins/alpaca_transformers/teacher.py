"""A local causal language model that answers many requests at once."""

from __future__ import annotations

import asyncio
import bisect
import gc
import re
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch  # noqa: TID253 - this module is imported when the teacher is used

from alpaca_core import (
    AlpacaError,
    ChatTemplate,
    Check,
    Completion,
    ConfigError,
    Example,
    MissingError,
    Piece,
    Price,
    Question,
    Request,
    RowLoss,
    TeacherError,
    Usage,
)
from alpaca_transformers.answers import Answer, Rows, Sampling, write
from alpaca_transformers.form import Form
from alpaca_transformers.options import TransformersOptions
from alpaca_transformers.reading import Reader
from alpaca_transformers.talking import Talks

_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
_SMALL = 100_000_000  # parameters: below that, fewer bits gain nothing
LONGEST = 2048  # tokens of an answer to a question that names no limit


class TransformersTeacher:
    """Answers with the model of ``options.model``, which is loaded when first needed.

    A request is rendered by the tokenizer's chat template: ``system``, then the user's message with the key ``input``,
    or with the input after the content if the template knows no such key. A model without a template reads the plain
    text, and goes on from the request's ``prefix``.

    Tokens are drawn at random unless ``temperature`` is 0. The draw depends on the request alone, its ``k`` and its
    text: asked again, in whatever company, it gets the same answer, as far as the rounding of the scores allows.

    ``notes`` are remarks for people that came up since they were last taken out; ``doing`` says what the model is at.

    Raises ConfigError if there is no such model, or its folder cannot be read; MissingError if it would have to come
    from the hub and cannot; AlpacaError if it does not fit into the device's memory.
    """

    def __init__(self, options: TransformersOptions) -> None:
        self.options = options
        self.notes: list[str] = []
        self.doing = ""
        self.lock = threading.Lock()  # held while anything is written
        self._closed = False
        self._talks = Talks(self)
        self.said: dict[str, Any] = {}  # what loading the model had to remark: weights missing, left over, misshapen
        self._fitting: int | None = None  # how many answers fit into the memory, once it was too small
        if not options.model:
            raise ConfigError("The transformers teacher needs a model.", hint="Name a folder or hub id with --model.")
        folder = Path(options.model).expanduser()
        if folder.is_dir():
            # transformers reads a LoRA adapter together with the model that its adapter_config.json names
            if not any((folder / name).is_file() for name in ("config.json", "adapter_config.json")):
                inner = folder / "model"
                hint = f"Did you mean {inner}?" if (inner / "config.json").is_file() else ""
                raise ConfigError(f"{folder} holds no model: it has no config.json.", hint=hint)
        elif folder.exists() or not _HUB_ID.fullmatch(options.model):
            raise ConfigError(f"There is no model folder {folder}.")

    @property
    def batch_size(self) -> int:
        """How many requests are answered together; fewer, once the memory was too small."""
        if self._fitting is not None:
            return self._fitting
        if self.options.batch_size is not None:
            return self.options.batch_size
        return 16 if self._device.type == "cpu" else 64

    def price(self) -> Price:
        """Nothing."""
        return Price(0.0, 0.0)

    async def prepare(self) -> list[str]:
        """Load the model. Says where and how it runs."""
        return await asyncio.to_thread(self._prepare)

    async def aclose(self) -> None:
        """Let answers that are being written be, soon, and give back the model's memory: a training may be next."""
        self._closed = True
        await asyncio.to_thread(self._release)

    def complete_many(self, requests: Sequence[Request]) -> list[Completion]:
        """One completion for each request, in their order, under the ``max_tokens`` and ``stop`` of each.

        Those of like length are written together. A prompt that fills the model's context gets an empty answer, cut
        off. Raises TeacherError when the device's memory is too small for a single answer, and after ``aclose``.
        """
        with self.lock:
            answers = [self._answer(request) for request in requests]
            todo = sorted(answers, key=lambda answer: (answer.limit, len(answer.prompt)))
            while todo:
                batch = todo[: self.batch_size]
                if self._write(batch):
                    todo = todo[len(batch) :]
        return [self._read(*pair) for pair in zip(requests, answers, strict=True)]

    @property
    def remembers(self) -> bool:
        """Whether the chat template shows the model what was said before."""
        return self._reader.knows_turns

    def talk(self, question: Question, heard: Callable[[Piece], None]) -> Callable[[], None]:
        """Answer ``question`` side by side with those that others ask, as in ``Talker``."""
        return self._talks.ask(question, heard).leave

    def answer_to(self, question: Question) -> Answer:
        """The answer to be written. Raises TeacherError where the question cannot be asked so."""
        text = question.text
        prompt = self._reader.chat(question.messages) if text is None else self._reader.text(text)
        limit = min(question.max_tokens or LONGEST, self._context - len(prompt))
        if not prompt:
            raise TeacherError("bad_request", "The prompt is empty.")
        if limit < 1:
            raise TeacherError(
                "bad_request",
                f"The prompt of {len(prompt):,} tokens fills the model's context of {self._context:,}:"
                " no room for an answer.",
            )
        sampling = self._sampled(question.temperature, question.top_p)
        return Answer(prompt, limit, question.stop, question.seed or secrets.token_hex(8), sampling)

    def rows(self, answers: Sequence[Answer]) -> Rows:
        """``answers``, to be written side by side."""
        return Rows(self._model, self._words.pad_token_id, self.ends, answers)

    def losses(self, examples: Sequence[Example], jinja: str = "") -> list[RowLoss]:
        """The loss on each example's output, see ``losses.losses`` and ``Form.encode``. What is beyond the model's
        context is cut off on the right, which ``notes`` tells."""
        from alpaca_transformers.losses import losses

        with self.lock:
            rows = self._form(jinja).encode(examples, self._context)
            if cut := sum(row.cut for row in rows):
                limit = f"{self._context:,} tokens that the model can read"
                self.notes.append(f"{cut:,} of {len(rows):,} rows are cut off on the right, at the {limit}.")
            return losses(self._model, rows, self.batch_size, self._words.pad_token_id or 0)

    @property
    def jinja(self) -> str:
        """The tokenizer's chat template; empty where it has none."""
        return self._words.chat_template or ""

    def template_lines(self) -> list[str]:
        """The fixed lines of the chat template, and the tokenizer's control tokens."""
        return [*self._form().lines(), *self._words.all_special_tokens]

    def examine(
        self, examples: Sequence[Example], template: ChatTemplate | None = None, exported: Sequence[str] = ()
    ) -> list[Check]:
        """The checks of ``examination.examine``. Afterwards the model is loaded anew when it is next needed."""
        from alpaca_transformers.examination import examine

        with self.lock:
            return examine(self, examples, template, exported)

    def _form(self, jinja: str = "") -> Form:
        return Form(self._words, self.ends, jinja)

    @cached_property
    def _words(self) -> Any:
        from transformers import AutoTokenizer

        return self._load(AutoTokenizer.from_pretrained)

    @cached_property
    def _model(self) -> Any:
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging

        logging.disable_progress_bar()
        logging.set_verbosity_error()  # it warns of what is seen to here, such as padding beyond the context
        dtype = self.options.dtype if self.options.dtype == "auto" else getattr(torch, self.options.dtype)
        model, self.said = self._load(AutoModelForCausalLM.from_pretrained, dtype=dtype, output_loading_info=True)
        large = model.num_parameters() >= _SMALL
        if dtype == "auto" and large and self._device.type == "cuda" and model.dtype == torch.float32:
            model = model.to(torch.bfloat16)
        try:
            return model.to(self._device).eval()
        except torch.OutOfMemoryError as exc:
            raise AlpacaError(
                f"The model {self.options.model} does not fit into the memory of {self._place}:"
                f" its weights alone take {model.get_memory_footprint() / 1e9:.1f} GB.",
                hint="Take a smaller model, or use --set teacher.device=cpu.",
            ) from exc

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
    def _reader(self) -> Reader:
        return Reader(self._words)

    def _encode(self, request: Request) -> list[int]:
        question = {"role": "user", "content": request.prompt, "input": request.input}
        system = [{"role": "system", "content": request.system}] if request.system else []
        return self._reader.chat([*system, question], request.prefix)

    def _answer(self, request: Request) -> Answer:
        prompt = self._encode(request)
        limit = min(request.max_tokens, self._context - len(prompt))
        seed = "/".join((str(request.k), request.system, request.prompt, request.input, request.prefix))
        return Answer(prompt, limit, request.stop, seed, self._sampling)

    @property
    def _context(self) -> int:
        return getattr(self._model.config.get_text_config(), "max_position_embeddings", None) or 1 << 30

    def _write(self, answers: Sequence[Answer]) -> bool:
        """Write ``answers`` to their ends. False: the memory was too small for so many, and fewer are to go on."""
        began, before = time.monotonic(), sum(len(answer.tokens) for answer in answers)

        def watch(writing: Sequence[Answer]) -> None:
            if self._closed:
                raise TeacherError("connection", "the answer was still being written when the run ended")
            written = sum(len(answer.tokens) for answer in answers) - before
            pace = written / (time.monotonic() - began)
            longest = max(len(answer.tokens) for answer in writing)
            self.doing = f"reading {len(writing)} prompts"
            if longest:
                self.doing = f"writing {len(writing)} answers, {longest:,} tokens long by now, {pace:,.0f} tokens/s"

        try:
            write(self._model, self._words, answers, self.ends, watch)
            return True
        except torch.OutOfMemoryError as exc:
            if len(answers) == 1:
                raise self.too_small(answers[0].limit) from exc
        finally:
            self.doing = ""
        self.shrink(len(answers))  # not in the handler: the error holds on to what was computed
        return False

    def shrink(self, count: int) -> None:
        """The memory was too small for ``count`` answers: half as many from now on."""
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        self._fitting = count // 2
        self.notes.append(
            f"The memory of {self._place} is too small for {count} answers at a time: {self._fitting} from now on."
        )

    def too_small(self, tokens: int) -> TeacherError:
        """The memory was too small for one answer of at most ``tokens``."""
        return TeacherError(
            "quota",  # no other request will do better: the run stops, and can go on
            f"The memory of {self._place} is too small for one answer of {tokens:,} tokens.",
            hint="Take a smaller model, or one saved in fewer bits, or ask for less: --set prompt.items=5",
        )

    def _read(self, request: Request, answer: Answer) -> Completion:
        tokens = answer.tokens
        whole = tokens[:-1] if tokens and tokens[-1] in self.ends else tokens
        text = self.decode(whole)
        used = len(tokens)
        stops = [text.find(stop) for stop in request.stop if stop in text]
        if stops:  # tokens after it were written in vain: nobody asked for them
            used = bisect.bisect_left(
                range(len(whole)), True, key=lambda n: any(stop in self.decode(whole[:n]) for stop in request.stop)
            )
        usage = Usage(prompt_tokens=len(answer.prompt), completion_tokens=used)
        return Completion(text[: min(stops)] if stops else text, answer.finish or "length", usage, self.options.model)

    def decode(self, tokens: Sequence[int]) -> str:
        text: str = self._words.decode(tokens, skip_special_tokens=True)
        return text

    @cached_property
    def ends(self) -> set[int]:
        return _ids(self._model.generation_config.eos_token_id) | _ids(self._words.eos_token_id)

    @cached_property
    def _sampling(self) -> Sampling | None:
        return self._sampled(self.options.temperature, self.options.top_p)

    def _sampled(self, temperature: float | None, top_p: float | None) -> Sampling | None:
        """As given; what is left open is as the model's makers recommend, else a little short of the model's own
        shares, whose tail is where small models go astray."""
        own = self._model.generation_config
        given = {name: getattr(own, name, None) for name in ("temperature", "top_p", "top_k")}
        known = any(value is not None for value in given.values())
        usual = (given["temperature"] or 1.0, given["top_p"] or 1.0) if known else (0.8, 0.95)
        temperature = usual[0] if temperature is None else temperature
        top_p = usual[1] if top_p is None else top_p
        return Sampling(temperature, top_p, given["top_k"] or 0) if temperature else None

    def _release(self) -> None:
        self._talks.close()
        with self.lock:
            if self.__dict__.pop("_model", None) is not None and self._device.type == "cuda":
                gc.collect()
                torch.cuda.empty_cache()

    def _prepare(self) -> list[str]:
        with self.lock:
            model, sampling = self._model, self._sampling
            how = f"temperature {sampling.temperature:g}, top_p {sampling.top_p:g}" if sampling else "temperature 0"
            how += f", top_k {sampling.top_k}" if sampling and sampling.top_k else ""
            notes = [
                f"{self.options.model}: {_millions(model.num_parameters())} parameters,"
                f" {str(model.dtype).removeprefix('torch.')}, on {self._place};"
                f" {self.batch_size} answers at a time, {how}."
            ]
            if not self._words.chat_template:
                notes.append("It has no chat template: it is asked as a base model, which goes on from the prompt.")
        return notes

    @property
    def _place(self) -> str:
        return torch.cuda.get_device_name(self._device) if self._device.type == "cuda" else self._device.type.upper()


def _millions(number: int) -> str:
    return f"{number / 1e9:.1f}B" if number >= 1e9 else f"{number / 1e6:.1f}M"


def _ids(value: int | Sequence[int] | None) -> set[int]:
    return set() if value is None else {value} if isinstance(value, int) else set(value)
