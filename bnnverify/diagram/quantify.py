"""Fixing variables and quantifying over them: what every "if these bits were otherwise" comes down to.

The *cofactor* of a function has some of its variables fixed; its value no longer depends on them, so
they are skipped and free in the result. ``exists`` asks whether some values of the variables make the function
true, the disjunction of both cofactors, and ``forall`` whether all do, their conjunction. Variables are
quantified one after the other, the deepest first, where only the nodes above it are rebuilt from other ones.
Cost: a cofactor is one pass, .2 us a node; a quantified variable that occurs costs two of them and an apply.

Reference: Bryant, "Graph-based algorithms for Boolean function manipulation", 1986 (restriction).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bnnverify.diagram.apply import AND, OR, Operation, combine
from bnnverify.diagram.flat import TRUE, FlatDiagram, trimmed
from bnnverify.diagram.unique import doubled, empty, node_of
from bnnverify.diagram.walks import occurring
from bnnverify.errors import UsageError

KEPT = -1


def cofactor(diagram: FlatDiagram, fixed: Mapping[int, int]) -> FlatDiagram:
    """Every root with the levels in ``fixed`` at these values, which it then no longer asks for.

    Args:
        diagram: the functions.
        fixed: value 0 or 1 of some levels.

    Raises:
        UsageError: if there is no such level, or a value is neither 0 nor 1.

    Complexity: O(nodes).

    >>> first_and_second = FlatDiagram([2, 2, 1, 0], [0, 1, 0, 0], [0, 1, 1, 2], [3], 2)
    >>> cofactor(first_and_second, {0: 1}).level.tolist()
    [2, 2, 1]
    """
    values = np.full(diagram.n_levels, KEPT, dtype=np.int8)
    for level, value in fixed.items():
        _require_level(diagram, level)
        if value not in (0, 1):
            raise UsageError(f"level {level}: found the value {value}, expected 0 or 1")
        values[level] = value
    level, low, high, place, n = _fix(diagram.level, diagram.low, diagram.high, values, np.int64(diagram.n_levels))
    return trimmed(level[:n], low[:n], high[:n], place[diagram.roots], diagram.n_levels)


def exists(diagram: FlatDiagram, levels: Iterable[int], *, node_limit: int | None = None) -> FlatDiagram:
    """Every root, true where some values of these levels make it true; they are free in the result.

    Args:
        diagram: the functions; the result's roots need not be disjoint where these are.
        levels: the variables to quantify.
        node_limit: most nodes of a disjunction.

    Raises:
        UsageError: if there is no such level.
        TooManyNodesError: past the node limit.

    Complexity: O(nodes^2) a level at worst, mostly linear.

    >>> first_and_second = FlatDiagram([2, 2, 1, 0], [0, 1, 0, 0], [0, 1, 1, 2], [3], 2)
    >>> exists(first_and_second, [0]).evaluate([[0, 1], [1, 0]], 0).tolist()
    [True, False]
    """
    return _quantified(diagram, levels, OR, node_limit)


def forall(diagram: FlatDiagram, levels: Iterable[int], *, node_limit: int | None = None) -> FlatDiagram:
    """Every root, true where all values of these levels make it true; arguments and errors as :func:`exists`."""
    return _quantified(diagram, levels, AND, node_limit)


def placed(diagram: FlatDiagram, levels: NDArray[np.int64], n_levels: int) -> FlatDiagram:
    """The same functions among more variables, on which they do not depend.

    Args:
        levels: ``(diagram.n_levels,)`` rising, the new level of each old one.
        n_levels: number of variables of the result.
    """
    new_level = np.append(levels, n_levels)
    return FlatDiagram(new_level[diagram.level], diagram.low, diagram.high, diagram.roots, n_levels)


def _quantified(
    diagram: FlatDiagram, levels: Iterable[int], operation: Operation, node_limit: int | None
) -> FlatDiagram:
    pairs = [(root, root) for root in range(diagram.roots.size)]
    for level in sorted(set(levels), reverse=True):
        _require_level(diagram, level)
        if occurring(diagram)[level]:
            at_0, at_1 = cofactor(diagram, {level: 0}), cofactor(diagram, {level: 1})
            diagram = combine(at_0, at_1, pairs, operation, node_limit=node_limit)
    return diagram


def _require_level(diagram: FlatDiagram, level: int) -> None:
    if not 0 <= level < diagram.n_levels:
        raise UsageError(f"level {level}: expected 0..{diagram.n_levels - 1}")


@njit(cache=True, nogil=True)
def _fix(level, low, high, values, n_levels):  # type: ignore[no-untyped-def]
    """The nodes with fixed levels left out, where each old node went, and how many there are."""
    new_level, new_low, new_high, table = empty(2, n_levels)
    n = np.int64(2)
    place = np.zeros(level.size, dtype=np.int32)
    place[TRUE] = TRUE
    for node in range(2, level.size):
        value = values[level[node]]
        if value != KEPT:
            place[node] = place[high[node]] if value else place[low[node]]
            continue
        if n == new_level.size:
            new_level, new_low, new_high, table = doubled(new_level, new_low, new_high, table, n, 2)
        place[node] = node_of(new_level, new_low, new_high, table, n, level[node], place[low[node]], place[high[node]])
        n += place[node] == n
    return new_level, new_low, new_high, place, n
