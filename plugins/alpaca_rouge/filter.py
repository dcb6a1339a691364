"""The filter: a candidate too much like a kept instruction is rejected."""

from __future__ import annotations

from functools import lru_cache

from alpaca_core import Candidate, Example, Keep, Reject
from alpaca_rouge import RougeOptions
from alpaca_rouge.index import RougeIndex
from alpaca_rouge.tokens import TOKENIZERS

_KEEP = Keep()


class Rouge:
    """Rejects a candidate whose instruction has a ROUGE-L F above the threshold with any kept one's."""

    def __init__(self, options: RougeOptions) -> None:
        self.index = RougeIndex(options.threshold)
        self._tokens = lru_cache(maxsize=1)(TOKENIZERS[options.tokenizer])  # `kept` mostly follows `judge`
        self._kept: list[tuple[str, str]] = []  # id and instruction

    def judge(self, candidate: Candidate) -> Keep | Reject:
        match = self.index.find(self._tokens(candidate.instruction))
        if match is None:
            return _KEEP
        id, instruction = self._kept[match.record]
        start = " ".join(instruction.split())
        return Reject(f"{match.score:.2f} like {id}: {start if len(start) <= 60 else start[:59] + '…'}")

    def kept(self, example: Example) -> None:
        self.index.add(self._tokens(example.instruction))
        self._kept.append((example.id, example.instruction))
