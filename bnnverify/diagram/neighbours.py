"""Where an instance and its neighbours at one flip end: walks, not passes.

The walk of an instance is shared by all its neighbours down to the level that they flip. So a neighbour costs the
rest of a walk, and all of them O(n_levels^2) steps, however many nodes there are.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bnnverify.diagram.flat import FlatDiagram


def ends(diagram: FlatDiagram, x: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """``(n_roots,)``: whether each function is true at ``x`` ``(n_levels,)``; O(n_levels) a root."""
    return np.array(
        [_end(diagram.level, diagram.low, diagram.high, root, x) == 1 for root in diagram.roots], dtype=bool
    )


def changing_levels(diagram: FlatDiagram, x: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """``(n_levels,)``: whether flipping the level alone takes ``x``, which is in none of the roots, into one.

    >>> import numpy as np
    >>> both = FlatDiagram(*map(np.array, ([2, 2, 1, 0], [0, 1, 0, 0], [0, 1, 1, 2], [3])), n_levels=2)
    >>> changing_levels(both, np.array([1, 0], dtype=np.uint8)).tolist()
    [False, True]
    """
    found = np.zeros(diagram.n_levels, dtype=np.bool_)
    for root in diagram.roots:
        _changing(diagram.level, diagram.low, diagram.high, root, x, found)
    return found


def path_nodes(diagram: FlatDiagram, x: NDArray[np.uint8]) -> NDArray[np.int32]:
    """``(n_roots, n_levels)``: the node at which the walk of ``x`` from each root asks for a level, or 0."""
    found = np.zeros((diagram.roots.size, diagram.n_levels), dtype=np.int32)
    for root, row in zip(diagram.roots, found, strict=True):
        _path(diagram.level, diagram.low, diagram.high, root, x, row)
    return found


@njit(cache=True, nogil=True)
def _end(level, low, high, node, x):  # type: ignore[no-untyped-def]
    while node > 1:
        node = high[node] if x[level[node]] else low[node]
    return node


@njit(cache=True, nogil=True)
def _path(level, low, high, node, x, row):  # type: ignore[no-untyped-def]
    while node > 1:
        row[level[node]] = node
        node = high[node] if x[level[node]] else low[node]


@njit(cache=True, nogil=True)
def _changing(level, low, high, node, x, found):  # type: ignore[no-untyped-def]
    """A level that the walk does not ask for cannot change where it ends."""
    while node > 1:
        at = level[node]
        aside, node = (low[node], high[node]) if x[at] else (high[node], low[node])
        if not found[at]:
            found[at] = _end(level, low, high, aside, x) == 1
