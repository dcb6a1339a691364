"""Kept texts under pairs of their rarest elements, and the search for what is like a new one, in Python."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import chain, combinations
from typing import NamedTuple

from rapidfuzz.distance.LCSseq import similarity

from alpaca_rouge.rule import Need
from alpaca_rouge.vocabulary import Read

LONG = 63  # texts of so many tokens are filed under single elements: their pairs would be too many
FULL = 63  # a pair with more texts is parted by a third element

# A posting packs (record, length, place): lengths and places take six bits each.
RECORD = 12
FORM = (1 << RECORD) - 1
LENGTH = 6
PLACE = (1 << LENGTH) - 1
KEY = 24  # bits of the second element in a key. (Beyond them keys collide: more comparisons, the same decisions.)
REST = -1  # in place of a third element: texts that may share two only with whatever is like them

# By the number of elements: the place of the later one in each of their pairs.
_PLACES = tuple(tuple(later for _, later in combinations(range(n), 2)) for n in range(LONG + 2))


class _Needs(dict[int, int]):
    """By the other text's length, the LCS that rejects a pair with a text of ``m`` tokens; above ``m`` if none does."""

    def __init__(self, need: Need, m: int) -> None:
        self.need, self.m = need, m

    def __missing__(self, n: int) -> int:
        need = self.need(self.m, n)
        self[n] = need = need if need <= n else self.m + 1
        return need


class Plan(NamedTuple):
    """What the rule says on texts of one length."""

    least: int  # common tokens, whatever the length of the other
    needs: _Needs
    pair: bytes  # see `_allowed`
    third: bytes


