"""How far class scores spread over *all* patterns of the block below the last one: a bound for those not looked at.

The last hidden bits share the bits below, so they are dependent and no product gives their joint law. But the
bits of two rows j, k depend on two independent sums: over the inputs that both rows read alike and those that they
read oppositely. So the mean of every product h_j h_k is exact, with it mean and variance of the difference D of two
classes' scores, and by Cantelli P(D <= 0) <= E Q for Q = ((A - D) / A)^2, which is at least 1 wherever D <= 0. As Q is
nonnegative, patterns that a search has looked at may be taken out: what the rest can change is at most E Q less their
part of it. Cost: for each two rows, inputs that move x width of the sums.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np
from numpy.typing import NDArray

from bnnverify.network import Block, Output
from bnnverify.scores import ScoreKeys
from bnnverify.weightfaults.tails import RowLaws, Tails, Unit, rows_of

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

STILL = 1e-12
"""Units that move more rarely are held still; how often any of them moves is charged to the bound."""
END_MASS = 1e-60
ROUNDED = 1e-10
MAX_OPERATIONS = 1 << 28


@dataclass(frozen=True, eq=False)
class Moments:
    """Means ``(n,)`` of the last hidden bits and of their products ``(n, n)``, each off by at most ``off_by``."""

    single: Floats
    pairs: Floats
    off_by: float


@dataclass(frozen=True, eq=False)
class Differences:
    """Score of the input's class less that of each other one, ``offset + sum_j a_j h_j``, over independent flips.

    Args:
        offset: ``(rivals,)``.
        mean, variance: of the coefficients a_j, ``(rivals, n_hidden)``.
        reach: ``(rivals,)`` the greatest absolute difference.
    """

    offset: Floats
    mean: Floats
    variance: Floats
    reach: Floats


class Spread:
    """Cantelli's bound, as a whole and for single patterns; ``total`` is infinite where it says nothing."""

    def __init__(self, differences: Differences, moments: Moments) -> None:
        self._d = differences
        centre = differences.offset + differences.mean @ moments.single
        square = ((differences.mean @ moments.pairs) * differences.mean).sum(axis=1)
        square += differences.variance.sum(axis=1) + 2 * differences.offset * centre - differences.offset**2
        self.total = float("inf")
        if np.all(centre > 0):
            variance = np.maximum(square - centre**2, 0)
            self._at = centre + variance / centre
            q = (self._at**2 - 2 * self._at * centre + square) / self._at**2
            self.slack = (moments.off_by + ROUNDED) * float((((self._at + differences.reach) / self._at) ** 2).sum())
            self.total = float(q.sum()) + self.slack

    def of(self, on: Floats, off: Floats) -> float:
        """E Q given one pattern, less the slack, from the laws of the last hidden bits that it leaves."""
        e = on - off
        centre = self._d.offset + self._d.mean @ e
        variance = (self._d.variance + self._d.mean**2 * (1 - e * e)).sum(axis=1)
        q = ((self._at - centre) ** 2 + variance) / self._at**2
        return max(float(q.sum()) - self.slack, 0.0)


def differences_of(tails: Tails, output: Output, keys: ScoreKeys, label: int) -> Differences:
    """Every class against ``label``, in units of the greatest scale."""
    unit = float(np.abs(keys.slopes).max()) or 1.0
    rows = output.weights * (keys.slopes / unit)[:, None]
    rivals = [c for c in range(output.n_classes) if c != label]
    own, others = rows[label], rows[rivals]
    flip, keep = float(tails.flip), float(tails.keep)
    offset = np.array([float(int(keys.offsets[label]) - int(keys.offsets[c])) / unit for c in rivals])
    mean = (keep - flip) * (own - others)
    variance = 4 * flip * keep * (own**2 + others**2)
    reach = np.abs(offset) + (np.abs(own) + np.abs(others)).sum(axis=1)
    return Differences(offset, mean, variance, reach)


