"""The search of ``alpaca_rouge.pairs`` on flat arrays, for numba to compile.

It has one rule more, which pays here: in a pair above the threshold, the later of the two elements is not late in both
texts. A place is late from ``early = n - need(n, n) + 2`` on: then ``need(m, n) < need(n, n)``, so the partner is
shorter, which cannot be so on both sides. So postings with a late place have a key of their own, which queries look
under with their early pairs only.

``slots`` is a hash table with open addressing: key, value, key, value ... A value carries its kind in two bits: one
posting, a block of postings in ``pool``, or the number of a node. A block starts with ``count << 8 | size class`` and
has room for ``(4 << class) - 1`` postings. ``flat`` has each kept text and then its rarest elements, from ``start``
on. ``texts`` and ``scratch`` are the arrays that ``alpaca_rouge.compiled`` names; ``meta`` holds the counters below.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np  # noqa: TID253 (loaded only where numba is to work)

# Compiled in. What numba keeps on disk goes by the date of this file alone: a change of these must touch it too.
from alpaca_rouge.pairs import FULL, KEY, LENGTH, PLACE, RECORD

# USED counts the keys, TOP is the end of the pool, LARGEST the words of the largest block.
RECORDS, USED, TOP, LARGEST, NODES, STAMP, COMPARISONS, TOUCHED = range(8)

_POSTING, _BLOCK, _NODE = range(3)
# Keys beside those of pairs; those of third elements have their node's number in the middle.
ALONE, BOTH, _THIRD = 1 << 59, 1 << 60, 1 << 61
_THIRD_BITS = 31
_REST = (1 << _THIRD_BITS) - 1

MARGIN = 2 * (FULL + 1) * (PLACE + 1)  # filing one pair takes fewer keys, and fewer blocks

_u1 = np.uint64(1)
_all = np.uint64(0xFFFFFFFFFFFFFFFF)


def _compiled(function: Any) -> Any:
    """Compiled at the first call, and kept on disk for the next process where a folder for it can be written."""
    try:
        return numba.njit(function, cache=True, nogil=True)
    except RuntimeError:  # no place for a cache
        return numba.njit(function, nogil=True)


@_compiled
def _slot(slots, key):
    """The number of the slot that has ``key``, or of the empty one where it goes."""
    mask = (slots.size >> 1) - 1
    mixed = key * -7046029254386353131
    mixed ^= mixed >> 32
    i = mixed & mask
    while slots[2 * i] != key and slots[2 * i] != 0:
        i = (i + 1) & mask
    return i


@_compiled
def _value(slots, key):
    """What is there under ``key``, or -1."""
    i = _slot(slots, key)
    return slots[2 * i + 1] if slots[2 * i] != 0 else -1


@_compiled
def _key(rarer, other, late):
    return (np.int64(rarer) << KEY | np.int64(other)) << 1 | late


@_compiled
def rehash(slots, wider):
    for i in range(slots.size >> 1):
        key = slots[2 * i]
        if key != 0:
            j = _slot(wider, key)
            wider[2 * j] = key
            wider[2 * j + 1] = slots[2 * i + 1]


@_compiled
def tight(meta, slots, pool):
    """Must ``slots`` grow, to be at most half full, or ``pool``, before one pair more is filed?

    Filing a pair makes small blocks, and doubles a block under each of fewer than PLACE third elements at most.
    """
    return 2 * (meta[USED] + MARGIN) > slots.size // 2 or meta[TOP] + 8 * MARGIN + 2 * PLACE * meta[LARGEST] > pool.size


@_compiled
def _block(meta, pool, free, size):
    """A block of the size class: one given back, or the next of the pool."""
    block = free[size]
    if block != 0:
        free[size] = pool[block + 1]
    else:
        block = meta[TOP]
        meta[TOP] += 4 << size
        meta[LARGEST] = max(meta[LARGEST], 4 << size)
    pool[block] = size
    return block


@_compiled
def _push(meta, slots, pool, free, key, posting):
    """File ``posting`` under ``key``. Returns the slot's number and the postings there now; 0 if there is a node."""
    i = _slot(slots, key)
    if slots[2 * i] == 0:
        meta[USED] += 1
        slots[2 * i] = key
        slots[2 * i + 1] = posting << 2 | _POSTING
        return i, 1
    value = slots[2 * i + 1]
    kind = value & 3
    if kind == _NODE:
        return i, 0
    if kind == _POSTING:
        block = _block(meta, pool, free, 0)
        pool[block] += 2 << 8
        pool[block + 1] = value >> 2
        pool[block + 2] = posting
        slots[2 * i + 1] = block << 2 | _BLOCK
        return i, 2
    block = value >> 2
    count = pool[block] >> 8
    size = pool[block] & 255
    if count == (4 << size) - 1:
        wider = _block(meta, pool, free, size + 1)
        for k in range(1, count + 1):
            pool[wider + k] = pool[block + k]
        pool[wider] += count << 8
        pool[block + 1] = free[size]
        free[size] = block
        block = wider
        slots[2 * i + 1] = block << 2 | _BLOCK
    pool[block + 1 + count] = posting
    pool[block] += 1 << 8
    return i, count + 1


