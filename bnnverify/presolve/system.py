"""The problem that presolve makes small and SAT decides: flips in, blocks of rows, one key a class out.

Inputs are *flips*: 0/1 variables that say where an input differs from the region's centre. A bit has one flip. A
quantized pixel has one for each value at which its level changes (:mod:`bnnverify.presolve.flips`). A budget bounds the
flips' total cost. Neurons are 0/1 as well, and everything is an exact integer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bnnverify.presolve.rows import Longs, Mask, Rows


@dataclass(frozen=True, eq=False)
class System:
    """Blocks over flips, and keys of which the greatest names the class.

    Args:
        costs: ``(flips,)`` of each flip, at least 0.
        budget: greatest total cost, or None.
        pairs: ``(n, 2)`` literals of flips, +-(flip + 1), at least one of each two true.
        blocks: rows over the flips, then each over the neurons of the block before.
        keys: ``(classes, neurons of the last block)`` what each true neuron adds to a class's key.
        bases: ``(classes,)`` the keys with no neuron true; no two keys are ever equal.
        classes: ``(classes,)`` their numbers.
        neurons: of each block, the network's number of each row's neuron, ``(rows,)``.
    """

    costs: Longs
    budget: int | None
    pairs: Longs
    blocks: tuple[Rows, ...]
    keys: Longs
    bases: Longs
    classes: Longs
    neurons: tuple[Longs, ...]

    @property
    def n_flips(self) -> int:
        return int(self.costs.size)

    def class_of(self, flips: Mask) -> int:
        """The class of one input, by plain evaluation; the specification of everything that presolve does."""
        return int(self.classes[np.argmax(self.bases + self.keys @ self.values(flips)[-1].astype(np.int64))])

    def values(self, flips: Mask) -> list[Mask]:
        """The flips and the neurons of each block for one input."""
        values = [flips]
        for rows in self.blocks:
            values.append(rows.values(values[-1]) >= 0)
        return values

    def allows(self, flips: Mask) -> bool:
        """Whether an input lies in the region."""
        affordable = self.budget is None or int(self.costs[flips].sum()) <= self.budget
        true = flips[np.abs(self.pairs) - 1] == (self.pairs > 0)
        return affordable and bool(np.all(true.any(axis=1)))


def no_pairs() -> NDArray[np.int64]:
    return np.empty((0, 2), dtype=np.int64)
