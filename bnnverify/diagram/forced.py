"""Whether a function of a diagram is reachable from an instance when only some variables may change.

One bottom-up pass gives every node the least cost at which it reaches true: an edge that agrees with the
instance is free, one that flips a variable costs its weight, and a variable that may not change has no
such edge. A skipped variable keeps the instance's value. If the cost at the roots is finite, one walk down
reads off which variables a cheapest witness flips; if it is not, the other variables *force* the answer.

Cost: O(nodes), 3 ns a node in the cache, 10 where children lie far apart among a million; the walk O(levels).
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bnnverify.diagram.flat import FALSE, TRUE, FlatDiagram

FAR = 1 << 29

Cost = TypeVar("Cost", np.int32, np.int64)


def cheapest_flips(
    diagram: FlatDiagram, x: NDArray[np.uint8], weights: NDArray[np.int32]
) -> tuple[int, tuple[int, ...]] | None:
    """The least cost of reaching any root of the diagram from ``x``, and the levels that then flip.

    Args:
        diagram: its roots are the functions to reach; their union counts.
        x: ``(n_levels,)`` 0/1, the instance.
        weights: ``(n_levels,)`` non-negative cost of each flip; ``FAR`` where a level must not change.

    Returns:
        The cost and the flipped levels, increasing; None if no root can be reached.

    Complexity:
        O(nodes).

    >>> import numpy as np
    >>> both = FlatDiagram(*map(np.array, ([2, 2, 1, 0], [0, 1, 0, 0], [0, 1, 1, 2], [3])), n_levels=2)
    >>> cheapest_flips(both, np.array([1, 0], dtype=np.uint8), np.ones(2, dtype=np.int32))
    (1, (1,))
    """
    least = least_costs(diagram, x, weights)
    if diagram.roots.size == 0 or least[diagram.roots].min() >= FAR:
        return None
    start = int(diagram.roots[np.argmin(least[diagram.roots])])
    return int(least[start]), _flips_below(diagram, x, weights, least, start)


def least_costs(diagram: FlatDiagram, x: NDArray[np.uint8], weights: NDArray[Cost], *, far: int = FAR) -> NDArray[Cost]:
    """``(nodes,)``: the least cost of reaching true from each node, ``far`` where it cannot be reached.

    Args:
        x: ``(n_levels,)`` 0/1, the instance.
        weights: ``(n_levels,)`` int32 or int64 from 0 to ``far``, the cost of each flip; costs come in the same type.
        far: stands for infinity; ``far`` plus any weight fits the type.
    """
    least = np.empty(diagram.n_nodes, dtype=weights.dtype)
    infinity = weights.dtype.type(far)
    _least_costs(diagram.level, diagram.low, diagram.high, x.astype(np.uint8), weights, infinity, least)
    return least


@njit(cache=True, nogil=True)
def _least_costs(level, low, high, x, weights, far, least):  # type: ignore[no-untyped-def]
    least[FALSE], least[TRUE] = far, 0
    for node in range(2, level.size):
        at = level[node]
        agreeing, flipped = (high[node], low[node]) if x[at] else (low[node], high[node])
        least[node] = min(least[agreeing], least[flipped] + weights[at], far)


def _flips_below(
    diagram: FlatDiagram, x: NDArray[np.uint8], weights: NDArray[np.int32], least: NDArray[np.int32], node: int
) -> tuple[int, ...]:
    """The levels that a cheapest path from the node to true flips."""
    flips = []
    while node != TRUE:
        level = int(diagram.level[node])
        children = (int(diagram.low[node]), int(diagram.high[node]))
        agreeing, flipped = children[int(x[level])], children[1 - int(x[level])]
        if least[agreeing] == least[node]:
            node = agreeing
            continue
        assert least[flipped] + weights[level] == least[node]
        flips.append(level)
        node = flipped
    return tuple(flips)
