"""Signs of first-block neurons that no input of the box has together, each with the multipliers that prove it.

Neighbouring windows share inputs, so their signs depend on each other. A neuron's sign is a row: ``w.x >= t`` or
``-w.x > -t``. Rows added up with positive multipliers make one row; if that is out of the box's reach, the signs are a
*nogood* (Farkas' lemma: over the reals every impossible set of signs has such multipliers). Pairs are found by adding
two rows; larger nogoods by a linear program that maximizes the least slack, whose dual solution is rounded to integers
and then believed only if they refute in integers. Without scipy there are pairs alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from bnnverify.patches.world import World

DUAL_SCALE = 1 << 12
POSITIVE = 1e-9

Integers = NDArray[np.int64]
Nogood = tuple[tuple[int, int, int], ...]


class Nogoods:
    """A growing set of nogoods ``((neuron, sign, multiplier), ...)``, each looked up by its neurons."""

    def __init__(self) -> None:
        self._all: dict[frozenset[tuple[int, int]], Nogood] = {}
        self._by_last: dict[int, list[Nogood]] = {}

    def __iter__(self) -> Iterator[Nogood]:
        return iter(self._all.values())

    def __len__(self) -> int:
        return len(self._all)

    def add(self, nogood: Nogood) -> bool:
        """Keep a nogood; False if it was known."""
        key = frozenset((neuron, sign) for neuron, sign, _ in nogood)
        if key in self._all:
            return False
        self._all[key] = nogood
        self._by_last.setdefault(max(neuron for neuron, _, _ in nogood), []).append(nogood)
        return True

    def ending_at(self, neuron: int, places: dict[int, int]) -> Iterator[Nogood]:
        """Nogoods whose greatest neuron is this one and whose neurons all have a place."""
        for nogood in self._by_last.get(neuron, ()):
            if all(other in places for other, _, _ in nogood):
                yield nogood


def pair_nogoods(world: World, scope: Integers) -> Iterator[Nogood]:
    """All pairs of signs within a scope that the sum of their two rows refutes."""
    rows, inputs = world.rows(scope)
    for one in (1, -1):
        for other in (1, -1):
            most = _reach(world, one * rows[:, None] + other * rows[None], inputs)
            thresholds = world.thresholds[scope]
            demanded = one * thresholds[:, None] + other * thresholds[None]
            refuted = _contradicts(world, most, demanded, (one < 0) + (other < 0))
            for i, j in np.argwhere(np.triu(refuted, 1)).tolist():
                yield (int(scope[i]), one, 1), (int(scope[j]), other, 1)


def _reach(world: World, rows: Integers, inputs: Integers) -> Integers:
    """Greatest sums of rows ``(..., inputs)`` over the box."""
    return np.asarray(np.maximum(rows, 0) @ world.high[inputs] + np.minimum(rows, 0) @ world.low[inputs])


def _contradicts(world: World, most: Integers, demanded: Integers, negatives: int) -> NDArray[np.bool_]:
    strict = negatives > 0 and not world.gap
    return np.asarray(most <= demanded if strict else most < demanded + negatives * world.gap)


def farkas_nogood(world: World, scope: Integers, signs: Integers) -> Nogood | None:
    """Multipliers that refute these signs of a scope, or None if none were found."""
    rows, inputs = world.rows(scope)
    duals = _duals(world, rows * signs[:, None], signs * world.thresholds[scope] + (signs < 0) * world.gap, inputs)
    if duals is None:
        return None
    multipliers = np.rint(duals / duals.max() * DUAL_SCALE).astype(np.int64)
    used = np.flatnonzero(multipliers)
    total = (multipliers * signs) @ rows
    most, demanded = _reach(world, total, inputs), (multipliers * signs) @ world.thresholds[scope]
    if not _contradicts(world, most, demanded, int(multipliers[signs < 0].sum())):
        return None
    return tuple((int(scope[i]), int(signs[i]), int(multipliers[i])) for i in used)


def _duals(world: World, rows: Integers, demanded: Integers, inputs: Integers) -> NDArray[np.float64] | None:
    """Dual values of the rows where their least slack over the box is greatest; None if that is positive."""
    try:
        from scipy.optimize import linprog
    except ImportError:
        return None
    objective = np.r_[np.zeros(inputs.size), -1.0]
    unit = float(max(1, int((world.high[inputs] - world.low[inputs]).max(initial=1))))
    middle = (world.low[inputs] + world.high[inputs]) / 2.0
    bounds = [
        (a, b) for a, b in zip((world.low[inputs] - middle) / unit, (world.high[inputs] - middle) / unit, strict=True)
    ]
    matrix = np.c_[-rows, np.ones(len(rows))]
    answer = linprog(
        objective, matrix, (rows @ middle - demanded) / unit, bounds=[*bounds, (None, None)], method="highs-ds"
    )
    if answer.status != 0 or answer.fun < -POSITIVE:
        return None
    duals = np.maximum(-answer.ineqlin.marginals, 0)
    return duals if duals.max(initial=0) > 0 else None


def refuted_signs(nogoods: Iterable[Nogood], places: dict[int, int], codes: Integers) -> NDArray[np.bool_]:
    """Which patterns hold one of the nogoods; bit ``places[neuron]`` of a code is that neuron."""
    refuted = np.zeros(len(codes), dtype=bool)
    for nogood in nogoods:
        mask = sum(1 << places[neuron] for neuron, _, _ in nogood)
        value = sum(1 << places[neuron] for neuron, sign, _ in nogood if sign > 0)
        refuted |= codes & mask == value
    return refuted
