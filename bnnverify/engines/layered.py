"""Direct compilation: a diagram's layers are the distinct states of the network, level by level.

Bits are decided in the order of the levels. What the rest of the network can still see of the decided
ones is the vector of slacks, the rest taken at the centre, and the budget left; inputs that agree in it
are one *state*. A slack that the flips still affordable cannot carry across zero is decided and
forgotten but for its sign; a state whose class is sure (:mod:`bnnverify.engines.settling`) keeps its class and
budget alone; a budget that pays for all that is left is no limit. What makes inputs valid (one-hot groups, say)
is followed along as a node of the theory's own diagram. So states merge long before the reduction, which then
makes equal nodes one (:mod:`bnnverify.diagram.reduce`).

Cost: 1 to 3 us a state, and one reduction. It takes any costs and any budget.
References: as for compiling knapsack and threshold constraints, Behle, "On threshold BDDs and the optimal variable
ordering problem", 2007.
"""

from __future__ import annotations

from math import comb, log2
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bnnverify.diagram.apply import constant
from bnnverify.diagram.flat import FALSE, TRUE, FlatDiagram
from bnnverify.diagram.reduce import Reducer
from bnnverify.diagram.unique import MOST_NODES, TooManyNodesError
from bnnverify.engines.packed import pack_tail
from bnnverify.engines.residual import Residual, suffix_sums
from bnnverify.engines.settling import make_settler, sure_winner
from bnnverify.engines.statemap import row_hash

FIRST_STATES = 1 << 12
FAR: dict[type[np.signedinteger[Any]], int] = {np.int8: 120, np.int16: 32_000, np.int32: 1 << 30}
MARGIN = 20


class Leveled(NamedTuple):
    """A residual network in the order of the levels, as arrays that kernels take.

    ``columns`` flat, k a level: what the level's flip adds to the slacks; ``flip_value`` ``(m,)`` the value of a
    flipped bit; ``costs`` ``(m,)``; ``owed`` and ``cheapest`` ``(m + 1,)`` the total and the least cost of the
    levels from one on; ``rising`` and ``falling`` ``(m + 1, k)`` how many of them raise or lower a slack. A row
    of a state is ``width`` slots: the slacks, padding, and two words, the node of the theory, then budget and
    class. ``far`` stands for a decided slack.
    """

    columns: NDArray[np.int64]
    flip_value: NDArray[np.int64]
    costs: NDArray[np.int64]
    owed: NDArray[np.int64]
    cheapest: NDArray[np.int64]
    rising: NDArray[np.int64]
    falling: NDArray[np.int64]
    k: int
    width: int
    far: int


def compile_layered(
    residual: Residual,
    levels: NDArray[np.int64],
    *,
    theory: FlatDiagram | None = None,
    node_limit: int = MOST_NODES,
) -> tuple[FlatDiagram, int]:
    """The diagram of a residual network, one root an entry of ``residual.classes``, and its number of states.

    Args:
        levels: ``(m,)`` the item at each level.
        theory: a diagram over the same levels whose first root must hold as well; by default anything is valid.
        node_limit: most states, and most nodes.

    Raises:
        TooManyNodesError: past the limit.
    """
    n_labels = residual.classes.size + 1
    reducer = Reducer(n_labels, levels.size, node_limit)
    valid = constant(levels.size, True) if theory is None else theory
    layers = _layers(residual, levels, valid, node_limit)
    labels, below = np.arange(n_labels, dtype=np.int32), np.array([_first_label(residual, valid)], dtype=np.int32)
    for level in range(len(layers) - 1, -1, -1):
        successors = np.concatenate([below, labels[::-1]])
        below = reducer.merge(level, *successors[layers[level]])
    return reducer.by_label(int(below[0]), range(n_labels - 1)), sum(layer.shape[1] for layer in layers)