def moments_of(laws: RowLaws, block: Block, units: list[Unit], off_by: float) -> Moments | None:
    """Moments of a ternary block's bits over independent bits below; None where they would cost too much."""
    chances = np.array([float(sum(unit.mass[1:])) for unit in units])
    moving = np.flatnonzero(chances > STILL)
    rows, widest = len(block.thresholds), 2 * moving.size + 1
    if rows * rows * moving.size * widest > MAX_OPERATIONS:
        return None
    off_by += 2 * float(chances[chances <= STILL].sum())
    bits = np.array([int(unit.values[0, 0]) for unit in units], dtype=np.int64)
    reads = block.weights.astype(np.int64) * bits
    sizes = np.array(rows_of(block).sizes)
    reach = np.abs(reads[:, moving]).sum(axis=1)
    table = _expected_bits(laws, sizes, (sizes + reads.sum(axis=1)) // 2, reach)
    reads = np.ascontiguousarray(reads[:, moving]).astype(np.int8)
    return Moments(*products(reads, table, chances[moving]), off_by)


def _expected_bits(laws: RowLaws, sizes: Counts, agreeing: Counts, reach: Counts) -> Floats:
    """Mean of each row's bit if the bits below move its agreeing terms by -r..r, ``(rows, 2 r + 1)``."""
    widest = int(reach.max(initial=0))
    table = np.zeros((len(sizes), 2 * widest + 1))
    for j, (n, at, farthest) in enumerate(zip(sizes.tolist(), agreeing.tolist(), reach.tolist(), strict=True)):
        moves = np.arange(max(-farthest, -at), min(farthest, n - at) + 1)
        on, off = laws.at(np.full(moves.size, j), at + moves)
        table[j, widest + moves] = on - off
    return table


@nb.njit(cache=True, nogil=True)
def _sum_law(
    first: NDArray[np.int8], second: NDArray[np.int8], same: int, chances: Floats, law: Floats, wider: Floats
) -> tuple[int, int]:
    """Law of the sum of ``-first_i t_i`` over inputs with ``first_i second_i == same``; its window in ``law``."""
    middle = law.size // 2
    low, high = middle, middle + 1
    law[low] = 1.0
    for i in range(first.size):
        if first[i] == 0 or first[i] * second[i] != same:
            continue
        step, chance = -first[i], chances[i]
        wider[low - 1 : high + 1] = 0.0
        for x in range(low, high):
            wider[x] += law[x] * (1.0 - chance)
            wider[x + step] += law[x] * chance
        low, high = low - 1, high + 1
        while low < high - 1 and wider[low] < END_MASS:
            low += 1
        while high > low + 1 and wider[high - 1] < END_MASS:
            high -= 1
        law[low:high] = wider[low:high]
    return low, high


@nb.njit(cache=True, nogil=True)
def _blurred(
    first: NDArray[np.int8],
    second: NDArray[np.int8],
    row: Floats,
    chances: Floats,
    law: Floats,
    wider: Floats,
    found: Floats,
) -> None:
    """``row`` averaged over the inputs that only ``first`` reads."""
    low, high = _sum_law(first, second, 0, chances, law, wider)
    middle, n = law.size // 2, row.size
    for x in range(n):
        total = 0.0
        for y in range(max(low, middle - x), min(high, middle + n - x)):
            total += law[y] * row[x + y - middle]
        found[x] = total


@nb.njit(cache=True, nogil=True)
def products(reads: NDArray[np.int8], table: Floats, chances: Floats) -> tuple[Floats, Floats]:
    """Means of bits and of their products; ``reads[j, i]`` is the sign with which row j reads a moving input i."""
    rows, n = reads.shape
    widest = table.shape[1] // 2
    law, other, wider = np.zeros(2 * n + 5), np.zeros(2 * n + 5), np.zeros(2 * n + 5)
    mine, theirs = np.zeros(table.shape[1]), np.zeros(table.shape[1])
    single, pairs = np.zeros(rows), np.eye(rows)
    middle = law.size // 2
    for j in range(rows):
        low, high = _sum_law(reads[j], reads[j], 1, chances, law, wider)
        for x in range(low, high):
            single[j] += law[x] * table[j, widest + x - middle]
        for k in range(j):
            _blurred(reads[j], reads[k], table[j], chances, law, wider, mine)
            _blurred(reads[k], reads[j], table[k], chances, law, wider, theirs)
            low, high = _sum_law(reads[j], reads[k], 1, chances, law, wider)
            lowest, highest = _sum_law(reads[j], reads[k], -1, chances, other, wider)
            total = 0.0
            for x in range(low, high):
                for y in range(lowest, highest):
                    alike, opposed = x - middle, y - middle
                    at, there = widest + alike + opposed, widest + alike - opposed
                    total += law[x] * other[y] * mine[at] * theirs[there]
            pairs[j, k] = pairs[k, j] = total
    return single, pairs
