"""What a model does not take, learnt from the provider's own words: before the first request, or by a refusal."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from alpaca_anthropic import MessagesOptions
from alpaca_anthropic.failures import Refusal
from alpaca_core import Completion

THINKING, EFFORT, FORMAT, LENGTH = "thinking.type", "output_config.effort", "output_config.format", "max_tokens"
EFFORTS = ("low", "medium", "high", "xhigh", "max")

# How errors speak of a parameter. Where one names several, the first is the one that it is about.
_MENTIONS = {
    THINKING: re.compile(r"\bthinking\b", re.IGNORECASE),
    EFFORT: re.compile(r"\boutput_config\b(?!\.f)|\beffort\b", re.IGNORECASE),
    FORMAT: re.compile(r"\boutput_config\b(?!\.e)|output[ _]format|structured output", re.IGNORECASE),
    LENGTH: re.compile(r"\bmax_tokens: \d+ > (\d+)"),
}
_QUESTION = re.compile(r"(messages|system|model|stop_sequences)[.:\[]")  # errors that begin so are about the prompt
_BETWEEN_TOOLS = re.compile(r"\b(use|send)\W.{0,40}\bbetween_tools\b", re.IGNORECASE)
_OFFER = re.compile(r"\b(should|must) be\b", re.IGNORECASE)
_LEVEL = re.compile(rf"\b({'|'.join(EFFORTS)})\b")


class Adaptation:
    """Fits requests to what is known about the model.

    ``learnt`` holds it by the parameter's name: the value that is sent in its place, or None where it is left out. It
    may be put back in at a later start.
    """

    def __init__(self, options: MessagesOptions) -> None:
        self._options = options
        self.learnt: dict[str, Any] = {}

    def fit(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """``body`` as the model takes it, as far as is known."""
        fitting = {name: self.learnt.get(name, value) for name, value in body.items()}
        fitting[LENGTH] = min(body[LENGTH], fitting[LENGTH])
        return fitting

    async def ask(self, body: Mapping[str, Any], send: Callable[[dict[str, Any]], Awaitable[Completion]]) -> Completion:
        """``send`` what fits, and again what fits better whenever a Refusal teaches something."""
        for _ in range(8):  # more than there is to learn
            sent = self.fit(body)
            try:
                return await send(sent)
            except Refusal as exc:
                refusal = exc
            if self.fit(body) == sent:  # nobody else has learnt it meanwhile
                self.heed(refusal.problem.text)
                if self.fit(body) == sent:
                    break
        raise refusal

    def heed(self, text: str) -> bool:
        """Learn from an error's ``text`` what to send in place of what was set. Whether it is about a parameter.

        The same words always teach the same: a batch says them once for each of its requests.
        """
        words = "" if _QUESTION.match(text) else text
        found = {name: match for name, pattern in _MENTIONS.items() if (match := pattern.search(words))}
        first = min((match.start() for match in found.values()), default=-1)
        for name, match in found.items():
            if match.start() > first:
                continue
            if name == THINKING:
                self._think_less("between_tools" if _BETWEEN_TOOLS.search(text) else None)
            elif name == EFFORT:
                self.learnt[EFFORT] = self._effort(text)
            else:
                self.learnt[name] = int(match[1]) if name == LENGTH else None
        return bool(found)

    def _effort(self, text: str) -> str | None:
        """The effort to ask for after an error that names the refused one and then those that are taken, or, as a
        check of types does, only the latter."""
        if offer := _OFFER.search(text):
            return _nearest(self._options.effort or "low", _LEVEL.findall(text, offer.end()))
        refused, *others = _LEVEL.findall(text) or [""]
        return _nearest(refused, others)

    def foresee(self, capabilities: Mapping[str, Any]) -> None:
        """Learn the same from ``capabilities``, as the provider's list of models gives them. Raises LookupError and
        TypeError where they are something else."""

        def taken(*names: str) -> bool:
            found: Any = capabilities
            for name in names:
                found = found[name]
            return bool(found and found["supported"])

        if not taken("thinking", "types", self._options.thinking):
            self._think_less("between_tools" if taken("thinking", "types", "between_tools") else None)
        effort = self.learnt.get(EFFORT, self._options.effort)
        if effort is not None and not (taken("effort") and taken("effort", effort)):
            others = [other for other in EFFORTS if taken("effort") and taken("effort", other)]
            self.learnt[EFFORT] = _nearest(effort, others)

    def _think_less(self, instead: str | None) -> None:
        """Have ``instead`` sent as the way to think. A model that cannot be kept from it is to think as little as it
        can."""
        self.learnt[THINKING] = instead
        if instead is None and self._options.thinking == "disabled" and self._options.effort is None:
            self.learnt.setdefault(EFFORT, "low")


def _nearest(refused: str, others: Sequence[str]) -> str | None:
    """The most of ``others`` that is less than ``refused``, or else the least of them; None where there are none."""
    known = [one for one in EFFORTS if one in others]
    less = [one for one in known if EFFORTS.index(one) < EFFORTS.index(refused)]
    return (less[-1:] or known[:1] or [None])[0]
