"""Fresh, independent errors: one rate for all cells, or one for each value that a cell may hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bnnverify.faults.cells import Cells, Positions
from bnnverify.faults.model import FaultModel, probability
from bnnverify.faults.sampling import failing


@dataclass(frozen=True)
class Symmetric(FaultModel):
    """Every cell reads wrong with probability ``p``, whatever it holds.

    >>> Symmetric(0.001) + Symmetric(0.01).on("inputs")
    Together(models=(Symmetric(p=0.001), Symmetric(p=0.01).on('inputs')))
    """

    p: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "p", probability("bit-error rate", self.p))

    @property
    def ber(self) -> float:
        return self.p

    def __call__(self, cells: Cells, rng: np.random.Generator) -> Positions:
        return failing(cells.size, self.p, rng)


@dataclass(frozen=True)
class Asymmetric(FaultModel):
    """A stored 0 reads 1 with probability ``p01``, a stored 1 reads 0 with probability ``p10``."""

    p01: float
    p10: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "p01", probability("p01", self.p01))
        object.__setattr__(self, "p10", probability("p10", self.p10))

    @property
    def ber(self) -> float:
        """The mean of both rates: what holds if half of the cells store a 1."""
        return (self.p01 + self.p10) / 2

    def __call__(self, cells: Cells, rng: np.random.Generator) -> Positions:
        return thinned(failing(cells.size, max(self.p01, self.p10), rng), cells, self.p01, self.p10, rng)


def thinned(found: Positions, cells: Cells, p01: float, p10: float, rng: np.random.Generator) -> Positions:
    """From cells drawn at the greater of two rates, those that fail at the rate of what they hold."""
    if p01 == p10 or not found.size:
        return found
    wanted = np.where(cells.ones(found), p10, p01) / max(p01, p10)
    return found[rng.random(found.size) < wanted]
