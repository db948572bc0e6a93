"""Boolean operations on flat diagrams: walk pairs of nodes, each pair once.

The result of an operation on two diagrams depends, below a pair of nodes, on that pair alone; so a
depth-first walk over pairs with a memo builds the result, at most |A| |B| nodes and mostly far fewer.
Both diagrams must have the same variables in the same order.

References: Bryant, "Graph-based algorithms for Boolean function manipulation", 1986.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bnnverify.diagram.flat import FALSE, TRUE, FlatDiagram, trimmed
from bnnverify.diagram.unique import MOST_NODES, TooManyNodesError, doubled, empty, node_of
from bnnverify.errors import UsageError

Operation = tuple[int, int, int, int]

AND: Operation = (0, 0, 0, 1)
OR: Operation = (0, 1, 1, 1)
XOR: Operation = (0, 1, 1, 0)
DIFF: Operation = (0, 0, 1, 0)
IFF: Operation = (1, 0, 0, 1)


def combine(
    a: FlatDiagram,
    b: FlatDiagram,
    pairs: Sequence[tuple[int, int]],
    operation: Operation,
    *,
    node_limit: int | None = None,
) -> FlatDiagram:
    """One operation on several pairs of functions.

    Args:
        pairs: ``(i, j)``: root i of ``a`` with root j of ``b``, one root of the result each.
        operation: results for the values (0, 0), (0, 1), (1, 0), (1, 1) of a pair.
        node_limit: most nodes of the result while it is built.

    Raises:
        UsageError: if the diagrams have different numbers of levels.
        TooManyNodesError: past the node limit.

    Complexity: O(|A| |B|) at worst, about 100 ns a pair that is met.
    """
    if a.n_levels != b.n_levels:
        raise UsageError(f"diagrams of {a.n_levels} and {b.n_levels} levels: expected the same variables")
    first, second = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    limit = MOST_NODES if node_limit is None else node_limit
    level, low, high, roots, n = _apply(
        a.level, a.low, a.high, b.level, b.low, b.high, a.roots[first], b.roots[second],
        np.array(operation, dtype=np.int32), np.int64(a.n_levels), np.int64(limit),
    )  # fmt: skip
    if n > limit:
        raise TooManyNodesError(limit)
    return trimmed(level[:n], low[:n], high[:n], roots, a.n_levels)


def union(diagram: FlatDiagram, roots: Sequence[int], *, node_limit: int | None = None) -> FlatDiagram:
    """The diagram of one root that is true where any of these is; errors and cost as :func:`combine`."""
    parts = [diagram.with_roots([root]) for root in roots] or [constant(diagram.n_levels, False)]
    while len(parts) > 1:
        joined = [
            combine(p, q, [(0, 0)], OR, node_limit=node_limit) for p, q in zip(parts[::2], parts[1::2], strict=False)
        ]
        parts = joined + parts[len(parts) // 2 * 2 :]
    return parts[0]


def complement(diagram: FlatDiagram) -> FlatDiagram:
    """The diagram of the negated roots; O(nodes), without new ones."""
    swapped = np.array([TRUE, FALSE], dtype=np.int32)
    low, high, roots = (np.where(nodes < 2, swapped[nodes.clip(max=1)], nodes) for nodes in _edges(diagram))
    low[:2], high[:2] = (FALSE, TRUE), (FALSE, TRUE)
    return replace(diagram, low=low, high=high, roots=roots)


def _edges(diagram: FlatDiagram) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    return diagram.low, diagram.high, diagram.roots


def constant(n_levels: int, value: bool) -> FlatDiagram:
    """The diagram of one constant function."""
    terminals = np.array([FALSE, TRUE])
    return FlatDiagram(np.full(2, n_levels), terminals, terminals, np.array([int(value)]), n_levels)


def cube(n_levels: int, fixed: dict[int, bool]) -> FlatDiagram:
    """The diagram of one root that is true where the levels in ``fixed`` have these values."""
    level, low, high = [n_levels, n_levels], [FALSE, TRUE], [FALSE, TRUE]
    node = TRUE
    for at in sorted(fixed, reverse=True):
        level.append(at)
        low.append(FALSE if fixed[at] else node)
        high.append(node if fixed[at] else FALSE)
        node = len(level) - 1
    return FlatDiagram(np.array(level), np.array(low), np.array(high), np.array([node]), n_levels)


@njit(cache=True, nogil=True)
def _settled(a, b, outcomes):  # type: ignore[no-untyped-def]
    """The operation's value on a pair of which a terminal decides it, else -1."""
    if a < 2 and b < 2:
        return outcomes[2 * a + b]
    if a < 2 and outcomes[2 * a] == outcomes[2 * a + 1]:
        return outcomes[2 * a]
    if b < 2 and outcomes[b] == outcomes[2 + b]:
        return outcomes[b]
    return np.int32(-1)


