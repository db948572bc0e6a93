"""Spheres of flips as elementary symmetric polynomials, counted without listing the flips.

Let item i contribute the monomial z^(c_i), c_i being what its flip adds to the slacks. The j-subsets
of items are then the elementary symmetric polynomial e_j of these monomials, and Newton's identity
builds it from power sums p_k = sum_i z^(k c_i). With f_j = j! e_j no division is needed:

    f_j = sum_{k=1..j} (-1)^(k-1) (j-1)! / (j-k)!  f_(j-k) p_k.

Exponents live in a quotient: with q flips still to come, a slack above q - 1 or below -q is decided, so
it is clamped there and states merge. A state whose class no decision of the open slacks can change is
*closed*: its mass goes to the class and is carried along by the number of items alone, since every
later product has that class too (products that repeat an item included, so bounds may count flips
but not items). The maps are signed and linear, so closing is sound whenever it is
done. Only states that are open when the last flip comes meet all the columns, and those are first
merged by the state's open slacks; their patterns are classified as they come. Sums are plain int64
while they fit, else residues modulo primes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import perm
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bnnverify.bits import n_words, pack
from bnnverify.engines.packed import (
    PackedTail,
    bound_nanoseconds,
    known_first_bits,
    pattern_nanoseconds,
    possible_classes,
)
from bnnverify.engines.slackwords import grouped
from bnnverify.engines.statemap import MOST_STATES, TooManyStatesError, empty_state, push, undecided_masks
from bnnverify.engines.tallies import add_pushes, add_states, drain, weighted_sink

BOUND_SAMPLE = 256


@dataclass(eq=False)
class _Level:
    """f_j: open states with their sums, and the closed mass of every class row."""

    rows: NDArray[np.int8]
    sums: NDArray[np.int64]
    masks: NDArray[np.uint64]
    order: NDArray[np.int64]
    closed: list[int]


@dataclass(frozen=True, eq=False)
class FlipSums:
    """Items and slacks prepared for pushing.

    ``columns`` ``(n, width)`` int8 distinct columns, ``weights`` how many items share each, ``slacks``
    ``(k,)``, ``tail`` what is behind the first block.
    """

    columns: NDArray[np.int8]
    weights: NDArray[np.int64]
    slacks: NDArray[np.int64]
    tail: PackedTail


def prepare(columns: NDArray[np.int8], slacks: NDArray[np.int64], tail: PackedTail) -> FlipSums:
    """Merge equal columns ``(m, k)`` and pad them to groups."""
    distinct, weights = np.unique(columns, axis=0, return_counts=True)
    return FlipSums(grouped(distinct), weights.astype(np.int64), slacks, tail)


def sphere_counts(problem: FlipSums, radius: int, modulus: int) -> list[list[int]]:
    """For each distance 0..radius, ``j!`` times the number of inputs of each class row.

    Plain integers if ``modulus`` is 0 (the caller sees to their fitting in 63 bits), else residues.

    Raises:
        TooManyStatesError: if a map outgrows ``MOST_STATES``.
    """
    levels = [_first_level(problem, radius)]
    for j in range(1, radius):
        levels.append(_next_level(problem, levels, j, radius - j, modulus))
    counts = [_class_counts(problem, level, modulus) for level in levels]
    return counts if radius == 0 else [*counts, _last_counts(problem, levels, modulus)]


def _first_level(problem: FlipSums, radius: int) -> _Level:
    low, high = _clamps(problem, radius)
    rows = np.clip(grouped(problem.slacks.clip(-100, 100)), low, high)
    return _level(problem, rows, np.ones(1, dtype=np.int64), radius, [0] * problem.tail.slopes.size)


def _clamps(problem: FlipSums, flips: int) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """Rows of the least and greatest slack worth telling apart when ``flips`` are to come."""
    width = problem.columns.shape[1]
    low, high = np.zeros(width, dtype=np.int8), np.zeros(width, dtype=np.int8)
    low[: problem.slacks.size], high[: problem.slacks.size] = -flips - 1, flips
    return low, high


def _level(problem: FlipSums, rows: NDArray[np.int8], sums: NDArray[np.int64], flips: int, closed: list[int]) -> _Level:
    """Wrap the states of a level: masks of their open slacks, and an order that groups equal masks."""
    low, high = _clamps(problem, flips)
    width = low.size
    masks = np.zeros((sums.size, n_words(width)), dtype=np.uint64)
    undecided_masks(rows.reshape(-1), sums.size, width, low, high, masks)
    return _Level(rows.reshape(-1), sums, masks, np.lexsort(masks.T), closed)


def _next_level(problem: FlipSums, levels: list[_Level], j: int, flips: int, modulus: int) -> _Level:
    """f_j as a map of states, with ``flips`` more to come."""
    low, high = _clamps(problem, flips)
    state = empty_state(low)
    for source, push_arguments in _terms(problem, levels, j, modulus):
        words = -(-problem.slacks.size // 8)
        extend: Any = push
        state = extend(state, *source, *push_arguments, low, high, words, modulus, MOST_STATES)
        if state[3] > MOST_STATES:
            raise TooManyStatesError
    rows, sums, _, n = state
    rows, sums = rows[: n * low.size].reshape(n, low.size), sums[:n]
    alive, closed = sums != 0, _closed_mass(problem, levels, j)
    rows, sums = _close_settled(problem, rows[alive], sums[alive], flips, closed)
    return _level(problem, rows, sums, flips, [mass % modulus for mass in closed] if modulus else closed)


def _last_counts(problem: FlipSums, levels: list[_Level], modulus: int) -> list[int]:
    """f_r by class row, every pushed pattern classified as it comes."""
    sink = weighted_sink(problem.columns.shape[1], problem.tail)
    j = len(levels)
    for source, push_arguments in _terms(problem, levels, j, modulus):
        add: Any = add_pushes
        add(*source, *push_arguments, problem.tail, sink, modulus)
    drain(problem.tail, sink, modulus)
    return _sum_rows(sink.totals, _closed_mass(problem, levels, j), modulus)


def _terms(problem: FlipSums, levels: list[_Level], j: int, modulus: int) -> Iterator[tuple[Any, Any]]:
    """The products of f_j: each source level's states, and the scaled columns, their weights and the factor."""
    for k in range(1, j + 1):
        source, factor = levels[j - k], _factor(j, k)
        columns = (problem.columns.astype(np.int16) * k).clip(-127, 127).astype(np.int8)
        signs = pack(columns), pack(-columns)
        states = source.rows, source.sums, source.order, source.masks
        yield states, (columns.reshape(-1), signs, problem.weights, factor % modulus if modulus else factor)


