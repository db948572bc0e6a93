"""The decision diagram of a linear constraint, as a grid of states, inside a region or not.

Read the terms one after the other: what the rest must still do depends only on the sum so far, so the states of a
level are sums, and each is one if-then-else of two states of the next level. Sums that the remaining terms cannot
tell apart are one state (state k of a level: exactly k of the sums that the rest can make are too small), and states
that are decided are constants. The grid is laid top-down, in numpy, so that only states that some input reaches are
built, and the functions are made bottom-up.

A cardinality constraint, at least k of n, has at most (i + 1) states at level i and at most min(k, n - k + 1) that
are open: n min(k, n - k + 1) nodes in all, for any order. A linear constraint has at most as many a level as there
are distinct sums. The operands may be any functions, not only variables.

Inside a ball (*budget*), states are pairs of flips spent and sum. At most r flips move a sum by at most r, so a level
has at most r (2 r + 1) states, whatever the number of variables. The function built is right within the budget;
beyond it is whatever is smallest.

References: Een, Sorensson, "Translating pseudo-Boolean constraints into SAT", 2006; Abio et al., "A new look at BDDs
for pseudo-Boolean constraints", 2012.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoders.cardinality import Cardinality
from encoders.manager import Function, Manager

FALSE, TRUE = 0, 1
MOST = (1 << 63) - 1


@dataclass(frozen=True, eq=False)
class Grid:
    """States by level; a child is FALSE, TRUE or 2 + the number of a state of the next level.

    Args:
        low, high: one array a level, the next state where the term is absent or present; level 0 has one state
            or, if the whole constraint is constant, there are no levels.
        start: FALSE, TRUE, or 2 for the one state of level 0.
    """

    low: tuple[NDArray[np.int64], ...]
    high: tuple[NDArray[np.int64], ...]
    start: int

    @property
    def n_states(self) -> int:
        return sum(level.size for level in self.low)


def linear_grid(coefficients: Sequence[int] | NDArray[np.int64], bound: int) -> Grid:
    """The grid of ``sum_i coefficients[i] * x_i >= bound`` over x in {0, 1}.

    Complexity: O(n s log s) for at most s distinct sums a level.
    """
    terms = np.asarray(coefficients, dtype=np.int64)
    sums = _suffix_sums(terms, bound)
    needed = np.array([bound], dtype=np.int64)
    start, lows, highs = int(_state(sums[0], needed)[0]), [], []
    for term, after in zip(terms if start > TRUE else (), sums[1:], strict=False):
        bounds = np.concatenate([needed, needed - term])
        children, first = _numbered(_state(after, bounds))
        lows.append(children[: needed.size])
        highs.append(children[needed.size :])
        needed = bounds[first]
    return Grid(tuple(lows), tuple(highs), min(start, 2))


def ball_grid(
    coefficients: Sequence[int] | NDArray[np.int64],
    bound: int,
    costs: Sequence[int] | NDArray[np.int64],
    budget: int,
) -> Grid:
    """The same, for coefficients +1, -1 and 0, at all x with ``sum_i costs[i] * x_i <= budget``; elsewhere anything.

    Args:
        costs: positive.
        budget: at least 0.

    Complexity: O(n s log s) for at most s pairs of budget left and sum a level.
    """
    terms, prices = np.asarray(coefficients, dtype=np.int64), np.asarray(costs, dtype=np.int64)
    gains, losses = (_cheapest(helps, prices) for helps in (terms > 0, terms < 0))
    needed, left = np.array([bound], dtype=np.int64), np.array([budget], dtype=np.int64)
    start, lows, highs = int(_ball_state(needed, left, gains[0], losses[0])[0]), [], []
    for i in range(terms.size if start > TRUE else 0):
        affordable = left >= prices[i]
        bounds = np.concatenate([needed, needed - terms[i] * affordable])
        budgets = np.concatenate([left, left - prices[i] * affordable])
        children, first = _numbered(_ball_state(bounds, budgets, gains[i + 1], losses[i + 1]))
        lows.append(children[: needed.size])
        highs.append(children[needed.size :])
        needed, left = bounds[first], budgets[first]
    return Grid(tuple(lows), tuple(highs), min(start, 2))


def build(manager: Manager, grid: Grid, operands: Sequence[Function]) -> Function:
    """The function of a grid whose i-th term is the i-th operand; one if-then-else a state."""
    constants = [manager.false, manager.true]
    after: list[Function] = []
    for operand, low, high in reversed(list(zip(operands, grid.low, grid.high, strict=False))):
        known = constants + after
        pairs = zip(low.tolist(), high.tolist(), strict=True)
        after = [manager.ite(operand, known[b], known[a]) for a, b in pairs]
    return (constants + after)[grid.start]


def cardinality_diagram(manager: Manager, constraint: Cardinality, operands: Sequence[Function]) -> Function:
    """The diagram of a cardinality constraint; ``operands[v]`` is the function of variable v.

    With an output, the result is true where the output literal equals the constraint.
    """
    chosen = sorted(constraint.literals, key=abs)
    bound = constraint.bound - sum(literal < 0 for literal in chosen)
    grid = linear_grid([1 if literal > 0 else -1 for literal in chosen], bound)
    holds = build(manager, grid, [operands[abs(literal) - 1] for literal in chosen])
    if constraint.output is None:
        return holds
    output = operands[abs(constraint.output) - 1]
    return equivalence(manager, output, holds if constraint.output > 0 else manager.negation(holds))


def equivalence(manager: Manager, f: Function, g: Function) -> Function:
    """Whether f equals g."""
    return manager.ite(f, g, manager.negation(g))


def _suffix_sums(terms: NDArray[np.int64], bound: int) -> list[NDArray[np.int64]]:
    """For each i, the sorted sums of subsets of the terms from i on, as far as the bound can meet them.

    What the terms before i leave of the bound lies between two values; sums beyond these and the next are dropped.
    """
    most, least = (np.concatenate([[0], np.cumsum(part)]) for part in (np.maximum(terms, 0), np.minimum(terms, 0)))
    sums = [np.zeros(1, dtype=np.int64)]
    for i in range(terms.size - 1, -1, -1):
        all_sums = np.unique(np.concatenate([sums[-1], sums[-1] + terms[i]]))
        window = max(bound - int(most[i]), -MOST), min(bound - int(least[i]) + 1, MOST)
        first, last = np.searchsorted(all_sums, window)
        sums.append(all_sums[max(first - 1, 0) : last + 1])
    return sums[::-1]


def _state(sums: NDArray[np.int64], bounds: NDArray[np.int64]) -> NDArray[np.int64]:
    """FALSE or TRUE where decided, else 1 + the number of sums that are too small."""
    too_small = np.searchsorted(sums, bounds)
    return np.where(too_small == 0, TRUE, np.where(too_small == sums.size, FALSE, too_small + 1))


def _ball_state(
    bounds: NDArray[np.int64],
    left: NDArray[np.int64],
    gains: NDArray[np.int64],
    losses: NDArray[np.int64],
) -> NDArray[np.int64]:
    """FALSE or TRUE where what is left of the budget cannot change it, else a number for the pair."""
    most, least = np.searchsorted(gains, left, side="right"), -np.searchsorted(losses, left, side="right")
    pair = (bounds - bounds.min(initial=0)) * (left.max(initial=0) + 1) + left + TRUE + 1
    return np.where(least >= bounds, TRUE, np.where(most < bounds, FALSE, pair))


def _cheapest(helps: NDArray[np.bool_], prices: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """For each i, what the cheapest 1, 2, ... of the helping terms from i on cost together."""
    return [np.cumsum(np.sort(prices[i:][helps[i:]])) for i in range(helps.size + 1)]


def _numbered(state: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Open states renumbered from 2, and where each occurs first."""
    distinct, first, place = np.unique(state, return_index=True, return_inverse=True)
    is_open = distinct > TRUE
    number = np.where(is_open, np.cumsum(is_open) + TRUE, distinct)
    return number[place], first[is_open]
