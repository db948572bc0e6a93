"""Essential features of a function: the literals that are true in all its inputs (its backbone).

A reduced diagram has a path to true below every node but false. So a variable can take a value exactly where
some edge below the root says so and does not end in false, or where some edge that does not end in false skips the
variable.

Cost: O(nodes), in numpy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bnnverify.diagram.flat import FALSE, TRUE, FlatDiagram


def possible_values(diagram: FlatDiagram, roots: Sequence[int]) -> NDArray[np.bool_]:
    """``(n_levels, 2)``: whether some input of the union of the roots has the level at 0, and at 1.

    >>> import numpy as np
    >>> both = FlatDiagram(*map(np.array, ([2, 2, 1, 0], [0, 1, 0, 0], [0, 1, 1, 2], [3])), n_levels=2)
    >>> possible_values(both, [0]).tolist()
    [[False, True], [False, True]]
    """
    below = diagram.with_roots(roots)
    inner = slice(TRUE + 1, None)
    levels = below.level[inner]
    possible = np.zeros((diagram.n_levels, 2), dtype=np.bool_)
    for value, children in enumerate((below.low[inner], below.high[inner])):
        possible[levels[children != FALSE], value] = True
    skipped = _skipped(
        np.concatenate([np.full(below.roots.size, -1), levels, levels]),
        np.concatenate([below.roots, below.low[inner], below.high[inner]]),
        below,
    )
    return possible | skipped[:, None]


def _skipped(above: NDArray[np.int_], nodes: NDArray[np.int_], diagram: FlatDiagram) -> NDArray[np.bool_]:
    """``(n_levels,)``: levels between that of an edge's upper end and its node, for edges not to false."""
    live = nodes != FALSE
    change = np.zeros(diagram.n_levels + 2, dtype=np.int64)
    np.add.at(change, above[live] + 1, 1)
    np.add.at(change, diagram.level[nodes[live]], -1)
    return np.asarray(np.cumsum(change)[: diagram.n_levels] > 0)


def essential_literals(diagram: FlatDiagram, roots: Sequence[int]) -> NDArray[np.int8]:
    """``(n_levels,)``: 1 or 0 where every input of the union has that value, -1 where both occur.

    All are -1 where the union is empty, of which every literal would be true.
    """
    possible = possible_values(diagram, roots)
    literals = np.full(diagram.n_levels, -1, dtype=np.int8)
    literals[possible[:, 0] & ~possible[:, 1]] = 0
    literals[possible[:, 1] & ~possible[:, 0]] = 1
    return literals