def most_states(residual: Residual, levels: NDArray[np.int64]) -> float:
    """An upper bound of the states of all layers, from the values that single slacks can have.

    At a level, a slack has at most one value more than the bits before that touch it, and those it can still
    cross zero from, besides two that are decided; inputs of a budget are no more than the subsets of the bits before.
    """
    columns, m = residual.columns[levels], levels.size
    after = suffix_sums(columns != 0).astype(np.float64)
    values = np.log2(np.minimum(after[0] - after + 1.0, after + 2.0)).sum(axis=1)
    unlimited = residual.region.budget is None
    budgets = 1.0 if unlimited else min(residual.region.radius, m) + 1.0
    total = 0.0
    for level in range(m):
        subsets = float(level) if unlimited else _log2_subsets(level, residual.region.radius)
        total += 2.0 ** min(values[level], subsets, 1000.0)
    return total * budgets


def _log2_subsets(n: int, most: int) -> float:
    """The logarithm of the number of subsets of n bits of at most so many."""
    return log2(sum(comb(n, k) for k in range(min(n, most) + 1))) if most >= 0 else 0.0


def _first_label(residual: Residual, valid: FlatDiagram) -> int:
    """The label of a region of one input or none, where there is no layer."""
    return 0 if residual.region.radius >= 0 and valid.roots[0] != FALSE else residual.classes.size


def _layers(residual: Residual, levels: NDArray[np.int64], valid: FlatDiagram, limit: int) -> list[NDArray[np.int32]]:
    """For each level the two successors of every state, ``(2, states)``: a state of the next, or -1 - label."""
    if residual.region.radius < 0 or valid.roots[0] == FALSE:
        return []
    problem, rows = _leveled(residual, levels, int(valid.roots[0]))
    theory = valid.level, valid.low, valid.high
    tail, n, total, layers = pack_tail(residual), 1, 0, []
    settler = make_settler(residual, levels, tail)
    for level in range(levels.size):
        children = np.empty((2, n), dtype=np.int32)
        rows, n = _expand(
            rows, np.int64(n), np.int64(level), problem, theory, tail, settler, children, np.int64(limit - total)
        )
        total += n
        if total > limit:
            raise TooManyNodesError(limit)
        layers.append(children)
    return layers


