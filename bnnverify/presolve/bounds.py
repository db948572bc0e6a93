"""Interval bounds of rows over flips, where a budget bounds what all flips cost together.

The greatest value of a row within a budget is a knapsack. By Lagrange, for every price p of a unit of cost the sum
of ``max(0, value - p cost)`` plus p times the budget is an upper bound; the best price is that of the flip at which a
greedy choice runs out. With costs of 1 that is exact: the values of the r best flips. A price found by floats is as
sound as any other, since the bound is then computed in integers.

Reference: Dantzig, "Discrete-variable extremum problems", 1957.
"""

from __future__ import annotations

import numpy as np

from bnnverify.presolve.rows import Longs, Rows


def flip_range(rows: Rows, costs: Longs, budget: int | None) -> tuple[Longs, Longs]:
    """Bounds of each row over all flips within the budget: least, greatest; exact for costs of 0 and 1."""
    if budget is None:
        return rows.range()
    gain, loss = (_most(rows, sign * rows.weights, costs, budget) for sign in (1, -1))
    return rows.constants - loss, rows.constants + gain


def _most(rows: Rows, values: Longs, costs: Longs, budget: int) -> Longs:
    """Per row, at least the greatest sum of values whose costs stay within the budget."""
    cost = costs[rows.columns]
    useful = (values > 0) & (cost <= budget)
    values = np.where(useful, values, 0)
    value_at, cost_at = _break_flip(rows, values, np.where(useful, cost, 0), budget)
    reduced = np.maximum(values * cost_at[rows.row] - value_at[rows.row] * cost, 0)
    most: Longs = (rows.sums(np.where(useful, reduced, 0)) + value_at * budget) // cost_at
    return most


def _break_flip(rows: Rows, values: Longs, cost: Longs, budget: int) -> tuple[Longs, Longs]:
    """Per row, value and cost of the flip at which a greedy choice runs out of budget; 0 and 1 if it does not."""
    worth = np.where(values > 0, np.divide(values, cost, out=np.full(cost.size, np.inf), where=cost > 0), -1.0)
    order = np.lexsort((-worth, rows.row))
    spent = np.concatenate([[0], np.cumsum(cost[order])])
    over = np.flatnonzero(spent[1:] - spent[rows.starts[rows.row]] > budget)
    where, first = np.unique(rows.row[over], return_index=True)
    value_at, cost_at = np.zeros(rows.n_rows, dtype=np.int64), np.ones(rows.n_rows, dtype=np.int64)
    broken = order[over[first]]
    value_at[where], cost_at[where] = values[broken], cost[broken]
    return value_at, cost_at
