"""The kernels of :mod:`bnnverify.inference.kernels` in numpy's ``bitwise_count``.

For machines without numba, and to check the kernels against: same names, arguments and results.
A row of inputs meets all neurons at once; measured, that takes 5 times as long as the kernels for one
instance and 40 to 60 times as long for large batches.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.bits import n_words, pack, unpack
from bnnverify.inference.carrylayout import CarryWeights

Words = NDArray[np.uint64]


def pack_bits(values: NDArray[Any]) -> tuple[Words, bool]:
    """Integers ``(batch, n)`` as words, and whether all were 0/1 or all -1/+1."""
    ones, zeros = values == 1, values == 0
    minus = values == -1 if values.dtype.kind == "i" else np.zeros_like(ones)
    valid = bool((ones | zeros | minus).all()) and not (zeros.any() and minus.any())
    return _pack(ones), valid


def pack_above(levels: NDArray[Any], thresholds: NDArray[Any]) -> Words:
    """Bit i is 1 iff ``levels[:, i] >= thresholds[i]``."""
    return _pack(levels >= thresholds)


def pack_planes(levels: NDArray[Any], n_planes: int) -> Words:
    """The bits of integers ``(batch, n)``, plane by plane, low first: ``(batch, planes, words)``."""
    wide = levels.astype(np.int64)
    return _pack(np.stack([(wide >> plane) & 1 == 1 for plane in range(n_planes)], axis=1))


def to_images(flat: Words, shape: tuple[int, int, int]) -> Words:
    """Bits ``(batch, words)`` in the order channel, row, column as images ``(batch, height, width, words)``."""
    bits = unpack(flat, int(np.prod(shape))).reshape(-1, *shape)
    return pack(bits.transpose(0, 2, 3, 1))


def patches(
    images: Words, channels: int, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int]
) -> Words:
    """The bits under the kernel at each of its positions, without gaps: ``(batch, positions, words)``."""
    margins = ((0, 0), (padding[0], padding[0]), (padding[1], padding[1]), (0, 0))
    bits = np.pad(unpack(images, channels), margins, constant_values=-1)
    windows = np.lib.stride_tricks.sliding_window_view(bits, kernel, axis=(1, 2))[:, :: stride[0], :: stride[1]]
    batch, height, width = windows.shape[:3]
    n_bits = kernel[0] * kernel[1] * channels
    return pack(windows.transpose(0, 1, 2, 4, 5, 3).reshape(batch, height * width, n_bits))


def pool(images: Words, size: tuple[int, int], stride: tuple[int, int]) -> Words:
    """The OR of the words under each window of images ``(batch, height, width, words)``."""
    windows = np.lib.stride_tricks.sliding_window_view(images, size, axis=(1, 2))[:, :: stride[0], :: stride[1]]
    return np.ascontiguousarray(np.bitwise_or.reduce(windows, axis=(4, 5)))


def dense_bits(
    inputs: Words, weights: Words, mask: Words | None, limits: NDArray[np.int64], kinds: NDArray[np.int64], n_out: int
) -> Words:
    """Neurons whose number of differing bits stays within their limit, as ``(rows, n_words(n_out))``."""
    within = dense_counts(inputs, weights, mask) <= limits[kinds]
    return _pack(within[:, :n_out])


def dense_counts(inputs: Words, weights: Words, mask: Words | None) -> NDArray[np.int64]:
    """Number of differing bits of each input and neuron, ``(rows, groups * 8)``."""
    neurons = _by_neuron(weights)
    masks = None if mask is None else _by_neuron(mask)
    if inputs.ndim == 2:
        inputs = inputs[:, None, :]
    counts = np.zeros((len(inputs), len(neurons)), dtype=np.int64)
    for row, planes in enumerate(inputs):
        for plane, words in enumerate(planes):
            differ = words ^ neurons if masks is None else (words ^ neurons) & masks
            counts[row] += np.bitwise_count(differ).sum(axis=1, dtype=np.int64) << plane
    return counts


def carries_pay(rows: int, n_in_words: int, n_out: int) -> bool:
    """Never here: without generated vector code carries are slower than counting."""
    return False


def carry_bits(inputs: Words, weights: CarryWeights) -> Words:
    """The neurons' bits for packed inputs ``(rows, words)`` from weights in planes, ``(rows, n_words(n_out))``."""
    prefixes = _by_plane(weights.parities)
    positions = prefixes[1:] ^ prefixes[:-1]
    ones = np.zeros((len(inputs), len(positions)), dtype=np.int64)
    ones[:, : 64 * inputs.shape[1]] = unpack(inputs, 64 * inputs.shape[1]) > 0
    counts = ones @ (1 - positions) + (1 - ones) @ positions
    bounds = (_by_plane(weights.bounds) << np.arange(weights.bounds.shape[1])[:, None]).sum(axis=0)
    return _pack((counts < bounds)[:, : weights.n_out])


def _by_plane(parts: Words) -> NDArray[np.int64]:
    """Vectors ``(parts, planes, 8)`` as 0/1 integers ``(planes, neurons)``."""
    n_planes = parts.shape[1]
    words = np.ascontiguousarray(parts.transpose(1, 0, 2)).reshape(n_planes, 8 * len(parts))
    return (unpack(words, 64 * words.shape[1]) > 0).astype(np.int64)


def _by_neuron(interleaved: Words) -> Words:
    return np.ascontiguousarray(interleaved.transpose(0, 2, 1)).reshape(-1, interleaved.shape[1])


def _pack(ones: NDArray[np.bool_]) -> Words:
    words = pack(ones.astype(np.int8))
    assert words.shape[-1] == n_words(ones.shape[-1])
    return words
