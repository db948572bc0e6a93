"""Where faults strike: what is stored, in which layers, rows and bits, or a mask of single cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import UsageError
from bnnverify.faults.cells import NO_CELLS, Cells, Positions, Target
from bnnverify.faults.model import FaultModel, own

Chosen = tuple[int, ...] | None


@dataclass(frozen=True, eq=False)
class Where(FaultModel):
    """A model aimed at some cells; outside them its faults are dropped.

    Args:
        model: what strikes there.
        target: weights, thresholds, activations or inputs.
        layers: which banks, ``len(network.blocks)`` being the output layer; all by default.
        rows, bits: which rows and columns of the bank (:mod:`bnnverify.faults.cells`); all by default.
        mask: booleans in the shape of the bank, for exactly one layer.

    Raises:
        UsageError: if the target has no such name, a list is empty or negative, or the mask is not boolean.
    """

    model: FaultModel
    target: Target | str = Target.WEIGHTS
    layers: Chosen = None
    rows: Chosen = None
    bits: Chosen = None
    mask: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", own(self.model))
        object.__setattr__(self, "target", _target(self.target))
        for name in ("layers", "rows", "bits"):
            object.__setattr__(self, name, _indices(name, getattr(self, name)))
        if self.mask is not None:
            object.__setattr__(self, "mask", _mask(self.mask, self.layers))

    @property
    def ber(self) -> float | None:
        return self.model.ber

    def parts(self) -> tuple[FaultModel, ...]:
        return (self.model,)

    def touches(self, target: Target, layer: int) -> bool:
        return target is self.target and (self.layers is None or layer in self.layers)

    def check(self, banks: Sequence[Cells]) -> None:
        layers = {cells.layer: cells for cells in banks if cells.target is self.target}
        unknown = [layer for layer in self.layers or () if layer not in layers]
        if unknown or not layers:
            named = f"layer {unknown[0]} has" if unknown else "there are"
            there = ", ".join(map(str, sorted(layers))) or "none"
            assert isinstance(self.target, Target)
            raise UsageError(f"faults: {named} no {self.target.value}; layers that have: {there}")
        for cells in layers.values():
            if self.touches(cells.target, cells.layer):
                self._check_bank(cells)
        self.model.check([cells for cells in banks if self.touches(cells.target, cells.layer)])

    def __repr__(self) -> str:
        narrowed = {name: getattr(self, name) for name in ("layers", "rows", "bits", "mask")}
        told = "".join(f", {name}={value!r}" for name, value in narrowed.items() if value is not None)
        return f"{self.model!r}.on({self.target!r}{told})"

    def _check_bank(self, cells: Cells) -> None:
        for name, chosen, size in (("row", self.rows, cells.rows), ("bit", self.bits, cells.columns)):
            if chosen is not None and max(chosen) >= size:
                raise UsageError(f"faults: {name} {max(chosen)} of the {cells.name}, expected 0..{size - 1}")
        if self.mask is not None and self.mask.shape != (cells.rows, cells.columns):
            expected = (cells.rows, cells.columns)
            raise UsageError(f"faults: a mask of shape {self.mask.shape}, expected {expected} for the {cells.name}")

    def __call__(self, cells: Cells, rng: np.random.Generator) -> Positions:
        if not self.touches(cells.target, cells.layer):
            return NO_CELLS
        found = self.model(cells, rng)
        if self.rows is not None:
            found = found[np.isin(found // cells.columns, self.rows)]
        if self.bits is not None:
            found = found[np.isin(found % cells.columns, self.bits)]
        return found if self.mask is None else found[self.mask.reshape(-1)[found]]


def _target(name: Target | str) -> Target:
    try:
        return Target(name)
    except ValueError:
        names = ", ".join(target.value for target in Target)
        raise UsageError(f"target {name!r}: expected one of {names}") from None


def _indices(name: str, chosen: Any) -> Chosen:
    if chosen is None:
        return None
    indices = tuple(int(index) for index in chosen)
    if not indices or min(indices) < 0:
        raise UsageError(f"faults: {name} {list(indices)}, expected one or more indices from 0")
    return indices


def _mask(mask: Any, layers: Chosen) -> NDArray[np.bool_]:
    array = np.array(mask)
    if array.dtype != np.bool_ or array.ndim != 2:
        raise UsageError(
            f"faults: a mask of type {array.dtype} and shape {array.shape}, expected booleans (rows, columns)"
        )
    if layers is None or len(layers) != 1:
        raise UsageError("faults: a mask belongs to one layer; name it, as in layers=[0]")
    array.setflags(write=False)
    return array
