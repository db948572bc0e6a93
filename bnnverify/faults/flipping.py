"""Flip bits of packed words in place, at listed positions.

Weights lie in two layouts (:mod:`bnnverify.inference.layout`, :mod:`bnnverify.inference.carrylayout`). Interleaved
words change one bit a flip. In the layout of prefix parities a flip at position p changes all planes behind p: the
flips are scattered over an empty copy, whose running xor is added in one pass. Cost: 1 to 3 ns a flip, and one pass
over the touched parts of the parities.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Words = NDArray[np.uint64]
Indices = NDArray[np.int64]
PART_BITS = 512


@njit(cache=True, nogil=True)
def flip_rows(words: Words, rows: Indices, columns: Indices) -> None:
    """Bit ``columns[k]`` of each ``words[rows[k]]``; words ``(rows, words)``."""
    for k in range(rows.size):
        column = columns[k]
        words[rows[k], column >> 6] ^= np.uint64(1) << np.uint64(column & 63)


@njit(cache=True, nogil=True)
def flip_lanes(words: Words, rows: Indices, columns: Indices) -> None:
    """The same in interleaved words ``(groups, words, 8)``."""
    for k in range(rows.size):
        row, column = rows[k], columns[k]
        words[row >> 3, column >> 6, row & 7] ^= np.uint64(1) << np.uint64(column & 63)


@njit(cache=True, nogil=True)
def flip_parities(parities: Words, rows: Indices, columns: Indices) -> None:
    """The same in prefix parities ``(parts, positions + 1, 8)``."""
    parts, planes = parities.shape[0], parities.shape[1]
    changes = np.zeros((parts, planes, 8), dtype=np.uint64)
    first = np.full(parts, planes, dtype=np.int64)
    for k in range(rows.size):
        part, neuron, plane = rows[k] // PART_BITS, rows[k] % PART_BITS, columns[k] + 1
        changes[part, plane, neuron >> 6] ^= np.uint64(1) << np.uint64(neuron & 63)
        first[part] = min(first[part], plane)
    for part in range(parts):
        _add_running_xor(changes[part], first[part], parities[part])


@njit(cache=True, nogil=True)
def _add_running_xor(changes: Any, first: int, parities: Any) -> None:
    running = np.zeros(8, dtype=np.uint64)
    for plane in range(first, parities.shape[0]):
        for lane in range(8):
            running[lane] ^= changes[plane, lane]
            parities[plane, lane] ^= running[lane]


@njit(cache=True, nogil=True)
def located(positions: Indices, n_columns: int, order: Indices, signs: Any) -> Any:
    """Rows, packed columns and signs of ascending positions in a table; ``order`` says where a column lies.

    Without ``signs`` none are looked up.
    """
    rows, columns = np.empty_like(positions), np.empty_like(positions)
    found = np.empty(positions.size if signs.size else 0, dtype=np.int8)
    row, start = np.int64(0), np.int64(0)
    for k in range(positions.size):
        skipped = (positions[k] - start) // n_columns if positions[k] >= start + 2 * n_columns else 0
        row, start = row + skipped, start + skipped * n_columns
        if positions[k] >= start + n_columns:
            row, start = row + 1, start + n_columns
        rows[k], columns[k] = row, order[positions[k] - start]
        if signs.size:
            found[k] = signs[positions[k]]
    return rows, columns, found


def bits_at(words: Words, rows: Indices, columns: Indices) -> NDArray[np.bool_]:
    """Bit ``columns[k]`` of each ``words[rows[k]]``."""
    found = words[rows, columns >> 6] >> (columns & 63).astype(np.uint64) & np.uint64(1)
    return np.asarray(found == 1)
