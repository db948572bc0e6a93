"""Sets of images for networks that read pixels as quantized levels, not as bits.

A :class:`LevelRegion` is a box of pixels around an image, with a budget for the total cost of leaving the image if
a ball is meant. It is to quantized networks what :class:`bnnverify.regions.BitRegion` is to those of bits: users
name the same regions, and ``level_region`` reads them. A free index frees a whole pixel, a Hamming ball limits how
many pixels change. Two images whose pixels have the same levels are one member, so sizes count distinct levels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import UnsupportedError, UsageError
from bnnverify.network import Network, QuantizedInput
from bnnverify.regions import FreeBits, HammingBall, Intersection, PixelBox, Region

Longs = NDArray[np.int64]
NORMS = ("l0", "l1", "l2")


@dataclass(frozen=True, eq=False)
class LevelRegion:
    """Images between ``low`` and ``high`` whose pixels differ from ``pixels`` at a total cost within ``budget``.

    Args:
        pixels: ``(n,)`` the image at the centre.
        low, high: ``(n,)`` least and greatest value of each pixel.
        norm: what a changed pixel costs: l0 (1), l1 (its change) or l2 (the square of its change).
        budget: greatest total cost, or None where there is no limit.
    """

    layer: QuantizedInput
    pixels: Longs
    low: Longs
    high: Longs
    norm: str = "l0"
    budget: int | None = None

    def edges(self) -> tuple[Longs, Longs]:
        """The pixel values at which the level changes, increasing, and by how much it does."""
        if self.layer.steps is None:
            return np.arange(1, self.layer.max_value + 1), np.ones(self.layer.max_value, dtype=np.int64)
        return np.unique(self.layer.steps, return_counts=True)

    def changes(self) -> Longs:
        """The least changes, in grey levels, that give some pixel another level, each once, increasing."""
        edges, values = self.edges()[0], np.unique(self.pixels)[:, None]
        changes: Longs = np.unique(np.where(edges > values, edges - values, values - edges + 1))
        return changes

    @cached_property
    def size(self) -> int:
        """Exact number of members, as levels; with a budget in l0 only.

        Raises:
            UnsupportedError: with a budget in another norm.
        """
        edges = self.edges()[0]
        low, high = (np.searchsorted(edges, values, side="right") for values in (self.low, self.high))
        choices = high - low + 1
        if self.budget is None:
            return prod(choices.tolist())
        if self.norm != "l0":
            raise UnsupportedError(f"the number of images within a cost in {self.norm} is not computed")
        return _within(choices.tolist(), self.budget)

    def contains(self, pixels: NDArray[Any]) -> bool:
        """Whether one image ``(n,)`` is a member as it stands."""
        inside = bool(np.all((pixels >= self.low) & (pixels <= self.high)))
        return inside and (self.budget is None or self.cost(pixels) <= self.budget)

    def cost(self, pixels: NDArray[Any]) -> int:
        """What an image costs in the norm."""
        return int(costs_of(np.abs(np.asarray(pixels) - self.pixels), self.norm).sum())

    def within(self, budget: int) -> LevelRegion:
        """The members whose total cost is at most ``budget``."""
        return replace(self, budget=budget if self.budget is None else min(budget, self.budget))


def costs_of(changes: Longs, norm: str) -> Longs:
    """What changes of a pixel by so many grey levels cost."""
    costs: Longs = changes if norm == "l1" else np.square(changes) if norm == "l2" else (changes != 0).astype(np.int64)
    return costs


def level_region(network: Network, region: Region) -> LevelRegion:
    """What a region means for a network of quantized levels.

    Raises:
        UsageError: if its instance or indices do not fit the network.
        UnsupportedError: if it mixes different centres, or is of another kind.
    """
    layer = network.input
    assert isinstance(layer, QuantizedInput)
    parts = region.parts if isinstance(region, Intersection) else (region,)
    pixels = _centre(layer, parts[0])
    low, high = np.zeros_like(pixels), np.full_like(pixels, layer.max_value)
    budget: int | None = None
    for part in parts:
        if not np.array_equal(_centre(layer, part), pixels):
            raise UnsupportedError("an intersection of regions of quantized pixels needs one common centre")
        if isinstance(part, PixelBox):
            reach = part.reach(layer.max_value)
            low, high = np.maximum(low, pixels - reach), np.minimum(high, pixels + reach)
        elif isinstance(part, FreeBits):
            fixed = _fixed(layer, part)
            low, high = np.where(fixed, pixels, low), np.where(fixed, pixels, high)
        elif isinstance(part, HammingBall):
            budget = part.radius if budget is None else min(budget, part.radius)
        else:
            raise UnsupportedError(f"{network.name} reads quantized integers: expected a box, a ball or free pixels")
    return LevelRegion(layer, pixels, low, high, budget=budget)


def _centre(layer: QuantizedInput, part: Any) -> Longs:
    pixels: Longs = layer.read(part.pixels if isinstance(part, PixelBox) else part.center).reshape(-1)
    if pixels.size != layer.n_inputs:
        raise UsageError(f"region: found {pixels.size} values, expected one instance of {layer.n_inputs}")
    return pixels


def _fixed(layer: QuantizedInput, part: FreeBits) -> NDArray[np.bool_]:
    if part.indices and part.indices[-1] >= layer.n_inputs:
        raise UsageError(f"free pixel {part.indices[-1]}: expected less than {layer.n_inputs}, the network's inputs")
    fixed = np.ones(layer.n_inputs, dtype=np.bool_)
    fixed[list(part.indices)] = False
    return fixed


def _within(choices: list[int], budget: int) -> int:
    """How many vectors with so many choices a place differ from a given one in at most ``budget`` places."""
    counts = [1] + [0] * min(budget, len(choices))
    for n in choices:
        for k in range(len(counts) - 1, 0, -1):
            counts[k] += counts[k - 1] * (n - 1)
    return sum(counts)
