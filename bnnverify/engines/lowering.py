"""Write convolutions and max-pools as dense blocks, exactly, for the engines that need rows.

A convolution is one row a patch, with zero weights outside it (padding contributes nothing, and so
does a zero weight); the OR of n bits is ``sum >= 2 - n``. The result is refused past ``MAX_WEIGHTS``
entries, since it is quadratic in the image.
"""

from __future__ import annotations

from math import prod

import numpy as np

from bnnverify.errors import UnsupportedError
from bnnverify.network import Block, ConvBlock, Layer, MaxPool, Network, Shape
from bnnverify.presolve.lower import window_cells

MAX_WEIGHTS = 1 << 28


def dense_blocks(network: Network) -> tuple[Block, ...]:
    """The network's blocks as dense blocks over flattened bits.

    Raises:
        UnsupportedError: if one of them would hold more than ``MAX_WEIGHTS`` weights.
    """
    pairs = zip(network.blocks, network.shapes, strict=False)
    return tuple(_dense(block, shape) for block, shape in pairs)


def _dense(block: Layer, shape: Shape) -> Block:
    if isinstance(block, Block):
        return block
    n_weights = prod(shape) * prod(block.output_shape(shape))
    if n_weights > MAX_WEIGHTS:
        raise UnsupportedError(f"a convolution of {n_weights} dense weights is too large for the exact engines")
    return _dense_convolution(block, shape) if isinstance(block, ConvBlock) else _dense_pool(block, shape)


def _dense_convolution(block: ConvBlock, shape: Shape) -> Block:
    out_channels, in_channels = block.weights.shape[:2]
    _, height, width = block.output_shape(shape)
    cells, inside = window_cells(shape, block.weights.shape[2:], block.stride, block.padding, (height, width))
    dense = np.zeros((out_channels, height * width, in_channels, shape[1] * shape[2]), dtype=np.int8)
    kernel = block.weights.reshape(out_channels, in_channels, -1)
    patch, position = np.nonzero(inside)
    dense[:, patch, :, cells[patch, position]] = kernel[:, :, position].transpose(2, 0, 1)
    thresholds = np.repeat(block.thresholds, height * width)
    return Block(dense.reshape(out_channels * height * width, prod(shape)), thresholds)


def _dense_pool(block: MaxPool, shape: Shape) -> Block:
    channels, height, width = block.output_shape(shape)
    cells, _ = window_cells(shape, block.size, block.stride, (0, 0), (height, width))
    dense = np.zeros((channels, height * width, channels, shape[1] * shape[2]), dtype=np.int8)
    windows = np.arange(height * width)[:, None]
    for channel in range(channels):
        dense[channel, windows, channel, cells] = 1
    n_outputs = channels * height * width
    return Block(dense.reshape(n_outputs, prod(shape)), np.full(n_outputs, 2 - prod(block.size), dtype=np.int64))
