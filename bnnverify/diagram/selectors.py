"""A feature of several levels as one more variable: its selector.

Below a selector that is 1, the feature's levels follow an instance, and so need no nodes; below one that
is 0, they stay as they were. For a feature whose levels are adjacent, the selector comes right before
them, and the diagram grows by one node for each node at which a path enters the feature. The probability
that selectors are 1 is then an ordinary probability of one diagram. Cost: O(nodes), vectorized.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bnnverify.diagram.flat import FlatDiagram


def with_selectors(diagram: FlatDiagram, spans: Sequence[range], x: NDArray[np.uint8]) -> FlatDiagram:
    """The diagram with a selector before each span of levels.

    Args:
        diagram: the functions.
        spans: disjoint ranges of levels, increasing.
        x: ``(n_levels,)`` uint8, what a selected span follows.

    Returns:
        A diagram of ``len(spans)`` more levels: the k-th selector has level ``spans[k].start + k``, and level l of the
        old one is ``l`` plus the number of spans that start at or before it.
    """
    if not spans:
        return diagram
    n, n_nodes = diagram.n_levels, diagram.n_nodes
    span_of = np.full(n + 1, -1)
    for k, span in enumerate(spans):
        span_of[span.start : span.stop] = k
    inside = span_of[diagram.level]
    entered = np.flatnonzero(_entered(diagram, inside))
    leaving = _leaving(diagram, spans, x)
    entry = np.arange(n_nodes)
    entry[entered] = n_nodes + np.arange(entered.size)

    def child_of(child: NDArray[np.int32]) -> NDArray[np.int64]:
        return np.where(inside[child] == inside, child, entry[child])

    starts = np.array([span.start for span in spans], dtype=np.int64)
    level = np.concatenate([_shifted(diagram.level, starts), starts[inside[entered]] + inside[entered]])
    low = np.concatenate([child_of(diagram.low), entered])
    high = np.concatenate([child_of(diagram.high), entry[leaving[entered]]])
    return _sorted(level, low, high, entry[diagram.roots], n + len(spans))


def _shifted(level: NDArray[np.int32], starts: NDArray[np.int64]) -> NDArray[np.int64]:
    return level + np.searchsorted(starts, level, side="right")


def _entered(diagram: FlatDiagram, inside: NDArray[np.int64]) -> NDArray[np.bool_]:
    """``(nodes,)``: the nodes inside a span to which a root or an edge from outside it points."""
    entered = np.zeros(diagram.n_nodes, dtype=np.bool_)
    entered[diagram.roots] = True
    for child in (diagram.low, diagram.high):
        entered[child[inside[child] != inside]] = True
    return entered & (inside >= 0)


def _leaving(diagram: FlatDiagram, spans: Sequence[range], x: NDArray[np.uint8]) -> NDArray[np.int64]:
    """``(nodes,)``: for nodes inside a span, the first node outside it that following ``x`` leads to."""
    leaving = np.arange(diagram.n_nodes)
    for span in spans:
        for level in reversed(span):
            nodes = diagram.nodes_at(level)
            followed = diagram.high[nodes] if x[level] else diagram.low[nodes]
            outside = diagram.level[followed] >= span.stop
            leaving[nodes] = np.where(outside, followed, leaving[followed])
    return leaving


def _sorted(
    level: NDArray[np.int64], low: NDArray[np.int64], high: NDArray[np.int64], roots: NDArray[np.int64], n_levels: int
) -> FlatDiagram:
    order = np.argsort(-level, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(order.size)
    arrays = (level[order], place[low[order]], place[high[order]], place[roots])
    levels, lows, highs, tops = (array.astype(np.int32) for array in arrays)
    return FlatDiagram(levels, lows, highs, tops, n_levels)
