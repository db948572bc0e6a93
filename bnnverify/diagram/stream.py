"""All inputs of a function, one after the other, without counting or storing them.

In a reduced diagram every node but false leads to true, so a walk that never enters false never
turns back in vain. The next input in lexicographic order shares the bits before the last 0 that may
become 1, and takes the least continuation after it. Several roots are merged. Cost: O(n_levels) an input.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import merge

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bnnverify.diagram.flat import FALSE, FlatDiagram
from bnnverify.diagram.walks import root_nodes


def stream(diagram: FlatDiagram, roots: Sequence[int]) -> Iterator[NDArray[np.uint8]]:
    """Every input of a union of disjoint roots, once, in lexicographic order of its levels.

    Args:
        diagram: the functions.
        roots: numbers of disjoint roots.

    Returns:
        An iterator of ``(n_levels,)`` uint8 inputs.

    Raises:
        UsageError: if a root does not exist or is named twice.

    Complexity: O(n_levels) before each input, times the logarithm of the number of roots.

    >>> exactly_one_of_two = FlatDiagram([2, 2, 1, 1, 0], [0, 1, 0, 1, 2], [0, 1, 1, 0, 3], [4], 2)
    >>> [bits.tolist() for bits in stream(exactly_one_of_two, [0])]
    [[0, 1], [1, 0]]
    """
    nodes = [node for node in root_nodes(diagram, roots) if node != FALSE]
    return merge(*(_below(diagram, node) for node in nodes), key=bytes)


def _below(diagram: FlatDiagram, root: np.int32) -> Iterator[NDArray[np.uint8]]:
    """The inputs of one function, which is not constant false."""
    bits = np.zeros(diagram.n_levels, dtype=np.uint8)
    path = np.full(diagram.n_levels + 1, root, dtype=np.int32)
    _least_from(diagram.level, diagram.low, diagram.high, bits, path, np.int64(0))
    yield bits.copy()
    while _advance(diagram.level, diagram.low, diagram.high, bits, path):
        yield bits.copy()


@njit(cache=True, nogil=True)
def _least_from(level, low, high, bits, path, start):  # type: ignore[no-untyped-def]
    """Complete an input from a level on; ``path[l]`` is the node once the levels before l are decided."""
    for at in range(start, bits.size):
        node = path[at]
        child = low[node] if level[node] == at else node
        bits[at] = child == 0
        path[at + 1] = high[node] if child == 0 else child


@njit(cache=True, nogil=True)
def _advance(level, low, high, bits, path):  # type: ignore[no-untyped-def]
    """Turn an input into the next one; false after the last."""
    for at in range(bits.size - 1, -1, -1):
        node = path[at]
        child = high[node] if level[node] == at else node
        if bits[at] == 0 and child != 0:
            bits[at] = 1
            path[at + 1] = child
            _least_from(level, low, high, bits, path, np.int64(at + 1))
            return True
    return False
