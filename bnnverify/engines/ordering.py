"""Variable orders: in which order a diagram asks for the bits of a region.

A diagram's size is the number of states that its order keeps apart: after the first l bits, inputs
share a node where all moving first-block sums, as far as the class depends on them, can still become
the same. An order is good where it lets sums coincide early, or lets neurons be decided early. Each
function here looks only at the first block of the residual problem, costs O(m^2 k) or less for m items and
k moving neurons, and returns the item at each level. Sifting, which searches orders by
swapping the levels of a finished diagram, is :func:`bnnverify.engines.relational.sifted_order`.

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


def by_slack(residual: Residual) -> NDArray[np.int64]:
    """Items whose flip pushes neurons over last, those that push most of them at the very end.

    A push counts as 1 / (flips that the neuron still needs at the centre). What comes first can hardly change the
    class, so the states of a ball stay few until little of the order is left.
    """
    needed = np.where(residual.slacks >= 0, residual.slacks + 1, -residual.slacks)
    towards = np.where(residual.slacks >= 0, -1, 1)
    worth = (residual.columns == towards) @ (1.0 / needed)
    return np.lexsort((residual.items, worth)).astype(np.int64)


def by_similarity(residual: Residual) -> NDArray[np.int64]:
    """A chain in which each item's weight column is the most like, up to sign, the one before it.

    Items with equal columns are symmetric: standing together, they count as one number of flips.
    """
    likeness = np.abs(residual.columns.astype(np.int64) @ residual.columns.T.astype(np.int64))
    return _chain(likeness, int(np.argmax(likeness.sum(axis=1)))) if len(likeness) else natural(residual)


def _chain(likeness: NDArray[np.int64], first: int) -> NDArray[np.int64]:
    """Greedy: from each item to the most alike of those left, the lowest number among equals."""
    order, left = [first], np.ones(len(likeness), dtype=np.bool_)
    left[first] = False
    while left.any():
        order.append(int(np.argmax(np.where(left, likeness[order[-1]], -1))))
        left[order[-1]] = False
    return np.array(order, dtype=np.int64)


ORDERS: Mapping[str, Order] = {"natural": natural, "slack": by_slack, "similarity": by_similarity}


def best_order(residual: Residual) -> NDArray[np.int64]:
    """By slack in a ball, by similarity where most bits can flip together.

    Orders matter little here. Nodes against the natural order, geometric means, by slack and by similarity: on the
    published instances (``benchmarks/diagrams.py``) .94 and 1.02 in 15 balls, 1.03 and 1.01 in 12 regions of free
    bits; around the same instances with some bits flipped, from which this rule was chosen, .76 and .88 in 61 balls,
    1.00 and .96 in 39 regions of 15 or 16 free bits. So by slack is worth it in balls; by similarity is no worse
    than a guess elsewhere. Sifting then, tried up to 3,000 nodes, saves a quarter in balls, a twentieth in free bits.

    Returns:
        ``(m,)`` a permutation: the item at each level.
    """
    is_ball = 2 * residual.region.radius < residual.items.size
    return by_slack(residual) if is_ball else by_similarity(residual)