def _factor(j: int, k: int) -> int:
    """(-1)^(k-1) (j-1)! / (j-k)!"""
    return (1 if k % 2 else -1) * perm(j - 1, k - 1)


def _closed_mass(problem: FlipSums, levels: list[_Level], j: int) -> list[int]:
    """What the closed states of the levels before carry into f_j, by class row."""
    n_items = int(problem.weights.sum())
    terms = [(_factor(j, k) * n_items, levels[j - k].closed) for k in range(1, j + 1)]
    return [sum(factor * closed[c] for factor, closed in terms) for c in range(problem.tail.slopes.size)]


def _close_settled(
    problem: FlipSums, rows: NDArray[np.int8], sums: NDArray[np.int64], flips: int, closed: list[int]
) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """Move the mass of states whose class is settled into ``closed``, where bounds promise to pay."""
    if flips == 0 or sums.size == 0:
        return rows, sums
    sample = np.linspace(0, sums.size - 1, min(sums.size, BOUND_SAMPLE)).astype(np.int64)
    labels = _settled_classes(problem, rows[sample], flips)
    if sums.size > sample.size:
        if float(np.mean(labels >= 0)) * _push_nanoseconds(problem, rows[sample], flips) < bound_nanoseconds(
            problem.tail
        ):
            return rows, sums
        labels = _settled_classes(problem, rows, flips)
    else:
        rows, sums = rows[sample], sums[sample]
    for c in range(len(closed)):
        closed[c] += int(sums[labels == c].sum())
    return np.ascontiguousarray(rows[labels < 0]), sums[labels < 0]


def _push_nanoseconds(problem: FlipSums, rows: NDArray[np.int8], flips: int) -> float:
    """What a typical open state will cost if it stays: its pushes, and those of what it becomes."""
    n_open = np.count_nonzero((rows > -flips - 1) & (rows < flips), axis=1)
    columns = np.minimum(float(problem.weights.size), 2.0 ** np.minimum(n_open, 60))
    return float(np.mean(columns)) ** flips * pattern_nanoseconds(problem.tail)


def _settled_classes(problem: FlipSums, rows: NDArray[np.int8], flips: int) -> NDArray[np.int64]:
    labels = np.empty(rows.shape[0], dtype=np.int64)
    k = problem.slacks.size
    n_blocks = problem.tail.starts.size - 2
    context = np.zeros((n_blocks + 1, 2, problem.tail.signs.shape[1]), dtype=np.uint64)
    possible = np.zeros(problem.tail.slopes.size, dtype=np.bool_)
    falling, rising = (np.any(problem.columns[:, :k] * d > 0, axis=0) * np.int64(flips) for d in (-1, 1))
    _label_states(np.ascontiguousarray(rows[:, :k]), flips, falling, rising, problem.tail, context, possible, labels)
    return labels


@njit(cache=True, nogil=True)
def _label_states(rows, flips, falling, rising, tail, context, possible, labels):  # type: ignore[no-untyped-def]
    """``labels[s]``: the class row that state s has after any ``flips`` more flips, or -1."""
    for s in range(labels.size):
        known_first_bits(rows[s], flips, falling, rising, context)
        winner = possible_classes(tail, context, possible)
        labels[s] = winner if possible.sum() == 1 else -1


def _class_counts(problem: FlipSums, level: _Level, modulus: int) -> list[int]:
    """Sums of a level by class row: its open states are classified by their signs."""
    nothing = np.zeros(problem.columns.shape[1], dtype=np.int8)
    sink = weighted_sink(nothing.size, problem.tail)
    add_states(level.rows, level.sums, nothing, problem.tail, sink, modulus)
    drain(problem.tail, sink, modulus)
    return _sum_rows(sink.totals, level.closed, modulus)


def _sum_rows(totals: NDArray[np.int64], closed: list[int], modulus: int) -> list[int]:
    summed = [int(a) + b for a, b in zip(totals, closed, strict=True)]
    return [n % modulus for n in summed] if modulus else summed


def fits_plain(n_items: int, radius: int) -> bool:
    """Whether no sum can leave int64 without a modulus.

    The absolute values in f_j add up to at most m (m + 1) ... (m + j - 1), by induction over the recursion.
    """
    return perm(n_items + radius - 1, radius) < 1 << 62
