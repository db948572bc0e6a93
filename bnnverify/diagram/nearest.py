"""The nearest inputs of a function under any additive flip costs: a shortest path, then the next ones.

One pass up (:func:`~bnnverify.diagram.forced.least_costs`) finds the least cost from each node to true. One
walk down reads an input off. For the next ones, every input but the best leaves the best at a first level; its
cheapest completion is priced in constant time, and a heap of these deviations gives all inputs in order, each
once (skipped levels deviate as well). Cost: 3 to 10 ns a node for the pass, then O(n_levels * log) an input.

References: Lawler, "A procedure for computing the k best solutions to discrete optimization problems", 1972.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bnnverify.diagram.flat import FALSE, FlatDiagram
from bnnverify.diagram.forced import least_costs
from bnnverify.diagram.walks import instance, root_nodes
from bnnverify.errors import UsageError

FAR = 1 << 62


def nearest(
    diagram: FlatDiagram, roots: Sequence[int], x: ArrayLike, costs: ArrayLike
) -> tuple[int, NDArray[np.uint8]] | None:
    """An input of the union whose flips from an instance cost least, and that cost; None if the union is empty.

    Args:
        diagram: the functions.
        roots: numbers of disjoint roots.
        x: ``(n_levels,)`` of 0 and 1.
        costs: ``(n_levels,)`` non-negative integers, the cost of flipping each level; all ones for Hamming distance.

    Raises:
        UsageError: if roots, instance or costs do not fit.

    Complexity: O(nodes).

    >>> both_of_two = FlatDiagram([2, 2, 1, 0], [0, 1, 0, 0], [0, 1, 1, 2], [3], 2)
    >>> nearest(both_of_two, [0], [0, 0], [5, 7])
    (12, array([1, 1], dtype=uint8))
    """
    return next(k_nearest(diagram, roots, x, costs), None)


def k_nearest(
    diagram: FlatDiagram, roots: Sequence[int], x: ArrayLike, costs: ArrayLike
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """All inputs of the union with their costs, cheapest first, each once; arguments as in :func:`nearest`.

    Complexity: O(nodes), then O(n_levels) for each input and O(log) a deviation that enters the heap; memory
    O(n_levels) for each input that was given.
    """
    bits, prices, nodes = instance(diagram, x), _prices(diagram, costs), root_nodes(diagram, roots)
    least = least_costs(diagram, bits, prices, far=FAR)
    return _in_order(diagram, [int(node) for node in nodes], bits, prices.tolist(), least)


def _prices(diagram: FlatDiagram, costs: ArrayLike) -> NDArray[np.int64]:
    prices = np.asarray(costs)
    if prices.shape != (diagram.n_levels,) or (prices.dtype.kind not in "iub" and prices.size):
        raise UsageError(f"costs of shape {prices.shape}, {prices.dtype}: expected {diagram.n_levels} integers")
    if any(price < 0 for price in prices.tolist()) or sum(prices.tolist()) >= FAR:
        raise UsageError("costs: expected non-negative integers that add up to less than 2^62")
    return prices.astype(np.int64)


def _in_order(
    diagram: FlatDiagram, nodes: list[int], x: NDArray[np.uint8], prices: list[int], least: NDArray[np.int64]
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Best first over sets of inputs: those that share the first levels of some bits and continue below a node."""
    ticket = count()
    heap: list[tuple[int, int, NDArray[np.uint8], int, int]] = []
    for node in nodes:
        if node != FALSE:
            heappush(heap, (int(least[node]), next(ticket), x, 0, node))
    while heap:
        cost, _, shared, decided, node = heappop(heap)
        bits = x.copy()
        bits[:decided] = shared[:decided]
        if decided:
            bits[decided - 1] ^= 1
        spent = cost - int(least[node])
        for level in range(decided, diagram.n_levels):
            kept, flipped = _children(diagram, node, level, x[level])
            keep, flip = spent + int(least[kept]), spent + prices[level] + int(least[flipped])
            other = flipped if keep <= flip else kept
            if other != FALSE:
                heappush(heap, (max(keep, flip), next(ticket), bits, level + 1, other))
            bits[level] = x[level] ^ (keep > flip)
            spent += prices[level] * (keep > flip)
            node = kept if keep <= flip else flipped
        yield cost, bits.copy()


def _children(diagram: FlatDiagram, node: int, level: int, bit: Any) -> tuple[int, int]:
    """Where a node continues if a level keeps its bit, and if it flips it."""
    if diagram.level[node] != level:
        return node, node
    low, high = int(diagram.low[node]), int(diagram.high[node])
    return (high, low) if bit else (low, high)
