"""How a tokenizer's chat template lays out an example, as text and as tokens: the prompt, the answer, its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from alpaca_core import Example

# Private-use characters stand for the fields of an example.
_INSTRUCTION, _INPUT, _OUTPUT = "\ue000", "\ue001", "\ue002"
_EXAMPLES = (Example(_INSTRUCTION, _INPUT, _OUTPUT), Example(_INSTRUCTION, "", _OUTPUT))


@dataclass(frozen=True)
class Encoded:
    """The tokens of an example, of which the first ``prompt`` are read and the others written. ``cut``: they would be
    more, but the model reads no more."""

    ids: list[int]
    prompt: int
    cut: bool = False


class Form:
    """Examples under the chat template of ``words``, or under ``jinja`` in its place. ``ends`` are the ids that end an
    answer. Without any template the texts follow each other, an empty line between them."""

    def __init__(self, words: Any, ends: set[int], jinja: str = "") -> None:
        self.words, self.ends = words, ends
        self.jinja: str = jinja or words.chat_template or ""

    def prompt(self, example: Example) -> str:
        """What is read, without a BOS."""
        if not self.jinja:
            return "".join(f"{part}\n\n" for part in (example.instruction, example.input) if part)
        return self._bare(self.render([self.message(example)], add_generation_prompt=True))

    def response(self, example: Example) -> str:
        """What is written, without its end."""
        return self._answer(example)[0]

    def read(self, example: Example) -> list[int]:
        """The tokens of the prompt by itself, as a model is asked."""
        (ids,) = self._ids([self.prompt(example)])
        return [self.words.bos_token_id, *ids] if self.begins else ids

    def encode(self, examples: Sequence[Example], limit: int | None = None) -> list[Encoded]:
        """The tokens of ``examples`` as a training makes them: prompt and answer are one text, as many tokens as the
        prompt has by itself are read, BOS and the end of text are added by id, and what is beyond ``limit`` tokens is
        cut off on the right. What looks like a control token is text, unless the template itself uses them."""
        prompts = [self.prompt(example) for example in examples]
        answers = [self._answer(example) for example in examples]
        wholes = [prompt + answer for prompt, (answer, _) in zip(prompts, answers, strict=True)]
        bos = [self.words.bos_token_id] if self.begins else []
        found = []
        for prompt, whole, (_, end) in zip(self._ids(prompts), self._ids(wholes), answers, strict=True):
            ids = [*bos, *whole, *([end] if end is not None else [])]
            read = min(max(len(bos) + len(prompt), 1), len(ids))  # the very first token is predicted from nothing
            cut = limit is not None and len(ids) > limit
            found.append(Encoded(ids[:limit], min(read, limit) if limit is not None else read, cut))
        return found

    def render(self, messages: Sequence[dict[str, str]], **how: Any) -> str:
        """The template's text for ``messages``. Raises what the template raises."""
        text: str = self.words.apply_chat_template(
            list(messages), chat_template=self.jinja, tokenize=False, enable_thinking=False, **how
        )
        return text

    def message(self, example: Example) -> dict[str, str]:
        """The user's turn of ``example``: with the key ``input``, where the template looks at it."""
        if not example.input:
            return {"role": "user", "content": example.instruction}
        if self.knows_input:
            return {"role": "user", "content": example.instruction, "input": example.input}
        return {"role": "user", "content": f"{example.instruction}\n\n{example.input}"}

    @cached_property
    def knows_input(self) -> bool:
        """Whether the template looks at the key ``input`` of a message."""
        message = {"role": "user", "content": _INSTRUCTION}
        return self.render([message]) != self.render([{**message, "input": _INPUT}])

    @cached_property
    def begins(self) -> bool:
        """Whether a text begins with a BOS."""
        if not self.jinja:
            return self.words.bos_token_id is not None
        text = self.render([{"role": "user", "content": _INSTRUCTION}], add_generation_prompt=True)
        return bool(self.words.bos_token) and text.startswith(self.words.bos_token)

    @cached_property
    def behind(self) -> int:
        """How many tokens the template writes after the end of an answer, such as one for a new line."""
        if not self.jinja:
            return 0
        turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
        ids = self.words(self.render(turns), add_special_tokens=False)["input_ids"]
        return next((place for place, id in enumerate(reversed(ids)) if id in self.ends), 0)

    def lines(self) -> list[str]:
        """The lines that the template itself writes around the fields, longest first."""
        parts: set[str] = set()
        for example in _EXAMPLES if self.jinja else ():
            text = self.prompt(example)
            for field in (_INSTRUCTION, _INPUT):
                text = text.replace(field, "\n")
            parts.update(line.strip() for line in text.split("\n"))
        return sorted(filter(None, parts), key=lambda line: (-len(line), line))

    def _answer(self, example: Example) -> tuple[str, int | None]:
        """The text of the answer and the id that ends it. Where the template renders an answer in a conversation
        otherwise than after its prompt (it may leave out thoughts), the output itself."""
        end = self.words.eos_token_id
        if not self.jinja:
            return example.output, end
        turns = [self.message(example), {"role": "assistant", "content": example.output}]
        prompt, whole = self.prompt(example), self._bare(self.render(turns))
        if not whole.startswith(prompt):
            return example.output, end
        text = whole[len(prompt) :]
        there = {id: self.words.convert_ids_to_tokens(id) for id in self.ends}
        at, last = max(((text.rfind(token), id) for id, token in there.items() if token), default=(-1, None))
        return (text[:at], last) if at >= 0 else (text, end)

    def _bare(self, text: str) -> str:
        return text.removeprefix(self.words.bos_token or "")

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        found: list[list[int]] = self.words(
            list(texts), add_special_tokens=False, split_special_tokens=self._no_control_tokens
        )["input_ids"]
        return found

    @cached_property
    def _no_control_tokens(self) -> bool:
        if not self.jinja:
            return False
        text = "".join(self.prompt(example) for example in _EXAMPLES)
        return not any(token in text for token in self.words.all_special_tokens)
