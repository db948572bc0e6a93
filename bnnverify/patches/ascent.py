"""Makes factors agree on the neurons they share: Lagrange multipliers by sequential min-marginal averaging.

Every factor adds a multiplier for each neuron of its scope that is +1; multipliers of one neuron cancel over all
factors, so the minima of the factors add up to a bound whatever the multipliers are. A sweep visits the factors in
turn: each takes the leftovers of its neurons, computes how much better +1 is than -1 for each (the min-marginals),
keeps its share, and hands the rest to the factors to come (Kolmogorov's TRW-S, SRMP 2015). The bound never falls.
Sweeps alternate in direction. Cost of a sweep: patterns times neurons of the scopes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bnnverify.patches.factors import Factor

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Problem:
    """Factors as flat arrays; neurons are numbered 0.. in order of appearance."""

    codes: Integers
    pattern_offsets: Integers
    members: Integers
    scope_offsets: Integers
    uses: Integers

    @classmethod
    def of(cls, factors: list[Factor]) -> Problem:
        """The same factors, flat."""
        scopes = np.concatenate([np.empty(0, np.int64), *(f.scope for f in factors)])
        _, members = np.unique(scopes, return_inverse=True)
        codes = np.concatenate([np.empty(0, np.int64), *(f.codes for f in factors)])
        patterns, entries = (
            [0, *np.cumsum([len(v) for v in lists])]
            for lists in zip(*((f.codes, f.scope) for f in factors), strict=True)
        )
        offsets = np.array(patterns, dtype=np.int64), np.array(entries, dtype=np.int64)
        return cls(codes, offsets[0], members.astype(np.int64), offsets[1], np.bincount(members).astype(np.int64))


def ascend(problem: Problem, values: Floats, multipliers: Floats, *, enough: float, sweeps: int) -> float:
    """Improve the multipliers ``(members,)`` in place until the bound is ``enough`` or the sweeps are used up.

    Args:
        values: ``(patterns,)`` least contribution of each pattern.

    Returns:
        The bound.
    """
    leftovers = np.zeros(problem.uses.size)
    flat = (problem.codes, problem.pattern_offsets, problem.members, problem.scope_offsets)
    bound = _bound(values, *flat, multipliers, leftovers)
    for sweep in range(sweeps):
        if bound >= enough:
            break
        _sweep(values, *flat, problem.uses, multipliers, leftovers, bool(sweep % 2))
        bound = _bound(values, *flat, multipliers, leftovers)
    return float(bound)


@njit(cache=True, nogil=True)
def _tilted(values, codes, multipliers, first, last, start, stop, tilted):  # type: ignore[no-untyped-def]
    """Values of one factor's patterns with its multipliers added; returns the least."""
    least = np.inf
    for q in range(start, stop):
        value = values[q]
        for i in range(first, last):
            if codes[q] >> (i - first) & 1:
                value += multipliers[i]
        tilted[q - start] = value
        least = min(least, value)
    return least


@njit(cache=True, nogil=True)
def _bound(values, codes, pattern_offsets, members, scope_offsets, multipliers, leftovers):  # type: ignore[no-untyped-def]
    total = 0.0
    for v in range(leftovers.size):
        total += min(0.0, leftovers[v])
    tilted = np.empty(np.max(np.diff(pattern_offsets)))
    for p in range(pattern_offsets.size - 1):
        span = (scope_offsets[p], scope_offsets[p + 1], pattern_offsets[p], pattern_offsets[p + 1])
        total += _tilted(values, codes, multipliers, *span, tilted)
    return total


@njit(cache=True, nogil=True)
def _sweep(values, codes, pattern_offsets, members, scope_offsets, uses, multipliers, leftovers, backwards):  # type: ignore[no-untyped-def]
    n = pattern_offsets.size - 1
    tilted = np.empty(np.max(np.diff(pattern_offsets)))
    to_come = uses.copy()
    for step in range(n):
        p = n - 1 - step if backwards else step
        first, last, start, stop = scope_offsets[p], scope_offsets[p + 1], pattern_offsets[p], pattern_offsets[p + 1]
        for i in range(first, last):
            multipliers[i] += leftovers[members[i]]
            leftovers[members[i]] = 0.0
        _tilted(values, codes, multipliers, first, last, start, stop, tilted)
        spread = 2.0 * (tilted[: stop - start].max() - tilted[: stop - start].min()) + 1.0
        for i in range(first, last):
            v = members[i]
            gain = _gain(tilted, codes, start, stop, i - first, spread) * (1.0 - 1.0 / to_come[v])
            multipliers[i] -= gain
            leftovers[v] += gain
            to_come[v] -= 1
            for q in range(start, stop):
                if codes[q] >> (i - first) & 1:
                    tilted[q - start] -= gain


@njit(cache=True, nogil=True)
def _gain(tilted, codes, start, stop, place, spread):  # type: ignore[no-untyped-def]
    """How much the least value with the bit exceeds that without it; at most ``spread`` where one does not occur."""
    least = np.full(2, np.inf)
    for q in range(start, stop):
        bit = codes[q] >> place & 1
        least[bit] = min(least[bit], tilted[q - start])
    return min(max(least[1] - least[0], -spread), spread)
