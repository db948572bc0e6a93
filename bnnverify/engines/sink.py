"""Where patterns end: equal ones are coalesced, the rest are classified in batches and tallied.

Neighbouring inputs mostly share their pattern, and behind the first block a pattern costs 3 to 30 ns.
So each buffered pattern first looks into a small direct-mapped table of (pattern, weight): a hit
adds to the weight, a miss evicts the old entry to the batch that is scored next. Where too few hit
for the rows behind to be worth a look (free bits with many moving neurons, or an output layer
alone), or patterns take more than one word, the table is bypassed. In search mode a hit is a
pattern that was already scored and is not wanted.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bnnverify.engines.packed import ZERO, PackedTail, score

BATCH = 2048
SLOTS = 4096
VISITED, MISSED = 0, 1
ROWS_WORTH_A_LOOK = 16


class Sink(NamedTuple):
    """Buffers and tallies. A *bucket* is a row of the tally: a distance, or everything.

    ``patterns`` ``(buckets, width, BATCH)``, of which ``words`` are used, and ``fill`` are the input buffer;
    ``slots`` and ``slot_weights`` ``(buckets, SLOTS)`` the coalescing table; ``pending`` and ``weights`` what it
    evicts, to be scored next;
    ``tally`` ``(buckets, classes)`` the result. ``wanted`` ``(classes,)`` matters in ``search`` mode only.
    """

    words: int
    patterns: NDArray[np.uint64]
    fill: NDArray[np.int64]
    slots: NDArray[np.uint64]
    slot_weights: NDArray[np.int64]
    pending: NDArray[np.uint64]
    weights: NDArray[np.int64]
    scratch: NDArray[np.uint64]
    counts: NDArray[np.int64]
    keys: NDArray[np.int64]
    lanes: NDArray[np.int64]
    tally: NDArray[np.int64]
    stats: NDArray[np.int64]
    wanted: NDArray[np.bool_]
    search: bool


def make_sink(tail: PackedTail, words: int, buckets: int, wanted: NDArray[np.bool_] | None = None) -> Sink:
    """An empty sink for patterns of ``words`` words; with ``wanted``, in search mode."""
    n_classes, width = tail.slopes.size, max(words, tail.signs.shape[1])
    return Sink(
        words=words,
        patterns=np.zeros((buckets, width, BATCH), dtype=np.uint64),
        fill=np.zeros(buckets, dtype=np.int64),
        slots=np.zeros((buckets, SLOTS), dtype=np.uint64),
        slot_weights=np.zeros((buckets, SLOTS), dtype=np.int64),
        pending=np.zeros((width, BATCH), dtype=np.uint64),
        weights=np.zeros(BATCH, dtype=np.int64),
        scratch=np.zeros((width, BATCH), dtype=np.uint64),
        counts=np.empty(BATCH, dtype=np.int64),
        keys=np.empty(BATCH, dtype=np.int64),
        lanes=np.zeros((4, tail.row_of_code.size), dtype=np.int64),
        tally=np.zeros((buckets, n_classes), dtype=np.int64),
        stats=np.zeros(2, dtype=np.int64),
        wanted=np.zeros(n_classes, dtype=np.bool_) if wanted is None else wanted,
        search=wanted is not None,
    )


@njit(cache=True, nogil=True)
def _tally_pending(bucket, n, tail, sink):  # type: ignore[no-untyped-def]
    """Score the first n pending patterns; returns whether a wanted class is among them."""
    score(sink.pending, n, tail, sink.scratch, sink.counts, sink.keys)
    found, mask = False, np.uint64(tail.row_of_code.size - 1)
    tally, wanted, rows = sink.tally, sink.wanted, tail.row_of_code
    for i in range(n):
        row = rows[np.uint64(sink.keys[i]) & mask]
        tally[bucket, row] += sink.weights[i]
        found |= wanted[row]
    sink.stats[MISSED] += n
    return found


@njit(cache=True, nogil=True)
def _tally_buffer(bucket, n, tail, sink):  # type: ignore[no-untyped-def]
    """Score n buffered patterns that stand for themselves; true if a wanted class is among them.

    Four tallies side by side, since adding twice to one address waits for the first.
    """
    score(sink.patterns[bucket], n, tail, sink.scratch, sink.counts, sink.keys)
    lanes, keys, mask = sink.lanes, sink.keys, np.uint64(tail.row_of_code.size - 1)
    lanes[:] = 0
    for i in range(n):
        lanes[np.uint64(i) & np.uint64(3), np.uint64(keys[i]) & mask] += 1
    found = False
    for code in range(lanes.shape[1]):
        hits, row = lanes[0, code] + lanes[1, code] + lanes[2, code] + lanes[3, code], tail.row_of_code[code]
        sink.tally[bucket, row] += hits
        found |= hits > 0 and sink.wanted[row]
    sink.stats[MISSED] += n
    return found


@njit(cache=True, nogil=True)
def slot_of(pattern):  # type: ignore[no-untyped-def]
    """Where a pattern belongs in a table of ``SLOTS`` entries."""
    return ((pattern * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(52)) & np.uint64(SLOTS - 1)


@njit(cache=True, nogil=True)
def _coalesce(bucket, n, patterns, slots, slot_weights, pending, weights):  # type: ignore[no-untyped-def]
    """Put n buffered patterns into the table; evicted ones go to ``pending``; returns how many."""
    evicted = ZERO
    for i in range(n):
        pattern = patterns[bucket, 0, i]
        slot = slot_of(pattern)
        if slots[bucket, slot] == pattern:
            slot_weights[bucket, slot] += 1
        else:
            pending[0, evicted] = slots[bucket, slot]
            weights[evicted] = slot_weights[bucket, slot]
            evicted += slot_weights[bucket, slot] > 0
            slots[bucket, slot] = pattern
            slot_weights[bucket, slot] = 1
    return evicted


@njit(cache=True, nogil=True)
def _drain(bucket, tail, sink):  # type: ignore[no-untyped-def]
    """Score everything the table still holds and empty it."""
    found = False
    for first in range(0, SLOTS, BATCH):
        n = ZERO
        for slot in range(first, first + BATCH):
            if sink.slot_weights[bucket, slot] > 0:
                sink.pending[0, n] = sink.slots[bucket, slot]
                sink.weights[n] = sink.slot_weights[bucket, slot]
                sink.slot_weights[bucket, slot] = 0
                n += 1
        found |= _tally_pending(bucket, n, tail, sink)
    return found


@njit(cache=True, nogil=True)
def _worth_coalescing(tail, sink):  # type: ignore[no-untyped-def]
    """Whether the rows that hits save cost more than looking; assumed so for the first inputs."""
    n_rows, visited = tail.limits.size, sink.stats[VISITED]
    saved = n_rows if visited < 16 * SLOTS else n_rows * (1.0 - sink.stats[MISSED] / visited)
    return sink.words == 1 and saved > ROWS_WORTH_A_LOOK


@njit(cache=True, nogil=True)
def absorb(bucket, tail, sink):  # type: ignore[no-untyped-def]
    """Take in the buffer of one bucket; returns whether a wanted class is known to be among it."""
    n = sink.fill[bucket]
    sink.fill[bucket] = 0
    sink.stats[VISITED] += n
    if _worth_coalescing(tail, sink):
        evicted = _coalesce(bucket, n, sink.patterns, sink.slots, sink.slot_weights, sink.pending, sink.weights)
        return _tally_pending(bucket, evicted, tail, sink) if evicted else False
    return _tally_buffer(bucket, n, tail, sink)


@njit(cache=True, nogil=True)
def finish(tail, sink):  # type: ignore[no-untyped-def]
    """Absorb and score all that is buffered or coalesced; returns whether a wanted class was seen."""
    for bucket in range(sink.fill.size):
        absorb(bucket, tail, sink)
        _drain(bucket, tail, sink)
    for c in range(sink.wanted.size):
        for bucket in range(sink.fill.size):
            if sink.wanted[c] and sink.tally[bucket, c] > 0:
                return True
    return False