@njit(cache=True, nogil=True)
def _place(keys, key):  # type: ignore[no-untyped-def]
    """Where a pair is in the memo, or the empty slot where it belongs; no pair that is looked up is 0."""
    mask = np.uint64(keys.size - 1)
    mixed = key * np.uint64(0x9E3779B97F4A7C15)
    slot = (mixed ^ (mixed >> np.uint64(31))) & mask
    while keys[slot] != 0 and keys[slot] != key:
        slot = (slot + np.uint64(1)) & mask
    return slot


@njit(cache=True, nogil=True)
def _result(a, b, outcomes, keys, values):  # type: ignore[no-untyped-def]
    """The node of a pair, if it is known, else -1."""
    settled = _settled(a, b, outcomes)
    if settled >= 0:
        return settled
    key = np.uint64(a) << np.uint64(32) | np.uint64(b)
    slot = _place(keys, key)
    return values[slot] if keys[slot] == key else np.int32(-1)


@njit(cache=True, nogil=True)
def _rehashed(keys, values):  # type: ignore[no-untyped-def]
    more_keys, more_values = np.zeros(2 * keys.size, np.uint64), np.zeros(2 * keys.size, np.int32)
    for slot in range(keys.size):
        if keys[slot] != 0:
            to = _place(more_keys, keys[slot])
            more_keys[to], more_values[to] = keys[slot], values[slot]
    return more_keys, more_values


@njit(cache=True, nogil=True)
def _apply(a_level, a_low, a_high, b_level, b_low, b_high, a_roots, b_roots, outcomes, n_levels, limit):  # type: ignore[no-untyped-def]
    """Nodes ``(level, low, high)`` of the result, its roots, and how many nodes (past ``limit``: given up)."""
    level, low, high, table = empty(2, n_levels)
    n, known = np.int64(2), np.int64(0)
    keys, values = np.zeros(1 << 12, np.uint64), np.zeros(1 << 12, np.int32)
    stack = np.zeros((2 * n_levels + 4, 2), np.int64)
    roots = np.zeros(a_roots.size, np.int32)
    for r in range(a_roots.size):
        stack[0, 0], stack[0, 1], depth = a_roots[r], b_roots[r], 1
        while depth > 0 and n <= limit:
            a, b = stack[depth - 1]
            if _result(a, b, outcomes, keys, values) >= 0:
                depth -= 1
                continue
            at = min(a_level[a], b_level[b])
            a0, a1 = (a_low[a], a_high[a]) if a_level[a] == at else (np.int32(a), np.int32(a))
            b0, b1 = (b_low[b], b_high[b]) if b_level[b] == at else (np.int32(b), np.int32(b))
            if_low = _result(a0, b0, outcomes, keys, values)
            if_high = _result(a1, b1, outcomes, keys, values)
            if if_low < 0:
                stack[depth, 0], stack[depth, 1] = a0, b0
                depth += 1
            if if_high < 0:
                stack[depth, 0], stack[depth, 1] = a1, b1
                depth += 1
            if if_low < 0 or if_high < 0:
                continue
            if n == level.size:
                level, low, high, table = doubled(level, low, high, table, n, 2)
            node = node_of(level, low, high, table, n, at, if_low, if_high)
            n += node == n
            key = np.uint64(a) << np.uint64(32) | np.uint64(b)
            slot = _place(keys, key)
            keys[slot], values[slot] = key, node
            known += 1
            depth -= 1
            if 2 * known > keys.size:
                keys, values = _rehashed(keys, values)
        if n <= limit:
            roots[r] = _result(a_roots[r], b_roots[r], outcomes, keys, values)
    return level, low, high, roots, n
