"""The memory of a network as banks of cells: which bits are stored, and what their errors mean.

A weight is one cell: 1 for +1, 0 for -1; a weight 0 has no sign, so its place in the table has no cell and never
fails. A threshold is a two's-complement number of a stated width, by default the least that holds all of its layer.
Thresholds out of reach of any sum, which make a constant neuron, are stored as the nearest value that is out of reach
as well.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import UnsupportedError, UsageError
from bnnverify.faults.cells import Cells, Contents, Positions, Target
from bnnverify.network import Block, ConvBlock, MaxPool, Network, Output, QuantizedInput

WIDEST = 63
Weighted = Block | ConvBlock | Output


def weighted(network: Network) -> dict[int, Weighted]:
    """The layers that store weights, by index; the output layer is ``len(network.blocks)``."""
    layers = enumerate((*network.blocks, network.output))
    return {index: layer for index, layer in layers if not isinstance(layer, MaxPool)}


def banks(network: Network, n_instances: int, threshold_bits: int | None = None) -> list[Cells]:
    """Every bank that faults can strike.

    Args:
        n_instances: rows of the banks of activations and inputs.
        threshold_bits: width of the stored thresholds; by default the least that holds them, layer by layer.

    Raises:
        UsageError: if a threshold does not fit into that width.
    """
    found = [weight_bank(network, index) for index in weighted(network)]
    for index, block in enumerate(network.blocks):
        if not isinstance(block, MaxPool):
            found.append(threshold_bank(network, index, threshold_bits))
        found.append(activation_bank(network, index, n_instances, _unknown))
    return [*found, input_bank(network, n_instances, _unknown)]


def weight_bank(network: Network, layer: int) -> Cells:
    """The weights of a layer."""
    block = weighted(network)[layer]
    signs = block.weights.reshape(len(block.weights), -1)

    def ones(asked: Positions) -> Contents:
        return np.asarray(signs.reshape(-1)[asked] > 0)

    return Cells(Target.WEIGHTS, layer, *signs.shape, ones, lambda other: weight_bank(other, layer))


def has_cells(network: Network, layer: int, positions: Positions) -> Contents:
    """Which places of a weight bank hold a cell: those of the weights that are not 0."""
    return np.asarray(weighted(network)[layer].weights.reshape(-1)[positions] != 0)


def require_signs(network: Network, layer: int) -> None:
    """Refuse integer weights, whose cells are no signs.

    Raises:
        UnsupportedError: if a weight is beyond -1, 0, +1.
    """
    if np.abs(weighted(network)[layer].weights.astype(np.int64)).max() > 1:
        raise UnsupportedError(
            f"faults: layer {layer} stores integer weights, expected -1, 0, +1; aim at other layers by layers=..."
        )


def threshold_bank(network: Network, layer: int, width: int | None = None) -> Cells:
    """The thresholds of a layer, a bit a column, lowest first.

    Raises:
        UsageError: if one does not fit into ``width`` bits.
    """
    numbers = stored_thresholds(network, layer)
    width = _width(numbers, layer, width)

    def ones(asked: Positions) -> Contents:
        return np.asarray(numbers[asked // width] >> (asked % width) & 1 == 1)

    def of(other: Network) -> Cells:
        return threshold_bank(other, layer, width)

    return Cells(Target.THRESHOLDS, layer, numbers.size, width, ones, of)


def stored_thresholds(network: Network, layer: int) -> NDArray[np.int64]:
    """Thresholds as they are stored: clipped to the first value out of reach on either side."""
    block = network.blocks[layer]
    assert isinstance(block, Block | ConvBlock)
    level = network.input.max_level if layer == 0 and isinstance(network.input, QuantizedInput) else 1
    reach = block.fan_in() * level
    clipped: NDArray[np.int64] = np.clip(block.thresholds, -reach - 1, reach + 1)
    return clipped


def _width(numbers: NDArray[np.int64], layer: int, width: int | None) -> int:
    least = 1 + max(int(max(number, ~number)).bit_length() for number in numbers.tolist())
    if width is None:
        return least
    if not least <= width <= WIDEST:
        raise UsageError(
            f"thresholds of {width} bits: layer {layer} needs at least {least}, at most {WIDEST} are known"
        )
    return width


def flipped_thresholds(network: Network, layer: int, width: int, flips: Positions) -> NDArray[np.int64]:
    """The thresholds that are read when these cells of :func:`threshold_bank` are wrong."""
    numbers = stored_thresholds(network, layer).copy()
    bits = np.left_shift(np.int64(1), flips % width)
    np.bitwise_xor.at(numbers, flips // width, bits)
    sign = np.int64(1) << np.int64(width - 1)
    kept = numbers & ((sign << 1) - 1)
    return np.asarray((kept ^ sign) - sign)


def activation_bank(network: Network, layer: int, n_instances: int, ones: Callable[[Positions], Contents]) -> Cells:
    """The bits behind a block, an instance a row."""
    return Cells(Target.ACTIVATIONS, layer, n_instances, prod(network.shapes[layer + 1]), ones)


def input_bank(network: Network, n_instances: int, ones: Callable[[Positions], Contents]) -> Cells:
    """The input bits, an instance a row; of quantized inputs, column ``i * planes + b`` is bit b of number i."""
    return Cells(Target.INPUTS, 0, n_instances, network.n_inputs * input_planes(network), ones)


def input_planes(network: Network) -> int:
    """Bits that store one input."""
    return network.input.max_level.bit_length() if isinstance(network.input, QuantizedInput) else 1


def _unknown(asked: Positions) -> Contents:
    raise AssertionError("what activations hold is known only while they are executed")
