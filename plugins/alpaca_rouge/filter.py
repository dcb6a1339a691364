"""The filter: a candidate too much like a kept instruction is rejected."""

from __future__ import annotations

from functools import lru_cache

from alpaca_core import Candidate, Example, Keep, Reject
from alpaca_rouge import RougeOptions
from alpaca_rouge.index import RougeIndex
from alpaca_rouge.tokens import TOKENIZERS


class Rouge:
    """Rejects a candidate whose instruction has a ROUGE-L F above the threshold with any kept one's."""

    def __init__(self, options: RougeOptions) -> None:
        self.index = RougeIndex(options.threshold)
        self._tokens = lru_cache(maxsize=1)(TOKENIZERS[options.tokenizer])  # `kept` mostly follows `judge`
        self._names: list[str] = []  # of the kept: id and first words

    def judge(self, candidate: Candidate) -> Keep | Reject:
        match = self.index.find(self._tokens(candidate.instruction))
        if match is None:
            return Keep()
        return Reject(f"{match.score:.2f} like {self._names[match.record]}")

    def kept(self, example: Example) -> None:
        self.index.add(self._tokens(example.instruction))
        start = " ".join(example.instruction.split())
        self._names.append(f"{example.id}: {start if len(start) <= 60 else start[:59] + '…'}")
