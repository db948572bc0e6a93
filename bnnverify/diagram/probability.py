"""The probability of a function under independent inputs, and all its derivatives, from two passes.

A function is a polynomial in the probabilities p_i = Pr[x_i = 1], linear in each: a node's value is
``(1 - p) low + p high``. The derivative with respect to p_i is the sum over nodes of level i of the
probability to arrive there times ``high - low``, so a second pass, downwards, gives all of them.
Floats are carried for many points at once; exact answers are sums of integers over a common denominator.
Cost: 5 ns a node up and 10 down in floats; exact ones .1 and 1 us and more, growing with the denominator.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import lcm
from numbers import Rational
from typing import Any, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bnnverify.diagram.flat import FlatDiagram
from bnnverify.diagram.walks import pull, push, root_nodes
from bnnverify.errors import UsageError

Chances: TypeAlias = "Sequence[float | Fraction] | NDArray[Any]"
Numbers: TypeAlias = "list[Fraction] | list[float]"


def probability(diagram: FlatDiagram, p: Chances, *, exact: bool | None = None) -> Numbers:
    """For each root the probability that an input with independent bits is in it.

    Args:
        diagram: the functions.
        p: ``(n_levels,)`` probabilities of bit 1.
        exact: fractions rather than floats; by default if all of ``p`` are integers or fractions.

    Returns:
        Fractions, or floats good to a few units in the 15th digit.

    Raises:
        UsageError: if there is not one number from 0 to 1 a level.

    Complexity: O(nodes) operations.

    >>> both_of_two = FlatDiagram([2, 2, 1, 0], [0, 1, 0, 0], [0, 1, 1, 2], [3], 2)
    >>> probability(both_of_two, [Fraction(1, 2), Fraction(1, 3)])
    [Fraction(1, 6)]
    """
    chances = column(diagram, p, exact)
    if chances.dtype != object:
        return plain(_float_values(diagram, chances)[diagram.roots, 0])
    if_low, if_high, both = _integers(chances[:, 0])
    values, total = pull(diagram, if_low, if_high, both), both**diagram.n_levels
    return [Fraction(values[root] * both ** int(diagram.level[root]), total) for root in diagram.roots]


def derivatives(diagram: FlatDiagram, roots: Sequence[int], p: Chances, *, exact: bool | None = None) -> Numbers:
    """The partial derivatives of the probability of a union of disjoint roots, one a level.

    That of level i is also the probability if bit i is 1 less that if it is 0. Arguments, errors and cost as
    :func:`probability`.

    >>> both_of_two = FlatDiagram([2, 2, 1, 0], [0, 1, 0, 0], [0, 1, 1, 2], [3], 2)
    >>> derivatives(both_of_two, [0], [Fraction(1, 2), Fraction(1, 3)])
    [Fraction(1, 3), Fraction(1, 2)]
    """
    _, found = slopes(diagram, root_nodes(diagram, roots), column(diagram, p, exact))
    return plain(found[:, 0])


def column(diagram: FlatDiagram, p: Chances, exact: bool | None) -> NDArray[Any]:
    """Probabilities as ``(n_levels, 1)`` float64, or fractions."""
    given = list(p)
    if len(given) != diagram.n_levels or not all(0 <= chance <= 1 for chance in given):
        raise UsageError(f"{len(given)} probabilities: expected {diagram.n_levels} numbers from 0 to 1, one a level")
    if exact is None:
        exact = all(isinstance(chance, Rational) for chance in given)
    return numbers(given, exact).reshape(-1, 1)


def numbers(given: Sequence[Any], exact: bool) -> NDArray[Any]:
    """Numbers as ``(given,)`` fractions, or float64."""
    if not exact:
        return np.array(given, dtype=np.float64)
    python = [number.item() if isinstance(number, np.generic) else number for number in given]
    return np.array([Fraction(number) for number in python], dtype=object)


def plain(values: NDArray[Any]) -> Numbers:
    """Fractions of an array of objects, floats of any other."""
    return [Fraction(value) for value in values] if values.dtype == object else [float(value) for value in values]


def slopes(diagram: FlatDiagram, nodes: NDArray[np.int32], chances: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Probability and derivatives of the union of disjoint nodes at many points.

    Args:
        diagram: the functions.
        nodes: where the functions start.
        chances: ``(n_levels, points)`` float64, or fractions, which give exact answers.

    Returns:
        ``(points,)`` and ``(n_levels, points)``.
    """
    if chances.dtype == object:
        each = [_exact_slopes(diagram, nodes, chances[:, point]) for point in range(chances.shape[1])]
        return np.array([total for total, _ in each], dtype=object), np.array([row for _, row in each], dtype=object).T
    values = _float_values(diagram, chances)
    flow, found = np.zeros_like(values), np.zeros_like(chances)
    flow[nodes] = 1
    _push_floats(diagram.level, diagram.low, diagram.high, chances, values, flow, found)
    return values[nodes].sum(axis=0), found


def _float_values(diagram: FlatDiagram, chances: NDArray[np.float64]) -> NDArray[np.float64]:
    """``(nodes, points)``: the probability below each node."""
    values = np.zeros((diagram.n_nodes, chances.shape[1]))
    values[1] = 1
    _pull_floats(diagram.level, diagram.low, diagram.high, chances, values)
    return values


def _integers(chances: NDArray[Any]) -> tuple[list[int], list[int], int]:
    """Probabilities of 0 and of 1 as numerators over one denominator, and that denominator."""
    both = lcm(*(chance.denominator for chance in chances))
    if_high = [int(chance * both) for chance in chances]
    return [both - weight for weight in if_high], if_high, both


def _exact_slopes(
    diagram: FlatDiagram, nodes: NDArray[np.int32], chances: NDArray[Any]
) -> tuple[Fraction, list[Fraction]]:
    n, (if_low, if_high, both) = diagram.n_levels, _integers(chances)
    values = pull(diagram, if_low, if_high, both)
    flow = push(diagram, nodes, if_low, if_high, both)
    powers = [both**exponent for exponent in range(n + 1)]
    total = sum(int(values[node]) * powers[diagram.level[node]] for node in nodes)
    rises = [0] * n
    for node in np.flatnonzero(flow[2:] != 0) + 2:
        at, low, high = diagram.level[node], diagram.low[node], diagram.high[node]
        rise = values[high] * powers[diagram.level[high] - at - 1] - values[low] * powers[diagram.level[low] - at - 1]
        rises[at] += flow[node] * rise
    return Fraction(total, powers[n]), [Fraction(rise, powers[n - 1]) for rise in rises]


@njit(cache=True, nogil=True)
def _pull_floats(level, low, high, chances, values):  # type: ignore[no-untyped-def]
    """Fill in the probability below each node, at all points."""
    for node in range(2, level.size):
        at, below, above = level[node], low[node], high[node]
        for point in range(values.shape[1]):
            rise = values[above, point] - values[below, point]
            values[node, point] = values[below, point] + chances[at, point] * rise


@njit(cache=True, nogil=True)
def _push_floats(level, low, high, chances, values, flow, slopes):  # type: ignore[no-untyped-def]
    """Fill in the probability to arrive at each node, and what each level's nodes contribute to its derivative."""
    for node in range(level.size - 1, 1, -1):
        at, below, above = level[node], low[node], high[node]
        for point in range(values.shape[1]):
            arrived = flow[node, point]
            slopes[at, point] += arrived * (values[above, point] - values[below, point])
            flow[above, point] += arrived * chances[at, point]
            flow[below, point] += arrived * (1 - chances[at, point])
