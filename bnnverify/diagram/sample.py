"""Uniform inputs of a function: draw a rank, then find the input of that rank.

The counts of all nodes number the inputs of a union from 0, root by root and lexicographically within each. A rank
leads down the diagram: at every level, skipped ones included, it is below the count of the 0-branch or
it is not. Ranks are exact integers, drawn uniformly below the total by rejection, so samples
are exactly uniform; no float is involved. At a given distance from an instance the same is done
on the intersection with that sphere. Cost: a count, then some 100 ns a level and sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bnnverify.diagram.apply import AND, combine
from bnnverify.diagram.count import node_counts
from bnnverify.diagram.flat import FlatDiagram
from bnnverify.diagram.spheres import sphere
from bnnverify.diagram.walks import instance, root_nodes
from bnnverify.errors import UsageError

INT64_MOST = (1 << 63) - 1


def sample(
    diagram: FlatDiagram,
    roots: Sequence[int],
    size: int,
    rng: np.random.Generator,
    *,
    distance: int | None = None,
    x: ArrayLike | None = None,
) -> NDArray[np.uint8]:
    """Independent, exactly uniform inputs of a union of disjoint roots.

    Args:
        diagram: the functions.
        roots: numbers of disjoint roots.
        size: number of inputs.
        rng: source of randomness.
        distance: if given, only inputs at this Hamming distance from ``x``.
        x: ``(n_levels,)`` of 0 and 1; needed with a distance only.

    Returns:
        ``(size, n_levels)`` uint8.

    Raises:
        UsageError: if no input qualifies, or of ``distance`` and ``x`` only one is given.

    Complexity: O(nodes) and O(n_levels) a sample; with a distance O(nodes * distance).
    """
    if (distance is None) != (x is None):
        raise UsageError("a sample at a distance: expected both the distance and the instance")
    nodes = root_nodes(diagram, roots)
    if distance is not None and x is not None:
        around = sphere(instance(diagram, x), max(distance, -1))
        diagram = combine(diagram, around, [(root, 0) for root in roots], AND)
        nodes = diagram.roots
    below, totals = _totals(diagram, nodes)
    if sum(totals) == 0:
        raise UsageError("nothing to sample: no input is in these roots (at this distance)")
    return _inputs(diagram, nodes, below, totals, _integers_below(sum(totals), size, rng))


def ranked(diagram: FlatDiagram, roots: Sequence[int], ranks: Sequence[int]) -> NDArray[np.uint8]:
    """The inputs with these numbers: those of the first root in lexicographic order, then those of the next.

    >>> at_least_one_of_two = FlatDiagram([2, 2, 1, 0], [0, 1, 0, 2], [0, 1, 1, 1], [3], 2)
    >>> ranked(at_least_one_of_two, [0], [2, 0]).tolist()
    [[1, 1], [0, 1]]
    """
    nodes = root_nodes(diagram, roots)
    below, totals = _totals(diagram, nodes)
    if any(not 0 <= rank < sum(totals) for rank in ranks):
        raise UsageError(f"ranks: expected numbers from 0 to {sum(totals) - 1}")
    return _inputs(diagram, nodes, below, totals, np.array(ranks, dtype=_dtype(sum(totals))))


def _totals(diagram: FlatDiagram, nodes: NDArray[np.int32]) -> tuple[NDArray[Any], list[int]]:
    """The counts of all nodes, wide enough for ranks of the union, and those of the roots over all levels."""
    below = node_counts(diagram)
    totals = [int(below[node]) << int(diagram.level[node]) for node in nodes]
    return below.astype(_dtype(sum(totals)) if below.dtype == np.int64 else object), totals


def _dtype(total: int) -> Any:
    return np.int64 if total <= INT64_MOST else object


def _inputs(
    diagram: FlatDiagram, nodes: NDArray[np.int32], below: NDArray[Any], totals: list[int], ranks: NDArray[Any]
) -> NDArray[np.uint8]:
    """The inputs of these ranks, all at once, level by level."""
    ranks = ranks.astype(below.dtype)
    firsts = np.array([sum(totals[:i]) for i in range(len(totals))], dtype=below.dtype)
    which = np.searchsorted(firsts, ranks, side="right") - 1
    node, rank = nodes[which], ranks - firsts[which]
    bits = np.zeros((ranks.size, diagram.n_levels), dtype=np.uint8)
    for level in range(diagram.n_levels):
        asked = diagram.level[node] == level
        low, high = np.where(asked, diagram.low[node], node), np.where(asked, diagram.high[node], node)
        n_low = below[low] << (diagram.level[low] - level - 1).astype(below.dtype)
        up = np.asarray(rank >= n_low, dtype=np.bool_)
        bits[:, level] = up
        rank = rank - np.where(up, n_low, 0)
        node = np.where(up, high, low)
    return bits


def _integers_below(total: int, size: int, rng: np.random.Generator) -> NDArray[Any]:
    """``(size,)`` uniform integers from 0 to total - 1; too great ones are drawn again."""
    if total <= INT64_MOST:
        return rng.integers(0, total, size)
    spare = -total.bit_length() % 8
    n_bytes = (total.bit_length() + spare) // 8
    drawn: list[int] = []
    while len(drawn) < size:
        number = int.from_bytes(rng.bytes(n_bytes), "little") >> spare
        if number < total:
            drawn.append(number)
    return np.array(drawn, dtype=object)
