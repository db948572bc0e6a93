"""Maps from slack vectors to sums: the hash tables of the ``pushforward`` engine, in numba.

A state is a row of int8 or int16 slacks, padded to groups of 64 so that one vector instruction adds and
clamps it. Rows are keyed by their bytes in an open-addressing table that doubles when half full.
Sums are int64, either plain or modulo a prime below 2^31 (``modulus`` 0 means plain). The kernels
*push* states: every source row plus every column, clamped, receives the source's sum times the
column's weight. Cost: about 20 ns a push while the table fits the caches.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from bnnverify.engines.slackwords import GROUP, clamped_add

FIRST_CAPACITY = 1 << 12
MOST_STATES = 12_000_000


class TooManyStatesError(Exception):
    """A map outgrew ``MOST_STATES``; never leaves the portfolio."""

    def __init__(self) -> None:
        super().__init__(f"more than {MOST_STATES:,} distinct states")


@njit(cache=True, nogil=True)
def row_hash(keys, row, n_words):  # type: ignore[no-untyped-def]
    """A row of words, mixed into one."""
    mixed = np.uint64(0x243F6A8885A308D3)
    for w in range(n_words):
        mixed = (mixed ^ keys[row, w]) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    return mixed


@njit(cache=True, nogil=True)
def _same(keys, a, b, n_words):  # type: ignore[no-untyped-def]
    equal = True
    for w in range(n_words):
        equal &= keys[a, w] == keys[b, w]
    return equal


@njit(cache=True, nogil=True)
def _rehash(keys, n, n_words, size):  # type: ignore[no-untyped-def]
    table = np.full(size, -1, dtype=np.int32)
    mask = np.uint64(size - 1)
    for row in range(n):
        slot = row_hash(keys, row, n_words) & mask
        while table[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        table[slot] = row
    return table


@njit(cache=True, nogil=True)
def _grown(rows, sums, n):  # type: ignore[no-untyped-def]
    more_rows = np.zeros(2 * rows.size, dtype=rows.dtype)
    more_sums = np.zeros(2 * sums.size, dtype=np.int64)
    more_rows[: rows.size] = rows
    more_sums[:n] = sums[:n]
    return more_rows, more_sums


@njit(cache=True, nogil=True)
def project(columns, weights, mask, chosen, chosen_weights, marks):  # type: ignore[no-untyped-def]
    """Columns that differ on the masked slacks, one representative each, with their total weights.

    ``columns`` are words of signs ``(n, words)`` twice: positive, then negative parts.
    """
    positive, negative = columns
    n, words = positive.shape
    size = np.uint64(marks.size - 1)
    marks[:] = -1
    count = 0
    for c in range(n):
        mixed = np.uint64(0)
        for w in range(words):
            mixed = (mixed ^ (positive[c, w] & mask[w])) * np.uint64(0x9E3779B97F4A7C15)
            mixed = ((mixed >> np.uint64(31)) ^ mixed ^ (negative[c, w] & mask[w])) * np.uint64(0xD6E8FEB86659FD93)
            mixed ^= mixed >> np.uint64(32)
        slot = mixed & size
        while marks[slot] >= 0:
            other, equal = chosen[marks[slot]], True
            for w in range(words):
                equal &= ((positive[c, w] ^ positive[other, w]) & mask[w]) == 0
                equal &= ((negative[c, w] ^ negative[other, w]) & mask[w]) == 0
            if equal:
                break
            slot = (slot + np.uint64(1)) & size
        if marks[slot] < 0:
            marks[slot] = count
            chosen[count], chosen_weights[count] = c, 0
            count += 1
        chosen_weights[marks[slot]] += weights[c]
    return count


@njit(cache=True, nogil=True)
def undecided_masks(rows, n, width, slack_low, slack_high, masks):  # type: ignore[no-untyped-def]
    """``masks[s]``: the slacks of state s strictly between its clamps, packed; the others are decided."""
    masks[:] = 0
    for s in range(n):
        for b in range(width):
            value = rows[s * width + b]
            if slack_low[b] < value < slack_high[b]:
                masks[s, b >> 6] |= np.uint64(1) << np.uint64(b & 63)


@njit(cache=True, nogil=True)
def push(  # type: ignore[no-untyped-def]
    state, source_rows, source_sums, order, masks, columns, signs, weights, factor, low, high, n_words, modulus, limit
):
    """Push every source state by every column into ``state`` = (rows, sums, table, n); returns the new state.

    ``order`` lists the sources grouped by equal masks, so that equal columns are found once a group;
    ``factor`` multiplies all sums. Stops early, with n > limit, when the map outgrows ``limit``.
    """
    rows, sums, table, n = state
    width = low.size
    chosen = np.empty(weights.size, dtype=np.int64)
    chosen_weights = np.empty(weights.size, dtype=np.int64)
    marks = np.empty(power_above(2 * weights.size), dtype=np.int64)
    count, before = np.int64(0), np.int64(-1)
    keys = rows.view(np.uint64).reshape(-1, width * rows.itemsize // 8)
    for s in order:
        if before < 0 or not same_mask(masks, s, before):
            count = project(signs, weights, masks[s], chosen, chosen_weights, marks)
        before = s
        for c in range(count):
            amount = times(times(source_sums[s], chosen_weights[c], modulus), factor, modulus)
            for g in range(0, width, GROUP):
                clamped_add(source_rows, s * width + g, columns, chosen[c] * width + g, low, high, rows, n * width + g)
            mask = np.uint64(table.size - 1)
            slot = row_hash(keys, n, n_words) & mask
            while table[slot] >= 0 and not _same(keys, table[slot], n, n_words):
                slot = (slot + np.uint64(1)) & mask
            if table[slot] < 0:
                table[slot], sums[n] = n, 0
                n += 1
            found = table[slot]
            sums[found] = sums[found] + amount if modulus == 0 else (sums[found] + amount) % modulus
            if n + 1 >= sums.size:
                rows, sums = _grown(rows, sums, n)
                keys = rows.view(np.uint64).reshape(-1, width * rows.itemsize // 8)
                table = _rehash(keys, n, n_words, 2 * sums.size)
        if n > limit:
            break
    return rows, sums, table, n


@njit(cache=True, nogil=True)
def times(a, b, modulus):  # type: ignore[no-untyped-def]
    return a * b if modulus == 0 else (a * (b % modulus)) % modulus


@njit(cache=True, nogil=True)
def power_above(n):  # type: ignore[no-untyped-def]
    power = 4
    while power < n:
        power *= 2
    return power


@njit(cache=True, nogil=True)
def same_mask(masks, a, b):  # type: ignore[no-untyped-def]
    equal = True
    for w in range(masks.shape[1]):
        equal &= masks[a, w] == masks[b, w]
    return equal


@njit(cache=True, nogil=True)
def empty_state(row):  # type: ignore[no-untyped-def]
    """An empty map of rows like ``row``, as ``(rows, sums, table, n)``."""
    rows = np.zeros(FIRST_CAPACITY * row.size, dtype=row.dtype)
    return rows, np.zeros(FIRST_CAPACITY, dtype=np.int64), np.full(2 * FIRST_CAPACITY, -1, dtype=np.int32), 0
