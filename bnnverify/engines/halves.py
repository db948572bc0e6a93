"""Two halves of the bits that meet in the middle.

The first half of the items is run through one by one into a map {slacks, flips so far: number of
inputs}, merging states that the items still to come cannot tell apart. The other half becomes a map of
slack *changes* in the same way, clamped to what the first half's slacks can make of it. A state of the
first half whose class no change can move is closed at once; any other meets every change, each pair
being one pattern that stands for the product of their numbers of inputs. Without merging this is
enumeration by look-up; with merging it is far less.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bnnverify.bits import n_words
from bnnverify.engines.packed import PackedTail, known_first_bits, possible_classes, score
from bnnverify.engines.residual import suffix_sums
from bnnverify.engines.sink import BATCH
from bnnverify.engines.slackwords import GROUP, grouped, sign_word
from bnnverify.engines.statemap import MOST_STATES, TooManyStatesError, empty_state, push

INT8_REACH = 120


Row = NDArray[np.signedinteger[Any]]


@dataclass(frozen=True, eq=False)
class Side:
    """Distinct rows ``(n, width)`` in order of flips: rows ``starts[d]:starts[d + 1]`` flip d items.

    ``sums`` ``(n,)`` are numbers of inputs, plain or modulo a prime.
    """

    rows: Row
    sums: NDArray[np.int64]
    starts: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Problem:
    """Items ``(m, k)`` with the slacks ``(k,)`` they start from; ``radius`` None if distances do not matter."""

    columns: NDArray[np.int8]
    slacks: NDArray[np.int64]
    radius: int | None
    tail: PackedTail

    @property
    def n_distances(self) -> int:
        return 1 if self.radius is None else self.radius + 1


def predicted_pairs(columns: NDArray[np.int8]) -> tuple[float, float]:
    """Upper estimates of the states of one half and of the pairs of both, clamps not foreseen."""
    m = columns.shape[0]
    touched = np.count_nonzero(columns, axis=0)
    distinct = prod((t / 2 + 1.0 for t in touched.tolist()), start=1.0)
    half = min(2.0 ** (m / 2), distinct)
    return half, half * min(2.0 ** (m / 2), distinct)


def class_counts(problem: Problem, modulus: int) -> list[list[int]]:
    """Inputs by distance (or in one row) and class row, plain or modulo a prime.

    Raises:
        TooManyStatesError: if a half outgrows ``MOST_STATES``.
    """
    first, second = _sides(problem, modulus)
    totals = np.zeros((problem.n_distances, problem.tail.slopes.size), dtype=np.int64)
    k, n_blocks = problem.slacks.size, problem.tail.starts.size - 2
    changes = second.rows[:, :k].astype(np.int64)
    width = max(first.rows.shape[1] // GROUP, problem.tail.signs.shape[1])
    _join(
        first.rows.reshape(-1), first.sums, first.starts, second.rows.reshape(-1), second.sums, second.starts, k,
        -changes.min(axis=0), changes.max(axis=0), problem.tail, np.zeros((width, BATCH), dtype=np.uint64),
        np.zeros((width, BATCH), dtype=np.uint64), np.zeros((2, BATCH), dtype=np.int64),
        np.zeros((n_blocks + 1, 2, problem.tail.signs.shape[1]), dtype=np.uint64), modulus, totals,
    )  # fmt: skip
    return [[int(n) for n in row] for row in totals]


def _sides(problem: Problem, modulus: int) -> tuple[Side, Side]:
    """Run through the items: the first half until it is as large as the second can become."""
    columns, slacks = _tracked(problem)
    dtype = np.int8 if np.count_nonzero(problem.columns, axis=0).max() <= INT8_REACH else np.int16
    rising, falling = (suffix_sums(columns * d > 0) for d in (1, -1))
    state, position = _single(slacks.astype(dtype)), 0
    m = columns.shape[0]
    while position < m and state[3] < min(2.0 ** (m - position), MOST_STATES // 4):
        position += 1
        clamps = -rising[position] - 1, falling[position]
        state = _extended(problem, state, columns[position - 1], clamps, modulus)
    first = _side(problem, state)
    least, most = first.rows.min(axis=0).astype(np.int64), first.rows.max(axis=0).astype(np.int64)
    state = _single(np.zeros(slacks.size, dtype=dtype))
    for item in range(position, m):
        clamps = -most - 1 - rising[item + 1], -least + falling[item + 1]
        state = _extended(problem, state, columns[item], clamps, modulus)
    return first, _side(problem, state)


def _tracked(problem: Problem) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Columns and slacks padded to groups; where distances matter one more slack counts the flips."""
    flips = int(problem.radius is not None)
    columns = np.pad(problem.columns, ((0, 0), (0, 1)), constant_values=flips)
    reach = len(problem.columns) + 1
    slacks = np.pad(problem.slacks.clip(-reach, reach), (0, 1))
    return grouped(columns, np.int64), grouped(slacks, np.int64)


