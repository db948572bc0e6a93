"""How weights are written, some of them better than others: longer pulses or check bits, and the energy of both.

A memory says what a cell of a network costs and how often it fails, protected or not; a unit is what is protected as a
whole. From a choice of units come the joules to write everything once, and the fault model that a campaign measures.
Cost of either: a pass over the units. The physics is :mod:`bnnverify.faults.stmram`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np

from bnnverify.errors import UsageError
from bnnverify.faults.cells import Target
from bnnverify.faults.model import FaultModel, Together, probability
from bnnverify.faults.rates import Symmetric
from bnnverify.faults.secded import LONGEST_WORD, SecDed, SecDedCode
from bnnverify.faults.stmram import Pulse, StMram
from bnnverify.faults.stored import weighted
from bnnverify.faults.where import Where
from bnnverify.network import Network

RUNGS = 10


class Means(Enum):
    """How cells are protected."""

    PULSE = "pulse"
    ECC = "ecc"


class Units(Enum):
    """What is protected as a whole."""

    LAYERS = "layers"
    ROWS = "rows"


@dataclass(frozen=True, order=True)
class Unit:
    """A layer, or one row of its weights: a neuron."""

    layer: int
    row: int | None
    n_cells: int

    @property
    def name(self) -> str:
        return f"layer {self.layer}" + ("" if self.row is None else f" row {self.row}")


@dataclass(frozen=True)
class Memory:
    """How weights are written, and how protected ones are.

    Args:
        ber: error rate of a cell that is not protected.
        means: longer pulses, or check bits.
        strong_rate: error rate of a cell that is written with the longer pulse; None to have it chosen.
        data_bits: data bits of a SEC-DED word; a unit pays for the words that it takes alone.
        cell, overdrive: the technology, and the pulses' current in critical currents.

    Raises:
        UsageError: if a rate has no pulse, or the longer pulse fails as often as the shorter.
    """

    ber: float
    means: Means | str = Means.PULSE
    strong_rate: float | None = None
    data_bits: int = 64
    cell: StMram = field(default_factory=StMram)
    overdrive: float = 2.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "means", _means(self.means))
        object.__setattr__(self, "ber", probability("bit-error rate", self.ber))
        self.cell.pulse(self.ber, self.overdrive)
        SecDedCode(self.data_bits)
        if self.strong_rate is not None:
            self._require_stronger(probability("strong rate", self.strong_rate))

    def _require_stronger(self, rate: float) -> None:
        self.cell.pulse(rate, self.overdrive)
        if rate >= self.ber:
            raise UsageError(f"protection: a strong rate of {rate:g}, expected one below the {self.ber:g} of others")

    def rungs(self) -> tuple[Memory, ...]:
        """Itself, or if a longer pulse is still to be chosen, one memory for each, the least protection first."""
        if self.means is Means.ECC or self.strong_rate is not None:
            return (self,)
        return tuple(replace(self, strong_rate=self.ber / 2**k) for k in range(1, RUNGS + 1))

    @property
    def write_j(self) -> float:
        """Joules of a write that is not protected."""
        return self.cell.write_energy_j(self.ber, self.overdrive)

    def extra_j(self, unit: Unit) -> float:
        """Joules that protecting a unit adds."""
        if self.means is Means.PULSE:
            assert self.strong_rate is not None
            return unit.n_cells * (self.cell.write_energy_j(self.strong_rate, self.overdrive) - self.write_j)
        return check_cells([unit], self.data_bits) * self.write_j

    def energy_j(self, units: Sequence[Unit], chosen: Sequence[Unit]) -> float:
        """Joules to write all units once, of which some are protected."""
        return sum(unit.n_cells for unit in units) * self.write_j + sum(map(self.extra_j, chosen))

    @property
    def plain(self) -> FaultModel:
        return Symmetric(self.ber)

    @property
    def strong(self) -> FaultModel:
        if self.means is Means.ECC:
            return SecDed(self.plain, self.data_bits)
        assert self.strong_rate is not None
        return Symmetric(self.strong_rate)

    def faults(self, units: Sequence[Unit], chosen: Sequence[Unit]) -> FaultModel:
        """The errors of all weights with some units protected."""
        protected = set(chosen)
        rest = [unit for unit in units if unit not in protected]
        return Together((*aimed_at(self.plain, rest), *aimed_at(self.strong, chosen)))

    def uniform(self, units: Sequence[Unit], energy_j: float) -> tuple[str, FaultModel]:
        """All cells alike at this energy: what that is, and its errors."""
        if self.means is Means.PULSE:
            each = energy_j / sum(unit.n_cells for unit in units)
            current = self.overdrive * self.cell.critical_current_a
            rate = self.cell.write_error_rate(Pulse(current, each / (current**2 * self.cell.resistance_ohm)))
            return f"pulses that fail at {rate:.3g}", Together(tuple(aimed_at(Symmetric(rate), units)))
        spare = round(energy_j / self.write_j) - sum(unit.n_cells for unit in units)
        data_bits = shortest_words(units, spare)
        if data_bits is None:
            return "no check bits", Together(tuple(aimed_at(self.plain, units)))
        return f"SEC-DED over {data_bits} bits", Together(tuple(aimed_at(SecDed(self.plain, data_bits), units)))


def protectable(network: Network, by: Units | str) -> tuple[Unit, ...]:
    """Every layer or row that stores weights, with its cells; places of zero weights have none.

    >>> from bnnverify.data.bundled import bundled_network
    >>> [unit.n_cells for unit in protectable(bundled_network(), "layers")]
    [78400, 5000, 500]
    """
    layers = {k: np.count_nonzero(b.weights.reshape(len(b.weights), -1), axis=1) for k, b in weighted(network).items()}
    if _units(by) is Units.LAYERS:
        return tuple(Unit(layer, None, int(cells.sum())) for layer, cells in layers.items() if cells.any())
    rows = ((layer, row, int(n)) for layer, cells in layers.items() for row, n in enumerate(cells))
    return tuple(Unit(layer, row, n) for layer, row, n in rows if n)


def check_cells(units: Sequence[Unit], data_bits: int) -> int:
    """Check cells of these units."""
    return sum(-(-unit.n_cells // data_bits) for unit in units) * SecDedCode(data_bits).check_bits


def shortest_words(units: Sequence[Unit], spare_cells: int) -> int | None:
    """The shortest words, by powers of two, whose check cells are no more than this; None if there are none."""
    sizes = (1 << k for k in range(LONGEST_WORD.bit_length()))
    return next((size for size in sizes if check_cells(units, size) <= spare_cells), None)


def aimed_at(model: FaultModel, units: Sequence[Unit]) -> list[Where]:
    """The model aimed at these units, one for each layer that has some."""
    found: list[Where] = []
    for layer in sorted({unit.layer for unit in units}):
        rows = sorted(unit.row for unit in units if unit.layer == layer and unit.row is not None)
        found.append(Where(model, Target.WEIGHTS, (layer,), tuple(rows) or None))
    return found


def _means(name: Means | str) -> Means:
    try:
        return Means(name)
    except ValueError:
        raise UsageError(f"protection by {name!r}: expected pulse or ecc") from None


def _units(name: Units | str) -> Units:
    try:
        return Units(name)
    except ValueError:
        raise UsageError(f"protection of {name!r}: expected layers or rows") from None
