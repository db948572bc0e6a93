"""Cells that hold one value for ever: an error only where the other is stored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bnnverify.errors import UsageError
from bnnverify.faults.cells import Cells, Positions
from bnnverify.faults.model import FaultModel, probability
from bnnverify.faults.sampling import failing


@dataclass(frozen=True)
class StuckAt(FaultModel):
    """A cell is stuck at 0 with probability ``p0``, at 1 with probability ``p1``, and sound otherwise.

    Every trial draws the defects of a new chip; :class:`bnnverify.faults.chips.Persistent` keeps those of one.
    """

    p0: float
    p1: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "p0", probability("stuck-at-0 rate", self.p0))
        object.__setattr__(self, "p1", probability("stuck-at-1 rate", self.p1))
        if self.p0 + self.p1 > 1:
            raise UsageError(f"stuck-at rates {self.p0} and {self.p1}: expected a sum of at most 1")

    @property
    def ber(self) -> float:
        """Errors a cell if half of the cells store a 1."""
        return (self.p0 + self.p1) / 2

    def __call__(self, cells: Cells, rng: np.random.Generator) -> Positions:
        stuck = failing(cells.size, self.p0 + self.p1, rng)
        if not stuck.size:
            return stuck
        at_one = rng.random(stuck.size) * (self.p0 + self.p1) < self.p1
        wrong: Positions = stuck[cells.ones(stuck) != at_one]
        return wrong
