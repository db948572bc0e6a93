"""Which of n cells fail, each by itself with probability p, without looking at those that do not.

Few failures: the gaps between them are geometric, ``floor(log u / log(1 - p))``, one logarithm a failure. Many:
64 cells are decided at once by comparing 64 random fractions with p bit by bit, from the highest, until all
differ from it, eight random words on average; then the set bits are listed. Both are exact to the 53 bits
of a random double. The generator is xoshiro256++ (Blackman and Vigna, 2021), seeded from numpy's,
so each trial's stream is its own. Cost: 10 ns a failure, or .2 ns a cell and 1 ns a failure.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bnnverify.faults.cells import NO_CELLS, Positions
from bnnverify.inference.simd import popcount

DENSE_FROM = 1 / 64
ONE = np.uint64(1)
ALL = np.uint64(0xFFFFFFFFFFFFFFFF)


def failing(n_cells: int, p: float, rng: np.random.Generator) -> Positions:
    """Positions of the cells that fail, ascending.

    Args:
        n_cells: cells numbered from 0.
        p: probability that a cell fails, by itself.
    """
    if n_cells == 0 or p == 0:
        return NO_CELLS
    if p == 1:
        return np.arange(n_cells, dtype=np.int64)
    state = rng.integers(0, 1 << 64, size=4, dtype=np.uint64)
    room = int(n_cells * p + 8 * math.sqrt(n_cells * p) + 64)
    found = np.empty(min(room, n_cells), dtype=np.int64)
    if p < DENSE_FROM:
        drawn: Positions = _sparse(state, n_cells, math.log1p(-p), found)
    else:
        drawn = _dense(state, n_cells, np.uint64(round(p * 2.0**53) << 11), found)
    return drawn


@njit(cache=True, nogil=True)
def _next(state: Any) -> Any:
    """One word of xoshiro256++."""
    total = state[0] + state[3]
    word = (total << np.uint64(23) | total >> np.uint64(41)) + state[0]
    shifted = state[1] << np.uint64(17)
    state[2] ^= state[0]
    state[3] ^= state[1]
    state[1] ^= state[2]
    state[0] ^= state[3]
    state[2] ^= shifted
    state[3] = state[3] << np.uint64(45) | state[3] >> np.uint64(19)
    return word


@njit(cache=True, nogil=True)
def _sparse(state: NDArray[np.uint64], n_cells: int, log_survival: float, found: Positions) -> Any:
    count, at = 0, np.int64(-1)
    while True:
        fraction = (np.float64(_next(state) >> np.uint64(11)) + 1.0) * 2.0**-53
        gap = np.log(fraction) / log_survival
        if gap >= n_cells - at - 1:
            return found[:count]
        at += 1 + np.int64(gap)
        if count == found.size:
            found = _grown(found, n_cells)
        found[count] = at
        count += 1


@njit(cache=True, nogil=True)
def _dense(state: NDArray[np.uint64], n_cells: int, bound: Any, found: Positions) -> Any:
    count = 0
    for start in range(0, n_cells, 64):
        word = _fractions_below(state, bound)
        if n_cells - start < 64:
            word &= (ONE << np.uint64(n_cells - start)) - ONE
        while word != 0:
            if count == found.size:
                found = _grown(found, n_cells)
            found[count] = start + popcount((word & (~word + ONE)) - ONE)
            count += 1
            word &= word - ONE
    return found[:count]


@njit(cache=True, nogil=True)
def _fractions_below(state: Any, bound: Any) -> Any:
    """For each of 64 random 64-bit fractions, whether it is below ``bound``."""
    below, undecided = np.uint64(0), ALL
    for place in range(63, -1, -1):
        word = _next(state)
        if bound >> np.uint64(place) & ONE:
            below |= undecided & ~word
            undecided &= word
        else:
            undecided &= ~word
        if undecided == 0:
            break
    return below


@njit(cache=True, nogil=True)
def _grown(found: Any, n_cells: int) -> Any:
    larger = np.empty(min(2 * found.size + 1, n_cells), dtype=np.int64)
    larger[: found.size] = found
    return larger
