"""What a place of the last block depends on: its window, traced back to the first block, and what it makes of it.

A cone is a rectangle of the last block's places with, for every block before it, the rectangle that its windows read.
Bits of the first block run forward through it for many patterns at once, as least and greatest values; cells beyond an
image's edge are padding and count 0. Cost: patterns times the weights of the cone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.network import Block, Layer, MaxPool, Network, Shape

Bits = NDArray[np.float32]


@dataclass(frozen=True)
class Rectangle:
    """Rows top..bottom-1 and columns left..right-1; they may reach beyond an image's edges."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.bottom - self.top, self.right - self.left

    def inside(self, image: tuple[int, int]) -> Rectangle:
        """The part within an image of this height and width."""
        return Rectangle(max(self.top, 0), min(self.bottom, image[0]), max(self.left, 0), min(self.right, image[1]))

    def cells(self, width: int) -> NDArray[np.int64]:
        """Flat indices of the cells in an image of this width, row by row."""
        return (np.arange(self.top, self.bottom)[:, None] * width + np.arange(self.left, self.right)).reshape(-1)


def image_size(shape: Shape) -> tuple[int, int]:
    """Height and width; flat bits are one place with a channel each."""
    return (shape[1], shape[2]) if len(shape) == 3 else (1, 1)


@dataclass(frozen=True, eq=False)
class Cone:
    """``reads[d]`` is what block d reads of block d - 1's output, for d from 1; ``reads[-1]``'s reader is the last."""

    network: Network
    places: Rectangle
    reads: tuple[Rectangle, ...]

    @property
    def first(self) -> Rectangle:
        """The first block's places that the cone depends on."""
        return (self.reads[0] if self.reads else self.places).inside(image_size(self.network.shapes[1]))

    def values(self, low: Bits, high: Bits) -> tuple[Bits, Bits]:
        """Least and greatest bits ``(patterns, channels, rows, columns)`` of the places.

        Args:
            low, high: the same of the first block, in the rectangle ``first``.
        """
        at = self.first
        for depth, reads in enumerate(self.reads, start=1):
            low, high = (_padded(side, at, reads) for side in (low, high))
            low, high = _through(self.network.blocks[depth], low, high)
            after = self.reads[depth] if depth < len(self.reads) else self.places
            at = after.inside(image_size(self.network.shapes[depth + 1]))
        return low, high


def cone_of(network: Network, places: Rectangle) -> Cone:
    """The cone of a rectangle of the last block's places."""
    reads: list[Rectangle] = []
    at = places
    for depth in range(len(network.blocks) - 1, 0, -1):
        reads.append(_window(network.blocks[depth], network.shapes[depth], at))
        at = reads[-1].inside(image_size(network.shapes[depth]))
    return Cone(network, places, tuple(reversed(reads)))


def _window(block: Layer, before: Shape, places: Rectangle) -> Rectangle:
    if isinstance(block, Block):
        return Rectangle(0, image_size(before)[0], 0, image_size(before)[1])
    size, padding = (block.size, (0, 0)) if isinstance(block, MaxPool) else (block.weights.shape[2:], block.padding)
    down, across = block.stride
    return Rectangle(
        places.top * down - padding[0],
        (places.bottom - 1) * down - padding[0] + size[0],
        places.left * across - padding[1],
        (places.right - 1) * across - padding[1] + size[1],
    )


def _padded(side: Bits, at: Rectangle, reads: Rectangle) -> Bits:
    rows, columns = (at.top - reads.top, reads.bottom - at.bottom), (at.left - reads.left, reads.right - at.right)
    return np.pad(side, [(0, 0), (0, 0), rows, columns])


def _through(block: Layer, low: Bits, high: Bits) -> tuple[Bits, Bits]:
    """A block's bits for the windows of its input, least and greatest."""
    if isinstance(block, Block):
        return _signs(block.weights[:, :, None, None], block.thresholds, (1, 1), _flat(low), _flat(high))
    if isinstance(block, MaxPool):
        return _greatest(low, block), _greatest(high, block)
    return _signs(block.weights, block.thresholds, block.stride, low, high)


def _flat(side: Bits) -> Bits:
    return side.reshape(len(side), -1, 1, 1)


def _signs(
    weights: NDArray[np.int8], thresholds: NDArray[np.int64], stride: tuple[int, int], low: Bits, high: Bits
) -> tuple[Bits, Bits]:
    least: Any = 0
    most: Any = 0
    counts = [(low.shape[2 + axis] - weights.shape[2 + axis]) // stride[axis] + 1 for axis in (0, 1)]
    for y, x in np.ndindex(*weights.shape[2:]):
        tap = weights[:, :, y, x].astype(np.float32).T
        up, down = np.maximum(tap, 0), np.minimum(tap, 0)
        views = (side[:, :, y :: stride[0], x :: stride[1]][:, :, : counts[0], : counts[1]] for side in (low, high))
        lower, upper = (view.transpose(0, 2, 3, 1) for view in views)
        least, most = least + (lower @ up + upper @ down), most + (upper @ up + lower @ down)
    return _as_bits(least >= thresholds), _as_bits(most >= thresholds)


def _as_bits(positive: NDArray[np.bool_]) -> Bits:
    """Bits with channels before rows from truth values with channels last."""
    return np.where(positive, np.float32(1), np.float32(-1)).transpose(0, 3, 1, 2)


def _greatest(side: Bits, pool: MaxPool) -> Bits:
    windows = np.lib.stride_tricks.sliding_window_view(side, pool.size, axis=(2, 3))
    greatest: Bits = windows[:, :, :: pool.stride[0], :: pool.stride[1]].max(axis=(4, 5))
    return greatest
