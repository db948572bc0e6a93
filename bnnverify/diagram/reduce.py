"""From truth tables and layers of states to reduced diagrams: equal nodes become one, deepest level first.

Both roads from a network begin with functions of many *labels* at once: a table of labels over all
inputs, or layers of states whose two successors are known. Reduced, they are one diagram with a
terminal a label; :func:`by_label` splits that into one root a label over two terminals. A table is read in
blocks that are reduced as they come, so that it never stands in memory as a whole.

Cost: 5 to 40 ns an entry of a table (more where entries differ), 30 ns a state, 100 ns a node and label for the split.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bnnverify.diagram.flat import FlatDiagram, trimmed
from bnnverify.diagram.unique import MOST_NODES, TooManyNodesError, doubled, empty, node_of

Nodes = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]


@dataclass(eq=False)
class Reducer:
    """A growing diagram whose terminals are the labels 0..n_labels - 1; nodes are added bottom up.

    Args:
        n_labels: number of terminals, which are nodes 0..n_labels - 1.
        n_levels: number of variables.
        node_limit: most nodes, terminals included.
    """

    n_labels: int
    n_levels: int
    node_limit: int = MOST_NODES

    def __post_init__(self) -> None:
        self._nodes: Nodes = empty(np.int64(self.n_labels), np.int64(self.n_levels))
        self.n_nodes = self.n_labels

    def merge(self, level: int, low: NDArray[np.int32], high: NDArray[np.int32]) -> NDArray[np.int32]:
        """Nodes ``(n,)`` at ``level`` with these children ``(n,)``, each new, old, or its only child.

        Raises:
            TooManyNodesError: past the node limit.
        """
        merged, done = np.empty(low.size, dtype=np.int32), 0
        while True:
            done, self.n_nodes = _merge(*self._nodes, self.n_nodes, np.int32(level), low, high, done, merged)
            if self.n_nodes > self.node_limit:
                raise TooManyNodesError(self.node_limit)
            if done == low.size:
                return merged
            self._nodes = doubled(*self._nodes, self.n_nodes, self.n_labels)

    def by_label(self, root: int, labels: Iterable[int]) -> FlatDiagram:
        """One root a label: where ``root`` ends in it."""
        split = Reducer(2, self.n_levels, self.node_limit)
        roots = [split._function(self, root, label) for label in labels]
        level, low, high = (array[: split.n_nodes] for array in split._nodes[:3])
        return trimmed(level, low, high, np.array(roots, dtype=np.int32), self.n_levels)

    def _function(self, of: Reducer, root: int, label: int) -> int:
        """The node, over two terminals, of where ``root`` of another diagram ends in a label."""
        place = np.zeros(root + 1, dtype=np.int32)
        place[: of.n_labels] = np.arange(of.n_labels)[: root + 1] == label
        done = of.n_labels
        while True:
            done, self.n_nodes = _translate(*self._nodes, self.n_nodes, *of._nodes[:3], done, place)
            if self.n_nodes > self.node_limit:
                raise TooManyNodesError(self.node_limit)
            if done > root:
                return int(place[root])
            self._nodes = doubled(*self._nodes, self.n_nodes, self.n_labels)


def diagram_of_labels(
    blocks: Iterable[NDArray[np.uint8]],
    n_levels: int,
    n_labels: int,
    labels: Iterable[int],
    *,
    node_limit: int = MOST_NODES,
) -> FlatDiagram:
    """One root a wanted label of a table of labels.

    Args:
        blocks: the table of ``2 ** n_levels`` labels 0..n_labels - 1 in order, level 0 the slowest variable, cut
            into equal blocks of a power of two.
        labels: those that get a root, in this order.

    Raises:
        TooManyNodesError: past the node limit.
    """
    reducer = Reducer(n_labels, n_levels, node_limit)
    tops = np.array([_reduced(reducer, block.astype(np.int32), n_levels) for block in blocks], dtype=np.int32)
    return reducer.by_label(_reduced(reducer, tops, tops.size.bit_length() - 1), labels)


def _reduced(reducer: Reducer, nodes: NDArray[np.int32], level: int) -> int:
    """The node of a table of nodes of which each stands at ``level`` or deeper."""
    while nodes.size > 1:
        level -= 1
        nodes = reducer.merge(level, nodes[::2], nodes[1::2])
    return int(nodes[0])


@njit(cache=True, nogil=True)
def _merge(level, low, high, table, n, at, lows, highs, done, merged):  # type: ignore[no-untyped-def]
    """Write the nodes of the pairs from ``done`` on to ``merged``, while there is room; ``(done, n)``.

    Neighbouring pairs are often equal, so the last one is remembered.
    """
    last_low, last_high, last = np.int32(-1), np.int32(-1), np.int32(-1)
    for i in range(done, lows.size):
        if lows[i] == highs[i]:
            merged[i] = lows[i]
            continue
        if lows[i] != last_low or highs[i] != last_high:
            if n == level.size:
                return i, n
            last_low, last_high = lows[i], highs[i]
            last = node_of(level, low, high, table, n, at, last_low, last_high)
            n += last == n
        merged[i] = last
    return lows.size, n


@njit(cache=True, nogil=True)
def _translate(level, low, high, table, n, of_level, of_low, of_high, done, place):  # type: ignore[no-untyped-def]
    """Write the nodes of another diagram's nodes from ``done`` on to ``place``, while there is room; ``(done, n)``."""
    for node in range(done, place.size):
        if_low, if_high = place[of_low[node]], place[of_high[node]]
        if if_low == if_high:
            place[node] = if_low
            continue
        if n == level.size:
            return node, n
        place[node] = node_of(level, low, high, table, n, of_level[node], if_low, if_high)
        n += place[node] == n
    return place.size, n
