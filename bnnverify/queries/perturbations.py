"""What changing an instance costs in a norm: which regions to search, in which order, and what a witness costs.

A flip of bit i costs 1 (hamming, l0), the grey levels to its threshold (l1), or their square (l2); a quantized pixel
costs by its own change. For linf the greatest single cost counts, so regions are boxes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bnnverify.levelregions import LevelRegion, costs_of
from bnnverify.queries.results import Witness
from bnnverify.regions import BitRegion


class Perturbations(Protocol):
    """All changes of one instance, by cost."""

    @property
    def members(self) -> BitRegion | LevelRegion: ...
    @property
    def greatest(self) -> int:
        """The cost beyond which there is nothing to search."""

    def within(self, cost: int) -> BitRegion | LevelRegion:
        """Inputs that cost at most ``cost``."""

    def growing(self, greatest: int) -> Iterator[int]:
        """Costs at which to search, up to the greatest, the first of which is 0: a tie may need no change at all."""

    def price(self, witness: Witness) -> int: ...


@dataclass(frozen=True, eq=False)
class BitPerturbations:
    """Flips of bits, at the costs of a region without a budget."""

    members: BitRegion
    norm: str

    @property
    def greatest(self) -> int:
        costs = self.members.costs
        return int(costs.max(initial=0)) if self.norm == "linf" else int(costs.sum())

    def within(self, cost: int) -> BitRegion:
        if self.norm != "linf":
            return self.members.within(cost)
        cheap = self.members.costs <= cost
        return BitRegion(self.members.center, self.members.free[cheap], np.ones_like(self.members.costs[cheap]), None)

    def growing(self, greatest: int) -> Iterator[int]:
        return _growing(np.unique(self.members.costs), self.norm, greatest, unit=self.members.unit_costs)

    def price(self, witness: Witness) -> int:
        costs = self.members.costs[np.searchsorted(self.members.free, witness.flips)]
        return int(costs.max(initial=0) if self.norm == "linf" else costs.sum())


@dataclass(frozen=True, eq=False)
class LevelPerturbations:
    """Changes of quantized pixels, over a region without a budget."""

    members: LevelRegion
    norm: str

    @property
    def greatest(self) -> int:
        most = np.maximum(self.members.pixels - self.members.low, self.members.high - self.members.pixels)
        return int(most.max(initial=0)) if self.norm == "linf" else int(costs_of(most, self.members.norm).sum())

    def within(self, cost: int) -> LevelRegion:
        members = self.members
        if self.norm != "linf":
            return members.within(cost)
        low, high = members.pixels - cost, members.pixels + cost
        return replace(members, low=np.maximum(members.low, low), high=np.minimum(members.high, high))

    def growing(self, greatest: int) -> Iterator[int]:
        changes = self.members.changes()
        levels = changes if self.norm == "linf" else np.unique(costs_of(changes, self.members.norm))
        return _growing(levels, self.norm, greatest, unit=self.members.norm == "l0")

    def price(self, witness: Witness) -> int:
        if self.norm == "linf":
            return int(np.abs(witness.input - self.members.pixels).max(initial=0))
        return self.members.cost(witness.input)


def _growing(levels: NDArray[np.int64], norm: str, greatest: int, *, unit: bool) -> Iterator[int]:
    """Each cost where it is one change more, else growing by a third.

    Args:
        levels: costs of single changes, increasing.
        unit: whether every change costs 1.
    """
    yield 0
    if norm == "linf":
        yield from (int(c) for c in levels if c <= greatest)
        if not np.any(levels == greatest) and greatest > 0:
            yield greatest
        return
    cost = int(levels[0]) if levels.size else 0
    while 0 < cost < greatest:
        yield cost
        cost = cost + 1 if unit else max(cost + 1, cost * 4 // 3)
    if greatest > 0:
        yield greatest
