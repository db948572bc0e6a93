"""Essential features of a function: the literals that are true in all its inputs (its backbone).

A reduced diagram has a path to true below every node but false. So a variable can take a value exactly where
some edge below the root says so and does not end in false, or where some edge that does not end in false skips the
variable.

Cost: O(nodes), some nanoseconds each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bnnverify.diagram.flat import FALSE, TRUE, FlatDiagram


def possible_values(diagram: FlatDiagram, roots: Sequence[int]) -> NDArray[np.bool_]:
    """``(n_levels, 2)``: whether some input of the union of the roots has the level at 0, and at 1.

    >>> import numpy as np
    >>> both = FlatDiagram(*map(np.array, ([2, 2, 1, 0], [0, 1, 0, 0], [0, 1, 1, 2], [3])), n_levels=2)
    >>> possible_values(both, [0]).tolist()
    [[False, True], [False, True]]
    """
    nodes = diagram.roots[list(roots)]
    possible = np.zeros((diagram.n_levels, 2), dtype=np.bool_)
    change = np.zeros(diagram.n_levels + 2, dtype=np.int64)
    _possible(diagram.level, diagram.low, diagram.high, nodes, possible, change)
    return np.asarray(possible | (np.cumsum(change)[: diagram.n_levels, None] > 0))


@njit(cache=True, nogil=True)
def _possible(level, low, high, roots, possible, change):  # type: ignore[no-untyped-def]
    """Mark the values on edges that do not end in false; ``change`` adds up to the edges that skip a level."""
    live = np.zeros(level.size, dtype=np.bool_)
    for root in roots:
        live[root] = True
        if root != FALSE:
            change[0] += 1
            change[level[root]] -= 1
    for node in range(level.size - 1, TRUE, -1):
        if live[node]:
            for value in range(2):
                child = high[node] if value else low[node]
                if child != FALSE:
                    live[child] = True
                    possible[level[node], value] = True
                    change[level[node] + 1] += 1
                    change[level[child]] -= 1


def essential_literals(diagram: FlatDiagram, roots: Sequence[int]) -> NDArray[np.int8]:
    """``(n_levels,)``: 1 or 0 where every input of the union has that value, -1 where both occur.

    All are -1 where the union is empty, of which every literal would be true.
    """
    possible = possible_values(diagram, roots)
    literals = np.full(diagram.n_levels, -1, dtype=np.int8)
    literals[possible[:, 0] & ~possible[:, 1]] = 0
    literals[possible[:, 1] & ~possible[:, 0]] = 1
    return literals
