"""Small functions of distance and order as diagrams, to be intersected with others.

"Exactly d of m remaining bits differ" is a node of m and d alone, and so is "at least d": a grid of at
most n * d nodes, reduced as it stands. An intersection with one answers a question at a
distance by a pass that knows no distance.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bnnverify.diagram.flat import FALSE, TRUE, FlatDiagram


def sphere(x: ArrayLike, distance: int) -> FlatDiagram:
    """The inputs at exactly a Hamming distance from ``(n_levels,)`` bits."""

    def settled(remaining: int, missing: int) -> int | None:
        if not 0 <= missing <= remaining:
            return FALSE
        return TRUE if remaining == 0 else None

    return _grid(np.asarray(x), distance, settled)


def beyond(x: ArrayLike, distance: int) -> FlatDiagram:
    """The inputs at a Hamming distance of at least ``distance`` from ``(n_levels,)`` bits."""

    def settled(remaining: int, missing: int) -> int | None:
        if missing > remaining:
            return FALSE
        return TRUE if missing <= 0 else None

    return _grid(np.asarray(x), distance, settled)


def _grid(x: NDArray[np.generic], distance: int, settled: Callable[[int, int], int | None]) -> FlatDiagram:
    """The diagram whose nodes are (level, differences still missing), where ``settled`` names no terminal."""
    n = x.size
    level, low, high = [n, n], [FALSE, TRUE], [FALSE, TRUE]
    below: dict[int, int] = {}
    for at in range(n, -1, -1):
        here = {}
        for missing in range(-1, distance + 1):
            terminal = settled(n - at, missing)
            if terminal is None:
                same, differs = below[missing], below[missing - 1]
                terminal = len(level)
                level.append(at)
                low.append(differs if x[at] else same)
                high.append(same if x[at] else differs)
            here[missing] = terminal
        below = here
    return FlatDiagram(np.array(level), np.array(low), np.array(high), np.array([below[distance]]), n)


def after(x: ArrayLike) -> FlatDiagram:
    """The inputs that come after ``(n_levels,)`` bits in lexicographic order."""
    bits = np.asarray(x)
    n = bits.size
    level, low, high, node = [n, n], [FALSE, TRUE], [FALSE, TRUE], FALSE
    for at in range(n - 1, -1, -1):
        if bits[at] and node == FALSE:
            continue
        level.append(at)
        low.append(FALSE if bits[at] else node)
        high.append(node if bits[at] else TRUE)
        node = len(level) - 1
    return FlatDiagram(np.array(level), np.array(low), np.array(high), np.array([node]), n)
