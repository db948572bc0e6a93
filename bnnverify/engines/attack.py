"""Look for a counterexample by greedy flips before a search that is predicted to be long.

From the centre, the flip that most raises the best wanted class over the others is taken, ties broken at
random, until that class wins or the budget is spent. Every step executes all single flips on the bitwise
engine, so a success is a counterexample at once; a failure says nothing. Cost: one inference for each
free bit and step.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bnnverify.engines.execute import class_keys, flipped
from bnnverify.network import Network
from bnnverify.regions import BitRegion

TRIES = 3


def greedy_flips(
    network: Network, region: BitRegion, wanted: Sequence[int], order: Sequence[int], rng: np.random.Generator
) -> tuple[int, ...] | None:
    """Positions in ``region.free`` whose flips give a wanted class, or None."""
    for _ in range(TRIES):
        flips = _one_try(network, region, wanted, order, rng)
        if flips is not None:
            return flips
    return None


def _one_try(
    network: Network, region: BitRegion, wanted: Sequence[int], order: Sequence[int], rng: np.random.Generator
) -> tuple[int, ...] | None:
    chosen: tuple[int, ...] = ()
    left = int(region.costs.sum()) if region.budget is None else region.budget
    while (candidates := _affordable(region, chosen, left)).size:
        sets = [(*chosen, int(position)) for position in candidates]
        gains = _leads(class_keys(network, flipped(region, sets), order), wanted)
        best = rng.choice(np.flatnonzero(gains == gains.max()))
        chosen, left = sets[best], left - int(region.costs[candidates[best]])
        if gains[best] > 0:
            return chosen
    return None


def _affordable(region: BitRegion, chosen: tuple[int, ...], left: int) -> NDArray[np.int64]:
    open_positions = np.setdiff1d(np.arange(region.free.size), chosen)
    return open_positions[region.costs[open_positions] <= left]


def _leads(keys: NDArray[np.int64], wanted: Sequence[int]) -> NDArray[np.int64]:
    """By how much the best wanted class leads the best of the others, ``(batch,)``."""
    is_wanted = np.isin(np.arange(keys.shape[1]), wanted)
    leads: NDArray[np.int64] = keys[:, is_wanted].max(axis=1) - keys[:, ~is_wanted].max(axis=1)
    return leads
