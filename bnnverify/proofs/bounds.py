"""The rule for bounds: a literal follows from one row, the literals fixed so far, and the budget of flips.

Make the literal false. Then one half of its row must reach some sum, and the row contradicts it if it cannot. Open
literals count in full, unless they are false at the centre: turning those costs what the budget row says. What a
budget of L buys is bounded by linear duality: for every price p/q >= 0 of a unit of budget, gains w_i at costs c_i
add up to at most ``p/q L + sum of max(0, w_i - p/q c_i)``. Any price is sound; that of the first item that a greedy
purchase cannot afford is the best one, and exact where all costs are equal.

Reference: Dantzig, "Discrete-variable extremum problems", 1957.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.proofs.propagation import State, coded
from bnnverify.proofs.system import System


class Budget:
    """What the budget row of a system, if it has one, lets open variables do."""

    def __init__(self, system: System, state: State) -> None:
        self._system, self._state, self._value = system, state, state.value
        self._cost = np.zeros(system.n_variables + 1, dtype=np.int64)
        self._home = np.zeros(2 * system.n_variables + 2, dtype=np.bool_)
        self._row = system.row(0) if system.budgeted else None
        if self._row is not None:
            self._cost[np.abs(self._row.literals)] = self._row.weights
            self._home[coded(self._row.literals)] = True

    def implies(self, literal: int) -> bool:
        """Whether a literal follows from its defining row, or, for an input, from a row that it stands in."""
        row = int(self._state.row_of[abs(literal)])
        if row >= 0:
            return self._excludes(row, bool(literal < 0), 0)
        first, end = self._state.occurs_at[2 * abs(literal)], self._state.occurs_at[2 * abs(literal) + 2]
        return any(self._refutes(int(index), literal) for index in self._state.occurs_row[first:end])

    def _refutes(self, row: int, literal: int) -> bool:
        """Whether a row whose output is known cannot be met without the literal."""
        side = self._value[2 * self._system.outputs[row]]
        return bool(side != 0) and self._excludes(row, bool(side > 0), -literal)

    def _excludes(self, index: int, side: bool, assumed: int) -> bool:
        """Whether a row's sum cannot lie on one side of its bound, if a literal is assumed (0: none)."""
        row = self._system.row(index)
        literals = row.literals if side else -row.literals
        need = row.bound if side else int(row.weights.sum()) - row.bound + 1
        value = self._values(literals, assumed)
        paid = (value == 0) & (self._cost[np.abs(literals)] > 0) & ~self._home[coded(literals)]
        sure = int(row.weights[(value >= 0) & ~paid].sum())
        left = self._left(assumed)
        return left < 0 or sure + most_gain(row.weights[paid], self._cost[np.abs(literals[paid])], left) < need

    def _values(self, literals: NDArray[np.int64], assumed: int) -> NDArray[np.int8]:
        value = self._value[coded(literals)]
        if assumed:
            value = np.where(literals == assumed, 1, np.where(literals == -assumed, -1, value)).astype(np.int8)
        return value

    def _left(self, assumed: int) -> int:
        """What is left of the budget once everything false in its row is paid."""
        if self._row is None:
            return 0
        spent = self._row.weights[self._values(self._row.literals, assumed) < 0]
        return int(self._row.weights.sum()) - self._row.bound - int(spent.sum())


def most_gain(gains: NDArray[Any], costs: NDArray[np.int64], left: int) -> int:
    """An upper bound on the gains that a budget affords, exact where all costs are equal.

    >>> most_gain(np.array([3, 1, 2]), np.array([1, 1, 1]), 2)
    5
    """
    if not gains.size:
        return 0
    left -= left % int(np.gcd.reduce(costs))
    shown = gains if gains.dtype != object else gains * (1 << 53) // gains.max()
    dearest = np.argsort(-(shown.astype(np.float64) / costs), kind="stable")
    index = int(np.searchsorted(np.cumsum(costs[dearest]), left, side="right"))
    if index == gains.size:
        return int(gains.sum())
    p, q = int(gains[dearest[index]]), int(costs[dearest[index]])
    if 2 * int(gains.max()) * int(costs.max()) * gains.size >= 1 << 62:
        gains, costs = gains.astype(object), costs.astype(object)
    return (p * left + int(np.maximum(q * gains - p * costs, 0).sum())) // q
