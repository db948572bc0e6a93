"""Dense layers without population counts: looked-up carries, for batches and many neurons.

Counting D differing bits word by word takes three vector instructions for 512 of them (xor, count, add), and
processors start at most two a cycle. Here a vector holds *one* bit of 512 neurons, and the count is a
bit-sliced sum. A full adder takes two differing bits and the parity before them to a new parity and a carry.
Parities of differences are differences of parities, so only the carries must be summed, and
a carry depends on three successive prefix parities of the input, eight patterns, and of the weight.
So for every two positions the carries of 512 neurons are tabulated for all eight patterns once,
and each input of the batch *looks up* its vector: ``D = 2 * (number of carries) + parity``. One
lookup and one full adder (two three-operand instructions) for 1024 products, where counting takes six.

Tables are built for 128 positions at a time, 32 KiB, which stay in the first cache while all inputs of the batch
pass; the counters of an input wait in the second. Building costs as much as ten inputs, so small batches, and
layers of few neurons or with zero weights, stay with :mod:`bnnverify.inference.tile`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bnnverify.bits import n_words
from bnnverify.inference.carrylayout import CHUNK_POSITIONS, CHUNK_WORDS, PART, CarryWeights
from bnnverify.inference.carrytile import CHUNK_LOOKUPS, PATTERNS, add_chunk, compare, write_table
from bnnverify.inference.layout import aligned_zeros

Words = NDArray[np.uint64]
TABLE_COST_ROWS = 10
CHUNK_COST_VECTORS = 60


def carries_pay(rows: int, n_in_words: int, n_out: int) -> bool:
    """Whether carries are faster than counting words, by the measured costs of both."""
    n_chunks, parts, groups = -(-n_in_words // CHUNK_WORDS), -(-n_out // PART), -(-n_out // 8)
    return parts * n_chunks * (rows + TABLE_COST_ROWS) * CHUNK_COST_VECTORS < rows * groups * n_in_words


def carry_bits(inputs: Words, weights: CarryWeights) -> Words:
    """The neurons' bits for packed inputs ``(rows, words)``, as ``(rows, n_words(n_out))``."""
    rows, n_levels = len(inputs), weights.bounds.shape[1] - 1
    n_chunks = weights.parities.shape[1] // CHUNK_POSITIONS
    offsets = np.empty((n_chunks, rows, CHUNK_LOOKUPS), dtype=np.uint16)
    odd = np.empty(rows, dtype=np.uint64)
    _look_up(inputs, offsets, odd)
    counters = aligned_zeros((rows, n_levels, 8))
    table = aligned_zeros((CHUNK_LOOKUPS, PATTERNS, 8))
    out = np.empty((rows, 8 * len(weights.parities)), dtype=np.uint64)
    _carry_bits(offsets, odd, weights.parities, weights.bounds, table, counters, out)
    return np.ascontiguousarray(out[:, : n_words(weights.n_out)])


@njit(cache=True, nogil=True)
def _carry_bits(offsets: Any, odd: Any, parities: Any, bounds: Any, table: Any, counters: Any, out: Any) -> None:
    n_chunks, rows = offsets.shape[:2]
    for part in range(parities.shape[0]):
        for chunk in range(n_chunks):
            for lookup in range(CHUNK_LOOKUPS):
                write_table(parities, part, chunk * CHUNK_LOOKUPS + lookup, table, lookup)
            for row in range(rows):
                add_chunk(table, offsets, chunk, row, counters)
        for row in range(rows):
            compare(counters, row, parities, part, odd[row], bounds, out)


@njit(cache=True, nogil=True)
def _look_up(inputs: Any, offsets: Any, odd: Any) -> None:
    """Three successive prefix parities at every second position, as the byte offset of their pattern."""
    for row in range(inputs.shape[0]):
        before = np.uint64(0)
        for word in range(CHUNK_WORDS * offsets.shape[0]):
            through = _prefix_parities(inputs[row, word] if word < inputs.shape[1] else np.uint64(0)) ^ (
                np.uint64(0) - before
            )
            _patterns(through << np.uint64(1) | before, through, offsets[word // 2, row, 32 * (word % 2) :])
            before = through >> np.uint64(63)
        odd[row] = before


@njit(cache=True, nogil=True)
def _prefix_parities(word: Any) -> Any:
    """Bit i is the parity of bits 0..i."""
    for shift in (1, 2, 4, 8, 16, 32):
        word ^= word << np.uint64(shift)
    return word


@njit(cache=True, nogil=True)
def _patterns(before: Any, through: Any, offsets: Any) -> None:
    for i in range(32):
        shift = np.uint64(2 * i)
        pattern = (before >> shift & np.uint64(1)) | (through >> shift & np.uint64(3)) << np.uint64(1)
        offsets[i] = pattern << np.uint64(6)
