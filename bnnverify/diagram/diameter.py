"""The two members of a function that lie farthest apart: one pass over pairs of nodes.

Two walks go down side by side; at every level both bits are chosen, and they differ or agree. A level that
both skip adds one. The pairs that can be met are listed from the top, level by level, and valued from
the bottom. Cost: about 2 us a pair; there may be as many as the square of the nodes, so this is for small diagrams.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from bnnverify.diagram.flat import FALSE, TRUE, FlatDiagram
from bnnverify.diagram.unique import TooManyNodesError
from bnnverify.diagram.walks import root_nodes

PAIR_LIMIT = 1 << 20
BITS = ((0, 0), (0, 1), (1, 0), (1, 1))


def diameter(
    diagram: FlatDiagram, roots: Sequence[int], *, pair_limit: int = PAIR_LIMIT
) -> tuple[int, NDArray[np.uint8]] | None:
    """The greatest Hamming distance of two members of a union of disjoint roots.

    Args:
        diagram: the functions.
        roots: numbers of disjoint roots.
        pair_limit: most pairs of nodes to list.

    Returns:
        The distance and two members that far apart, ``(2, n_levels)`` uint8; None if the union is empty.

    Raises:
        UsageError: if a root does not exist or is named twice.
        TooManyNodesError: past the pair limit.

    Complexity: O(nodes^2) at worst.

    >>> at_least_one_of_two = FlatDiagram([2, 2, 1, 0], [0, 1, 0, 2], [0, 1, 1, 1], [3], 2)
    >>> diameter(at_least_one_of_two, [0])
    (2, array([[0, 1],
           [1, 0]], dtype=uint8))
    """
    nodes = [int(node) for node in root_nodes(diagram, roots) if node != FALSE]
    if not nodes:
        return None
    starts = list(combinations_with_replacement(nodes, 2))
    pairs = _Pairs.below(diagram, starts, pair_limit)
    reach = [pairs.value(np.array([a]), np.array([b]), 0)[0] for a, b in starts]
    best = int(np.argmax(reach))
    return int(reach[best]), pairs.farthest(*starts[best])


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Pairs of nodes as sorted codes, each with the greatest distance below it."""

    diagram: FlatDiagram
    codes: NDArray[np.int64]
    values: NDArray[np.int64]

    @classmethod
    def below(cls, diagram: FlatDiagram, starts: list[tuple[int, int]], limit: int) -> _Pairs:
        by_level = _listed(diagram, starts, limit)
        codes = np.sort(np.concatenate(by_level))
        pairs = cls(diagram, codes, np.zeros(codes.size, dtype=np.int64))
        for level in range(diagram.n_levels - 1, -1, -1):
            a, b = np.divmod(by_level[level], diagram.n_nodes)
            best = np.max([pairs.step(a, b, level, bits) for bits in BITS], axis=0)
            pairs.values[np.searchsorted(codes, by_level[level])] = best
        return pairs

    def step(self, a: NDArray[np.int64], b: NDArray[np.int64], level: int, bits: tuple[int, int]) -> NDArray[np.int64]:
        """The distance if the two walks go on with these bits; -1 if one of them leads to false."""
        below = self.value(_child(self.diagram, a, level, bits[0]), _child(self.diagram, b, level, bits[1]), level + 1)
        return np.where(below < 0, -1, below + (bits[0] != bits[1]))

    def value(self, a: NDArray[np.int64], b: NDArray[np.int64], level: int) -> NDArray[np.int64]:
        """The greatest distance below pairs from a level on, at which both may be skipping."""
        place = np.searchsorted(self.codes, _codes(self.diagram, a, b)).clip(max=self.codes.size - 1)
        skipped = np.minimum(self.diagram.level[a], self.diagram.level[b]) - level
        return np.where((a == FALSE) | (b == FALSE), -1, self.values[place] + skipped)

    def farthest(self, a: int, b: int) -> NDArray[np.uint8]:
        """Two inputs of greatest distance below a pair."""
        inputs = np.zeros((2, self.diagram.n_levels), dtype=np.uint8)
        first, second = np.array([a]), np.array([b])
        for level in range(self.diagram.n_levels):
            bits = BITS[int(np.argmax([self.step(first, second, level, bits)[0] for bits in BITS]))]
            inputs[:, level] = bits
            first = _child(self.diagram, first, level, bits[0])
            second = _child(self.diagram, second, level, bits[1])
        return inputs


def _child(diagram: FlatDiagram, nodes: NDArray[np.int64], level: int, bit: int) -> NDArray[np.int64]:
    """Where nodes of this level or deeper ones continue."""
    followed = (diagram.high if bit else diagram.low)[nodes]
    return np.where(diagram.level[nodes] == level, followed, nodes).astype(np.int64)


def _listed(diagram: FlatDiagram, starts: list[tuple[int, int]], limit: int) -> list[NDArray[np.int64]]:
    """The codes of all pairs without false that the starts lead to, by the higher of the two levels."""
    met: list[list[NDArray[np.int64]]] = [[] for _ in range(diagram.n_levels + 1)]
    met[diagram.n_levels].append(np.array([TRUE * diagram.n_nodes + TRUE]))
    _file(diagram, np.array([a for a, _ in starts]), np.array([b for _, b in starts]), met)
    by_level: list[NDArray[np.int64]] = []
    for level in range(diagram.n_levels):
        codes = np.unique(np.concatenate([*met[level], np.zeros(0, dtype=np.int64)]))
        by_level.append(codes)
        if sum(map(len, by_level)) > limit:
            raise TooManyNodesError(limit)
        a, b = np.divmod(codes, diagram.n_nodes)
        for bits in BITS:
            _file(diagram, _child(diagram, a, level, bits[0]), _child(diagram, b, level, bits[1]), met)
    return [*by_level, np.unique(np.concatenate(met[-1]))]


def _file(diagram: FlatDiagram, a: NDArray[np.int64], b: NDArray[np.int64], met: list[list[NDArray[np.int64]]]) -> None:
    """Add pairs to those met, by level; pairs with false lead nowhere."""
    alive = (a != FALSE) & (b != FALSE)
    a, b = a[alive], b[alive]
    above = np.minimum(diagram.level[a], diagram.level[b])
    for level in np.unique(above):
        here = above == level
        met[level].append(np.unique(_codes(diagram, a[here], b[here])))


def _codes(diagram: FlatDiagram, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    """One number a pair, in either order."""
    return np.minimum(a, b).astype(np.int64) * diagram.n_nodes + np.maximum(a, b)
