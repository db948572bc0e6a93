"""One weighted layer of the bit engine whose packed weights and thresholds can be made faulty and sound again.

Flips go in place into the packed words, and into the prefix parities where large batches use them; undoing copies the
sound ones back. Thresholds change the limits. So do weights, where limits depend on them: bit planes count
positive weights, and cells outside an image count as differing from them.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from bnnverify.faults.cells import NO_CELLS, Positions
from bnnverify.faults.flipping import flip_lanes, flip_parities, located
from bnnverify.faults.increments import Flips
from bnnverify.faults.stored import Weighted, flipped_thresholds
from bnnverify.inference.layout import Neurons, bit_limits, border_limits, overlaps, plane_limits
from bnnverify.inference.program import ConvStep, DenseStep
from bnnverify.network import ConvBlock, Network, Output, Shape

NO_FLIPS = Flips(NO_CELLS, NO_CELLS, np.zeros(0, dtype=np.int8))


class FaultyLayer:
    """A private, writable copy of one layer.

    Args:
        network, layer: which layer of which network.
        step: the compiled step, or for the output layer a step that holds its neurons.
        planes: bit planes that the layer reads, 0 for bits.
        updated: whether the layer may be brought up to date, for which flips need their signs.
    """

    def __init__(self, network: Network, layer: int, step: DenseStep | ConvStep, planes: int, *, updated: bool) -> None:
        self._network, self._layer, self._planes = network, layer, planes
        self._block: Weighted = (*network.blocks, network.output)[layer]  # type: ignore[assignment]
        self._signs = self._block.weights.reshape(-1)
        self._told_signs = self._signs if updated else self._signs[:0]
        self._order = column_order(self._block, step, network.shapes[layer])
        self._sound, self.step = step, step.writable()
        self.flips = NO_FLIPS
        self.moved_limits = False

    def load(self, weights: Positions, thresholds: Positions, width: int) -> None:
        """Make these cells wrong; positions of weights that are 0 must not be among them."""
        self.flips = Flips(*located(weights, self._order.size, self._order, self._told_signs))
        self._toggle()
        read = flipped_thresholds(self._network, self._layer, width, thresholds) if thresholds.size else None
        if read is not None or (weights.size and self._limits_need_weights()):
            self._set_limits(self._limits(weights, read))
            self.moved_limits = True

    def undo(self) -> None:
        """Make all cells right again."""
        if self.flips.rows.size:
            self.step.neurons.words[:] = self._sound.neurons.words
            if "carries" in vars(self.step):
                vars(self.step)["carries"].parities[:] = vars(self._sound)["carries"].parities
        self.flips = NO_FLIPS
        if self.moved_limits:
            self._set_limits(self._sound.limits)
            self.moved_limits = False

    def _toggle(self) -> None:
        if self.flips.rows.size:
            flip_lanes(self.step.neurons.words, self.flips.rows, self.flips.columns)
            if "carries" in vars(self.step):
                flip_parities(vars(self.step)["carries"].parities, self.flips.rows, self.flips.columns)

    def _set_limits(self, limits: NDArray[np.int64]) -> None:
        self.step.limits[:] = limits
        if "carries" in vars(self.step):
            vars(self.step)["carries"].set_limits(limits)

    def _limits_need_weights(self) -> bool:
        return self._planes > 0 or len(self.step.limits) > 1 or _padded(self._block)

    def _limits(self, weights: Positions, thresholds: NDArray[np.int64] | None) -> NDArray[np.int64]:
        """Limits with these weights flipped and these thresholds, by default the sound ones."""
        assert not isinstance(self._block, Output)
        thresholds = self._block.thresholds if thresholds is None else thresholds
        neurons = self.step.neurons
        if self._planes:
            return plane_limits(_recounted(neurons, self._signs, weights, self._order.size), thresholds, self._planes)
        if not isinstance(self._block, ConvBlock):
            return bit_limits(neurons, thresholds)
        flipped = self._signs.copy()
        flipped[weights] *= -1
        shape, kernel = self._network.shapes[self._layer], self._block.weights.shape
        inside, _ = overlaps((shape[1], shape[2]), (kernel[2], kernel[3]), self._block.stride, self._block.padding)
        return border_limits(neurons, flipped.reshape(kernel), thresholds, inside)


def column_order(block: Weighted, step: DenseStep | ConvStep, shape: Shape) -> NDArray[np.int64]:
    """Where each weight of a row lies among the packed ones: channels last if the layer reads images."""
    if step.gather is None:
        return np.arange(block.weights.shape[1], dtype=np.int64)
    channels, height, width = block.weights.shape[1:] if isinstance(block, ConvBlock) else shape
    return image_order(channels, height, width, channels)


def image_order(channels: int, height: int, width: int, pitch: int) -> NDArray[np.int64]:
    """Place of bit (channel, row, column) where the channels of a pixel lie together, ``pitch`` bits a pixel."""
    pixels = np.arange(height * width, dtype=np.int64) * pitch
    return np.asarray(np.arange(channels, dtype=np.int64)[:, None] + pixels).reshape(prod((channels, height, width)))


def _padded(block: Weighted) -> bool:
    return isinstance(block, ConvBlock) and block.padding != (0, 0)


def _recounted(neurons: Neurons, signs: NDArray[np.int8], flips: Positions, n_columns: int) -> Neurons:
    """The neurons with their positive weights counted after the flips."""
    positive = neurons.positive.copy()
    np.subtract.at(positive, flips // n_columns, signs[flips].astype(np.int64))
    return replace(neurons, positive=positive)
