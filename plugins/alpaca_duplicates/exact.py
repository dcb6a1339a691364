"""The filter ``exact``: the same question once more."""

from __future__ import annotations

import hashlib
import unicodedata

from alpaca_core import Candidate, Example, Keep, Reject, unicode_tokens
from alpaca_duplicates import ExactOptions
from alpaca_duplicates.questions import name, question

# Punctuation that carries meaning in sums, code, shares and names: C# is not C. Symbols (+, =, $, emoji) all do.
_MEANT = frozenset("-*/%#&@\\_−")


class Exact:
    """Rejects a candidate whose question is a kept one's, once both are normalised."""

    def __init__(self, options: ExactOptions) -> None:
        self.fields = options.fields
        self._names: dict[bytes, str] = {}

    def judge(self, candidate: Candidate) -> Keep | Reject:
        same = self._names.get(key(question(candidate, self.fields)))
        return Keep() if same is None else Reject(f"exactly like {same}")

    def kept(self, example: Example) -> None:
        self._names.setdefault(key(question(example, self.fields)), name(example))


def key(text: str) -> bytes:
    """16 bytes that are equal for equal texts, up to case, white space, accents, and punctuation around words.

    Words are those of ``unicode_tokens``. A text without words counts as it is written.
    """
    words = unicode_tokens(text)
    if words:
        composed = text if text.isascii() else unicodedata.normalize("NFKC", text)
        marks = [char for char in composed if char in _MEANT or unicodedata.category(char)[0] == "S"]
        parts = [*words, "", *marks]
    else:
        parts = ["", *text.split()]
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).digest()
