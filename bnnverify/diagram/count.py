"""How many inputs a function holds: one pass up, exact at any width.

A node's count is that of its low child plus that of its high child, doubled for every level that an edge
skips. One int64 loop does while every count fits, whatever the number of levels: inside a ball over 784
levels they do. Where one does not, the pass is repeated in Python integers, level by level.
Cost: about 6 ns a node in int64, 300 in Python integers for counts near 2^784.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bnnverify.diagram.flat import FlatDiagram
from bnnverify.diagram.walks import pull

MOST = np.int64((1 << 62) - 1)


def counts(diagram: FlatDiagram) -> list[int]:
    """The number of inputs of each root, over all levels.

    Complexity: O(nodes); with counts past 62 bits O(nodes * n_levels / 30).

    >>> at_least_one_of_two = FlatDiagram([2, 2, 1, 0], [0, 1, 0, 2], [0, 1, 1, 1], [3, 2, 1], 2)
    >>> counts(at_least_one_of_two)
    [3, 2, 4]
    """
    below = node_counts(diagram)
    return [int(below[root]) << int(diagram.level[root]) for root in diagram.roots]


def node_counts(diagram: FlatDiagram) -> NDArray[Any]:
    """``(nodes,)``: assignments of a node's own and deeper levels that reach true; int64 if all fit, else Python's."""
    below = np.zeros(diagram.n_nodes, dtype=np.int64)
    if _count(diagram.level, diagram.low, diagram.high, below):
        return below
    ones = [1] * diagram.n_levels
    return pull(diagram, ones, ones, 2)


@njit(cache=True, nogil=True)
def _count(level, low, high, below):  # type: ignore[no-untyped-def]
    """Fill in the counts; whether all of them are at most MOST."""
    below[1] = 1
    for node in range(2, level.size):
        total = np.int64(0)
        for child in (low[node], high[node]):
            if child != 0:
                skipped = level[child] - level[node] - 1
                if skipped > 61 or below[child] > MOST >> skipped:
                    return False
                total += below[child] << skipped
        if total > MOST:
            return False
        below[node] = total
    return True
