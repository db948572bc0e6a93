"""The bit operations of a network as numba kernels; :mod:`bnnverify.inference.fallback` has their twins.

All take and return packed words (see :mod:`bnnverify.bits`): a batch of bit vectors is ``(batch, words)``,
an image is ``(height, width, words)`` with the channels of one pixel in its words. The kernels release the
interpreter lock and are cached on disk. The first prediction ever compiles for
1.4 s, and for .7 s more with the first large batch; from the cache it starts in .4 s, the import of
numba included. The byte order is little-endian, as on every processor numba serves.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bnnverify.bits import n_words
from bnnverify.inference.carries import carries_pay, carry_bits
from bnnverify.inference.simd import above_word, equal_word, plane_word
from bnnverify.inference.tile import tile

__all__ = [
    "carries_pay",
    "carry_bits",
    "dense_bits",
    "dense_counts",
    "pack_above",
    "pack_bits",
    "pack_planes",
    "patches",
    "pool",
    "to_images",
]

Words = NDArray[np.uint64]
TILE_ROWS = 6
TILE_GROUPS = 4


def pack_bits(values: NDArray[Any]) -> tuple[Words, bool]:
    """Integers ``(batch, n)`` as words, and whether all were 0/1 or all -1/+1."""
    words = np.zeros((len(values), n_words(values.shape[1])), dtype=np.uint64)
    if values.dtype.kind == "u" and values.max(initial=0) > 1:
        return words, False
    strange, zeros, minus = _pack_bits(values, words)
    return words, not strange and not (zeros and minus)


@njit(cache=True, nogil=True)
def _pack_bits(values: Any, words: Any) -> Any:
    full = values.shape[1] // 64
    strange = zeros = minus = np.uint64(0)
    for row in range(values.shape[0]):
        for word in range(full):
            one = equal_word(values, row, 64 * word, 1)
            zero = equal_word(values, row, 64 * word, 0)
            negative = equal_word(values, row, 64 * word, -1)
            words[row, word] = one
            strange |= ~(one | zero | negative)
            zeros |= zero
            minus |= negative
        for i in range(64 * full, values.shape[1]):
            value = np.int64(values[row, i])
            words[row, full] |= np.uint64(value == 1) << np.uint64(i - 64 * full)
            strange |= np.uint64(value < -1 or value > 1)
            zeros |= np.uint64(value == 0)
            minus |= np.uint64(value == -1)
    return strange != 0, zeros != 0, minus != 0


def pack_above(levels: NDArray[Any], thresholds: NDArray[Any]) -> Words:
    """Bit i is 1 iff ``levels[:, i] >= thresholds[i]``; both of one integer type."""
    words = np.zeros((len(levels), n_words(levels.shape[1])), dtype=np.uint64)
    _pack_above(levels, thresholds.reshape(1, -1), words)
    return words


@njit(cache=True, nogil=True)
def _pack_above(levels: Any, thresholds: Any, words: Any) -> None:
    full = levels.shape[1] // 64
    for row in range(levels.shape[0]):
        for word in range(full):
            words[row, word] = above_word(levels, row, 64 * word, thresholds)
        for i in range(64 * full, levels.shape[1]):
            words[row, full] |= np.uint64(levels[row, i] >= thresholds[0, i]) << np.uint64(i - 64 * full)


def pack_planes(levels: NDArray[Any], n_planes: int) -> Words:
    """The bits of integers ``(batch, n)``, plane by plane, low first: ``(batch, planes, words)``."""
    words = np.zeros((len(levels), n_planes, n_words(levels.shape[1])), dtype=np.uint64)
    _pack_planes(levels, words)
    return words


@njit(cache=True, nogil=True)
def _pack_planes(levels: Any, words: Any) -> None:
    full = levels.shape[1] // 64
    for row in range(levels.shape[0]):
        for plane in range(words.shape[1]):
            for word in range(full):
                words[row, plane, word] = plane_word(levels, row, 64 * word, plane)
            for i in range(64 * full, levels.shape[1]):
                bit = (np.uint64(levels[row, i]) >> np.uint64(plane)) & np.uint64(1)
                words[row, plane, full] |= bit << np.uint64(i - 64 * full)


def to_images(flat: Words, shape: tuple[int, int, int]) -> Words:
    """Bits ``(batch, words)`` in the order channel, row, column as images ``(batch, height, width, words)``."""
    channels, height, width = shape
    images = np.zeros((len(flat), height * width, n_words(channels)), dtype=np.uint64)
    _to_images(flat, channels, images)
    return images.reshape(len(flat), height, width, n_words(channels))


@njit(cache=True, nogil=True)
def _to_images(flat: Any, channels: int, images: Any) -> None:
    pixels = images.shape[1]
    for row in range(flat.shape[0]):
        for channel in range(channels):
            word, place = channel // 64, np.uint64(channel % 64)
            for pixel in range(pixels):
                i = channel * pixels + pixel
                bit = (flat[row, i // 64] >> np.uint64(i % 64)) & np.uint64(1)
                images[row, pixel, word] |= bit << place


def patches(
    images: Words, channels: int, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int]
) -> Words:
    """The bits under the kernel at each of its positions, without gaps: ``(batch, positions, words)``.

    Bits are in the order kernel row, kernel column, channel; those outside the image are 0.
    """
    height, width = ((images.shape[1 + a] + 2 * padding[a] - kernel[a]) // stride[a] + 1 for a in (0, 1))
    bits = kernel[0] * kernel[1] * channels
    out = np.zeros((len(images), height, width, n_words(bits)), dtype=np.uint64)
    _patches(images, channels, kernel, stride, padding, out)
    return out.reshape(len(images), height * width, n_words(bits))


@njit(cache=True, nogil=True)
def _patches(images: Any, channels: int, kernel: Any, stride: Any, padding: Any, out: Any) -> None:
    for image in range(out.shape[0]):
        for row in range(out.shape[1]):
            for column in range(out.shape[2]):
                top, left = row * stride[0] - padding[0], column * stride[1] - padding[1]
                _one_patch(images, channels, kernel, top, left, out, image, row, column)


@njit(cache=True, nogil=True)
def _one_patch(
    images: Any, channels: int, kernel: Any, top: int, left: int, out: Any, image: int, row: int, column: int
) -> None:
    at = 0
    for y in range(top, top + kernel[0]):
        for x in range(left, left + kernel[1]):
            if 0 <= y < images.shape[1] and 0 <= x < images.shape[2]:
                place, shift = at >> 6, np.uint64(at & 63)
                for k in range(images.shape[3]):
                    word = images[image, y, x, k]
                    out[image, row, column, place + k] |= word << shift
                    if word >> (np.uint64(63) - shift) > 1:
                        out[image, row, column, place + k + 1] |= word >> (np.uint64(64) - shift)
            at += channels


def pool(images: Words, size: tuple[int, int], stride: tuple[int, int]) -> Words:
    """The OR of the words under each window of images ``(batch, height, width, words)``."""
    height, width = ((images.shape[1 + a] - size[a]) // stride[a] + 1 for a in (0, 1))
    out = np.zeros((len(images), height, width, images.shape[3]), dtype=np.uint64)
    _pool(images, size, stride, out)
    return out


@njit(cache=True, nogil=True)
def _pool(images: Any, size: Any, stride: Any, out: Any) -> None:
    for image in range(out.shape[0]):
        for row in range(out.shape[1]):
            for column in range(out.shape[2]):
                for y in range(row * stride[0], row * stride[0] + size[0]):
                    for x in range(column * stride[1], column * stride[1] + size[1]):
                        for word in range(out.shape[3]):
                            out[image, row, column, word] |= images[image, y, x, word]


def dense_bits(
    inputs: Words, weights: Words, mask: Words | None, limits: NDArray[np.int64], kinds: NDArray[np.int64], n_out: int
) -> Words:
    """Neurons whose number of differing bits stays within their limit, as ``(rows, n_words(n_out))``.

    Args:
        inputs: ``(rows, words)``, or ``(rows, planes, words)`` where plane p counts 2^p.
        weights, mask: ``(groups, words, 8)``, see :mod:`bnnverify.inference.layout`.
        limits: ``(kinds, groups * 8)``; kinds: ``(rows,)`` the line of limits of each row.
    """
    out = np.zeros((len(inputs), 8 * n_words(n_out)), dtype=np.uint8)
    _dense(inputs, weights, mask, limits, kinds, out)
    return out.view(np.uint64)


def dense_counts(inputs: Words, weights: Words, mask: Words | None) -> NDArray[np.int64]:
    """Number of differing bits of each input and neuron, ``(rows, groups * 8)``."""
    out = np.empty((len(inputs), 8 * len(weights)), dtype=np.int64)
    _dense(inputs, weights, mask, _NO_LIMITS, _NO_KINDS, out)
    return out


_NO_LIMITS = np.zeros((0, 0), dtype=np.int64)
_NO_KINDS = np.zeros(0, dtype=np.int64)


@njit(cache=True, nogil=True)
def _dense(inputs: Any, weights: Any, mask: Any, limits: Any, kinds: Any, out: Any) -> None:
    """All tiles; a few neuron groups stay in the first cache while all inputs pass by."""
    rows, groups = inputs.shape[0], weights.shape[0]
    whole_rows, whole_groups = rows - rows % TILE_ROWS, groups - groups % TILE_GROUPS
    for group in range(0, whole_groups, TILE_GROUPS):
        for row in range(0, whole_rows, TILE_ROWS):
            tile(inputs, weights, mask, limits, kinds, out, row, group, TILE_ROWS, TILE_GROUPS)
        for row in range(whole_rows, rows):
            tile(inputs, weights, mask, limits, kinds, out, row, group, 1, TILE_GROUPS)
    for group in range(whole_groups, groups):
        for row in range(0, whole_rows, TILE_ROWS):
            tile(inputs, weights, mask, limits, kinds, out, row, group, TILE_ROWS, 1)
        for row in range(whole_rows, rows):
            tile(inputs, weights, mask, limits, kinds, out, row, group, 1, 1)