@_compiled
def _part(meta, slots, pool, free, texts, leasts, node, posting):
    """File a posting of a pair under the elements that may be the third."""
    flat, start, length, _, _ = texts
    record = posting >> RECORD
    n = length[record]
    at = _THIRD | node << _THIRD_BITS
    if leasts[n] < 3:
        _push(meta, slots, pool, free, at | _REST, posting)
        return
    for k in range(start[record] + n + (posting & PLACE) + 1, start[record + 1]):
        posting += 1
        _push(meta, slots, pool, free, at | np.int64(flat[k]), posting)


@_compiled
def file_pairs(meta, slots, pool, free, texts, leasts, record, elements, early, done):
    """File a kept text under the pairs of its first elements, but for the ``done`` first pairs.

    Returns how many are done: all, or fewer when ``slots`` or ``pool`` must grow first.
    """
    flat, start, length, _, _ = texts
    n = length[record]
    first = start[record] + n
    pair = touched = 0
    for place in range(1, elements if done == 0 else 0):  # all at once from memory, as in `_search`
        for k in range(place):
            value = _value(slots, _key(flat[first + k], flat[first + place], place >= early))
            if value & 3 == _BLOCK:
                touched ^= pool[value >> 2]
    meta[TOUCHED] = touched
    for place in range(1, elements):
        posting = record << RECORD | n << LENGTH | place
        for k in range(place):
            pair += 1
            if pair <= done:
                continue
            if tight(meta, slots, pool):
                return pair - 1
            key = _key(flat[first + k], flat[first + place], place >= early)
            i, count = _push(meta, slots, pool, free, key, posting)
            if count == 0:
                _part(meta, slots, pool, free, texts, leasts, slots[2 * i + 1] >> 2, posting)
            elif count > FULL:
                block = slots[2 * i + 1] >> 2
                meta[NODES] += 1
                slots[2 * i + 1] = meta[NODES] << 2 | _NODE
                for j in range(1, count + 1):
                    _part(meta, slots, pool, free, texts, leasts, meta[NODES], pool[block + j])
                size = pool[block] & 255
                pool[block + 1] = free[size]
                free[size] = block
    return pair


@_compiled
def file_single(meta, slots, pool, free, key, record):
    _push(meta, slots, pool, free, key, record)


