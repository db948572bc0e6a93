"""The ``pushforward`` engine: count hidden patterns, not inputs.

What a region's inputs have in common is few first-block patterns. Two roads lead to the exact number
of inputs of each: in a ball of few flips among many bits, symmetric polynomials of the flips
(:mod:`bnnverify.engines.flipsums`); in free bits and wide balls, two halves of the bits, each reduced
to its distinct slack vectors, that meet in the middle (:mod:`bnnverify.engines.halves`). Where counts
pass 63 bits the work is repeated modulo primes below 2^31 and put together by the Chinese remainder
theorem, so every count is exact however large the region.

Cost: pushes of states, 20 to 50 ns each, however many inputs they stand for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import comb, factorial

import numpy as np
from numpy.typing import NDArray

from bnnverify.engines import flipsums, halves
from bnnverify.engines.contract import Search, Tally
from bnnverify.engines.packed import PackedTail, pack_tail, pattern_nanoseconds
from bnnverify.engines.residual import Residual
from bnnverify.errors import UnsupportedError
from bnnverify.residues import exactly

LONGEST_POLYNOMIAL = 8
SHORTEST_POLYNOMIAL = 24
PLAIN_BITS = 60
PUSH_SECONDS = 1e-7
START_SECONDS = 0.002


def supports(residual: Residual) -> bool:
    """Whether every flip costs the same, which merging needs."""
    return bool(np.all(residual.costs == 1))


def require_supported(residual: Residual) -> None:
    if not supports(residual):
        raise UnsupportedError("engine pushforward: cannot merge states under unequal costs; use enumerate")


def count_by_distance(residual: Residual, *, by_distance: bool) -> Tally:
    """Exact counts per class; one row a distance (flipped bits), or one row for all.

    Raises:
        UnsupportedError: if flips cost unequally.
        TooManyStatesError: if there are too many distinct states to keep.
    """
    require_supported(residual)
    problem = _Problem.of(residual)
    table = problem.table(by_distance or problem.radius < problem.n_items)
    rows = [_row(residual, counts) for counts in table]
    if by_distance:
        return Tally(rows, problem.road)
    return Tally([_row(residual, [sum(column) for column in zip(*table, strict=True)])], problem.road)


def find(residual: Residual, wanted: Iterable[int]) -> Search:
    """A nearest input of a wanted class, or None with the proof that there is none."""
    require_supported(residual)
    problem = _Problem.of(residual)
    goal = np.isin(residual.classes, list(wanted)).tolist()
    for distance, counts in enumerate(problem.table(True)):
        if _meets(counts, goal):
            return Search(_witness(problem, goal, distance), problem.road)
    return Search(None, problem.road)


def predicted_seconds(residual: Residual) -> float | None:
    """Rough estimate of the work from the number of moving neurons and flips; None if unsupported."""
    if not supports(residual):
        return None
    problem = _Problem.of(residual)
    if problem.by_polynomials:
        pushes = sum(_pushes(problem, j) for j in range(problem.radius))
        return START_SECONDS + PUSH_SECONDS * pushes
    states, pairs = halves.predicted_pairs(residual.columns)
    joining = pairs * pattern_nanoseconds(problem.tail) * 1e-9
    return START_SECONDS + PUSH_SECONDS * problem.n_items * states + joining


def _pushes(problem: _Problem, j: int) -> float:
    """Pushes from the states after j flips: how many there may be, times the columns that each still meets."""
    flips_left = problem.radius - j
    n_open = float(np.sum(np.abs(problem.slacks + 0.5) < flips_left)) + 1.0
    ways = float(min(j + 1, 2 * flips_left + 2)) ** min(problem.slacks.size, 60)
    states = min(float(comb(problem.n_items, j)), ways)
    return float(states * min(float(problem.n_items), 2.0 ** min(n_open, 60.0)))


@dataclass(frozen=True, eq=False)
class _Problem:
    """Some items of a residual network, the slacks they start from and the most of them that may flip."""

    columns: NDArray[np.int8]
    slacks: NDArray[np.int64]
    radius: int
    tail: PackedTail

    @classmethod
    def of(cls, residual: Residual) -> _Problem:
        budget, m = residual.region.budget, residual.items.size
        return cls(residual.columns, residual.slacks, m if budget is None else min(budget, m), pack_tail(residual))

    @property
    def n_items(self) -> int:
        return int(self.columns.shape[0])

    @property
    def by_polynomials(self) -> bool:
        """Whether flips are few enough, among enough bits, for symmetric polynomials to be the better road."""
        return self.radius <= LONGEST_POLYNOMIAL and self.n_items >= max(SHORTEST_POLYNOMIAL, 4 * self.radius)

    @property
    def road(self) -> str:
        return "symmetric polynomials of the flips" if self.by_polynomials else "two halves that meet in the middle"

    def table(self, by_distance: bool) -> list[list[int]]:
        """``[distance][class row]``: inputs that flip so many items; one row for all unless ``by_distance``."""
        return self._polynomial_table() if self.by_polynomials else self._halves_table(by_distance)

    def _polynomial_table(self) -> list[list[int]]:
        sums = flipsums.prepare(self.columns, self.slacks, self.tail)
        if flipsums.fits_plain(self.n_items, self.radius):
            return _unordered(flipsums.sphere_counts(sums, self.radius, 0), 0)
        largest = comb(self.n_items, self.radius)
        return exactly(lambda p: _unordered(flipsums.sphere_counts(sums, self.radius, p), p), largest)

    def _halves_table(self, by_distance: bool) -> list[list[int]]:
        problem = halves.Problem(self.columns, self.slacks, self.radius if by_distance else None, self.tail)
        if self.n_items < PLAIN_BITS:
            return halves.class_counts(problem, 0)
        return exactly(lambda p: halves.class_counts(problem, p), 1 << self.n_items)


def _unordered(table: list[list[int]], modulus: int) -> list[list[int]]:
    """Divide row j by j!, in integers or modulo a prime."""
    if modulus == 0:
        return [[n // factorial(j) for n in row] for j, row in enumerate(table)]
    return [[n * pow(factorial(j), -1, modulus) % modulus for n in row] for j, row in enumerate(table)]


def _row(residual: Residual, counts: list[int]) -> dict[int, int]:
    return {int(c): n for c, n in zip(residual.classes, counts, strict=True) if n}


def _meets(counts: list[int], goal: list[bool]) -> bool:
    return any(n and is_wanted for n, is_wanted in zip(counts, goal, strict=True))


def _witness(problem: _Problem, goal: list[bool], distance: int) -> Iterator[tuple[int, ...]]:
    """One set of exactly ``distance`` items that leads to a wanted class.

    The greatest first item of such a set is found by bisection, each step one count of a smaller
    problem; then the next item behind it.
    """
    chosen: list[int] = []
    slacks, m = problem.slacks, problem.n_items
    for left in range(distance, 0, -1):
        low, high = (chosen[-1] + 1 if chosen else 0), m - left
        while low < high:
            middle = (low + high + 1) // 2
            smaller = _Problem(problem.columns[middle:], slacks, left, problem.tail)
            exists = _meets(smaller.table(True)[left], goal)
            low, high = (middle, high) if exists else (low, middle - 1)
        chosen.append(low)
        slacks = slacks + problem.columns[low]
    yield tuple(chosen)