class Pairs:
    """The index of ``alpaca_rouge.index`` in Python objects.

    ``_pairs`` has by key one posting, an array of them, or a dict of both kinds by third element. It holds the texts
    that share at least two tokens with whatever is like them. The others stand under their single elements in
    ``_alone``, and those of the pairs that a long text may be like besides in ``_both``.
    """

    def __init__(self, need: Need) -> None:
        self.need = need
        self.comparisons = 0
        self.texts: list[Sequence] = []
        self.prefixes: list[tuple[int, ...]] = []
        self._pairs: dict[int, int | array | dict[int, int | array]] = {}
        self._alone: dict[int, list[int]] = {}
        self._both: dict[int, list[int]] = {}
        self._plans: dict[int, Plan] = {}

    def __len__(self) -> int:
        return len(self.texts)

    def find(self, read: Read) -> tuple[int, int, int] | None:
        """The first kept text met that rejects the one that was read: its number, their LCS and its length; or None."""
        _, m, text, elements, fresh = read
        plan = self._plans.get(m) or self._plan(m)
        needs = plan.needs
        texts = self.texts
        unknown = len(fresh)  # they are the rarest
        limit = m - plan.least + 1
        if limit <= unknown:
            return None
        seen: set[int] = set()
        if self._alone or m >= LONG:
            singles = self._under_singles(elements[unknown:limit], m)
            seen.update(singles)
            for record in singles:
                need = needs[len(texts[record])]
                if need <= m:
                    self.comparisons += 1
                    common = similarity(text, texts[record], score_cutoff=need)
                    if common >= need:
                        return record, common, len(texts[record])
            if m >= LONG:
                return None
        known = elements[unknown : limit + 1]
        allowed = plan.pair
        keys = [rarer << KEY | other for rarer, other in combinations(known, 2)]
        for there, place in zip(map(self._pairs.get, keys), _PLACES[len(known)], strict=True):
            if there is None:
                continue
            place += unknown
            kind = there.__class__
            if kind is array:
                records = [posting >> RECORD for posting in there if allowed[posting & FORM] > place]
            elif kind is int:
                if allowed[there & FORM] <= place:
                    continue
                records = (there >> RECORD,)
            else:
                records = self._under_thirds(there, elements[place + 1 : limit + 2], place, plan)
            for record in records:
                if record not in seen:
                    seen.add(record)
                    other = texts[record]
                    need = needs[len(other)]
                    self.comparisons += 1
                    common = similarity(text, other, score_cutoff=need)
                    if common >= need:
                        return record, common, len(other)
        return None

    def add(self, read: Read) -> None:
        _, m, text, elements, _ = read
        least = (self._plans.get(m) or self._plan(m)).least
        record = len(self.texts)
        prefix = tuple(elements[: m - least + 3])
        self.texts.append(text)
        self.prefixes.append(prefix)
        if least > m:
            return
        if least > 1 and m < LONG:
            self._file(prefix[: m - least + 2], record << RECORD | m << LENGTH)
            if self.need(m, LONG) > m:
                return
            singles = self._both
        else:
            singles = self._alone
        for element in elements[: m - least + 1]:
            singles.setdefault(element, []).append(record)

    def _under_singles(self, elements: Sequence[int], m: int) -> Iterable[int]:
        indexes = (self._alone, self._both) if m >= LONG else (self._alone,)
        return dict.fromkeys(chain.from_iterable(index.get(element, ()) for index in indexes for element in elements))

    def _under_thirds(self, node: dict, elements: Sequence[int], place: int, plan: Plan) -> list[int]:
        """The records under a pair that was parted: ``elements`` may be the third, ``place`` is of the second."""
        records: list[int] = []
        allowed = plan.third
        for third, there in enumerate(map(node.get, elements), place + 1):
            if there is None:
                continue
            if there.__class__ is array:
                records += [posting >> RECORD for posting in there if allowed[posting & FORM] > third]
            elif allowed[there & FORM] > third:
                records.append(there >> RECORD)
        if REST in node:
            allowed = plan.pair
            records += [posting >> RECORD for posting in node[REST] if allowed[posting & FORM] > place]
        return records

    def _file(self, elements: Sequence[int], form: int) -> None:
        """File a text under the pairs of ``elements``."""
        pairs = self._pairs
        shifted = [element << KEY for element in elements]
        for place, element in enumerate(elements):
            posting = form | place
            low = element
            for rarer in shifted[:place]:
                there = pairs.setdefault(rarer | low, posting)
                if there is posting:
                    continue
                kind = there.__class__
                if kind is int:
                    pairs[rarer | low] = array("Q", (there, posting))
                elif kind is dict:
                    self._part(there, posting)
                else:
                    there.append(posting)
                    if len(there) > FULL:
                        node = pairs[rarer | low] = {}
                        for old in there:
                            self._part(node, old)

    def _part(self, node: dict, posting: int) -> None:
        """File a posting of a pair under the elements that may be the third."""
        record, place = posting >> RECORD, posting & PLACE
        if self._plans[posting >> LENGTH & PLACE].least < 3:
            node.setdefault(REST, array("Q")).append(posting)
            return
        for third in self.prefixes[record][place + 1 :]:
            posting += 1
            there = node.setdefault(third, posting)
            if there is not posting:
                if there.__class__ is int:
                    node[third] = array("Q", (there, posting))
                else:
                    there.append(posting)

    def _plan(self, m: int) -> Plan:
        plan = self._plans[m] = Plan(self.need.least(m), _Needs(self.need, m), self._allowed(m, 2), self._allowed(m, 3))
        return plan

    def _allowed(self, m: int, elements: int) -> bytes:
        """For a query of ``m`` tokens and a key of so many elements, by a posting's length and place: the query's
        places for the last of them lie below this if the pair can be above the threshold; 0 if it cannot."""
        rows = []
        for n in range(LONG if m < LONG else 0):
            row = bytes(1 << LENGTH)
            if (need := self.need(m, n)) <= min(m, n):
                places = n - need + elements
                row = bytes([m - need + elements]) * places + row[places:]
            rows.append(row)
        return b"".join(rows)
