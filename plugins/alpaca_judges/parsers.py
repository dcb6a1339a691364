"""AlpacaEval's ways to read a verdict, as far as they need the judge's text alone.

Their names, options and results are those of ``alpaca_eval.completion_parsers`` (github.com/tatsu-lab/alpaca_eval,
version 0.6.6): 1 is the first answer, 2 the second, 0 and 1.5 a tie, anything between a leaning. ``logprob_parser``
there weighs the probabilities of a few tokens; a teacher gives its text only, so here the token that it wrote counts
whole, as with ``is_binarize``.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from alpaca_core import Annotator, ConfigError

_LONGEST = 20_000  # characters: a list of two ranks is no longer
_CODE = re.compile(r"```(?:json|python)?\s*\n?(.*?)```", re.DOTALL)

Parser = Callable[[Any, Mapping[str, Any]], Any]


def parser(annotator: Annotator) -> Callable[[str], float | None]:
    """What reads an answer: the preference for the second output from 0 to 1, None where there is none.

    It never raises. Raises ConfigError itself for a parser or an option that it does not know.
    """
    name, options = annotator.fn_completion_parser, dict(annotator.completion_parser_kwargs)
    _check(annotator.name, name, options)

    def read(text: str) -> float | None:
        try:
            return _preference(_parse(name, text[:_LONGEST].strip(), options))
        except (ValueError, SyntaxError, LookupError, TypeError, AttributeError, RecursionError, MemoryError):
            return None

    return read


def _check(annotator: str, name: str, options: Mapping[str, Any]) -> None:
    if name not in _PARSERS:
        raise ConfigError(
            f"The annotator '{annotator}' reads verdicts by '{name}', which is not known here.",
            hint=f"There are: {', '.join(sorted(_PARSERS))}.",
        )
    steps = options.get("parsers_to_kwargs") if name == "pipeline_meta_parser" else None
    for inner, its_options in (steps or {}).items():
        _check(annotator, inner, its_options or {})
    for key, pattern in (options.get("outputs_to_match") or {}).items():
        try:
            re.compile(pattern)
        except (re.error, TypeError) as exc:
            problem = f"The annotator '{annotator}': outputs_to_match, {key}: {pattern!r} is no pattern: {exc}"
            raise ConfigError(problem) from exc


def _preference(value: Any) -> float | None:
    number = float(value)
    if number == 0:
        return 0.5
    return number - 1 if 1 <= number <= 2 else None


def _parse(name: str, found: Any, options: Mapping[str, Any]) -> Any:
    return _PARSERS[name](found, options)


def _regex(text: Any, options: Mapping[str, Any]) -> Any:
    """The key of the pattern that matches first."""
    matches = [(match.start(), key) for key, pattern in options["outputs_to_match"].items()
               if (match := re.search(pattern, text))]  # fmt: skip
    first = min(start for start, _ in matches)
    keys = {key for start, key in matches if start == first}
    if len(keys) > 1:
        raise ValueError("two patterns match at one place")
    return keys.pop()


def _scores(text: Any, options: Mapping[str, Any]) -> Any:
    """Two scores on the first line: the higher one wins."""
    one, two = map(float, text.partition("\n")[0].replace(",", " ").split())
    return 0 if one == two else 1 if one > two else 2


def _ranking(found: Any, options: Mapping[str, Any]) -> Any:
    """The rank of the first model in a list of ``{"model": ..., "rank": ...}``."""
    ranks = _literal(found) if isinstance(found, str) else found
    name = options.get("model_1_name", "model_1")
    rank = next(entry for entry in ranks if entry["model"] == name)["rank"]
    if rank not in (1, 2):
        raise ValueError("no rank")
    return rank


def _json(text: Any, options: Mapping[str, Any]) -> Any:
    code = _CODE.search(text)
    found = json.loads(code[1] if code else text)
    found = found[0] if isinstance(found, list) and len(found) == 1 else found
    key = options.get("annotation_key")
    return found if key is None else found[key]


def _replaced(found: Any, options: Mapping[str, Any]) -> Any:
    other = options.get("default_replacer", "auto")
    return options["replacer"].get(found, found if other == "auto" else other)


def _token(text: Any, options: Mapping[str, Any]) -> Any:
    """Which of the tokens the answer is, or ends on where it reasons first (``log_prob_index`` below 0)."""
    token = text.split()[-1] if options.get("log_prob_index", "batch") == -1 else text
    if token == options["numerator_token"]:
        return 1
    if token in options["denominator_tokens"]:
        return 2
    raise ValueError("none of the tokens")


def _pipeline(found: Any, options: Mapping[str, Any]) -> Any:
    for name, its_options in options["parsers_to_kwargs"].items():
        found = _parse(name, found, its_options or {})
    return found


def _literal(text: Any, options: Mapping[str, Any] | None = None) -> Any:
    """A value as Python writes it; code marks around it do no harm."""
    code = _CODE.search(text)
    return ast.literal_eval((code[1] if code else text).strip())


_PARSERS: dict[str, Parser] = {
    "regex_parser": _regex,
    "lmsys_parser": _scores,
    "ranking_parser": _ranking,
    "json_parser": _json,
    "eval_parser": _literal,
    "replace_parser": _replaced,
    "logprob_parser": _token,
    "pipeline_meta_parser": _pipeline,
}
