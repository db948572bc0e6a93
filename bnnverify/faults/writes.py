"""Write errors: a cell that fails to be written keeps what it held, so only bits that switch can go wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from bnnverify.errors import UsageError
from bnnverify.faults.cells import Cells, Contents, Positions
from bnnverify.faults.model import FaultModel, probability
from bnnverify.faults.rates import thinned
from bnnverify.faults.sampling import failing
from bnnverify.network import Network


class Before(Enum):
    """What the cells held before: all 0, all 1, or random bits, new at every trial."""

    ZEROS = "zeros"
    ONES = "ones"
    RANDOM = "random"

    def __repr__(self) -> str:
        return repr(self.value)


@dataclass(frozen=True, eq=False)
class WriteErrors(FaultModel):
    """Writing a 1 over a 0 fails with probability ``p_set``, a 0 over a 1 with probability ``p_reset``.

    Args:
        p_set, p_reset: failure rates of the two switching directions.
        before: the network whose bits the cells held before, or ``zeros``, ``ones`` or ``random``.
    """

    p_set: float
    p_reset: float
    before: Network | Before | str = Before.RANDOM

    def __post_init__(self) -> None:
        object.__setattr__(self, "p_set", probability("p_set", self.p_set))
        object.__setattr__(self, "p_reset", probability("p_reset", self.p_reset))
        if not isinstance(self.before, Network):
            object.__setattr__(self, "before", _before(self.before))

    @property
    def ber(self) -> float:
        """The mean failure rate of a bit that switches."""
        return (self.p_set + self.p_reset) / 2

    def check(self, banks: Sequence[Cells]) -> None:
        if not isinstance(self.before, Network):
            return
        for cells in banks:
            if cells.of is None:
                raise UsageError(f"write errors: the {cells.name} are not stored; use zeros, ones or random before")
            held = cells.of(self.before)
            if (held.rows, held.columns) != (cells.rows, cells.columns):
                found, expected = f"{held.rows}x{held.columns}", f"{cells.rows}x{cells.columns}"
                raise UsageError(f"write errors: {found} cells before in the {cells.name}, expected {expected}")

    def __call__(self, cells: Cells, rng: np.random.Generator) -> Positions:
        found = failing(cells.size, max(self.p_set, self.p_reset), rng)
        found = found[self._held(cells, found, rng) != cells.ones(found)]
        return thinned(found, cells, self.p_reset, self.p_set, rng)

    def _held(self, cells: Cells, asked: Positions, rng: np.random.Generator) -> Contents:
        """What these cells held before the write."""
        if isinstance(self.before, Network):
            assert cells.of is not None
            return cells.of(self.before).ones(asked)
        if self.before is Before.RANDOM:
            return rng.random(asked.size) < 0.5
        return np.full(asked.size, self.before is Before.ONES)


def _before(name: Before | str) -> Before:
    try:
        return Before(name)
    except ValueError:
        raise UsageError(f"before {name!r}: expected a network, or zeros, ones or random") from None
