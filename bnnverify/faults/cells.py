"""What a fault model sees: a bank of memory cells, a bit each, and what they are meant to hold.

A bank is a table of cells. Of weights, a row is a neuron (or channel) and a column one of its weights; of
thresholds, a row is a neuron and a column a bit of its two's-complement number, lowest first; of activations and
inputs, a row is an instance and a column a bit. Position ``row * columns + column`` names a cell.
Contents are looked up for positions on demand, so that a model that does not ask costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bnnverify.network import Network

Positions: TypeAlias = NDArray[np.int64]
Contents: TypeAlias = NDArray[np.bool_]


class Target(Enum):
    """What a bank stores."""

    WEIGHTS = "weights"
    THRESHOLDS = "thresholds"
    ACTIVATIONS = "activations"
    INPUTS = "inputs"

    def __repr__(self) -> str:
        return repr(self.value)


STORED = (Target.WEIGHTS, Target.THRESHOLDS)
NO_CELLS = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Cells:
    """A bank of cells.

    Args:
        target: what they hold.
        layer: index of the block, ``len(network.blocks)`` for the output layer; 0 for inputs.
        rows, columns: size of the table.
        ones: positions to contents: whether each of these cells is meant to hold a 1.
        of: the same bank if another network were stored; None where that means nothing.
    """

    target: Target
    layer: int
    rows: int
    columns: int
    ones: Callable[[Positions], Contents]
    of: Callable[[Network], Cells] | None = None

    @property
    def size(self) -> int:
        return self.rows * self.columns

    @property
    def name(self) -> str:
        return f"{self.target.value} of layer {self.layer}"

    def after(self, flips: Positions) -> Cells:
        """The bank once these cells have changed; positions ascending."""
        return replace(self, ones=lambda asked: self.ones(asked) ^ among(asked, flips))

    def complemented(self) -> Cells:
        """A bank that holds the opposite of every cell."""
        other = None if self.of is None else lambda network: self.of(network).complemented()  # type: ignore[misc]
        return replace(self, ones=lambda asked: ~self.ones(asked), of=other)


def among(asked: Positions, some: Positions) -> Contents:
    """Which of ``asked`` are in ``some``, which ascends."""
    if not some.size:
        return np.zeros(asked.shape, dtype=np.bool_)
    at = np.minimum(np.searchsorted(some, asked), some.size - 1)
    return np.asarray(some[at] == asked)


def toggled(first: Positions, second: Positions) -> Positions:
    """Cells that change if both sets of changes happen, ascending: those in exactly one of them."""
    return np.setxor1d(first, second, assume_unique=True)