State = tuple[Row, NDArray[np.int64], NDArray[np.int32], int]


def _single(slacks: Row) -> State:
    """A map that holds one row, standing for one input."""
    return slacks, np.ones(1, dtype=np.int64), np.zeros(1, dtype=np.int32), 1


def _extended(
    problem: Problem,
    state: State,
    column: NDArray[np.int64],
    clamps: tuple[NDArray[np.int64], NDArray[np.int64]],
    modulus: int,
) -> State:
    """The map after one more item, flipped or not; rows of too many flips are dropped."""
    rows, sums, _, n = state
    width, k = column.size, problem.slacks.size
    widest = np.iinfo(rows.dtype)
    low, high = (np.clip(c, widest.min, widest.max).astype(rows.dtype) for c in clamps)
    low[k:], high[k:] = widest.min, widest.max
    both = np.stack([np.zeros_like(column), column])
    told_apart = np.array([[0], [1]], dtype=np.uint64).repeat(n_words(width), axis=1)
    masks = np.full((n, n_words(width)), ~np.uint64(0))
    columns, once = both.astype(rows.dtype).reshape(-1), np.ones(2, dtype=np.int64)
    grown: State = push(
        empty_state(low), rows, sums, np.arange(n), masks, columns, (told_apart, told_apart),
        once, 1, low, high, -(-(k + 1) * rows.itemsize // 8), modulus, MOST_STATES,
    )  # fmt: skip
    if grown[3] > MOST_STATES:
        raise TooManyStatesError
    return grown if problem.radius is None else _within(grown, width, k, problem.radius)


def _within(state: State, width: int, k: int, radius: int) -> State:
    rows, sums, table, n = state
    rows = rows[: n * width].reshape(n, width)
    kept = rows[:, k] <= radius
    return np.ascontiguousarray(rows[kept]).reshape(-1), sums[:n][kept], table, int(kept.sum())


def _side(problem: Problem, state: State) -> Side:
    rows, sums, _, n = state
    width, k = rows.size // sums.size, problem.slacks.size
    rows = rows[: n * width].reshape(n, width)
    order = np.argsort(rows[:, k], kind="stable")
    starts = np.searchsorted(rows[order, k], np.arange(problem.n_distances + 1))
    return Side(np.ascontiguousarray(rows[order]), sums[:n][order], starts.astype(np.int64))


@njit(cache=True, nogil=True)
def _join(  # type: ignore[no-untyped-def]
    rows, sums, starts, changes, weights, change_starts, k, falling, rising, tail, patterns, scratch, buffers,
    context, modulus, totals,
):  # fmt: skip
    """Add up every pair of a row and a change, by flips together and by class row."""
    width, possible = rows.size // sums.size, np.zeros(totals.shape[1], dtype=np.bool_)
    by_class, slacks = np.zeros(totals.shape[1], dtype=np.int64), np.zeros(k, dtype=np.int64)
    for d in range(totals.shape[0]):
        for a in range(starts[d], starts[d + 1]):
            for j in range(k):
                slacks[j] = rows[a * width + j]
            known_first_bits(slacks, 1 << 30, falling, rising, context)
            winner = possible_classes(tail, context, possible)
            settled = winner if possible.sum() == 1 else -1
            for e in range(totals.shape[0] - d):
                by_class[:] = 0
                first, last = change_starts[e], change_starts[e + 1]
                if settled >= 0:
                    for b in range(first, last):
                        by_class[settled] += weights[b]
                else:
                    _meet(rows, a, changes, weights, first, last, width, tail, patterns, scratch, buffers, by_class)
                for c in range(by_class.size):
                    if modulus == 0:
                        totals[d + e, c] += sums[a] * by_class[c]
                    else:
                        totals[d + e, c] = (totals[d + e, c] + sums[a] * (by_class[c] % modulus)) % modulus


@njit(cache=True, nogil=True)
def _meet(rows, a, changes, weights, first, last, width, tail, patterns, scratch, buffers, by_class):  # type: ignore[no-untyped-def]
    """Classify one row with each change ``first:last`` and add the changes' weights by class row."""
    words, mask = width // GROUP, np.int64(tail.row_of_code.size - 1)
    for start in range(first, last, BATCH):
        n = min(BATCH, last - start)
        for w in range(words):
            for i in range(n):
                patterns[w, i] = sign_word(rows, a * width + w * GROUP, changes, (start + i) * width + w * GROUP)
        score(patterns, n, tail, scratch, buffers[0], buffers[1])
        for i in range(n):
            by_class[tail.row_of_code[buffers[1, i] & mask]] += weights[start + i]
