"""The faulty twin of a network: the same with some weight bits flipped, the bridge from verification to faults."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import UsageError
from bnnverify.network import Block, ConvBlock, Network, Output


@dataclass(frozen=True, order=True)
class WeightBit:
    """One stored weight: its block (``len(blocks)`` is the output layer), its row, and its place in the row."""

    block: int
    row: int
    column: int

    def __str__(self) -> str:
        return f"{self.block}:{self.row}:{self.column}"


def weight_bits(network: Network, block: int) -> list[WeightBit]:
    """Every nonzero weight of a block, or of the output layer (``block == len(network.blocks)``), row by row."""
    weights = _weights_of(network, block)
    return [WeightBit(block, int(r), int(c)) for r, c in zip(*np.nonzero(weights), strict=True)]


def flip_weights(network: Network, bits: Iterable[WeightBit]) -> Network:
    """The network with the sign of these weights changed; a convolution's places run over its kernel, flattened.

    Raises:
        UsageError: if there is no such weight, or it is 0 and so has no sign.

    >>> import bnnverify as bv
    >>> net = bv.Network([bv.Block([[1, 1, 1]], [0])], bv.Output([[1], [-1]]))
    >>> flip_weights(net, [WeightBit(0, 0, 2)]).blocks[0].weights.tolist()
    [[1, 1, -1]]
    """
    layers: list[object] = [*network.blocks, network.output]
    changed: dict[int, NDArray[np.int8]] = {}
    for bit in sorted(set(bits)):
        weights = changed.setdefault(bit.block, _weights_of(network, bit.block).copy())
        if not (0 <= bit.row < weights.shape[0] and 0 <= bit.column < weights.shape[1]):
            raise UsageError(f"weight {bit}: the layer has {weights.shape[0]} rows of {weights.shape[1]} weights")
        if weights[bit.row, bit.column] == 0:
            raise UsageError(f"weight {bit}: it is 0, which has no sign to flip")
        weights[bit.row, bit.column] *= -1
    for index, weights in changed.items():
        layer = layers[index]
        assert isinstance(layer, Block | ConvBlock | Output)
        layers[index] = replace(layer, weights=weights.reshape(layer.weights.shape))
    return replace(network, blocks=tuple(layers[:-1]), output=layers[-1])  # type: ignore[arg-type]


def _weights_of(network: Network, block: int) -> NDArray[np.int8]:
    """Signs of a layer, ``(rows, weights a row)``."""
    layers = [*network.blocks, network.output]
    if not 0 <= block < len(layers):
        raise UsageError(f"block {block}: expected 0..{len(layers) - 1}, the last being the output layer")
    layer = layers[block]
    if not isinstance(layer, Block | ConvBlock | Output):
        raise UsageError(f"block {block}: a {type(layer).__name__} has no weights")
    signs: NDArray[np.int8] = layer.weights.reshape(layer.weights.shape[0], -1)
    return signs
