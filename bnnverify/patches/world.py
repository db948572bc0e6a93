"""The first block over a box: the box in integers, least and greatest sums, and the rows of neurons that move.

The prover's own view. A real box whose bounds have long denominators is rounded outwards to a grid, so that everything
fits into 64 bits; a proof over the larger box holds in the smaller one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.network import Block, ConvBlock, Network
from bnnverify.patches.check import Box

GRID = 1 << 20
THRESHOLD_LIMIT = 1 << 40

Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class World:
    """What the first block does over the box.

    Args:
        low, high: ``(n_inputs,)`` bounds of what it reads, times ``unit``.
        thresholds: ``(n_neurons,)`` likewise, each a sum that its row can have.
        gap: least distance between two sums of a row; 0 for real inputs.
        least, most: ``(n_neurons,)`` bounds of the sums.
    """

    network: Network
    low: Integers
    high: Integers
    thresholds: Integers
    gap: int
    least: Integers
    most: Integers

    @property
    def moving(self) -> NDArray[np.bool_]:
        """Neurons that are +1 for some input of the box and -1 for another, as far as sums tell, ``(n_neurons,)``."""
        return (self.least < self.thresholds) & (self.most >= self.thresholds)

    @property
    def signs(self) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
        """Least and greatest bit of each neuron, in the shape of the first block's output."""
        shape = self.network.shapes[1]
        low, high = (np.where(s >= self.thresholds, 1, -1).astype(np.int8) for s in (self.least, self.most))
        return low.reshape(shape), high.reshape(shape)

    def rows(self, neurons: Integers) -> tuple[Integers, Integers]:
        """Weights ``(neurons, inputs)`` over the inputs that these neurons read, and which inputs these are."""
        block = self.network.blocks[0]
        if isinstance(block, Block):
            return block.weights[neurons].astype(np.int64), np.arange(self.low.size)
        assert isinstance(block, ConvBlock)
        pixels, weights = windows(block, self.network.shapes[0], self.network.shapes[1], neurons)
        inputs, places = np.unique(pixels, return_inverse=True)
        rows = np.zeros((neurons.size, inputs.size), dtype=np.int64)
        rows[np.arange(neurons.size)[:, None], places.reshape(pixels.shape)] = weights
        return (rows[:, 1:], inputs[1:]) if inputs.size and inputs[0] < 0 else (rows, inputs)


def world_of(network: Network, low: Sequence[Any], high: Sequence[Any], *, real: bool) -> World:
    """The first block over the box."""
    box = Box.of(network, low, high, real)
    unit, least, most = _levels(box)
    block = network.blocks[0]
    assert isinstance(block, Block | ConvBlock)
    n_sites = prod(network.shapes[1][1:])
    thresholds = np.repeat(np.clip(block.thresholds, -THRESHOLD_LIMIT, THRESHOLD_LIMIT), n_sites) * unit
    if box.gap == 2:
        cells = _sums(block, np.ones_like(least), np.ones_like(least), network.shapes[0], absolute=True)
        thresholds = thresholds + (cells - thresholds) % 2
    sums = (_sums(block, a, b, network.shapes[0]) for a, b in ((least, most), (most, least)))
    return World(network, least, most, thresholds, box.gap or 0, *sums)


def _levels(box: Box) -> tuple[int, Integers, Integers]:
    """Unit, low and high, on a grid if their own would not fit into 64 bits."""
    if box.unit <= GRID:
        return box.unit, np.array(box.low, dtype=np.int64), np.array(box.high, dtype=np.int64)
    low, high = ([v * GRID for v in side] for side in (box.low, box.high))
    return GRID, np.array([v // box.unit for v in low]), np.array([-(-v // box.unit) for v in high])


def _sums(
    block: Block | ConvBlock, low: Integers, high: Integers, shape: tuple[int, ...], *, absolute: bool = False
) -> Integers:
    """Least sum of every neuron where positive weights read ``low`` and negative ones ``high``, ``(n_neurons,)``."""
    weights = np.abs(block.weights.astype(np.int64)) if absolute else block.weights.astype(np.int64)
    up, down = np.maximum(weights, 0), np.minimum(weights, 0)
    if isinstance(block, Block):
        return np.asarray(up @ low + down @ high)
    images = [np.pad(side.reshape(shape), [(0, 0), *((p, p) for p in block.padding)]) for side in (low, high)]
    _, height, width = block.output_shape(shape)
    total = np.zeros((len(weights), height, width), dtype=np.int64)
    for y, x in np.ndindex(*weights.shape[2:]):
        across = np.s_[
            :, y : y + height * block.stride[0] : block.stride[0], x : x + width * block.stride[1] : block.stride[1]
        ]
        for part, image in zip((up, down), images, strict=True):
            total += np.tensordot(part[:, :, y, x], image[across][:, :height, :width], 1)
    sums: Integers = total.reshape(-1)
    return sums


def windows(
    block: ConvBlock, before: tuple[int, ...], after: tuple[int, ...], neurons: Integers
) -> tuple[Integers, Integers]:
    """Inputs ``(neurons, cells)`` of each neuron's window, -1 in the padding, and their weights."""
    channel, site = np.divmod(neurons, after[1] * after[2])
    top, left = (
        (site // after[2]) * block.stride[0] - block.padding[0],
        (site % after[2]) * block.stride[1] - block.padding[1],
    )
    c, y, x = (grid.reshape(-1) for grid in np.indices(block.weights.shape[1:]))
    rows, columns = top[:, None] + y, left[:, None] + x
    inside = (rows >= 0) & (rows < before[1]) & (columns >= 0) & (columns < before[2])
    pixels = np.where(inside, (c * before[1] + rows) * before[2] + columns, -1)
    weights = block.weights.reshape(len(block.weights), -1)[channel].astype(np.int64)
    return pixels, np.where(inside, weights, 0)
