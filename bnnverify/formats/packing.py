"""How few bytes a network needs: weights as bits, integers and floats in the smallest type that holds them.

The own file format stores exactly these arrays and the summary counts exactly these bytes, so what
``inspect`` prints is what lies on disk, up to the headers of the container.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import ModelFormatError

SIGNED_TYPES = (np.int8, np.int16, np.int32, np.int64)


def n_planes(weights: NDArray[np.int8]) -> int:
    """Bits a weight: 1 without zeros, 2 with zeros, 8 for the integers of a first block."""
    if weights.min() < -1 or weights.max() > 1:
        return 8
    return 1 if np.all(weights) else 2


def pack_weights(weights: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Weights of any shape as ``(planes, ceil(size / 8))`` bytes, first the signs, then what is not zero.

    Integers beyond ternary stay one byte each, ``(1, size)``.
    """
    planes = n_planes(weights)
    if planes == 8:
        return weights.reshape(1, -1).view(np.uint8)
    bits = [weights > 0] if planes == 1 else [weights > 0, weights != 0]
    return np.stack([np.packbits(plane, bitorder="little") for plane in bits])


def unpack_weights(name: str, packed: NDArray[Any], shape: tuple[int, ...], planes: int) -> NDArray[np.int8]:
    """Inverse of :func:`pack_weights`.

    Raises:
        ModelFormatError: unless ``packed`` holds exactly ``planes`` bits for each weight of ``shape``.
    """
    size = prod(shape)
    expected = (1, size) if planes == 8 else (planes, -(-size // 8))
    if planes not in (1, 2, 8) or packed.dtype != np.uint8 or packed.shape != expected:
        raise ModelFormatError(
            f"{name}: {packed.dtype} of shape {packed.shape}, expected uint8 {expected} for {planes} bits a weight"
        )
    if planes == 8:
        integers: NDArray[np.int8] = packed.view(np.int8).reshape(shape)
        return integers
    bits = np.unpackbits(packed, axis=1, count=size, bitorder="little").astype(np.int8)
    signs = (bits[0] << 1) - np.int8(1)
    weights: NDArray[np.int8] = (signs if planes == 1 else signs * bits[1]).reshape(shape)
    return weights


def smallest_integers(values: NDArray[np.int64]) -> NDArray[Any]:
    """The same integers in the smallest signed type that holds them all."""
    low, high = int(values.min()), int(values.max())
    fits = (t for t in SIGNED_TYPES if np.iinfo(t).min <= low and high <= np.iinfo(t).max)
    return values.astype(next(fits))


def smallest_floats(values: NDArray[np.float64]) -> NDArray[Any]:
    """The same floats as float32 if that loses nothing, else as they are."""
    with np.errstate(over="ignore"):
        short = values.astype(np.float32)
    return short if np.array_equal(short.astype(np.float64), values) else values
