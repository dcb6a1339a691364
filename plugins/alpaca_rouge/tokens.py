"""The two ways to cut an instruction into the tokens that are compared."""

from __future__ import annotations

import re
from collections.abc import Callable

from alpaca_core import unicode_tokens

_TOKEN = re.compile(r"[a-z0-9]+")


def rouge_tokens(text: str) -> list[str]:
    """As the rouge_score package does without stemming: lower-case, runs of a-z and 0-9, all else parts them.

    Text in other scripts has no tokens at all, so not even an exact copy of it is ever found: use it to reproduce
    published results only.
    """
    if text.isascii():
        return unicode_tokens(text)
    return _TOKEN.findall(text.lower())


TOKENIZERS: dict[str, Callable[[str], list[str]]] = {"unicode": unicode_tokens, "rouge": rouge_tokens}
