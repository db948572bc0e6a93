"""Every region as flips: 0/1 variables, each of which moves one input by a fixed step away from the centre.

The flips of a pixel are one for each value at which its level changes, in order: a pixel that has passed a value
has passed those nearer to the centre too, and none on the other side. That is what the pairs say. It is an order
encoding, right for every number of levels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bnnverify.levelregions import LevelRegion, costs_of
from bnnverify.presolve.rows import Longs, Mask
from bnnverify.presolve.system import no_pairs
from bnnverify.regions import BitRegion


@dataclass(frozen=True, eq=False)
class Flips:
    """Inputs ``center + sum of the true flips' gains``.

    Args:
        center: ``(n_inputs,)`` signs or levels.
        inputs: ``(flips,)`` which input each moves, non-decreasing.
        gains: ``(flips,)`` by how much.
        costs: ``(flips,)`` at least 0; budget: greatest total cost, or None.
        pairs: ``(n, 2)`` literals of flips, +-(flip + 1), at least one of each two true.
    """

    center: Longs
    inputs: Longs
    gains: Longs
    costs: Longs
    budget: int | None
    pairs: NDArray[np.int64]

    def values(self, flips: Mask) -> Longs:
        """The input that makes these flips, ``(n_inputs,)``."""
        values = self.center.copy()
        np.add.at(values, self.inputs[flips], self.gains[flips])
        return values


def flips_of(region: BitRegion | LevelRegion) -> Flips:
    """The flips of a region that is not empty."""
    if isinstance(region, LevelRegion):
        return _flips_of_levels(region)
    center = region.center.astype(np.int64)
    return Flips(center, region.free, -2 * center[region.free], region.costs, region.budget, no_pairs())


def _flips_of_levels(region: LevelRegion) -> Flips:
    """Upwards, then downwards, sorted by input and nearness to the centre."""
    up, down = _upwards(region), _downwards(region)
    inputs, gains, costs, side = (np.concatenate(pair) for pair in zip(up, down, strict=True))
    order = np.lexsort((np.abs(side), side > 0, inputs))
    inputs, gains, costs, side = inputs[order], gains[order], costs[order], side[order]
    same = (inputs[1:] == inputs[:-1]) & ((side[1:] > 0) == (side[:-1] > 0))
    later = np.flatnonzero(same) + 1
    before = _costs_before(later, costs)
    turns = np.flatnonzero((inputs[1:] == inputs[:-1]) & ~same) + 1
    firsts = np.searchsorted(inputs, inputs[turns])
    needs = np.stack([-later - 1, later], axis=1)
    excluded = np.stack([-firsts - 1, -turns - 1], axis=1)
    center = region.layer.levels_of(region.pixels)
    return Flips(center, inputs, gains, costs - before, region.budget, np.concatenate([needs, excluded]))


def _costs_before(later: Longs, costs: Longs) -> Longs:
    """What the flip that each flip needs costs in all."""
    before = np.zeros_like(costs)
    before[later] = costs[later - 1]
    return before


def _upwards(region: LevelRegion) -> tuple[Longs, Longs, Longs, Longs]:
    """Inputs, gains, total costs and signed changes of passing each value above the centre."""
    edges, gains = region.edges()
    first, last = (np.searchsorted(edges, values, side="right") for values in (region.pixels, region.high))
    which, inputs = _ranges(first, last)
    changes = edges[which] - region.pixels[inputs]
    return inputs, gains[which], costs_of(changes, region.norm), changes


def _downwards(region: LevelRegion) -> tuple[Longs, Longs, Longs, Longs]:
    edges, gains = region.edges()
    first, last = (np.searchsorted(edges, values, side="right") for values in (region.low, region.pixels))
    which, inputs = _ranges(first, last)
    changes = edges[which] - 1 - region.pixels[inputs]
    return inputs, -gains[which], costs_of(-changes, region.norm), changes


def _ranges(first: Longs, last: Longs) -> tuple[Longs, Longs]:
    """All numbers of the ranges ``first[i]:last[i]``, and the i of each."""
    lengths = last - first
    starts = np.cumsum(lengths) - lengths
    owner = np.repeat(np.arange(first.size, dtype=np.int64), lengths)
    return np.arange(int(lengths.sum())) - starts[owner] + first[owner], owner
