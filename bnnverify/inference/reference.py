"""A network in plain integer arithmetic: the oracle of the bit engine, and its slow twin.

Bits are +1 and -1, sums are int64 matrix products, a convolution is a product with the windows of the
zero-padded image, pooling a maximum. Nothing is packed, so every line reads as the definition. It costs
about a hundred times the bit engine's time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.bits import sign
from bnnverify.errors import InputFormatError
from bnnverify.network import Block, ConvBlock, InputLayer, Layer, MaxPool, Network, QuantizedInput
from bnnverify.scores import score_keys


def integer_sums(block: Block | ConvBlock, values: NDArray[Any]) -> NDArray[Any]:
    """Weighted sums of ``(batch, *shape)``, ``(batch, n_out)`` or ``(batch, channels, height, width)``, in its type."""
    weights = block.weights.astype(values.dtype)
    if isinstance(block, Block):
        sums: NDArray[Any] = values.reshape(-1, weights.shape[1]) @ weights.T
        return sums
    windows = _windows(values, (weights.shape[2], weights.shape[3]), block.stride, block.padding)
    batch, _, height, width = windows.shape[:4]
    columns = windows.transpose(0, 2, 3, 1, 4, 5).reshape(batch * height * width, weights[0].size)
    found: NDArray[Any] = columns @ weights.reshape(len(weights), -1).T
    return found.reshape(batch, height, width, len(weights)).transpose(0, 3, 1, 2)


def _windows(
    values: NDArray[Any], size: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int]
) -> NDArray[Any]:
    """Windows of zero-padded images, ``(batch, channels, rows, columns, height, width)``."""
    margins = ((0, 0), (0, 0), (padding[0], padding[0]), (padding[1], padding[1]))
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(values, margins), size, axis=(2, 3))
    return windows[:, :, :: stride[0], :: stride[1]]


def layer_values(block: Layer, values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Activations after one block, from those before it; both ``(batch, *shape)``."""
    if isinstance(block, MaxPool):
        found: NDArray[np.int64] = _windows(values, block.size, block.stride, (0, 0)).max(axis=(4, 5))
        return found
    sums = integer_sums(block, values)
    thresholds = block.thresholds.reshape(-1, *([1] * (sums.ndim - 2)))
    return np.where(sums >= thresholds, 1, -1).astype(np.int64)


def layer_bits(network: Network, X: Any) -> list[NDArray[np.int8]]:
    """The activations after each block, ``(batch, *shape)`` of +1/-1."""
    return [sign(values) for values in _all_values(network, X)[1:]]


def output_sums(network: Network, X: Any) -> NDArray[np.int64]:
    """The integer sum of each class before scale and bias, ``(batch, n_classes)``."""
    hidden = _all_values(network, X)[-1]
    sums: NDArray[np.int64] = (
        hidden.reshape(-1, network.output.weights.shape[1]) @ network.output.weights.astype(np.int64).T
    )
    return sums


def classify(network: Network, X: Any, order: Sequence[int] | None = None) -> NDArray[np.int64]:
    """Classes ``(batch,)``; ties go to the class that comes first in ``order``, by default the lowest."""
    keys = score_keys(network.output, order)
    winners: NDArray[np.int64] = np.argmax(keys.slopes * output_sums(network, X) + keys.offsets, axis=1)
    return winners


def read_batch(layer: InputLayer, X: Any) -> NDArray[Any]:
    """Instances as the checked values ``(batch, n_inputs)`` of an input layer; one instance is a batch of one.

    Raises:
        InputFormatError: if values or shape do not fit the network.
    """
    flat = layer.read(X)
    if flat.ndim > 2:
        raise InputFormatError(
            f"input: shape {np.shape(X)}, expected one instance of {layer.n_inputs} values or one batch of them"
        )
    return np.ascontiguousarray(np.atleast_2d(flat))


def _all_values(network: Network, X: Any) -> list[NDArray[np.int64]]:
    layer, values = network.input, read_batch(network.input, X)
    first = layer.to_levels(values) if isinstance(layer, QuantizedInput) else layer.to_bits(values)
    activations = [first.astype(np.int64).reshape(-1, *layer.shape)]
    for block in network.blocks:
        activations.append(layer_values(block, activations[-1]))
    return activations
