"""A network on a region as sparse rows over flips, patch by patch.

A convolution is one row a patch and channel, over the cells inside the image, since padding contributes nothing;
the OR of n bits is ``sum >= 2 - n``. Signs become 0/1, and the centre goes into the constants. Cost: one pass over
the weights that are not zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import UnsupportedError
from bnnverify.network import Block, ConvBlock, Layer, MaxPool, Network, QuantizedInput, Shape
from bnnverify.presolve.flips import Flips
from bnnverify.presolve.rows import Longs, Rows
from bnnverify.presolve.system import System
from bnnverify.scores import ScoreKeys

MOST_TERMS = 1 << 28


@dataclass(frozen=True, eq=False)
class Terms:
    """A block's weights one by one: ``y[row] = +1 iff sum of weight * x[column] >= thresholds[row]``."""

    row: Longs
    column: Longs
    weight: Longs
    thresholds: Longs
    n_columns: int

    def affine(self) -> Rows:
        """``weights @ x - thresholds`` as rows over x."""
        return Rows.of_terms(self.row, self.column, self.weight, -self.thresholds, self.n_columns)


def lower(network: Network, flips: Flips, keys: ScoreKeys) -> System:
    """Every neuron of the network as a row, and the classes' keys.

    Raises:
        UnsupportedError: if a block has more than ``MOST_TERMS`` weights, or quantized pixels are not weighted first.
    """
    layers = list(zip(network.blocks, network.shapes, strict=False))
    if isinstance(network.input, QuantizedInput) and (not layers or isinstance(layers[0][0], MaxPool)):
        raise UnsupportedError(f"{network.name}: quantized integers must feed a dense or convolutional block")
    affine = [_reachable(block_terms(block, shape), network, k) for k, (block, shape) in enumerate(layers)]
    rows = affine or [_identity(network.n_inputs)]
    blocks = (_over_flips(rows[0], flips), *(_over_bits(later) for later in rows[1:]))
    output = network.output.weights.astype(np.int64)
    slopes = keys.slopes[:, None] * output
    return System(
        costs=flips.costs,
        budget=flips.budget,
        pairs=flips.pairs,
        blocks=tuple(block.coprime() for block in blocks),
        keys=2 * slopes,
        bases=keys.offsets - slopes.sum(axis=1),
        classes=keys.classes[keys.offsets & (keys.classes.size - 1)],
        neurons=tuple(np.arange(block.n_rows) for block in blocks),
    )


def block_terms(block: Layer, shape: Shape) -> Terms:
    """The weights of one block over flattened inputs of a shape, those that are not zero."""
    if isinstance(block, Block):
        row, column = np.nonzero(block.weights)
        return Terms(row, column, block.weights[row, column].astype(np.int64), block.thresholds, prod(shape))
    return _conv_terms(block, shape) if isinstance(block, ConvBlock) else _pool_terms(block, shape)


def window_cells(
    shape: Shape, window: tuple[int, ...], stride: tuple[int, int], padding: tuple[int, int], counts: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Flat cell index of each window position, ``(windows, cells)``, and whether it is in the image."""
    rows, columns = (
        (np.arange(counts[a]) * stride[a] - padding[a])[:, None] + np.arange(window[a])[None, :] for a in (0, 1)
    )
    y = rows[:, None, :, None] + np.zeros_like(columns)[None, :, None, :]
    x = columns[None, :, None, :] + np.zeros_like(rows)[:, None, :, None]
    inside = (y >= 0) & (y < shape[1]) & (x >= 0) & (x < shape[2])
    flat = (y * shape[2] + x).reshape(counts[0] * counts[1], -1)
    return flat, inside.reshape(flat.shape)


def _conv_terms(block: ConvBlock, shape: Shape) -> Terms:
    _, height, width = block.output_shape(shape)
    n_patches, area = height * width, shape[1] * shape[2]
    cells, inside = window_cells(shape, block.weights.shape[2:], block.stride, block.padding, (height, width))
    n_out, n_in = block.weights.shape[:2]
    kernel = block.weights.reshape(n_out, n_in, -1)
    if np.count_nonzero(kernel) * n_patches > MOST_TERMS:
        raise UnsupportedError(f"a convolution of more than {MOST_TERMS:,} weights is too large for the exact engines")
    out, channel, position = np.nonzero(kernel)
    row = out[:, None] * n_patches + np.arange(n_patches)
    column = channel[:, None] * area + cells[:, position].T
    kept = inside[:, position].T
    weight = np.broadcast_to(kernel[out, channel, position].astype(np.int64)[:, None], row.shape)
    return Terms(row[kept], column[kept], weight[kept], np.repeat(block.thresholds, n_patches), prod(shape))


def _pool_terms(block: MaxPool, shape: Shape) -> Terms:
    channels, height, width = block.output_shape(shape)
    cells, _ = window_cells(shape, block.size, block.stride, (0, 0), (height, width))
    channel = np.arange(channels)[:, None, None]
    column = np.broadcast_to(channel * (shape[1] * shape[2]) + cells, (channels, *cells.shape))
    row = np.broadcast_to(np.arange(channels * cells.shape[0]).reshape(channels, -1, 1), column.shape)
    thresholds = np.full(channels * cells.shape[0], 2 - prod(block.size), dtype=np.int64)
    ones = np.ones(row.size, dtype=np.int64)
    return Terms(row.reshape(-1), column.reshape(-1), ones, thresholds, prod(shape))


def _reachable(terms: Terms, network: Network, index: int) -> Rows:
    """A block as rows, with thresholds clipped to where they first make a neuron constant."""
    levels = network.input.max_level if index == 0 and isinstance(network.input, QuantizedInput) else 1
    rows = terms.affine()
    reach = levels * rows.sums(np.abs(rows.weights))
    return Rows(rows.starts, rows.columns, rows.weights, -np.clip(terms.thresholds, -reach, reach + 1), rows.n_columns)


def _identity(n: int) -> Rows:
    """Neurons that repeat their inputs, for networks that are an output layer alone."""
    every = np.arange(n, dtype=np.int64)
    return Rows.of_terms(every, every, np.ones(n, dtype=np.int64), np.zeros(n, dtype=np.int64), n)


def _over_flips(rows: Rows, flips: Flips) -> Rows:
    """Rows over the inputs' values as rows over flips."""
    constants = rows.constants + rows.sums(rows.weights * flips.center[rows.columns])
    first = np.searchsorted(flips.inputs, np.arange(rows.n_columns + 1))
    counts = np.diff(first)[rows.columns]
    starts = np.cumsum(counts) - counts
    term = np.repeat(np.arange(rows.columns.size), counts)
    flip = first[rows.columns[term]] + np.arange(term.size) - starts[term]
    return Rows.of_terms(
        rows.row[term], flip, rows.weights[term] * flips.gains[flip], constants, int(flips.inputs.size)
    )


def _over_bits(rows: Rows) -> Rows:
    """Rows over signs as rows over 0/1: ``x = 2 b - 1``."""
    constants = rows.constants - rows.sums(rows.weights)
    return Rows(rows.starts, rows.columns, 2 * rows.weights, constants, rows.n_columns)
