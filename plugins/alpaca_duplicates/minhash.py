"""The filter ``minhash``: questions that share most of their pairs of neighbouring words.

MinHash (Broder 1997, "On the resemblance and containment of documents") estimates the Jaccard similarity of two sets
from hashes of fixed size; locality-sensitive hashing finds the sets worth comparing. Both are the package datasketch's.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

from datasketch import MinHash, MinHashLSH

from alpaca_core import Candidate, Example, Keep, Reject, unicode_tokens
from alpaca_duplicates import MinHashOptions
from alpaca_duplicates.questions import name, question

# What the index finds is compared before it counts, so only what it misses costs anything.
_WEIGHTS = (0.1, 0.9)  # of a pair found in vain and of a pair missed, when the index chooses its bands
_CLOSEST = 0.9  # the index needs two bands at least; above this it would choose one


class MinHashDuplicates:
    """Rejects a candidate whose question has an estimated Jaccard similarity of the threshold or more to a kept one's.

    The hashes are seeded: the same rows in the same order give the same verdicts. As with every locality-sensitive
    index, a pair just above the threshold may be missed.
    """

    def __init__(self, options: MinHashOptions) -> None:
        self.options = options
        threshold = min(options.threshold, _CLOSEST)
        self._index = MinHashLSH(threshold=threshold, num_perm=options.num_perm, weights=_WEIGHTS)
        self._hashes: list[MinHash] = []
        self._names: list[str] = []
        self._empty = MinHash(num_perm=options.num_perm)
        self._hash = lru_cache(maxsize=1)(self._hashed)  # `kept` mostly follows `judge`

    def judge(self, candidate: Candidate) -> Keep | Reject:
        hashed = self._hash(question(candidate, self.options.fields))
        if hashed is None:
            return Keep()
        alike = [(hashed.jaccard(self._hashes[row]), -row) for row in self._index.query(hashed)]
        estimate, row = max(alike, default=(0.0, 0))
        if not alike or estimate < self.options.threshold:
            return Keep()
        return Reject(f"{estimate:.2f} like {self._names[-row]}")

    def kept(self, example: Example) -> None:
        hashed = self._hash(question(example, self.options.fields))
        if hashed is not None:
            self._index.insert(len(self._hashes), hashed)
            self._hashes.append(hashed)
            self._names.append(name(example))

    def _hashed(self, text: str) -> MinHash | None:
        """The hashes of the pairs of neighbouring words; None for a text without words, which is like nothing."""
        words = unicode_tokens(text)
        if not words:
            return None
        hashed = self._empty.copy()  # a fresh one would draw its permutations again
        # One pair with the text's beginning, so that a single word has one too.
        hashed.update_batch(" ".join(pair).encode("utf-8", "surrogatepass") for pair in pairwise(["", *words]))
        return hashed
