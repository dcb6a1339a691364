"""A judge as AlpacaEval describes it: its prompt, word for word, and its way to read the answer.

Who answers is the teacher, whatever ``model_name`` the description has: name that model with ``--model``.
"""

from __future__ import annotations

from collections.abc import Sequence

from alpaca_core import (
    Annotator,
    Ask,
    Completion,
    ConfigError,
    Pair,
    Preference,
    Request,
    TeacherError,
    read_annotators,
)
from alpaca_judges import AlpacaEvalOptions
from alpaca_judges.parsers import parser
from alpaca_judges.verdicts import why

_LIMITS = ("max_tokens", "max_completion_tokens", "max_tokens_to_sample")
_LEAST = 16  # tokens: some providers take no less, and one token is what the judges with logprobs ask for


class AlpacaEval:
    """Follows the annotator in ``options.config``. Raises ConfigError where it cannot be followed."""

    def __init__(self, options: AlpacaEvalOptions) -> None:
        if options.config is None:
            raise ConfigError(
                "The judge 'alpaca-eval' follows an annotator's configs.yaml.",
                hint="Name it with --set judge.config=FILE",
            )
        self.annotator = _only(options)
        self._read = parser(self.annotator)
        own = next(
            (self.annotator.completions_kwargs[name] for name in _LIMITS if name in self.annotator.completions_kwargs),
            256,
        )
        self._max_tokens = options.max_tokens or max(_LEAST, int(own))
        self._request(Pair("", "", "", ""))  # a prompt that cannot be sent says so now

    async def compare(self, pairs: Sequence[Pair], ask: Ask) -> list[Preference]:
        """Asks about every pair; raises what ``ask`` raises."""
        answers = await ask([self._request(pair) for pair in pairs])
        return [self._preference(answer) for answer in answers]

    def _request(self, pair: Pair) -> Request:
        instruction = f"{pair.instruction}\n\n{pair.input}" if pair.input.strip() else pair.instruction
        found = self.annotator.messages({"instruction": instruction, "output_1": pair.a, "output_2": pair.b})
        systems = [content for role, content in found if role == "system"]
        users = [content for role, content in found if role == "user"]
        if len(systems) + len(users) != len(found) or len(systems) > 1 or len(users) != 1:
            roles = ", ".join(role for role, _ in found)
            raise ConfigError(
                f"The prompt of the annotator '{self.annotator.name}' is a conversation ({roles}); a teacher is asked"
                " with one message, and one of the system before it."
            )
        return Request(0, users[0], system="".join(systems), max_tokens=self._max_tokens)

    def _preference(self, answer: Completion | TeacherError) -> Preference:
        if isinstance(answer, TeacherError):
            return Preference(None, why(answer))
        value = None if answer.finish in ("refusal", "content_filter") else self._read(answer.text)
        return Preference(value, why(answer) if value is None else "", answer.text)


def _only(options: AlpacaEvalOptions) -> Annotator:
    assert options.config is not None
    annotators = read_annotators(options.config)
    if len(annotators) > 1:
        names = [annotator.name for annotator in annotators]
        raise ConfigError(f"{options.config} describes several annotators; keep one:", problems=names)
    if annotators[0].batch_size != 1:
        raise ConfigError(
            f"The annotator '{annotators[0].name}' asks about {annotators[0].batch_size} pairs at once, and one at a"
            " time is what can be done here.",
            hint="Set batch_size: 1 and a prompt for one pair.",
        )
    return annotators[0]
