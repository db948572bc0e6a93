"""Classify weighted patterns and add up their weights by class, exactly or modulo a prime.

Two sources feed it: the states of a map, and the last pushes of a sphere of flips, which are classified
as they come and never stored. As in :mod:`bnnverify.engines.sink`, equal patterns are coalesced in a
small direct-mapped table first, where the rows behind cost more than looking.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bnnverify.bits import n_words
from bnnverify.engines.packed import ZERO, PackedTail, score
from bnnverify.engines.sink import BATCH, ROWS_WORTH_A_LOOK, SLOTS, slot_of
from bnnverify.engines.slackwords import GROUP, sign_word
from bnnverify.engines.statemap import power_above, project, same_mask, times


class WeightedSink(NamedTuple):
    """A buffer of patterns ``(words, BATCH)`` with weights, the coalescing table, and ``totals`` by class row."""

    patterns: NDArray[np.uint64]
    weights: NDArray[np.int64]
    slots: NDArray[np.uint64]
    slot_weights: NDArray[np.int64]
    scratch: NDArray[np.uint64]
    counts: NDArray[np.int64]
    keys: NDArray[np.int64]
    totals: NDArray[np.int64]


def weighted_sink(width: int, tail: PackedTail) -> WeightedSink:
    """An empty sink for rows of ``width`` slacks."""
    words = max(n_words(width), tail.signs.shape[1])
    coalesces = n_words(width) == 1 and tail.limits.size > ROWS_WORTH_A_LOOK
    return WeightedSink(
        patterns=np.zeros((words, BATCH), dtype=np.uint64),
        weights=np.zeros(BATCH, dtype=np.int64),
        slots=np.zeros(SLOTS if coalesces else 0, dtype=np.uint64),
        slot_weights=np.zeros(SLOTS if coalesces else 0, dtype=np.int64),
        scratch=np.zeros((words, BATCH), dtype=np.uint64),
        counts=np.zeros(BATCH, dtype=np.int64),
        keys=np.zeros(BATCH, dtype=np.int64),
        totals=np.zeros(tail.slopes.size, dtype=np.int64),
    )


@njit(cache=True, nogil=True)
def _score_buffer(n, tail, sink, modulus):  # type: ignore[no-untyped-def]
    """Classify the first n buffered patterns and add their weights."""
    totals, mask = sink.totals, np.int64(tail.row_of_code.size - 1)
    score(sink.patterns, n, tail, sink.scratch, sink.counts, sink.keys)
    for i in range(n):
        row = tail.row_of_code[sink.keys[i] & mask]
        total = totals[row] + sink.weights[i]
        totals[row] = total if modulus == 0 else total % modulus


@njit(cache=True, nogil=True)
def _coalesced(n, sink, modulus):  # type: ignore[no-untyped-def]
    """Move n buffered patterns into the table; returns how many evicted ones now head the buffer."""
    patterns, weights, slots, slot_weights = sink.patterns, sink.weights, sink.slots, sink.slot_weights
    evicted = ZERO
    for i in range(n):
        pattern, weight = patterns[0, i], weights[i]
        slot = slot_of(pattern)
        if slots[slot] == pattern:
            total = slot_weights[slot] + weight
            slot_weights[slot] = total if modulus == 0 else total % modulus
        else:
            patterns[0, evicted], weights[evicted] = slots[slot], slot_weights[slot]
            evicted += slot_weights[slot] != 0
            slots[slot], slot_weights[slot] = pattern, weight
    return evicted


@njit(cache=True, nogil=True)
def _flush(n, tail, sink, modulus):  # type: ignore[no-untyped-def]
    if sink.slots.size:
        n = _coalesced(n, sink, modulus)
    if n:
        _score_buffer(n, tail, sink, modulus)


@njit(cache=True, nogil=True)
def add_states(rows, sums, nothing, tail, sink, modulus):  # type: ignore[no-untyped-def]
    """Add the sums of a map's states, classified by the signs of their slacks; ``nothing`` is a row of zeros."""
    words = nothing.size // GROUP
    for first in range(0, sums.size, BATCH):
        n = min(BATCH, sums.size - first)
        for i in range(n):
            sink.weights[i] = sums[first + i]
            for w in range(words):
                sink.patterns[w, i] = sign_word(rows, ((first + i) * words + w) * GROUP, nothing, w * GROUP)
        _flush(n, tail, sink, modulus)


@njit(cache=True, nogil=True)
def add_pushes(  # type: ignore[no-untyped-def]
    rows, sums, order, masks, columns, signs, weights, factor, tail, sink, modulus
):
    """Add what pushing every state by every column gives, classified at once.

    The arguments are those of :func:`bnnverify.engines.statemap.push`; slacks need no clamp any more.
    """
    words = signs[0].shape[1]
    chosen, chosen_weights = np.empty(weights.size, dtype=np.int64), np.empty(weights.size, dtype=np.int64)
    marks = np.empty(power_above(2 * weights.size), dtype=np.int64)
    patterns, buffered = sink.patterns, sink.weights
    count, before, n = ZERO, np.int64(-1), ZERO
    for s in order:
        if before < 0 or not same_mask(masks, s, before):
            count = project(signs, weights, masks[s], chosen, chosen_weights, marks)
        before = s
        for c in range(count):
            if n == BATCH:
                _flush(n, tail, sink, modulus)
                n = ZERO
            buffered[n] = times(times(sums[s], chosen_weights[c], modulus), factor, modulus)
            for w in range(words):
                offset = w * GROUP
                patterns[w, n] = sign_word(
                    rows, s * words * GROUP + offset, columns, chosen[c] * words * GROUP + offset
                )
            n += 1
    _flush(n, tail, sink, modulus)


@njit(cache=True, nogil=True)
def drain(tail, sink, modulus):  # type: ignore[no-untyped-def]
    """Classify what the table still holds; afterwards ``sink.totals`` is complete."""
    for first in range(0, sink.slots.size, BATCH):
        n = ZERO
        for slot in range(first, first + BATCH):
            if sink.slot_weights[slot] != 0:
                sink.patterns[0, n], sink.weights[n] = sink.slots[slot], sink.slot_weights[slot]
                sink.slot_weights[slot] = 0
                n += 1
        _score_buffer(n, tail, sink, modulus)