@_compiled
def _ones(bits):
    """How many bits are set."""
    bits -= (bits >> np.uint64(1)) & np.uint64(0x5555555555555555)
    bits = (bits & np.uint64(0x3333333333333333)) + ((bits >> np.uint64(2)) & np.uint64(0x3333333333333333))
    bits = (bits + (bits >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((bits * np.uint64(0x0101010101010101)) >> np.uint64(56))


@_compiled
def sign_of(text):
    """A bit of 64 for each token: a token whose bit is not in the sign of a text is not in the text."""
    sign = np.uint64(0)
    for k in range(text.size):
        sign |= _u1 << (np.uint64(text[k]) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(58))
    return sign


@_compiled
def _lcs(flat, first, last, scratch, words, m):
    """Tokens that the query and a kept text have in common in order: bit-parallel (Hyyrö 2004), 64 tokens a word."""
    row_of, rows, work, _, _ = scratch
    for w in range(words):
        work[w] = _all
    for k in range(first, last):
        row = row_of[flat[k]]
        if row == 0:
            continue
        carry = np.uint64(0)
        for w in range(words):
            now = work[w]
            both = now & rows[row * words + w]
            total = now + both
            with_carry = total + carry
            carry = _u1 if total < now or with_carry < total else np.uint64(0)
            work[w] = with_carry | (now - both)
    common = 0
    for w in range(words):
        left = ~work[w]
        if w == words - 1 and m & 63:
            left &= (_u1 << np.uint64(m & 63)) - _u1
        common += _ones(left)
    return common


@_compiled
def _meet(meta, texts, scratch, needs, words, m, sign, record, n):
    """The LCS with a kept text of ``n`` tokens if it rejects and was not met in this search, else 0."""
    flat, start, _, stamp, signs = texts
    if stamp[record] == meta[STAMP]:
        return 0
    stamp[record] = meta[STAMP]
    if needs[n] > m:
        return 0
    meta[COMPARISONS] += 1
    if _ones(signs[record] & ~sign) > n - needs[n]:
        return 0  # so many of its tokens are not in the query
    common = _lcs(flat, start[record], start[record] + n, scratch, words, m)
    return common if common >= needs[n] else 0


@_compiled
def _search(meta, slots, pool, texts, scratch, needs, words, m, sign, elements, unknown, limit, early, long):
    length = texts[2]
    values, places = scratch[3:]
    for key in (ALONE, BOTH):
        if key == BOTH and not long:
            break
        for k in range(unknown, limit):
            i = _slot(slots, key | np.int64(elements[k]))
            if slots[2 * i] == 0:
                continue
            value = slots[2 * i + 1]
            one = value & 3 == _POSTING
            first = value >> 2
            for j in range(1 if one else pool[first] >> 8):
                record = first if one else pool[first + 1 + j]
                n = length[record]
                common = _meet(meta, texts, scratch, needs, words, m, sign, record, n)
                if common:
                    return record << 32 | common
    if long:
        return -1
    # All values first, then all blocks: memory answers many questions at once sooner than one after the other.
    end, thirds = min(limit + 1, elements.size), min(limit + 2, elements.size)
    pairs = 0
    for late in range(2):
        for place in range(unknown + 1, min(end, early) if late else end):
            for k in range(unknown, place):
                values[pairs], places[pairs] = _value(slots, _key(elements[k], elements[place], late)), place
                pairs += 1
    inner = pairs
    for pair in range(pairs):
        value = values[pair]
        if value != -1 and value & 3 == _NODE:
            at = _THIRD | (value >> 2) << _THIRD_BITS
            for third in range(places[pair] + 1, thirds + 1):  # the last one is the rest
                values[inner] = _value(slots, at | (np.int64(elements[third]) if third < thirds else _REST))
                inner += 1
    touched = 0
    for i in range(inner):
        if values[i] & 3 == _BLOCK:
            touched ^= pool[values[i] >> 2]
    meta[TOUCHED] = touched  # so that the loop is not left out
    inner = pairs
    for pair in range(pairs):
        value, place = values[pair], places[pair]
        if value == -1:
            continue
        node = value & 3 == _NODE
        for third in range(place + 1, thirds + 1 if node else place + 2):
            last, count = place, 2
            if node:
                value = values[inner]
                inner += 1
                if value == -1:
                    continue
                if third < thirds:
                    last, count = third, 3
            one = value & 3 == _POSTING
            first = value >> 2
            for i in range(1 if one else pool[first] >> 8):
                posting = first if one else pool[first + 1 + i]
                n = posting >> LENGTH & PLACE
                need = needs[n]
                if need > m or last >= m - need + count or (posting & PLACE) >= n - need + count:
                    continue
                record = posting >> RECORD
                common = _meet(meta, texts, scratch, needs, words, m, sign, record, n)
                if common:
                    return record << 32 | common
    return -1


@_compiled
def find(meta, slots, pool, texts, scratch, needs, text, elements, unknown, limit, early, long):
    """``record << 32 | common`` of the first kept text met that rejects, or -1."""
    row_of, rows = scratch[:2]
    m = text.size
    words = (m + 63) >> 6
    meta[STAMP] += 1
    used = 0
    for k in range(m):
        row = row_of[text[k]]
        if row == 0:
            used += 1
            row = row_of[text[k]] = used
            for w in range(words):
                rows[row * words + w] = 0
        rows[row * words + (k >> 6)] |= _u1 << np.uint64(k & 63)
    sign = sign_of(text)
    found = _search(meta, slots, pool, texts, scratch, needs, words, m, sign, elements, unknown, limit, early, long)
    for k in range(m):
        row_of[text[k]] = 0
    return found
