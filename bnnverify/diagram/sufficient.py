"""One abductive explanation in one pass: features are freed from the deepest level upwards.

Deletion frees one feature after another as long as no bad root can be reached, and needs a question each. In the order
of the levels, deepest first, all questions share one pass. When a level is due, the levels above it are still
fixed, so the instance's own walk enters it at one node a root; whether bad is reachable *below* each node, as the
deeper levels were decided, is known already. So the feature is free if both children of that node are safe, and
then every node of the level is bad if a child is; else the feature is kept, and a node is what its fixed child is.
A feature of several adjacent levels is decided at its topmost level that the walk asks for.

The set is subset-minimal, as for any order of deletion: what is kept could not be freed with fewer features free.
Cost: O(nodes), 2 to 4 ns each.

References: Huang, Izza, Ignatiev, Marques-Silva, "On efficiently explaining graph-based classifiers", 2021.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bnnverify.diagram.flat import FlatDiagram
from bnnverify.diagram.neighbours import path_nodes


def sufficient_features(
    diagram: FlatDiagram, x: NDArray[np.uint8], feature: NDArray[np.int64], n_features: int
) -> NDArray[np.bool_] | None:
    """``(n_features,)``: a minimal set of features that, kept as in ``x``, keeps it out of all roots.

    Args:
        diagram: its roots are the functions to stay out of; ``x`` is in none.
        x: ``(n_levels,)`` 0/1.
        feature: ``(n_levels,)`` the feature of each level; -1 for levels that keep their values.

    Returns:
        None where a feature's levels are not adjacent: then there is no such order.

    Complexity:
        O(nodes).

    >>> import numpy as np
    >>> both = FlatDiagram(*map(np.array, ([2, 2, 1, 0], [0, 1, 0, 0], [0, 1, 1, 2], [3])), n_levels=2)
    >>> sufficient_features(both, np.zeros(2, dtype=np.uint8), np.arange(2), 2).tolist()
    [True, False]
    """
    runs = feature[np.flatnonzero(np.diff(feature, prepend=-2))]
    if np.unique(runs[runs >= 0]).size < np.count_nonzero(runs >= 0):
        return None
    kept, bad = np.zeros(n_features, dtype=np.bool_), np.zeros(diagram.n_nodes, dtype=np.bool_)
    _decide(diagram.level, diagram.low, diagram.high, diagram.starts, x, feature, path_nodes(diagram, x), kept, bad)
    return kept


@njit(cache=True, nogil=True)
def _decide(level, low, high, starts, x, feature, paths, kept, bad):  # type: ignore[no-untyped-def]
    """Fill in the kept features, and for every node whether bad is reachable below it as decided."""
    bad[1] = True
    at = feature.size - 1
    while at >= 0:
        first = at
        while first > 0 and feature[at] >= 0 and feature[first - 1] == feature[at]:
            first -= 1
        nodes = range(starts[at + 1], starts[first])
        if feature[at] >= 0:
            for node in nodes:
                bad[node] = bad[low[node]] | bad[high[node]]
            kept[feature[at]] = _enters_bad(paths, first, at, bad)
        if feature[at] < 0 or kept[feature[at]]:
            for node in nodes:
                bad[node] = bad[high[node]] if x[level[node]] else bad[low[node]]
        at = first - 1


@njit(cache=True, nogil=True)
def _enters_bad(paths, first, last, bad):  # type: ignore[no-untyped-def]
    """Whether the walk from some root first meets the levels ``first..last`` at a bad node."""
    for root in range(paths.shape[0]):
        for level in range(first, last + 1):
            if paths[root, level] > 0:
                if bad[paths[root, level]]:
                    return True
                break
    return False
