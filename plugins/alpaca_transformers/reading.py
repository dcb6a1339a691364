"""What a model reads: messages as its chat template renders them, or plain text, as token ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from alpaca_core import TeacherError


class Reader:
    """Turns messages and text into the tokens of ``words``, a tokenizer of transformers.

    A message has the keys ``role``, ``content`` and, a user's, maybe ``input``. Where the chat template knows no
    ``input``, it follows the content; where it knows no system message, that precedes the next user's. A tokenizer
    without a template makes plain text of them. So a text of one's own that reads like a rendered prompt gives the same
    tokens as the messages that it was rendered from.
    """

    def __init__(self, words: Any) -> None:
        self._words = words

    def chat(self, messages: Sequence[Mapping[str, str]], prefix: str = "") -> list[int]:
        """The tokens of ``messages``, up to where the answer starts. ``prefix`` begins the answer, without a template.

        Raises TeacherError where the template refuses them.
        """
        from jinja2 import TemplateError

        if not self._words.chat_template:
            parts = [part for message in messages for part in (message["content"], message.get("input")) if part]
            return self.text("\n\n".join(parts) + prefix)
        try:
            fitted = self._fitted(messages)
            text = self._render(fitted)
            control = not self._looks_controlled(fitted) or self._controls(fitted)
        except TemplateError as exc:
            raise TeacherError("bad_request", f"The model's chat template refuses these messages: {exc}") from exc
        return self._tokens(text, bos=False, control=control)

    def text(self, text: str) -> list[int]:
        """The tokens of a prompt to go on from. They begin with the BOS token where those of a chat do. What looks like
        a control token is one, unless the chat template writes none."""
        words = self._words
        plainest = [{"role": "user", "content": "content"}]
        begins = not words.chat_template or self._render(plainest).startswith(words.bos_token or "\0")
        control = not words.chat_template or self._controls(plainest)
        return self._tokens(text, bos=begins and bool(words.bos_token), control=control)

    @cached_property
    def knows_turns(self) -> bool:
        """Whether the chat template shows the model what was said before."""
        turns = [("user", "turn one"), ("assistant", "turn two"), ("user", "turn three")]
        return self._shows([{"role": role, "content": content} for role, content in turns])

    @cached_property
    def _knows_input(self) -> bool:
        """Whether the chat template looks at the key ``input`` of a message."""
        message = {"role": "user", "content": "content"}
        return self._render([message]) != self._render([{**message, "input": "input"}])

    @cached_property
    def _knows_system(self) -> bool:
        """Whether the chat template shows the model a system message. Some drop it, some refuse it."""
        return self._shows([{"role": "system", "content": "what to be"}, {"role": "user", "content": "content"}])

    def _shows(self, messages: Sequence[dict[str, str]]) -> bool:
        from jinja2 import TemplateError

        try:
            return all(message["content"] in self._render(messages) for message in messages)
        except (TemplateError, ValueError):  # a tokenizer without a template
            return False

    def _fitted(self, messages: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
        """``messages`` in the keys and roles that the template knows."""
        fitted: list[dict[str, str]] = []
        before = ""
        for given in messages:
            message = {"role": given["role"], "content": given["content"]}
            if given.get("input") and self._knows_input:
                message["input"] = given["input"]
            elif given.get("input"):
                message["content"] = "\n\n".join(part for part in (given["content"], given["input"]) if part)
            if message["role"] == "system" and not self._knows_system:
                before += message["content"] + "\n\n"
                continue
            if message["role"] == "user":
                message["content"], before = before + message["content"], ""
            fitted.append(message)
        return [*fitted, {"role": "user", "content": before.strip()}] if before else fitted

    def _render(self, messages: Sequence[Mapping[str, str]]) -> str:
        # A template that knows no "thinking" ignores it. Thoughts would take most of the time, and most of the context.
        text: str = self._words.apply_chat_template(
            list(messages), tokenize=False, add_generation_prompt=True, enable_thinking=False
        )
        return text

    def _looks_controlled(self, messages: Sequence[Mapping[str, str]]) -> bool:
        """Whether something in ``messages`` looks like a control token."""
        said = [part for message in messages for part in message.values()]
        return any(token in part for token in self._words.all_special_tokens for part in said)

    def _controls(self, messages: Sequence[Mapping[str, str]]) -> bool:
        """Whether the template writes control tokens of its own around ``messages``, after a BOS. Where it writes none,
        what looks like one in a message is text."""

        def without(text: str) -> str:
            for token in self._words.all_special_tokens:
                text = text.replace(token, "")
            return text

        said = [{key: without(part) for key, part in message.items()} for message in messages]
        text = self._render(said).removeprefix(self._words.bos_token or "")
        return any(token in text for token in self._words.all_special_tokens)

    def _tokens(self, text: str, *, bos: bool, control: bool) -> list[int]:
        """The tokens of ``text``, after a BOS token where the text begins with one, or ``bos`` asks for it."""
        # BOS by id, once: some tokenizers read the text after a BOS differently when it is part of the text.
        words = self._words
        plain = text.removeprefix(words.bos_token or "")
        ids: list[int] = words(plain, add_special_tokens=False, split_special_tokens=not control)["input_ids"]
        return [words.bos_token_id, *ids] if bos or plain != text else ids
