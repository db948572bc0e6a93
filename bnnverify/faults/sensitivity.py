"""Which part of a network suffers most: the same faults, aimed at one layer, row or bit after another."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from bnnverify.errors import UsageError
from bnnverify.faults.cells import Cells, Target
from bnnverify.faults.model import FaultModel
from bnnverify.faults.stored import banks
from bnnverify.faults.where import Where
from bnnverify.network import Network


class Part(Enum):
    """What faults are aimed at, one after the other."""

    LAYER = "layer"
    ROW = "row"
    BIT = "bit"


def parted(
    network: Network,
    model: FaultModel,
    by: Part | str,
    *,
    target: Target | str = Target.WEIGHTS,
    layers: Iterable[int] | None = None,
    threshold_bits: int | None = None,
) -> dict[str, Where]:
    """The model aimed at each part by itself, by name, ready for :func:`bnnverify.faults.run`.

    Rows and bits are those of each layer's bank: neurons, and inputs or bits of a threshold
    (:mod:`bnnverify.faults.cells`).

    >>> from bnnverify.data.bundled import bundled_network
    >>> from bnnverify.faults.rates import Symmetric
    >>> list(parted(bundled_network(), Symmetric(0.01), "layer"))
    ['layer 0', 'layer 1', 'layer 2']

    Raises:
        UsageError: if there is no such part or layer, or rows of activations are asked for, which are instances.
    """
    part, aim = _part(by), Target(target)
    if part is Part.ROW and aim in (Target.ACTIVATIONS, Target.INPUTS):
        raise UsageError(f"sensitivity by row: a row of {aim.value} is an instance; take layer or bit")
    wanted = None if layers is None else set(layers)
    found: dict[str, Where] = {}
    for cells in banks(network, 1, threshold_bits):
        if cells.target is not aim or (wanted is not None and cells.layer not in wanted):
            continue
        found |= _aims(part, model, cells)
    if not found:
        raise UsageError(f"sensitivity: no layer of {sorted(wanted or ())} has {aim.value}")
    return found


def _aims(part: Part, model: FaultModel, cells: Cells) -> dict[str, Where]:
    """The model aimed at each part of one bank, by name."""
    layers, at = (cells.layer,), f"layer {cells.layer}"
    if part is Part.LAYER:
        return {at: Where(model, cells.target, layers)}
    if part is Part.ROW:
        return {f"{at} row {k}": Where(model, cells.target, layers, rows=(k,)) for k in range(cells.rows)}
    return {f"{at} bit {k}": Where(model, cells.target, layers, bits=(k,)) for k in range(cells.columns)}


def _part(name: Part | str) -> Part:
    try:
        return Part(name)
    except ValueError:
        raise UsageError(f"sensitivity by {name!r}: expected layer, row or bit") from None