def _leveled(residual: Residual, levels: NDArray[np.int64], first_valid: int) -> tuple[Leveled, NDArray[Any]]:
    """The problem, and the row of the first state."""
    columns, costs = residual.columns[levels].astype(np.int64), residual.costs[levels]
    region = residual.region
    rising, falling = suffix_sums(columns > 0), suffix_sums(columns < 0)
    dtype = _narrowest(int(max(rising.max(initial=0), falling.max(initial=0))))
    k, far = columns.shape[1], FAR[dtype]
    per_word = 8 // np.dtype(dtype).itemsize
    width = (-(-k // per_word) + 2) * per_word
    owed = suffix_sums(costs[:, None])[:, 0]
    centre = region.center[region.free[residual.items[levels]]]
    row = np.zeros(width, dtype=dtype)
    row[:k] = residual.slacks.clip(-far, far)
    budget = int(owed[0]) if region.budget is None else min(region.budget, int(owed[0]))
    label = 0 if residual.settled is None else 1
    row.view(np.uint64)[-2:] = np.uint64(first_valid), np.uint64(budget) << np.uint64(8) | np.uint64(label)
    cheapest = np.minimum.accumulate(np.append(costs, 1 << 62)[::-1])[::-1]
    problem = Leveled(
        columns.reshape(-1),
        (centre < 0).astype(np.int64),
        costs,
        owed,
        np.ascontiguousarray(cheapest),
        rising,
        falling,
        k,
        width,
        far,
    )
    return problem, row


def _narrowest(reach: int) -> type[np.signedinteger[Any]]:
    """The narrowest integers in which slacks that move by at most ``reach`` stay clear of a decided one."""
    return next(dtype for dtype, far in FAR.items() if reach + MARGIN <= far)


@njit(cache=True, nogil=True)
def _grown(rows, n, words):  # type: ignore[no-untyped-def]
    """The rows with twice the room, and the table of the first n."""
    more = np.zeros(2 * rows.size, dtype=rows.dtype)
    more[: rows.size] = rows
    keys = more.view(np.uint64).reshape(-1, words)
    table = np.full(2 * keys.shape[0], -1, dtype=np.int32)
    for row in range(n):
        slot = row_hash(keys, row, words) & np.uint64(table.size - 1)
        while table[slot] >= 0:
            slot = (slot + np.uint64(1)) & np.uint64(table.size - 1)
        table[slot] = row
    return more, table


@njit(cache=True, nogil=True)
def _move(rows, source, target_rows, target, flips, affordable, at, problem, context, signs):  # type: ignore[no-untyped-def]
    """Write the slacks after a level's bit, those that are decided as such, and which bits are known."""
    k, far, columns = problem.k, problem.far, problem.columns
    rising, falling = problem.rising, problem.falling
    for w in range(context.shape[2]):
        context[0, 0, w], context[0, 1, w], signs[w] = 0, 0, 0
    for j in range(k):
        slack = np.int64(rows[source + j])
        if flips:
            slack += columns[at * k + j]
        bit = np.uint64(1) << np.uint64(j & 63)
        if slack >= 0:
            signs[j >> 6] |= bit
        if slack >= min(affordable, falling[at + 1, j]):
            slack = far
            context[0, 0, j >> 6] |= bit
            context[0, 1, j >> 6] |= bit
        elif slack + min(affordable, rising[at + 1, j]) < 0:
            slack = -far
            context[0, 0, j >> 6] |= bit
        target_rows[target + j] = slack


@njit(cache=True, nogil=True)
def _expand(rows, n, at, problem, theory, tail, settler, children, limit):  # type: ignore[no-untyped-def]
    """The states of the next level: their rows and number; fills ``children``. Stops early past ``limit`` states."""
    width, words = problem.width, problem.width * rows.itemsize // 8
    keys = rows.view(np.uint64).reshape(-1, words)
    to_rows = np.zeros(FIRST_STATES * width, dtype=rows.dtype)
    to_keys = to_rows.view(np.uint64).reshape(-1, words)
    table, found = np.full(2 * FIRST_STATES, -1, dtype=np.int32), np.int64(0)
    theory_level, theory_low, theory_high = theory
    owed, cheapest, outside = problem.owed[at + 1], problem.cheapest[at + 1], -1 - tail.slopes.size
    for s in range(n):
        meta = keys[s, words - 1]
        budget, before = np.int64(meta >> np.uint64(8)), np.int64(keys[s, words - 2])
        for bit in range(2):
            valid = before
            if theory_level[before] == at:
                valid = np.int64(theory_high[before] if bit else theory_low[before])
            flips = bit == problem.flip_value[at]
            left = min(budget - problem.costs[at] if flips else budget, owed)
            if left < 0 or valid == FALSE:
                children[bit, s] = outside
                continue
            winner = np.int64(meta & np.uint64(255)) - 1
            if winner < 0:
                affordable = left // cheapest
                _move(
                    rows,
                    s * width,
                    to_rows,
                    found * width,
                    flips,
                    affordable,
                    at,
                    problem,
                    settler.context,
                    settler.signs,
                )
                winner = sure_winner(affordable, tail, settler)
            if winner >= 0:
                if left == owed and valid == TRUE:
                    children[bit, s] = -1 - winner
                    continue
                to_keys[found, :] = 0
            to_keys[found, words - 2] = valid
            to_keys[found, words - 1] = np.uint64(left) << np.uint64(8) | np.uint64(winner + 1)
            slot = row_hash(to_keys, found, words) & np.uint64(table.size - 1)
            while table[slot] >= 0 and (to_keys[table[slot]] != to_keys[found]).any():
                slot = (slot + np.uint64(1)) & np.uint64(table.size - 1)
            if table[slot] < 0:
                table[slot] = found
                found += 1
                if found > limit:
                    return to_rows, found
            children[bit, s] = table[slot]
            if found == to_keys.shape[0]:
                to_rows, table = _grown(to_rows, found, words)
                to_keys = to_rows.view(np.uint64).reshape(-1, words)
    return to_rows, found
