"""Two cells a bit, one the opposite of the other: an error only if their comparison flips.

Two views. *Digital*: ``Differential`` draws the errors of both cells from any model; two wrong cells flip the
comparison, and one wrong cell leaves them alike, so that the sense amplifier decides by chance. *Analog*: resistances
are log-normal in both states, a single cell is compared with a fixed reference and a pair with each other, which is
where pairs gain (Hirtzlin et al., 2019, arXiv 1908.04066): with equal spreads, Phi^-1 of the error rate grows by
sqrt(2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot, sqrt
from statistics import NormalDist

import numpy as np

from bnnverify.faults.cells import Cells, Contents, Positions
from bnnverify.faults.model import FaultModel, own, positive, probability
from bnnverify.faults.rates import Asymmetric, Symmetric

NORMAL = NormalDist()


@dataclass(frozen=True)
class Differential(FaultModel):
    """A pair of cells for each bit, each failing by ``model``.

    Args:
        model: errors of single cells; the second cell of a pair holds the opposite bit.
        tie: probability that a pair with exactly one wrong cell reads wrong.
    """

    model: FaultModel
    tie: float = 0.5

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", own(self.model))
        object.__setattr__(self, "tie", probability("tie", self.tie))

    @property
    def ber(self) -> float | None:
        """The rate of the single cells."""
        return self.model.ber

    def parts(self) -> tuple[FaultModel, ...]:
        return (self.model,)

    def check(self, banks: Sequence[Cells]) -> None:
        self.model.check([_pairs(cells) for cells in banks])

    def __call__(self, cells: Cells, rng: np.random.Generator) -> Positions:
        wrong = self.model(_pairs(cells), rng)
        bits, count = np.unique(wrong // 2, return_counts=True)
        flipped: Positions = bits[(count == 2) | (rng.random(bits.size) < self.tie)]
        return flipped


def _pairs(cells: Cells) -> Cells:
    """The bank with two cells a bit: bit b is cell 2b, and its opposite cell 2b + 1."""

    def ones(asked: Positions) -> Contents:
        return np.asarray(cells.ones(asked // 2) ^ (asked % 2 == 1))

    other = None if cells.of is None else lambda network: _pairs(cells.of(network))  # type: ignore[misc]
    return Cells(cells.target, cells.layer, cells.rows, 2 * cells.columns, ones, other)


def pair_rate(p: float) -> float:
    """Error rate of a pair of analog cells that fail singly with probability ``p``, both spreads alike.

    >>> f"{pair_rate(1e-3):.2e}"
    '6.21e-06'
    """
    if not 0 < probability("bit-error rate", p) < 1:
        return p
    return NORMAL.cdf(sqrt(2) * NORMAL.inv_cdf(p))


@dataclass(frozen=True)
class ResistiveCells:
    """Log-normal resistances of a low state, which stores 1, and a high state, which stores 0.

    Args:
        contrast: difference of the means of the natural logarithms of both resistances.
        spread_low, spread_high: their standard deviations.
    """

    contrast: float
    spread_low: float
    spread_high: float

    def __post_init__(self) -> None:
        for name in ("contrast", "spread_low", "spread_high"):
            object.__setattr__(self, name, positive(name, getattr(self, name), "(natural logarithm)"))

    def single(self, reference: float | None = None) -> Asymmetric:
        """One cell a bit, read against a reference.

        Args:
            reference: its logarithm above the low state's mean; by default where both states fail alike.
        """
        if reference is None:
            reference = self.contrast * self.spread_low / (self.spread_low + self.spread_high)
        p10 = NORMAL.cdf(-reference / self.spread_low)
        return Asymmetric(p01=NORMAL.cdf((reference - self.contrast) / self.spread_high), p10=p10)

    def pair(self) -> Symmetric:
        """Two cells a bit, compared with each other."""
        return Symmetric(NORMAL.cdf(-self.contrast / hypot(self.spread_low, self.spread_high)))
