"""Chips: what stays the same from read to read, against what is drawn anew.

In ST-MRAM and its relatives the error rate of a cell is its own, log-normal over a chip (Hirtzlin et al., 2019).
``ChipMap`` keeps that map, seeded by the chip's number, and draws errors from it at every trial. Sampling does not
visit the cells: with rates ``l_i = -log(1 - p_i)`` a Poisson number of events falls on the cumulated rates, and a
cell fails iff it is hit, which has probability p_i exactly. ``Persistent`` keeps not the rates but the errors of any
model. Cost of a map: 8 bytes a cell once, then a binary search an error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import UsageError
from bnnverify.faults.cells import NO_CELLS, STORED, Cells, Positions, Target
from bnnverify.faults.model import FaultModel, own, probability

SUREST = 1 - 2.0**-53
ORDER = tuple(Target)


@dataclass(frozen=True)
class ChipMap(FaultModel):
    """Every cell of a chip has an error rate of its own, drawn once; errors are drawn at every trial.

    Args:
        mean: mean error rate over all chips, before rates above 1 are cut to 1.
        sigma: standard deviation of the natural logarithm of the rates; 0 gives every cell the same.
        chip: which chip.
    """

    mean: float
    sigma: float
    chip: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", probability("bit-error rate", self.mean))
        if not 0 <= self.sigma < math.inf:
            raise UsageError(f"sigma {self.sigma!r}: expected a spread of at least 0")
        object.__setattr__(self, "sigma", float(self.sigma))
        object.__setattr__(self, "chip", _chip(self.chip))

    @property
    def ber(self) -> float:
        return self.mean

    def check(self, banks: Sequence[Cells]) -> None:
        _require_stored("a chip map", banks)

    def rates(self, cells: Cells) -> NDArray[np.float64]:
        """The error rate of each cell, ``(cells.size,)``."""
        normal = _chip_rng(self.chip, cells).standard_normal(cells.size)
        spread: NDArray[np.float64] = self.mean * np.exp(self.sigma * normal - self.sigma**2 / 2)
        return np.minimum(spread, 1.0)

    def __call__(self, cells: Cells, rng: np.random.Generator) -> Positions:
        if self.mean == 0:
            return NO_CELLS
        cumulated = _cumulated(self, cells)
        events = rng.random(rng.poisson(cumulated[-1])) * cumulated[-1]
        return np.unique(np.searchsorted(cumulated, events, side="right").astype(np.int64))


@dataclass(frozen=True)
class Persistent(FaultModel):
    """The errors of one chip, the same in every trial, whatever model draws them.

    With several inputs but one chip, trials do not differ; run a campaign over chips to see their spread.
    """

    model: FaultModel
    chip: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", own(self.model))
        object.__setattr__(self, "chip", _chip(self.chip))

    @property
    def ber(self) -> float | None:
        return self.model.ber

    def parts(self) -> tuple[FaultModel, ...]:
        return (self.model,)

    def check(self, banks: Sequence[Cells]) -> None:
        _require_stored("a persistent model", banks)
        self.model.check(banks)

    def __call__(self, cells: Cells, rng: np.random.Generator) -> Positions:
        return self.model(cells, _chip_rng(self.chip, cells))


@lru_cache(maxsize=1)
def _maps(chip_map: ChipMap) -> dict[Any, NDArray[np.float64]]:
    """Cumulated rates of one chip's banks; only the latest map is kept, since each takes as much as its cells."""
    return {}


def _cumulated(chip_map: ChipMap, cells: Cells) -> NDArray[np.float64]:
    known, bank = _maps(chip_map), (cells.target, cells.layer, cells.rows, cells.columns)
    if bank not in known:
        known[bank] = np.cumsum(-np.log1p(-np.minimum(chip_map.rates(cells), SUREST)))
    return known[bank]


def _chip_rng(chip: int, cells: Cells) -> np.random.Generator:
    return np.random.default_rng([chip, ORDER.index(cells.target), cells.layer, cells.rows, cells.columns])


def _chip(number: int) -> int:
    if int(number) != number or number < 0:
        raise UsageError(f"chip {number!r}: expected the number of a chip, an integer of at least 0")
    return int(number)


def _require_stored(what: str, banks: Sequence[Cells]) -> None:
    for cells in banks:
        if cells.target not in STORED:
            raise UsageError(f"{what} needs cells that keep their place; the {cells.name} have none, use a fresh model")
