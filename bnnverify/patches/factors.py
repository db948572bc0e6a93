"""Factors: places of the last block with the first-block neurons they depend on, and the patterns these may have.

The patterns of a scope are built neuron by neuron, and those that hold a nogood are dropped at once, so a scope may
have far more neurons than could be enumerated freely. Where there are still too many, the last neurons are left out of
the scope and count as intervals. All factors together hold at most MAX_VALUES values, and one takes at most a share
of what is left of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bnnverify.patches.cones import Cone, Rectangle, cone_of, image_size
from bnnverify.patches.nogoods import Nogoods, pair_nogoods, refuted_signs
from bnnverify.patches.world import World

MAX_SCOPE = 60
MAX_PATTERNS = 1 << 16
MAX_VALUES = 1 << 25
SHARE = 8
CHUNK_CELLS = 1 << 22

Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Factor:
    """Places of the last block with the patterns of what they depend on.

    Args:
        sites: flat places of the last block.
        scope: first-block neurons, ascending.
        codes: ``(patterns,)``; bit i is neuron ``scope[i]``.
        least: ``(patterns, classes)``, the least contribution to each margin.
    """

    sites: Integers
    scope: Integers
    codes: Integers
    least: NDArray[np.float64]

    @property
    def places(self) -> dict[int, int]:
        return {neuron: i for i, neuron in enumerate(self.scope.tolist())}

    def signs(self, code: int) -> Integers:
        return 2 * (code >> np.arange(self.scope.size) & 1) - 1

    def without(self, nogoods: Nogoods) -> Factor:
        """The factor less the patterns that hold a nogood."""
        places = self.places
        known = (n for neuron in places for n in nogoods.ending_at(neuron, places))
        kept = ~refuted_signs(known, places, self.codes)
        return replace(self, codes=self.codes[kept], least=self.least[kept])


def factors_of(world: World, margins: NDArray[np.float64], nogoods: Nogoods, *, tile: int) -> Iterator[Factor]:
    """Factors over tiles of the last block's places; those that nothing moving reaches have an empty scope.

    Args:
        margins: ``(classes, channels, rows, columns)`` of the last block.
        nogoods: grows by the pairs that are found.
        tile: height and width of a factor's places.
    """
    height, width = margins.shape[2:]
    patterns_left = MAX_VALUES // len(margins)
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            places = Rectangle(top, min(top + tile, height), left, min(left + tile, width))
            most = min(MAX_PATTERNS, patterns_left // SHARE)
            yield (factor := _factor(world, margins, nogoods, cone_of(world.network, places), most))
            patterns_left -= factor.codes.size


def _factor(world: World, margins: NDArray[np.float64], nogoods: Nogoods, cone: Cone, max_patterns: int) -> Factor:
    scope = _scope(world, cone)
    for nogood in pair_nogoods(world, scope):
        nogoods.add(nogood)
    scope, codes = _patterns(scope, nogoods, max_patterns)
    at = cone.places
    terms = margins[:, :, at.top : at.bottom, at.left : at.right]
    return Factor(at.cells(margins.shape[3]), scope, codes, _least(world, cone, scope, codes, terms))


def _scope(world: World, cone: Cone) -> Integers:
    """Moving first-block neurons that the cone reads."""
    shape = world.network.shapes[1]
    cells = cone.first.cells(image_size(shape)[1])
    neurons = (np.arange(shape[0])[:, None] * (image_size(shape)[0] * image_size(shape)[1]) + cells).reshape(-1)
    scope: Integers = np.sort(neurons[world.moving[neurons]])
    return scope


def _patterns(scope: Integers, nogoods: Nogoods, max_patterns: int) -> tuple[Integers, Integers]:
    """The neurons that are enumerated, and their patterns."""
    places: dict[int, int] = {}
    codes = np.zeros(1, dtype=np.int64)
    for neuron in scope.tolist():
        if len(places) == MAX_SCOPE or 2 * len(codes) > max_patterns:
            break
        places[neuron] = len(places)
        codes = np.concatenate([codes, codes | 1 << places[neuron]])
        codes = codes[~refuted_signs(nogoods.ending_at(neuron, places), places, codes)]
    return scope[: len(places)], codes


def _least(
    world: World, cone: Cone, scope: Integers, codes: Integers, terms: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Least contribution of the cone's places to each margin, ``(patterns, classes)``."""
    at, (height, width) = cone.first, image_size(world.network.shapes[1])
    crops = [s.reshape(-1, height, width)[:, at.top : at.bottom, at.left : at.right] for s in world.signs]
    channel, site = np.divmod(scope, height * width)
    row, column = site // width - at.top, site % width - at.left
    up, down = np.maximum(terms, 0), np.minimum(terms, 0)
    step = max(1, CHUNK_CELLS // (crops[0].size + terms[0].size))
    parts = []
    for start in range(0, len(codes), step):
        settings = 2 * (codes[start : start + step, None] >> np.arange(scope.size) & 1) - 1
        sides = [np.repeat(crop[None].astype(np.float32), len(settings), axis=0) for crop in crops]
        for side in sides:
            side[:, channel, row, column] = settings
        low, high = (side.reshape(len(settings), -1) for side in cone.values(*sides))
        parts.append(low @ up.reshape(len(terms), -1).T + high @ down.reshape(len(terms), -1).T)
    return np.concatenate(parts)
