"""Where flips may strike, and which stored bits a number of flips in a row stands for.

With its inputs given, the flips of a dense row are interchangeable but for the size of what they move, so a search
speaks of *strikes*: so many flips that raise, or lower, the sum of a row. Here they become weight bits again,
layer by layer, since what a layer reads depends on the flips below it. Cost: one execution in integers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import UnsupportedError, UsageError
from bnnverify.inference.reference import layer_values
from bnnverify.network import Block, ConvBlock, MaxPool, Network, Output
from bnnverify.weightflips import WeightBit

Longs = NDArray[np.int64]
Mask = NDArray[np.bool_]
Stored = Block | ConvBlock | Output


@dataclass(frozen=True)
class Places:
    """The layers, and the rows of each of them, whose weights may flip.

    Args:
        layers: increasing; ``len(network.blocks)`` is the output layer.
        rows: the rows that may, in every such layer; None for all.
    """

    layers: tuple[int, ...]
    rows: tuple[int, ...] | None = None

    def of_layer(self, layer: int, n_rows: int) -> Mask:
        """Which rows of a layer may be struck, ``(n_rows,)``."""
        if layer not in self.layers:
            return np.zeros(n_rows, dtype=np.bool_)
        if self.rows is None:
            return np.ones(n_rows, dtype=np.bool_)
        return np.isin(np.arange(n_rows), self.rows)


@dataclass(frozen=True, eq=False)
class Strikes:
    """An input and flips that give it another class.

    Args:
        values: ``(n_inputs,)`` bits or levels.
        counts: of a layer, the flips in each row, positive where they raise its sum and negative where they lower it.
        bits: flips that are already chosen, those of convolutions.
    """

    values: Longs
    counts: dict[int, Longs] = field(default_factory=dict)
    bits: tuple[WeightBit, ...] = ()


def places_in(network: Network, layers: Iterable[int] | None, rows: Iterable[int] | None) -> Places:
    """The layers and rows that a user named, all of them by default.

    Raises:
        UsageError: if there is no such layer or row, or it has no weights.
        UnsupportedError: if a weight is -128, whose opposite eight bits do not hold.
    """
    stored = stored_layers(network)
    named = tuple(stored) if layers is None else tuple(sorted({int(layer) for layer in layers}))
    for layer in named:
        if not 0 <= layer <= len(network.blocks):
            raise UsageError(f"layer {layer}: expected 0..{len(network.blocks)}, the last being the output layer")
        if layer not in stored:
            raise UsageError(f"layer {layer}: a MaxPool has no weights; name other layers")
        if stored[layer].weights.min() < -127:
            raise UnsupportedError(f"layer {layer}: a weight is -128, whose opposite an int8 cannot hold")
    chosen = None if rows is None else tuple(sorted({int(row) for row in rows}))
    most = max((len(stored[layer].weights) for layer in named), default=0)
    strange = [row for row in chosen or () if not 0 <= row < most]
    if strange:
        raise UsageError(f"row {strange[0]}: expected 0..{most - 1}, the rows of the layers that may be struck")
    return Places(named, chosen)


def stored_layers(network: Network) -> dict[int, Stored]:
    """The layers that store weights, by number."""
    layers = enumerate((*network.blocks, network.output))
    return {number: layer for number, layer in layers if not isinstance(layer, MaxPool)}


def struck_bits(network: Network, strikes: Strikes) -> tuple[WeightBit, ...]:
    """The weights that strikes flip: in each row those that move its sum the most, the first of equal ones."""
    values = strikes.values.reshape(1, *network.shapes[0])
    found: list[WeightBit] = []
    for number, layer in enumerate((*network.blocks, network.output)):
        here = [bit for bit in strikes.bits if bit.block == number]
        if number in strikes.counts and not isinstance(layer, MaxPool):
            here += _chosen(number, layer, values.reshape(-1), strikes.counts[number])
        found += here
        if not isinstance(layer, Output):
            values = layer_values(layer if isinstance(layer, MaxPool) else _flipped(layer, here), values)
    return tuple(sorted(found))


def _chosen(number: int, layer: Stored, values: Longs, counts: Longs) -> list[WeightBit]:
    """So many weights of each row whose flips move its sum as wanted."""
    bits: list[WeightBit] = []
    for row in np.flatnonzero(counts):
        effects = -np.sign(counts[row]) * layer.weights[row].astype(np.int64) * values
        columns = np.argsort(-effects, kind="stable")[: abs(int(counts[row]))]
        bits += [WeightBit(number, int(row), int(column)) for column in columns if effects[column] > 0]
    return bits


def _flipped(layer: Block | ConvBlock, bits: list[WeightBit]) -> Block | ConvBlock:
    if not bits:
        return layer
    weights = layer.weights.reshape(len(layer.weights), -1).copy()
    weights[[bit.row for bit in bits], [bit.column for bit in bits]] *= -1
    return replace(layer, weights=weights.reshape(layer.weights.shape))
