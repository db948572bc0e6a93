"""Sets of inputs that a query speaks of, and the one normal form that engines work on.

Users name a :class:`HammingBall`, :class:`FreeBits` or :class:`PixelBox`, joined by ``&``. On a
given network each becomes a :class:`BitRegion`: a centre, the bits that may flip, a cost for each
flip and a budget for their sum. A Hamming ball has unit costs; free bits have no budget; a pixel
box frees the bits whose threshold lies within reach. Distances are therefore measured in flipped
bits, and the size of a region counts distinct inputs *after* binarization.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import comb
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import UnsupportedError, UsageError
from bnnverify.network import BitInput, Network, QuantizedInput, ThresholdInput


@dataclass(frozen=True, eq=False)
class BitRegion:
    """Inputs that differ from ``center`` only in ``free`` bits, at a total cost within ``budget``.

    Args:
        center: ``(n_inputs,)`` bits.
        free: ``(m,)`` strictly increasing indices of bits that may flip.
        costs: ``(m,)`` positive integer cost of each flip.
        budget: greatest total cost, or None where there is no limit. Negative: the region is empty.
    """

    center: NDArray[np.int8]
    free: NDArray[np.int64]
    costs: NDArray[np.int64]
    budget: int | None

    @property
    def unit_costs(self) -> bool:
        return bool(np.all(self.costs == 1))

    @property
    def radius(self) -> int:
        """Greatest number of bits that any member flips; -1 for the empty region."""
        if self.budget is None:
            return self.free.size
        affordable = np.cumsum(np.sort(self.costs)) <= self.budget
        return int(affordable.sum()) if self.budget >= 0 else -1

    @cached_property
    def size(self) -> int:
        """Exact number of members."""
        if self.budget is None:
            return 1 << self.free.size
        if self.unit_costs:
            return sum(comb(self.free.size, k) for k in range(min(self.budget, self.free.size) + 1))
        return sum(_subsets_by_cost(self.costs.tolist(), self.budget))

    def contains(self, bits: NDArray[np.int8]) -> bool:
        """Whether one input ``(n_inputs,)`` is a member."""
        flipped = np.flatnonzero(bits != self.center)
        if not np.isin(flipped, self.free).all():
            return False
        cost = int(self.costs[np.searchsorted(self.free, flipped)].sum())
        return self.budget is None or cost <= self.budget

    def within(self, budget: int) -> BitRegion:
        """The members whose total cost is at most ``budget``."""
        tighter = budget if self.budget is None else min(budget, self.budget)
        return BitRegion(self.center, self.free, self.costs, tighter)


def _is_natural(value: Any) -> bool:
    """Whether a number is an integer of at least 0, of whatever numeric type but bool."""
    return isinstance(value, Real) and not isinstance(value, bool) and float(value) >= 0 and value == value // 1


def _subsets_by_cost(costs: Iterable[int], budget: int) -> list[int]:
    """How many subsets have each total cost 0..budget."""
    counts = [1] + [0] * budget if budget >= 0 else []
    for cost in costs:
        for total in range(budget, cost - 1, -1):
            counts[total] += counts[total - cost]
    return counts


@dataclass(frozen=True, eq=False, repr=False)
class HammingBall:
    """Inputs within ``radius`` bit flips of ``center``, the centre included.

    On networks whose pixels are binarized the centre is an image, and a flip moves one pixel
    across its threshold (so this is the l0 ball over pixels).
    """

    center: NDArray[Any]
    radius: int

    kind = "hamming"

    def __post_init__(self) -> None:
        if not _is_natural(self.radius):
            raise UsageError(f"radius {self.radius}: expected an integer of at least 0 (bit flips)")
        object.__setattr__(self, "radius", int(self.radius))

    def on(self, network: Network) -> BitRegion:
        center, flippable = _center_bits(network, self.center)
        return BitRegion(center, flippable, np.ones_like(flippable), min(self.radius, flippable.size))

    def __and__(self, other: Region) -> Intersection:
        return Intersection((self, other))

    def __repr__(self) -> str:
        return f"HammingBall(radius={self.radius})"


@dataclass(frozen=True, eq=False, repr=False)
class FreeBits:
    """Inputs that agree with ``center`` except on the bits ``indices``, which are free."""

    center: NDArray[Any]
    indices: tuple[int, ...]

    kind = "free"

    def __post_init__(self) -> None:
        strange = [i for i in self.indices if not _is_natural(i)]
        if strange:
            raise UsageError(f"free bit {strange[0]}: expected an integer of at least 0")
        object.__setattr__(self, "indices", tuple(sorted({int(i) for i in self.indices})))

    def on(self, network: Network) -> BitRegion:
        if self.indices and self.indices[-1] >= network.n_inputs:
            raise UsageError(
                f"free bit {self.indices[-1]}: expected less than {network.n_inputs}, the network's inputs"
            )
        center, flippable = _center_bits(network, self.center)
        free = np.intersect1d(np.array(self.indices, dtype=np.int64), flippable)
        return BitRegion(center, free, np.ones_like(free), None)

    def __and__(self, other: Region) -> Intersection:
        return Intersection((self, other))

    def __repr__(self) -> str:
        return f"FreeBits({len(self.indices)} bits)"


def whole_space(network: Network) -> FreeBits:
    """Every input of a network of bits."""
    zeros = np.zeros(network.n_inputs, dtype=np.int64)
    center = zeros if isinstance(network.input, ThresholdInput) else zeros.astype(np.int8) - np.int8(1)
    return FreeBits(center, tuple(range(network.n_inputs)))


@dataclass(frozen=True, eq=False, repr=False)
class PixelBox:
    """Images in which no pixel moves by more than ``eps`` of the 0..1 range (L-infinity).

    ``eps`` in grey levels is rounded down after adding 1e-9 of a level, so that ``8/255`` means 8
    of 255. Only for networks whose pixels are binarized.
    """

    pixels: NDArray[Any]
    eps: float | Fraction

    kind = "linf"

    def __post_init__(self) -> None:
        if not isinstance(self.eps, Real) or not 0 <= float(self.eps) <= 1:
            raise UsageError(f"eps {self.eps}: expected a fraction of the 0..1 range, for example 8/255")

    def levels(self, network: Network) -> int:
        """The box's half width in whole grey levels of the network's own scale."""
        return self.reach(_threshold_input(network, "a pixel box").max_value)

    def reach(self, max_value: int) -> int:
        """The half width in whole grey levels of a scale 0..max_value."""
        return int(Fraction(self.eps) * max_value + Fraction(1, 10**9))

    def on(self, network: Network) -> BitRegion:
        layer = _threshold_input(network, "a pixel box")
        pixels = _single(layer.read(self.pixels), network)
        costs = layer.flip_costs(pixels)
        free = np.flatnonzero((costs > 0) & (costs <= self.levels(network))).astype(np.int64)
        return BitRegion(layer.to_bits(pixels), free, np.ones_like(free), None)

    def __and__(self, other: Region) -> Intersection:
        return Intersection((self, other))

    def __repr__(self) -> str:
        return f"PixelBox(eps={self.eps})"


@dataclass(frozen=True, eq=False, repr=False)
class CostBall:
    """Images whose binarization costs at most ``budget``, flip i costing ``costs[i]``.

    Costs are grey levels (l1), their squares (l2) or ones (l0); ``least_perturbation_costs`` makes
    them. A cost of 0 marks a bit that cannot flip.
    """

    center: NDArray[Any]
    costs: NDArray[np.int64]
    budget: int | None

    kind = "cost"

    def __post_init__(self) -> None:
        costs = np.asarray(self.costs)
        if costs.dtype.kind not in "iu" or (costs < 0).any():
            raise UsageError("costs: expected integers of at least 0, one a bit")
        object.__setattr__(self, "costs", costs.astype(np.int64).reshape(-1))

    def on(self, network: Network) -> BitRegion:
        center, flippable = _center_bits(network, self.center)
        if self.costs.size != network.n_inputs:
            raise UsageError(f"costs: found {self.costs.size}, expected {network.n_inputs}, the network's inputs")
        free = flippable[self.costs[flippable] > 0]
        return BitRegion(center, free, self.costs[free].astype(np.int64), self.budget)

    def __and__(self, other: Region) -> Intersection:
        return Intersection((self, other))

    def __repr__(self) -> str:
        return f"CostBall(budget={self.budget})"


@dataclass(frozen=True, eq=False, repr=False)
class Intersection:
    """Inputs that lie in every part. Two Hamming balls must share their centre."""

    parts: tuple[Region, ...]

    kind = "intersection"

    def on(self, network: Network) -> BitRegion:
        region = self.parts[0].on(network)
        for part in self.parts[1:]:
            region = _intersect(region, part.on(network))
        return region

    def __and__(self, other: Region) -> Intersection:
        return Intersection((*self.parts, other))

    def __repr__(self) -> str:
        return " & ".join(map(repr, self.parts))


Region: TypeAlias = HammingBall | FreeBits | PixelBox | CostBall | Intersection


def _intersect(a: BitRegion, b: BitRegion) -> BitRegion:
    """Members of both. Bits on which a fixed part disagrees with a centre are spent from its budget."""
    for part in (a, b):
        if part.radius < 0:
            return part
    both = np.intersect1d(a.free, b.free)
    differ = np.flatnonzero(a.center != b.center)
    if not np.isin(differ, np.union1d(a.free, b.free)).all():
        return BitRegion(a.center, both, np.ones_like(both), -1)
    if np.isin(differ, both).any():
        if a.budget is not None and b.budget is not None:
            raise UnsupportedError(
                "intersection of two balls with different centres is not supported; give them one centre"
            )
        base = a if a.budget is not None else b
    else:
        base = a
    center = base.center.copy()
    settled = np.setdiff1d(differ, both)
    center[settled] = np.where(np.isin(settled, a.free), b.center[settled], a.center[settled])
    budgets = [_left_after(part, center, both) for part in (a, b) if part.budget is not None]
    priced = [part for part in (a, b) if part.budget is not None and not part.unit_costs]
    if len(budgets) == 2 and priced:
        raise UnsupportedError("intersection of two cost limits is not supported")
    costs = _costs_of(priced[0], both) if priced else np.ones_like(both)
    budget = min(budgets) if budgets else None
    return BitRegion(center, both, costs, budget)


def _costs_of(part: BitRegion, bits: NDArray[np.int64]) -> NDArray[np.int64]:
    costs: NDArray[np.int64] = part.costs[np.searchsorted(part.free, bits)]
    return costs


def _left_after(part: BitRegion, center: NDArray[np.int8], still_free: NDArray[np.int64]) -> int:
    """The budget that remains once every bit outside ``still_free`` took its value in ``center``."""
    assert part.budget is not None
    moved = np.setdiff1d(np.flatnonzero(part.center != center), still_free)
    return part.budget - int(_costs_of(part, moved).sum())


def _threshold_input(network: Network, what: str) -> ThresholdInput:
    if not isinstance(network.input, ThresholdInput):
        raise UnsupportedError(
            f"{what} needs a network that binarizes its pixels; {network.name} reads {type(network.input).__name__}"
        )
    return network.input


def _single(values: NDArray[Any], network: Network) -> NDArray[Any]:
    if values.size != network.n_inputs:
        raise UsageError(f"region: found {values.size} values, expected one instance of {network.n_inputs}")
    return values.reshape(-1)


def _center_bits(network: Network, center: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """The centre's bits, and the indices of those that some input can flip."""
    layer = network.input
    if isinstance(layer, QuantizedInput):
        raise UnsupportedError(
            f"{network.name} reads quantized integers; ask for robustness, radius, or a count by approx"
        )
    bits = _single(layer.to_bits(center), network)
    if isinstance(layer, BitInput):
        return bits, np.arange(network.n_inputs, dtype=np.int64)
    possible = layer.flip_costs(_single(layer.read(center), network)) > 0
    return bits, np.flatnonzero(possible).astype(np.int64)


def least_perturbation_costs(network: Network, pixels: NDArray[Any], norm: str) -> NDArray[np.int64]:
    """Cost of flipping each bit of one image, ``(n_inputs,)``; 0 where it cannot flip.

    Args:
        norm: ``hamming``, ``l0`` (1 a bit), ``l1`` (grey levels), ``l2`` (their squares) or ``linf``
            (grey levels, of which the greatest counts).
    """
    if norm in ("hamming", "l0") and isinstance(network.input, BitInput):
        return np.ones(network.n_inputs, dtype=np.int64)
    layer = _threshold_input(network, f"the norm {norm}")
    costs = layer.flip_costs(_single(layer.read(pixels), network))
    if norm in ("hamming", "l0"):
        return (costs > 0).astype(np.int64)
    if norm in ("l1", "linf"):
        return costs
    if norm == "l2":
        return costs * costs
    raise UsageError(f"norm {norm!r}: expected hamming, l0, l1, l2 or linf")
