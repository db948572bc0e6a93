"""The unique table: nodes that are equal are one node, which is what reduces a diagram.

An open-addressing hash table of (level, low, high), in numba, beside the growing arrays of the nodes.
Kernels keep the arrays in local variables and call :func:`node_of` a node; before they do, they make room
with :func:`doubled`, since a function that is called a hundred million times should not return arrays.
"""

from __future__ import annotations

import numpy as np
from numba import njit

FIRST_CAPACITY = 1 << 12
MOST_NODES = 1 << 29


class TooManyNodesError(MemoryError):
    """A diagram outgrew its node limit; as for memory that runs out, a query's verdict is then MEMOUT."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"more than {limit:,} nodes")
        self.limit = limit


@njit(cache=True, nogil=True)
def _slot(level, low, high, size):  # type: ignore[no-untyped-def]
    mixed = (np.uint64(low) << np.uint64(32) | np.uint64(high)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(29)) ^ np.uint64(level)) * np.uint64(0xD6E8FEB86659FD93)
    return np.int64((mixed >> np.uint64(20)) & np.uint64(size - 1))


@njit(cache=True, nogil=True)
def node_of(level, low, high, table, n, at, if_low, if_high):  # type: ignore[no-untyped-def]
    """The node ``(at, if_low, if_high)``: its child where both are equal, an old node, or node n, newly written.

    The arrays must have room for node n; the caller counts it if it is returned.
    """
    if if_low == if_high:
        return if_low
    slot = _slot(at, if_low, if_high, table.size)
    while table[slot] >= 0:
        node = table[slot]
        if low[node] == if_low and high[node] == if_high and level[node] == at:
            return node
        slot = (slot + 1) & (table.size - 1)
    table[slot] = n
    level[n], low[n], high[n] = at, if_low, if_high
    return np.int32(n)


@njit(cache=True, nogil=True)
def empty(n_terminals, n_levels):  # type: ignore[no-untyped-def]
    """``(level, low, high, table)`` with the terminals 0..n_terminals - 1."""
    level = np.zeros(FIRST_CAPACITY, dtype=np.int32)
    low, high = np.zeros_like(level), np.zeros_like(level)
    for terminal in range(n_terminals):
        level[terminal], low[terminal], high[terminal] = n_levels, terminal, terminal
    return level, low, high, np.full(2 * FIRST_CAPACITY, -1, dtype=np.int32)


@njit(cache=True, nogil=True)
def doubled(level, low, high, table, n, n_terminals):  # type: ignore[no-untyped-def]
    """The arrays with twice the room, the first n nodes kept; for callers that find n == level.size."""
    capacity = 2 * level.size
    deeper, lower, higher = np.zeros(capacity, np.int32), np.zeros(capacity, np.int32), np.zeros(capacity, np.int32)
    deeper[:n], lower[:n], higher[:n] = level[:n], low[:n], high[:n]
    wider = np.full(2 * capacity, -1, dtype=np.int32)
    for node in range(n_terminals, n):
        slot = _slot(level[node], low[node], high[node], wider.size)
        while wider[slot] >= 0:
            slot = (slot + 1) & (wider.size - 1)
        wider[slot] = node
    return deeper, lower, higher, wider
