"""What the passes share: their arguments made plain, and weighted sums over all inputs, up and down.

An input weighs the product of one factor a level, ``if_low[l]`` or ``if_high[l]``. The sums are exact
integers: a skipped level stands for both factors, and as these add up to the same ``both`` at every level,
k skipped levels multiply by a power of it. :func:`pull` sums below each node, :func:`push` above it; with
factors 1 and 1 these are numbers of inputs. Cost: one vectorized step a level, big integers a node.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bnnverify.diagram.apply import union
from bnnverify.diagram.flat import FlatDiagram
from bnnverify.errors import UsageError


def instance(diagram: FlatDiagram, x: ArrayLike) -> NDArray[np.uint8]:
    """An input as ``(n_levels,)`` uint8 of 0s and 1s."""
    bits = np.asarray(x)
    if bits.shape != (diagram.n_levels,) or not np.isin(bits, (0, 1)).all():
        raise UsageError(f"input of shape {bits.shape}: expected {diagram.n_levels} values 0 or 1, one a level")
    return bits.astype(np.uint8)


def root_nodes(diagram: FlatDiagram, roots: Sequence[int]) -> NDArray[np.int32]:
    """The nodes of the functions whose union is meant."""
    n_roots = diagram.roots.size
    if len(set(roots)) != len(roots) or any(not 0 <= root < n_roots for root in roots):
        raise UsageError(f"roots {list(roots)}: expected different numbers from 0 to {n_roots - 1}")
    return diagram.roots[list(roots)]


def united(diagram: FlatDiagram, roots: Sequence[int], *, node_limit: int | None = None) -> FlatDiagram:
    """The union of these functions as the only root, reduced, without other nodes."""
    root_nodes(diagram, roots)
    return union(diagram, roots, node_limit=node_limit)


def siblings(diagram: FlatDiagram) -> FlatDiagram:
    """The same nodes with the children of all nodes as roots: first the low ones of nodes 2, 3, ..., then the high."""
    roots = np.concatenate([diagram.low[2:], diagram.high[2:]])
    return FlatDiagram(diagram.level, diagram.low, diagram.high, roots, diagram.n_levels)


def occurring(diagram: FlatDiagram) -> NDArray[np.bool_]:
    """``(n_levels,)``: the levels that have nodes."""
    return np.asarray(np.diff(diagram.starts)[:-1] != 0)


def pull(diagram: FlatDiagram, if_low: Sequence[int], if_high: Sequence[int], both: int) -> NDArray[Any]:
    """For each node the total weight of its inputs, over its own and the deeper levels; ``(nodes,)`` Python integers.

    Args:
        diagram: the functions.
        if_low, if_high: an integer factor a level, for bit 0 and bit 1.
        both: their sum, the same at every level.
    """
    powers = _powers(both, diagram.n_levels)
    sums = np.zeros(diagram.n_nodes, dtype=object)
    sums[1] = 1
    for level in range(diagram.n_levels - 1, -1, -1):
        nodes = diagram.nodes_at(level)
        low, high = diagram.low[nodes], diagram.high[nodes]
        below = sums[low] * powers[diagram.level[low] - level - 1] * if_low[level]
        sums[nodes] = below + sums[high] * powers[diagram.level[high] - level - 1] * if_high[level]
    return sums


def push(
    diagram: FlatDiagram, nodes: NDArray[np.int32], if_low: Sequence[int], if_high: Sequence[int], both: int
) -> NDArray[Any]:
    """For each node the total weight of the ways to it from ``nodes``, over the levels above it; as :func:`pull`."""
    powers = _powers(both, diagram.n_levels)
    sums = np.zeros(diagram.n_nodes, dtype=object)
    np.add.at(sums, nodes, powers[diagram.level[nodes]])
    for level in range(diagram.n_levels):
        here = diagram.nodes_at(level)
        for child, factor in ((diagram.low[here], if_low[level]), (diagram.high[here], if_high[level])):
            np.add.at(sums, child, sums[here] * powers[diagram.level[child] - level - 1] * factor)
    return sums


def _powers(base: int, most: int) -> NDArray[Any]:
    return np.array([base**exponent for exponent in range(most + 1)], dtype=object)
