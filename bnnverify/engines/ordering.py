"""Variable orders: in which order a diagram asks for the bits of a region.

A diagram's size is the number of states that its order keeps apart: after the first l bits, inputs
share a node where all moving first-block sums, as far as the class depends on them, can still become
the same. An order is good where it lets sums coincide early, or lets neurons be decided early. Each
function here looks only at the first block of the residual problem, costs O(m^2 k) or less for m items and
k moving neurons, and returns the item at each level. Sifting, which searches orders by swapping levels of a
finished diagram, is an option of the relational road.

References: Rudell, "Dynamic variable ordering for ordered binary decision diagrams", 1993 (sifting).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from bnnverify.engines.residual import Residual

Order = Callable[[Residual], NDArray[np.int64]]


def natural(residual: Residual) -> NDArray[np.int64]:
    """Items by the position of their input bit.

    Returns:
        ``(m,)`` a permutation: the item at each level.
    """
    return np.argsort(residual.items, kind="stable").astype(np.int64)


def by_influence(residual: Residual) -> NDArray[np.int64]:
    """Items that touch most moving neurons first; the same as natural where no weight is zero."""
    return _largest_first(residual, np.count_nonzero(residual.columns, axis=1).astype(np.float64))


def by_slack(residual: Residual) -> NDArray[np.int64]:
    """Items whose flip pushes most neurons over first, each counted as 1 / (flips that it still needs)."""
    needed = np.where(residual.slacks >= 0, residual.slacks + 1, -residual.slacks)
    towards = np.where(residual.slacks >= 0, -1, 1)
    return _largest_first(residual, (residual.columns == towards) @ (1.0 / needed))


def by_similarity(residual: Residual) -> NDArray[np.int64]:
    """A chain in which each item's weight column is the most like, up to sign, the one before it.

    Items with equal columns are symmetric: standing together, they count as one number of flips.
    """
    likeness = np.abs(residual.columns.astype(np.int64) @ residual.columns.T.astype(np.int64))
    return _chain(likeness, int(np.argmax(likeness.sum(axis=1)))) if len(likeness) else natural(residual)


def _largest_first(residual: Residual, worth: NDArray[np.float64]) -> NDArray[np.int64]:
    """Worth falling; equals by input position."""
    return np.lexsort((residual.items, -worth)).astype(np.int64)


def _chain(likeness: NDArray[np.int64], first: int) -> NDArray[np.int64]:
    """Greedy: from each item to the most alike of those left, lowest number first among equals."""
    order, left = [first], np.ones(len(likeness), dtype=np.bool_)
    left[first] = False
    while left.any():
        order.append(int(np.argmax(np.where(left, likeness[order[-1]], -1))))
        left[order[-1]] = False
    return np.array(order, dtype=np.int64)


ORDERS: Mapping[str, Order] = {
    "natural": natural,
    "influence": by_influence,
    "slack": by_slack,
    "similarity": by_similarity,
}


def best_order(residual: Residual) -> NDArray[np.int64]:
    """The order that measured best (see ``benchmarks/diagrams.py``).

    Returns:
        ``(m,)`` a permutation: the item at each level.
    """
    return by_similarity(residual)
