"""Classify maps of states and add up their sums by class, exactly or modulo a prime."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bnnverify.bits import n_words
from bnnverify.engines.packed import PackedTail, score
from bnnverify.engines.sink import BATCH
from bnnverify.engines.slackwords import GROUP, sign_word


def class_sums(rows: NDArray[np.int8], sums: NDArray[np.int64], tail: PackedTail, modulus: int) -> list[int]:
    """Total of ``sums`` by class row, states ``(n, width)`` being classified by the signs of their slacks."""
    totals = np.zeros(tail.slopes.size, dtype=np.int64)
    width = max(n_words(rows.shape[1]), tail.signs.shape[1])
    patterns, scratch = (np.zeros((width, BATCH), dtype=np.uint64) for _ in range(2))
    counts, keys = (np.zeros(BATCH, dtype=np.int64) for _ in range(2))
    nothing = np.zeros(rows.shape[1], dtype=np.int8)
    flat = np.ascontiguousarray(rows).reshape(-1)
    _add_by_class(flat, sums, nothing, tail, patterns, scratch, counts, keys, modulus, totals)
    return [int(n) for n in totals]


@njit(cache=True, nogil=True)
def _add_by_class(rows, sums, nothing, tail, patterns, scratch, counts, keys, modulus, totals):  # type: ignore[no-untyped-def]
    words, mask = nothing.size // GROUP, np.int64(tail.row_of_code.size - 1)
    for first in range(0, sums.size, BATCH):
        n = min(BATCH, sums.size - first)
        for w in range(words):
            for i in range(n):
                patterns[w, i] = sign_word(rows, ((first + i) * words + w) * GROUP, nothing, w * GROUP)
        score(patterns, n, tail, scratch, counts, keys)
        for i in range(n):
            row = tail.row_of_code[keys[i] & mask]
            totals[row] += sums[first + i]
        if modulus:
            for row in range(totals.size):
                totals[row] %= modulus
